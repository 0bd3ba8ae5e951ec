"""A virtual environment for each peer whose packages may conflict with others', made on demand.

They lie in ``.peers/`` at the top of the repository, which git ignores.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".peers"
#: what is installed; the empty name is the environment that the command runs in
REQUIREMENTS = {
    "glum": ("glum",),
    "skglm": ("skglm",),
    "statsmodels": ("statsmodels", "pyarrow"),
    "snapml": ("snapml",),
    "sklearnex": ("scikit-learn-intelex",),
    # a version that pip has as a build for processors alone, where such an index is configured
    "torch": ("torch==2.13.0", "numpy", "scipy"),
    "jax": ("jax", "optax", "scipy"),
    "vw": ("vowpalwabbit", "numpy", "scipy"),
    "h2o": ("h2o",),
    # it calls SciPy's L-BFGS by an argument that 1.18 removes
    "dask-glm": ("dask-glm==0.4.0", "scipy<1.18", "dask[dataframe,distributed]"),
}
_DONE = "installed.txt"
_SECONDS = 900


def python(environment: str) -> Path:
    """Return the interpreter of an environment."""
    if not environment:
        return Path(sys.executable)
    folder = "Scripts" if os.name == "nt" else "bin"
    return FOLDER / environment / folder / "python"


def _made(environment: str) -> bool:
    """Return whether an environment is there with what is asked for."""
    done = FOLDER / environment / _DONE
    return done.exists() and done.read_text() == "\n".join(REQUIREMENTS[environment])


def make(environment: str) -> str:
    """Make an environment where it is missing; return what went wrong, empty for nothing."""
    if not environment or _made(environment):
        return ""
    venv.create(FOLDER / environment, with_pip=True, clear=True)
    command = [python(environment), "-m", "pip", "install", "--quiet", *REQUIREMENTS[environment]]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "ERROR" in line]
        return f"not installed: {(lines or ['pip failed'])[-1]}"
    except subprocess.TimeoutExpired:
        return f"not installed: pip took more than {_SECONDS} s"
    (FOLDER / environment / _DONE).write_text("\n".join(REQUIREMENTS[environment]))
    return ""


def ready(environment: str, install: bool) -> str:
    """Return why an environment can't be used; empty where it can. Make it where that is asked."""
    if install:
        return make(environment)
    there = not environment or _made(environment)
    return "" if there else "not installed: run without --no-install or --quick"
