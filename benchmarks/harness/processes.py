"""Functions of benchmarks in processes of their own."""

import json
import subprocess
import sys
from typing import Any


def fresh(module: str, call: str) -> Any:
    """Return what a call of a function of ``benchmarks.<module>`` returns in a fresh process."""
    code = f"import json; from benchmarks import {module}; print(json.dumps({module}.{call}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])
