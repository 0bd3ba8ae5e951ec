"""What each section of the report shows: where its figures come from, its charts and its table.

A section whose figures are not there says which command measures them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.stored import FIGURES
from benchmarks.harness.tables import geometric_mean, ms, ratio, tiny
from benchmarks.report import charts, products
from benchmarks.report.tables import Table, anything, of_kind
from fastlogreg.cli.measuring import duration

Data = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """``source`` names the stored figure of :data:`FIGURES` that it shows."""

    name: str
    title: str
    source: str
    says: str
    table: Callable[[Data], Table]
    chart: charts.Draw | None = None
    concludes: Callable[[Data], str] = lambda data: ""

    @property
    def measured_by(self) -> str:
        """The command that measures it."""
        return FIGURES[self.source].typed


def _shape(row: Data) -> str:
    return f"{row['n']:,} x {row['d']}"


def _compare(data: Data) -> Table:
    rows = [
        (
            row["backend"],
            f"{row['n']:,}",
            str(row["n_threads"]),
            "left out" if row["best"] is None else duration(row["best"]),
            "" if row["best"] is None else ratio(row["loop_best"] / row["best"]),
            "" if row["best"] is None else ratio(row["numpy_best"] / row["best"]),
        )
        for row in data["rows"]
    ]
    return Table(("backend", "rows", "threads", "time", "over the loop", "over NumPy"), rows)


def _compared(data: Data) -> str:
    most = max(row["n_threads"] for row in data["rows"])
    done = [row for row in data["rows"] if row["backend"] == "loop" and row["best"]]
    n = max(row["n"] for row in done)
    at = {(row["backend"], row["n_threads"]): row["best"] for row in data["rows"] if row["n"] == n}
    loop, numpy, fused = at["loop", 1], at["numpy", most], at["numba", most]
    return (
        f"At {n:,} x {done[0]['d']} the scalar loop takes {duration(loop)}, NumPy "
        f"{duration(numpy)}, the fused kernels {duration(fused)}: "
        f"{loop / fused:,.0f} times as fast as the loop."
    )


def _kernels(data: Data) -> Table:
    rows = [
        (
            _shape(row),
            *(f"{ms(row[name])} ms" for name in ("read", "numpy", "scikit-learn", "fastlogreg")),
            f"{row['fastlogreg'] / row['read']:.2f}",
            f"{row['numpy'] / row['fastlogreg']:.1f} x",
            f"{row['scikit-learn'] / row['fastlogreg']:.1f} x",
        )
        for row in data["rows"]
    ]
    return Table(
        (
            *("rows x columns", "read", "NumPy", "scikit-learn", "fastlogreg", "reads"),
            *("over NumPy", "over scikit-learn"),
        ),
        rows,
    )


def _kernels_mean(data: Data) -> str:
    over = {
        peer: geometric_mean([row[peer] / row["fastlogreg"] for row in data["rows"]])
        for peer in ("numpy", "scikit-learn")
    }
    return (
        f"Geometric mean: {over['numpy']:.1f} x over NumPy, {over['scikit-learn']:.1f} x over "
        "scikit-learn's compiled loss."
    )


def _roofline(data: Data) -> Table:
    rows = [
        (
            row["kernel"],
            _shape(row),
            row["dtype"],
            str(row["n_threads"]),
            f"{ms(row['seconds'])} ms",
            f"{ms(row['bound_seconds'])} ms",
            row["bound_by"],
            f"{row['share']:.0%}",
        )
        for row in data["rows"]
    ]
    return Table(
        ("kernel", "rows x columns", "dtype", "threads", "time", "bound", "bound by", "share"),
        rows,
    )


def _roofs(data: Data) -> str:
    parts = []
    for roof in data["roofs"]:
        largest = max(roof["bandwidth"], key=int)
        threads = f"{roof['n_threads']} thread{'s' * (roof['n_threads'] > 1)}"
        parts.append(
            f"{threads}: {roof['bandwidth'][largest] / 1e9:.0f} GB/s from memory, "
            f"{roof['multiply_adds'] / 1e9:.0f} G multiply-adds/s, "
            f"{roof['pointwise'] / 1e9:.2g} G rows/s of the pointwise stage"
        )
    return "Roofs measured in the same run. " + "; ".join(parts) + "."


def _peers(data: Data) -> Table:
    distances = list(data["rows"][0]["peers"][0]["reached"])
    rows = []
    for case in data["rows"]:
        for row in case["peers"]:
            closest = min((run["above"] for run in row["runs"]), default=None)
            memory = row["extra_bytes"]
            rows.append(
                (
                    case["case"],
                    row["peer"],
                    *(ms(row["reached"][distance]) for distance in distances),
                    tiny(closest),
                    "" if memory is None else f"{memory / 1e6:.0f}",
                    "" if row["threads"] is None else f"{row['threads']:.1f}",
                    "; ".join(part for part in (row["reason"], row["remark"]) if part),
                )
            )
    header = ("case", "peer", *(f"ms to {distance}" for distance in distances))
    return Table((*header, "closest", "extra MB", "threads", "reason"), rows)


def _ahead(data: Data) -> str:
    parts = []
    for distance in data["rows"][0]["peers"][0]["reached"]:
        ratios, beaten = [], 0
        for case in data["rows"]:
            reached = {row["peer"]: row["reached"][distance] for row in case["peers"]}
            ours = reached.pop("fastlogreg", None)
            best = min((s for s in reached.values() if s is not None), default=None)
            if ours is not None and best is not None:
                ratios.append(best / ours)
                beaten += best < ours
        if ratios:
            behind = f", behind in {beaten}" if beaten else ""
            parts.append(
                f"{geometric_mean(ratios):.1f} x at {distance} ({len(ratios)} cases{behind})"
            )
    return "Geometric mean over the best peer of each case: " + "; ".join(parts) + "."


def _fits(data: Data) -> Table:
    rows = []
    for row in data["rows"]:
        best, lbfgs = row["best"] or {}, row["lbfgs"] or {}
        cut = ">" if lbfgs and lbfgs["above"] is None else ""
        rows.append(
            (
                row["case"],
                f"{row['reads']:.1f}",
                f"{row['passes']:.3g}",
                f"{ms(row['seconds'])} ms",
                tiny(row["above"]),
                best.get("name", "none"),
                f"{ms(best.get('seconds'))} ms" if best else "",
                ratio(row["over best"]),
                cut + ratio(row["over lbfgs"]),
            )
            if not row["error"]
            else (row["case"], *[""] * 4, row["error"], *[""] * 3)
        )
    return Table(
        (
            *("case", "reads of X", "passes", "fastlogreg", "above the optimum"),
            *("scikit-learn's best within 1e-6", "takes", "ratio", "over its default"),
        ),
        rows,
    )


def _fit_means(data: Data) -> str:
    best = [row["over best"] for row in data["rows"] if row["over best"] is not None]
    lbfgs = [row["over lbfgs"] for row in data["rows"] if row["over lbfgs"] is not None]
    if not best or not lbfgs:
        return ""
    return (
        f"Geometric mean: {geometric_mean(best):.1f} x over scikit-learn's best solver in each "
        f"case, {geometric_mean(lbfgs):.0f} x over its default."
    )


def _cold_start(data: Data) -> Table:
    floor = next(row["seconds"] for row in data["rows"] if row["program"] == "python alone")
    rows = [
        (
            row["program"],
            f"{row['seconds']:.3f} s",
            f"{row['median']:.3f} s",
            f"{row['seconds'] - floor:.3f} s",
        )
        for row in data["rows"]
    ]
    rows += [
        (f"compiling {row['kernel']}", f"{row['seconds']:.3f} s", "", "")
        for row in data.get("compiling", [])
    ]
    return Table(("program", "best", "median", "over python alone"), rows)


def _growth(data: Data) -> Table:
    sizes = list(data["rows"][0]["seconds"])
    rows = [
        (
            row["operation"],
            *(duration(row["seconds"][n]) for n in sizes),
            f"{row['exponent']:.2f}",
        )
        for row in data["rows"]
    ]
    return Table(("operation", *(f"{int(n):,}" for n in sizes), "exponent"), rows)


def _threads(data: Data) -> Table:
    counts = list(data["rows"][0]["seconds"])
    rows = [
        (
            row["operation"],
            *(duration(row["seconds"][k]) for k in counts),
            f"{row['gain']:.2f} x",
        )
        for row in data["rows"]
    ]
    return Table(("operation", *(f"{k} threads" for k in counts), "gain"), rows)


def _gate(data: Data) -> Table:
    rows = [
        (
            row["ratio"],
            f"{row['reference']:.3g}",
            f"{row['measured']:.3g}",
            f"{row['change']:+.0%}",
            "held" if row["held"] else "LOST",
        )
        for row in data["rows"]
    ]
    return Table(("ratio", "reference", "measured", "change", ""), rows)


SECTIONS = (
    Section(
        "vectorization",
        "The vectorization argument",
        "compare",
        "Loss and gradient by a scalar loop, by NumPy and by fused kernels, over growing tables.",
        _compare,
        charts.vectorization,
        _compared,
    ),
    Section(
        "kernels",
        "Kernels against NumPy and scikit-learn",
        "kernels",
        "Loss and gradient in float64 on all threads; reads: our time in parallel reads of X.",
        _kernels,
        charts.kernels,
        _kernels_mean,
    ),
    Section(
        "roofline",
        "Roofline",
        "roofline",
        "Each kernel in float64 on all threads, under what this machine can do at most.",
        _roofline,
        charts.roofline,
        _roofs,
    ),
    Section(
        "shares",
        "Share of the roof that limits each kernel",
        "roofline",
        "A kernel takes no less than its bytes at the bandwidth of a working set of its size, and "
        "no less than its multiply-adds and pointwise rows at their rates. Small tables are work "
        "of microseconds, and the call itself takes most of it.",
        lambda data: Table((), []),
        charts.shares,
    ),
    Section(
        "suboptimality",
        "Distance above the optimum against time",
        "peers",
        "Each peer from loose to tight settings; down and to the left is better. The objective is "
        "ours on the returned coefficients, relative to the lowest that anybody reached.",
        _peers,
        charts.suboptimality,
        _ahead,
    ),
    Section(
        "speedups",
        "Speed-up over the best peer",
        "peers",
        "Time of the fastest peer to a distance above the optimum (columns) over ours.",
        lambda data: Table((), []),
        charts.speedups,
    ),
    Section(
        "fits",
        "Exact fits against scikit-learn's solvers",
        "fit_matrix",
        "Ours at its defaults against every solver of scikit-learn at all its tolerances.",
        _fits,
        None,
        _fit_means,
    ),
    Section(
        "debts",
        "Weak spots",
        "debts",
        "What was slow when measured first (Zen 4), what was asked for, and what it takes here.",
        products.debts,
        None,
        products.debts_paid,
    ),
    Section(
        "class_fits",
        "Exact fits of several classes",
        "multiclass_fits",
        "Ours at its defaults, scikit-learn's best within 1e-6 of the optimum, and its default.",
        products.class_fits,
        None,
        products.class_fits_mean,
    ),
    Section(
        "l1_fits",
        "Exact fits with L1",
        "l1_fits",
        "L1 at 1/10 and 1/100 of the penalty that leaves no column, and elastic nets with "
        "l1_ratio 0.5 at 1/10 of theirs: ours and the best peer, each at its fastest setting that "
        "ends within 1e-6 of the optimum.",
        products.l1_fits,
        None,
        products.l1_fits_mean,
    ),
    Section(
        "paths",
        "Regularization paths",
        "paths",
        "100 penalties down to a thousandth of the strongest; above: the largest distance from the "
        "optimum of a point.",
        products.paths,
        None,
        products.paths_mean,
    ),
    Section(
        "cross_validation",
        "Cross-validation",
        "cross_validation",
        "60 fits and their scores, beside scikit-learn's class and a grid search over ours.",
        products.cross_validation,
        None,
        products.cross_validation_mean,
    ),
    Section(
        "softmax",
        "Softmax: loss and gradient",
        "softmax_kernels",
        "One evaluation, beside the peers in the same run; off: from NumPy's gradient.",
        products.softmax,
        None,
        products.softmax_mean,
    ),
    Section(
        "class_epochs",
        "Mini-batches of several classes",
        "minibatch_classes",
        "An epoch, and the distance from the optimum after one and three.",
        products.class_epochs,
        None,
        products.class_epochs_gain,
    ),
    Section(
        "files",
        "Files beyond memory",
        "files",
        "An exact fit of Parquet files within a memory limit, and other packages on these files; "
        "reads: plain ones by pyarrow.",
        products.files,
        None,
        products.files_cost,
    ),
    Section(
        "cluster",
        "Dask",
        "cluster",
        "The same rows in memory and on two worker processes of one thread each; dask-glm on such "
        "workers, its rows persisted there before.",
        products.cluster,
        None,
        products.cluster_cost,
    ),
    Section(
        "shell",
        "A CSV from the shell",
        "shell",
        "Text, numbers and missing values: read, encoded, fitted, and a fifth as many rows scored; "
        "peaks of resident memory.",
        products.shell,
        None,
        products.shell_gain,
    ),
    Section(
        "inference",
        "Standard errors",
        "inference",
        "From a formula and a table; below: of the log-likelihood under the best; bse: the largest "
        "relative difference of a standard error from Newton's in NumPy.",
        products.inference,
        None,
        products.inference_gain,
    ),
    Section(
        "memory",
        "Memory of a fit",
        "memory",
        "Peak memory of one fit beyond its data, in processes of their own.",
        anything,
    ),
    Section(
        "degenerate",
        "Degenerate data",
        "degenerate",
        "What happens to each, ours and scikit-learn's; the judge is Newton in 80 digits.",
        anything,
    ),
    Section(
        "class_tables",
        "Several classes on tables built to deceive",
        "class_tables",
        "Tables by verdict, against an optimum by plain NumPy; wrong is farther from it than said.",
        anything,
    ),
    Section(
        "penalty_tables",
        "Penalties of all kinds on tables built to deceive",
        "penalty_tables",
        "L1, factors and bounds: tables by verdict, against optima by SciPy.",
        anything,
    ),
    Section(
        "epochs",
        "Mini-batch training: an epoch",
        "minibatch",
        "A shuffled epoch by size of batch, in reads of X and beside SGDClassifier's.",
        of_kind("epoch"),
        None,
        products.epochs_gain,
    ),
    Section(
        "targets",
        "Mini-batch training: time to the neighbourhood of the optimum",
        "minibatch",
        "Seconds and epochs to 1 % and 0.1 % above the optimum, beside the peers in the same run.",
        of_kind("target"),
    ),
    Section(
        "minibatch_memory",
        "Mini-batch training: memory",
        "minibatch_memory",
        "A fit on a file larger than the memory that it may use.",
        anything,
    ),
    Section(
        "interrupt",
        "Ctrl-C",
        "interrupt",
        "How soon a fit answers.",
        anything,
    ),
    Section(
        "cold_start",
        "Cold start",
        "cold_start",
        "Whole processes, from start to exit.",
        _cold_start,
        charts.cold_start,
    ),
    Section(
        "growth",
        "Growth with rows",
        "growth",
        "Time against rows at 20 columns, and the exponent that fits it.",
        _growth,
        charts.growth,
    ),
    Section(
        "threads",
        "Threads",
        "threads",
        "The results are the same to the bit for any number of threads; a read of X beside them.",
        _threads,
        charts.threads,
    ),
    Section(
        "gate",
        "The gate",
        "gate",
        "Ratios within one run against their stored reference.",
        _gate,
    ),
)
