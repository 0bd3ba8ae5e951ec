"""Benchmarks of fastlogreg: one table of cases (``cases``), commands, two runners, peers, a gate.

The commands lie in ``commands/`` and are modules of this package, so that each has a short name:
``python -m benchmarks.fit_matrix``. README.md lists them.
"""

from pathlib import Path

__path__.append(str(Path(__file__).parent / "commands"))
