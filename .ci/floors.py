"""Prints the lowest versions that pyproject.toml allows, as constraints of pip.

python .ci/floors.py > constraints.txt: what a user of the package may have installed, with all its
extras; the tools of developers and tests are not held down.
"""

import re
import tomllib
from pathlib import Path

TOOLS = {"test", "bench", "docs", "dev"}

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
asked = list(project["dependencies"])
for extra, requirements in project["optional-dependencies"].items():
    if extra not in TOOLS:
        asked += requirements
for requirement in asked:
    name, floor = re.fullmatch(r"([\w.-]+)(?:\[.*\])?>=([\w.]+).*", requirement).groups()
    print(f"{name}=={floor}")
