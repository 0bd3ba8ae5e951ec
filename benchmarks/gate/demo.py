"""Shows that the gate does what it is for: ``python -m benchmarks.gate.demo``.

On unchanged code it must stay silent run after run; with the kernel of loss and gradient made to
take 1.5 times as long it must fail and name what is slow. The reference is measured first, in
the same process.
"""

from typing import Annotated, Any

import typer

from benchmarks.gate.ratios import LOSS, RATIOS, Ratio, clock, judge, measure, reference_of
from fastlogreg.backends.numba.passes import kernels


class Slowed:
    """A kernel that takes ``factor`` times as long, whatever its storage."""

    def __init__(self, kernel: Any, factor: float) -> None:
        self.kernel, self.factor = kernel, factor

    def __getitem__(self, code: str) -> Any:
        compiled = self.kernel[code]

        def call(*arguments: Any) -> Any:
            start = clock()
            result = compiled(*arguments)
            end = start + self.factor * (clock() - start)
            while clock() < end:
                pass
            return result

        return call


def run(ratios: dict[str, Ratio], reference: dict[str, float]) -> list[str]:
    """Return what one run of the gate says is lost."""
    rows = judge(reference, LOSS, lambda name: measure(ratios[name]))
    worst = min(rows, key=lambda row: row["change"])
    typer.echo(f"  worst {worst['change']:+.0%} ({worst['ratio']})")
    return [f"{row['ratio']} {row['change']:+.0%}" for row in rows if not row["held"]]


def main(
    runs: Annotated[int, typer.Option(help="On unchanged code.")] = 20,
    factor: Annotated[float, typer.Option(help="How much the kernel is slowed.")] = 1.5,
) -> None:
    """Run the gate on unchanged code, then with a slowed kernel."""
    ratios = {name: make() for name, make in RATIOS.items()}
    reference = reference_of(ratios, lambda name: measure(ratios[name]))
    alarms = 0
    for k in range(1, runs + 1):
        lost = run(ratios, reference)
        alarms += bool(lost)
        typer.echo(f"unchanged, run {k}: {'FAILED: ' + '; '.join(lost) if lost else 'passed'}")
    kernels.evaluate = Slowed(kernels.evaluate, factor)  # the bound pass looks it up here
    lost = run(ratios, reference)
    typer.echo(f"kernel slowed by {factor:g}: {'FAILED: ' + '; '.join(lost) if lost else 'passed'}")
    typer.echo(
        f"{alarms} false alarms in {runs} runs; the slow kernel was {'' if lost else 'NOT '}seen"
    )
    if alarms or not lost:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
