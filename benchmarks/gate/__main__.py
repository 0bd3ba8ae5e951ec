"""Says no to a loss of speed: ``python -m benchmarks.gate``.

Seconds of a shared machine mean little, so a few *ratios* are measured
(:mod:`benchmarks.gate.ratios`). One that falls by more than :data:`benchmarks.gate.ratios.LOSS`
against its stored reference is measured again, several times; the gate fails when the median of all
stays down.

References are kept by processor (``benchmarks/gate/references.json``; ``--update`` measures and
stores one). Where a processor has none, for a ratio or at all, the lowest of its family
(:data:`FAMILIES`) and :data:`LOSS_IN_FAMILY` are used, and where that has none, the lowest of all
others and :data:`LOSS_ELSEWHERE`, since instructions and caches differ: what is left then holds on
every processor. On CI the base of a change gives the reference.
"""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from benchmarks.gate.ratios import LOSS, RATIOS, judge, measure, reference_of
from benchmarks.harness.stored import show
from fastlogreg.cli.measuring import machine, new_table

LOSS_IN_FAMILY = 0.45  # Zen 3 and 5 are up to 24 % apart
LOSS_ELSEWHERE = 0.60
#: by how LLVM's names of processors begin: those with the same vectors, and caches of one kind
FAMILIES = {
    "Zen": ("znver",),
    "Intel with 512-bit vectors": (
        *("skylake-avx512", "cascadelake", "cooperlake", "cannonlake", "icelake", "rocketlake"),
        *("tigerlake", "sapphirerapids", "emeraldrapids", "graniterapids", "diamondrapids"),
    ),
    "Intel with 256-bit vectors": (
        *("haswell", "broadwell", "skylake", "alderlake", "raptorlake", "meteorlake"),
        *("arrowlake", "lunarlake", "pantherlake", "gracemont", "sierraforest"),
    ),
    "Apple": ("apple-m",),
    "Neoverse": ("neoverse",),
}
REFERENCES = Path(__file__).with_name("references.json")


def family_of(cpu: str) -> str:
    """Return the family of a processor, empty where it is of none that is known."""
    for name, beginnings in FAMILIES.items():
        if cpu.startswith(beginnings):
            return name
    return ""


class References(NamedTuple):
    """Ratios, what loss against them is too much, and whose they are."""

    ratios: dict[str, float]
    loss: float
    of: str


def references_for(cpu: str, stored: dict[str, dict[str, float]]) -> list[References]:
    """Return the ratios stored for a processor, and for all others the lowest of the nearest.

    First come its own, then those of its family, then what is known of any processor; each ratio
    is in one of the three.
    """
    family = family_of(cpu)
    kin = [own for other, own in stored.items() if family and family_of(other) == family]
    nearest = (
        ([stored.get(cpu, {})], LOSS, cpu),
        (kin, LOSS_IN_FAMILY, f"the lowest of {family}"),
        (list(stored.values()), LOSS_ELSEWHERE, "the lowest of other processors"),
    )
    seen: set[str] = set()
    found = []
    for known, loss, of in nearest:
        lowest = {
            name: min(ratios[name] for ratios in known if name in ratios)
            for name in dict.fromkeys(name for ratios in known for name in ratios)
            if name not in seen
        }
        seen |= set(lowest)
        if lowest:
            found.append(References(lowest, loss, of))
    return found


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
    nearest = references_for(cpu, stored)
    for references in nearest:
        today = {name: value for name, value in references.ratios.items() if name in ratios}
        for row in judge(today, references.loss, lambda name: measure(ratios[name])):
            rows.append({**row, "allowed": -references.loss, "of": references.of})
    if not rows:
        raise typer.BadParameter(f"no references in {reference}: --update stores them")
    table = new_table(
        "the gate: a greater loss than allowed fails",
        "ratio",
        *("reference", "measured", "change", "allowed", "repeats", ""),
        caption="; ".join(f"allowed {-known.loss:.0%}: against {known.of}" for known in nearest),
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
