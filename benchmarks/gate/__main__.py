"""Says no to a loss of speed: ``python -m benchmarks.gate``.

Seconds of a shared machine mean little, so a few *ratios* are measured
(:mod:`benchmarks.gate.ratios`). One that falls by more than :data:`benchmarks.gate.ratios.LOSS`
against its stored reference is measured again, several times; the gate fails when the median of all
stays down.

References are kept by processor (``benchmarks/gate/references.json``; ``--update`` measures and
stores one). Where a processor has none, for a ratio or at all, the lowest of the others and
:data:`LOSS_ELSEWHERE` are used, since instructions and caches differ; on CI the base of a change
gives the reference.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.gate.ratios import LOSS, RATIOS, judge, measure, reference_of
from benchmarks.harness.stored import show
from fastlogreg.cli.measuring import machine, new_table

LOSS_ELSEWHERE = 0.60
REFERENCES = Path(__file__).with_name("references.json")


def references_for(
    cpu: str, stored: dict[str, dict[str, float]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the ratios stored for a processor, and for all others the lowest known elsewhere."""
    own = stored.get(cpu, {})
    elsewhere: dict[str, float] = {}
    for ratios in stored.values():
        for name, ratio in ratios.items():
            if name not in own:
                elsewhere[name] = min(ratio, elsewhere.get(name, ratio))
    return own, elsewhere


def main(
    update: Annotated[bool, typer.Option(help="Measure and store this machine's own.")] = False,
    reference: Annotated[Path, typer.Option(help="A JSON file of references.")] = REFERENCES,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Fail where a ratio lost more than 30 % against its stored reference."""
    stored = json.loads(reference.read_text())["processors"] if reference.exists() else {}
    cpu = machine()["cpu"]
    ratios = {name: make() for name, make in RATIOS.items()}
    if update:
        today = reference_of(ratios, lambda name: measure(ratios[name]))
        stored[cpu] = {name: round(value, 3) for name, value in today.items()}
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(json.dumps({"processors": stored}, indent=1) + "\n")
        typer.echo(f"stored {len(ratios)} ratios for {cpu} in {reference}")
        return
    rows = []
    for references, loss in zip(references_for(cpu, stored), (LOSS, LOSS_ELSEWHERE), strict=True):
        today = {name: value for name, value in references.items() if name in ratios}
        for row in judge(today, loss, lambda name: measure(ratios[name])):
            rows.append({**row, "allowed": -loss})
    if not rows:
        raise typer.BadParameter(f"no references in {reference}: --update stores them")
    table = new_table(
        "the gate: a greater loss than allowed fails",
        "ratio",
        *("reference", "measured", "change", "allowed", "repeats", ""),
        caption=f"allowed {-LOSS:.0%}: against a reference of {cpu}; "
        f"{-LOSS_ELSEWHERE:.0%}: against the lowest of other processors",
    )
    for row in rows:
        table.add_row(
            row["ratio"],
            f"{row['reference']:.3g}",
            f"{row['measured']:.3g}",
            f"{row['change']:+.0%}",
            f"{row['allowed']:.0%}",
            str(row["repeats"]),
            "held" if row["held"] else "LOST",
        )
    show(table, rows, output)
    lost = [row for row in rows if not row["held"]]
    for row in lost:
        typer.echo(f"lost: {row['ratio']}: {row['change']:+.0%}, {row['repeats']} times")
    if lost:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
