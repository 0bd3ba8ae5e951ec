"""The figures that are kept in ``docs/benchmarks``: which there are, and how they are written.

A stored file says which command measured it, on which machine, and with which code. Whether it is
of this machine and of the code as it is now can be read off it (:func:`differences`); the code is
told by a hash of the package's sources, so that a commit that leaves these alone, such as the one
that adds the figures, makes none of them stale.
"""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import cases
from benchmarks.class_cases import CLASS_FITS
from benchmarks.harness.tables import console
from benchmarks.penalty_cases import CROSS_VALIDATIONS, L1_FITS, PATHS
from fastlogreg.cli.measuring import machine

Data = dict[str, Any]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"

#: what of the machine two figures must share to be compared
SAME = ("cpu", "n_threads", "python", "numpy", "numba", "scikit-learn")


@dataclass(frozen=True)
class Figure:
    """A stored file: its stem, the command that measures it, and that command's output.

    What takes long goes on where it was interrupted: a command measures one of the ``pieces`` with
    ``--cases`` and joins it to those that the file holds, or it ``resumes`` with ``--resume``.
    """

    name: str
    run: tuple[str, ...]  # after ``python -m``
    pieces: tuple[str, ...] = ()
    resumes: bool = False
    whole_folder: bool = False  # it is given the folder and not the file
    minutes: float = 4.0  # after which the command, or that of one piece, is ended
    slow: bool = False  # it takes an hour or so, and is measured where it is asked for

    def command(self, folder: Path) -> list[str]:
        """Return what comes after ``python`` to write the figure to a folder."""
        output = folder if self.whole_folder else folder / f"{self.name}.json"
        return ["-m", *self.run, "--output", str(output)]

    @property
    def typed(self) -> str:
        """Return the command as one would type it."""
        command = self.command(FOLDER.relative_to(ROOT))
        if self.run[0] == "fastlogreg":  # which has an entry point
            return shlex.join(command[1:])
        return shlex.join(["python", *command])


def _benchmark(name: str, command: str = "", *options: str, **more: Any) -> Figure:
    return Figure(name, (f"benchmarks.{command or name}", *options), **more)


#: what is kept of the peers: each kind of data, at one penalty
_PEERS_CASES = (
    *("breast cancer", "census-like", "1e6 x 10", "3e5 x 50", "2e4 x 1000", "2e3 x 5000"),
    "CSR 2e4 x 5e4",
)

#: in the order in which they are measured: what takes longest comes last
FIGURES = {
    figure.name: figure
    for figure in (
        Figure("compare", ("fastlogreg", "compare"), whole_folder=True),
        _benchmark("gate"),
        _benchmark("kernels", "kernel_matrix"),
        _benchmark("softmax_kernels", "", "--seconds", "4"),
        _benchmark("growth"),
        _benchmark("threads"),
        _benchmark("roofline"),
        _benchmark("minibatch", "minibatch_table", "--seconds", "6", "--repeats", "2"),
        _benchmark("minibatch_classes", "", "--seconds", "15"),
        _benchmark("cluster", minutes=12.0),  # this and the next with their peers
        _benchmark("files", minutes=12.0),
        _benchmark("shell"),
        _benchmark("inference", "", "--rounds", "2"),
        _benchmark("cross_validation", "", "--limit", "30", pieces=tuple(CROSS_VALIDATIONS)),
        _benchmark("paths", "", "--limit", "30", pieces=tuple(PATHS), minutes=10.0),
        _benchmark("l1_fits", "", "--limit", "10", pieces=tuple(L1_FITS), minutes=10.0),
        _benchmark("multiclass_fits", "", "--limit", "10", pieces=tuple(CLASS_FITS)),
        _benchmark("interrupt", "", "--times", "5"),
        _benchmark("memory"),
        _benchmark("minibatch_memory"),
        _benchmark("cold_start"),
        _benchmark("degenerate"),
        _benchmark("debts", "", "--seconds", "4", minutes=8.0),
        _benchmark("fit_matrix", "", "--seconds", "2", "--limit", "4", pieces=tuple(cases.FITS)),
        _benchmark("peers", "", "--limit", "5", "--budget", "10", pieces=_PEERS_CASES),
        _benchmark("class_tables", slow=True, minutes=60.0),
        _benchmark("penalty_tables", slow=True, minutes=60.0),
        Figure(
            "random_tables",
            ("benchmarks.random_tables", "--seeds", "0:3000"),
            resumes=True,
            slow=True,
            minutes=120.0,
        ),
    )
}


def _program() -> str:
    spec = sys.modules["__main__"].__spec__
    return f"-m {spec.name.removesuffix('.__main__')}" if spec is not None else sys.argv[0]


def command() -> str:
    """Return the command that is running, as one would type it."""
    return " ".join(["python", _program(), *map(shlex.quote, sys.argv[1:])])


def command_in_pieces(output: Path) -> str:
    """Return the command that would measure at once what was measured case by case."""
    return f"python {_program()} --output {output}, in pieces"


@cache
def code() -> dict[str, str | None]:
    """Return a hash of the package's sources, and the commit where git knows it."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "fastlogreg").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return {"hash": digest.hexdigest()[:16], "commit": _commit()}


def _commit() -> str | None:
    """Return the last commit of the package's sources, with a plus where they were edited since."""

    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(ROOT), *arguments, "--", "fastlogreg"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%h", "--abbrev=12")
        return f"{commit}+" if commit and git("status", "--porcelain") else commit or None
    except (OSError, subprocess.CalledProcessError):
        return None


def differences(data: Data) -> list[str]:
    """Return what of stored figures is not as it is here and now; empty where all is."""
    today = machine()
    out = [
        f"{key} {data['machine'].get(key)}, here {today[key]}"
        for key in SAME
        if data["machine"].get(key) != today[key]
    ]
    measured = data.get("code")
    if measured is None:
        out.append("code not recorded")
    elif measured["hash"] != code()["hash"]:
        names = (data["commit"] or "unknown" for data in (measured, code()))
        out.append("code of commit {}, here {}".format(*names))
    return out


def read(path: Path) -> Data | None:
    """Return what is stored, None where nothing is."""
    return json.loads(path.read_text()) if path.exists() else None


def write(data: Data, path: Path) -> None:
    """Store figures, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(data, indent=1) + "\n")
    beside.replace(path)


def store(rows: list[Data], output: Path | None, **more: Any) -> None:
    """Write rows, the machine, the command and whatever else to a JSON file, where one is named."""
    if output is not None:
        head = {"format": 1, "command": command(), "machine": machine(), "code": code()}
        write({**head, **more, "rows": rows}, output)


def joined(
    rows: list[Data], names: list[str], output: Path | None, order: Iterable[str]
) -> tuple[list[Data], str]:
    """Return rows and the command that measured them.

    Where cases were named, what is stored of the others comes too, in the ``order`` of all.
    """
    if not names or output is None or not output.exists():
        return rows, command()
    here = {row["case"] for row in rows}
    kept = [row for row in json.loads(output.read_text())["rows"] if row["case"] not in here]
    all_rows = [row for name in order for row in kept + rows if row["case"] == name]
    return all_rows, command_in_pieces(output)


def show(table: Table, rows: list[Data], output: Path | None, **more: Any) -> None:
    """Print a table and store its rows (:func:`store`)."""
    console().print(table)
    store(rows, output, **more)
