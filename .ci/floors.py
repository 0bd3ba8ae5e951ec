"""Prints the lowest versions that pyproject.toml allows, as constraints of pip.

python .ci/floors.py > constraints.txt: of what users may have, and of what the tests need.
"""

import re
import tomllib
from pathlib import Path

TOOLS = {"bench", "docs", "dev"}

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
asked = list(project["dependencies"])
for extra, requirements in project["optional-dependencies"].items():
    if extra not in TOOLS:
        asked += requirements
floors = {}
for requirement in asked:
    if not requirement.startswith("fastlogreg["):
        name, floor = re.fullmatch(r"([\w.-]+)(?:\[.*\])?>=([\w.]+).*", requirement).groups()
        assert floors.setdefault(name, floor) == floor, f"two lowest versions of {name}"
for name, floor in floors.items():
    print(f"{name}=={floor}")
