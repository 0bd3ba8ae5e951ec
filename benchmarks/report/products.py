"""What the report shows of each product: several classes, L1, paths, cross-validation, files, ...

For each a table, and what it comes to in a sentence, which is empty where nothing can be compared.
"""

from collections.abc import Iterable
from typing import Any

from benchmarks.harness.tables import geometric_mean, ms, ratio, tiny
from benchmarks.l1_fits import near_seconds, net, speedup
from benchmarks.l1_fits import speedups as l1_speedups
from benchmarks.paths import speedups
from benchmarks.report.tables import Table

Data = dict[str, Any]

_NONE = "none"


def _over(rows: list[Data], key: str) -> list[float]:
    """Return, by row, the seconds of a peer over ours, where it has any."""
    return [row[key] / row["ours"] for row in rows if row.get(key)]


def _means(parts: Iterable[tuple[list[float], str]], cases: int) -> str:
    """Return the geometric means of several lists of ratios, in a sentence."""
    said = []
    for ratios, over in parts:
        if ratios:
            some = "" if len(ratios) == cases else f" ({len(ratios)} of {cases} cases)"
            said.append(f"{geometric_mean(ratios):.1f} x over {over}{some}")
    return f"Geometric mean: {', '.join(said)}." if said else ""


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{ms(seconds)} ms"


def _seconds(row: Data) -> str:
    return f"> {row['seconds']:.3g} s" if row.get("cut") else f"{row['seconds']:.3g} s"


def class_fits(data: Data) -> Table:
    """Return times in ms, and ratios to ours."""
    rows = [
        (
            row["case"],
            f"{ms(row['ours'])} ms",
            tiny(row["above"]),
            row["peer"] or _NONE,
            ms(row["best"]) and f"{ms(row['best'])} ms",
            ratio(row["best"] / row["ours"] if row["best"] else None),
            ("> " if row["default_above"] is None else "") + ratio(row["default"] / row["ours"]),
            tiny(row["default_above"]),
        )
        for row in data["rows"]
    ]
    peer = ("scikit-learn's best within 1e-6", "takes", "ratio")
    return Table(("case", "fastlogreg", "above", *peer, "over its default", "above"), rows)


def class_fits_mean(data: Data) -> str:
    """Return the gain over scikit-learn."""
    best, default = _over(data["rows"], "best"), _over(data["rows"], "default")
    peers = (best, "scikit-learn's best solver within 1e-6"), (default, "its default")
    return _means(peers, len(data["rows"]))


def l1_fits(data: Data) -> Table:
    """Return times in ms, and ratios to ours.

    Figures that were measured at our default alone have no column for our fastest within 1e-6.
    """
    at_tolerances = any("within" in row for row in data["rows"])
    rows: list[tuple[str, ...]] = []
    for row in data["rows"]:
        near = near_seconds(row)
        rows.append(
            (
                f"{row['case']}, 1/{row['share']}{net(row)}",
                f"{ms(row['ours'])} ms",
                tiny(row["above"]),
                f"{row['passes']:.3g}",
                f"{row['nonzeros']:,}",
                *((_milliseconds(near),) if at_tolerances else ()),
                row["peer"] or _NONE,
                _milliseconds(row["best"]),
                ratio(speedup(row)),
            )
        )
    header = ("case", "fastlogreg", "above", "passes", "non-zeros")
    mine = ("fastlogreg within 1e-6",) if at_tolerances else ()
    return Table((*header, *mine, "best within 1e-6", "takes", "ratio"), rows)


def l1_fits_mean(data: Data) -> str:
    """Return the gain over the best peer."""
    ratios = l1_speedups(data["rows"])
    return _means([(ratios, "the best peer within 1e-6")], len(data["rows"]))


def paths(data: Data) -> Table:
    """Return a row for each run."""
    rows = [
        (
            row["case"],
            row["run"],
            _seconds(row),
            tiny(row.get("above")),
            "" if row.get("passes") is None else f"{row['passes']:.3g}",
            "" if row.get("cut") else f"{row['nonzeros']:,}",
        )
        for row in data["rows"]
    ]
    return Table(("case", "run", "takes", "above", "passes", "non-zeros at the end"), rows)


def paths_mean(data: Data) -> str:
    """Return the gain over the best peer, or what ours takes where there is none."""
    names = dict.fromkeys(row["case"] for row in data["rows"])
    said = _means([(speedups(data["rows"]), "the best peer within 1e-6")], len(names))
    if said:
        return said
    ours = [row for row in data["rows"] if row["run"] == "ours tol=1e-06"]
    takes = ", ".join(f"{row['case']} {row['seconds']:.3g} s" for row in ours)
    return f"No peer is installed or ended; ours at tol=1e-6: {takes}." if takes else ""


def cross_validation(data: Data) -> Table:
    """Return times in ms, and ratios to ours."""
    rows = [
        (
            row["case"],
            f"{ms(row['ours'])} ms",
            tiny(row["off"]),
            row["peer"] or _NONE,
            ratio(row["best"] / row["ours"] if row["best"] else None),
            ("> " if row["default_off"] is None else "") + ratio(row["default"] / row["ours"]),
            tiny(row["default_off"]),
            ratio(row["grid_search"] / row["ours"]),
        )
        for row in data["rows"]
    ]
    peer = ("scikit-learn's best within 1e-4", "ratio", "over its default", "off")
    return Table(("case", "fastlogreg", "off", *peer, "over a grid search of ours"), rows)


def cross_validation_mean(data: Data) -> str:
    """Return the gain over scikit-learn's class and over a search."""
    over = {key: _over(data["rows"], key) for key in ("best", "default", "grid_search")}
    peers = (
        (over["best"], "scikit-learn's best solver within 1e-4"),
        (over["default"], "its default"),
        (over["grid_search"], "a grid search over our own fits"),
    )
    return _means(peers, len(data["rows"]))


def softmax(data: Data) -> Table:
    """Return a row for each who evaluates."""
    rows = [
        (
            f"{row['n']:,} x {row['d']}, K = {row['n_classes']}",
            row["who"],
            str(row["n_threads"]),
            f"{ms(row['seconds'])} ms",
            ratio(row["over_numpy"]),
            f"{row['gflops']:.3g}",
            tiny(row["gradient_off"]),
        )
        for row in data["rows"]
    ]
    return Table(("case", "who", "threads", "takes", "over NumPy", "GFLOP/s", "off"), rows)


def softmax_mean(data: Data) -> str:
    """Return the gain over each peer on all threads."""
    most = max(row["n_threads"] for row in data["rows"])
    times: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in data["rows"]:
        if row["n_threads"] == most:
            case = row["n"], row["d"], row["n_classes"], row.get("stored"), row.get("dtype")
            times.setdefault(case, {})[row["who"]] = row["seconds"]
    peers = dict.fromkeys(who for case in times.values() for who in case)
    (ours,) = (who for who in peers if who.startswith("fastlogreg") and "NumPy" not in who)
    over = (
        ([case[who] / case[ours] for case in times.values() if who in case], who)
        for who in peers
        if who != ours
    )
    return _means(over, len(times))


def class_epochs(data: Data) -> Table:
    """Return a row for each way to train."""
    rows = [
        (
            row["who"],
            row["case"],
            f"{ms(row['epoch_s'])} ms",
            ratio(row["over_sgd"]),
            tiny(row["above_1"]),
            tiny(row["above_3"]),
        )
        for row in data["rows"]
    ]
    header = ("who", "case", "an epoch", "SGDClassifier over it", "above after 1", "after 3")
    return Table(header, rows)


def class_epochs_gain(data: Data) -> str:
    """Return the gain of an epoch in batches of 256."""
    return "; ".join(
        f"In batches of 256: {row['over_sgd']:.1f} x over SGDClassifier, {tiny(row['above_1'])} "
        "above the optimum after one epoch."
        for row in data["rows"]
        if row["who"].startswith("fastlogreg") and row["who"].endswith("256")
    )


def epochs_gain(data: Data) -> str:
    """Return the gain of an epoch in batches of 256."""
    parts = [
        f"{row['case']} {row['over_sgd']:.1f} x"
        for row in data["rows"]
        if row.get("kind") == "epoch" and row["batch"] == 256
    ]
    return f"In batches of 256, over SGDClassifier: {', '.join(parts)}." if parts else ""


def _note(row: Data) -> str:
    return row.get("reason", row.get("remark", ""))


def files(data: Data) -> Table:
    """Return a row for each way to fit, with the reason where there is no answer."""
    rows = [
        (
            row["case"],
            f"{row['seconds']:.2f} s" if "seconds" in row else "",
            f"{row['reads']:.2f}" if "reads" in row else "",
            f"{row['passes']:.2f}" if "passes" in row else "",
            f"{row['peak_mb']:.0f} MB" if "peak_mb" in row else "",
            tiny(max(row["above"], 0.0)) if "above" in row else "",
            _note(row),
        )
        for row in data["rows"]
    ]
    return Table(("", "takes", "reads", "passes", "peak of memory", "above", "note"), rows)


def files_cost(data: Data) -> str:
    """Return what an exact fit of files costs, and what an epoch of SGD and the peers' fits."""
    ours, _, *others = data["rows"]
    said = f"An exact fit takes {ours['reads']:.1f} reads of the files and {ours['peak_mb']:.0f} MB"
    for row in others:
        if row["case"].startswith("SGD"):
            said += f"; {row['case']} {row['reads']:.1f}, {tiny(row['above'])} above the optimum"
        elif "reads" in row:
            said += f"; {row['case']} {row['reads']:.1f}"
    return f"{said}."


def cluster(data: Data) -> Table:
    """Return a row for each place of the rows, and for each peer."""
    rows = [
        (
            row["case"],
            f"{ms(row['pass'])} ms" if "pass" in row else "",
            f"{row['fit']:.2f} s" if "fit" in row else "",
            tiny(row.get("apart")),
            tiny(row.get("above")),
            _note(row),
        )
        for row in data["rows"]
    ]
    return Table(("rows", "a pass", "a fit", "coefficients apart", "above", "note"), rows)


def cluster_cost(data: Data) -> str:
    """Return what workers add, and what dask-glm takes where partitions lie on them already."""
    here, there, *others = data["rows"]
    said = (
        f"A pass on workers takes {there['pass'] / here['pass']:.2f} times that in memory, a fit "
        f"{there['fit'] / here['fit']:.2f} times; coefficients differ by {tiny(there['apart'])}."
    )
    persisted = {
        row["case"].removesuffix(", persisted"): row["fit"]
        for row in others
        if row["case"].endswith(", persisted") and "fit" in row
    }
    ours = persisted.pop(there["case"], None)
    if ours is not None and persisted:
        times = ", ".join(f"{name} {fit / ours:.1f}" for name, fit in persisted.items())
        said += f" On persisted partitions, times of our fit: {times}."
    return said


def shell(data: Data) -> Table:
    """Return the stages of each."""
    stages = ("read", "encode", "fit", "score", "total")
    rows = [
        (
            row["case"],
            *(f"{row[stage]:.2f} s" for stage in stages),
            f"{row['peak'] / 2**20:.0f} MB" if row["peak"] else "",
            f"{row['auc']:.5f}",
        )
        for row in data["rows"]
    ]
    return Table(("", *stages, "peak", "AUC"), rows)


def shell_gain(data: Data) -> str:
    """Return the gain over the fastest pipeline of pandas and scikit-learn."""
    ours, *others = data["rows"]
    best = min(others, key=lambda row: row["total"])
    said = f"{best['total'] / ours['total']:.1f} x over pandas and {best['case']}"
    if ours["peak"] and best["peak"]:
        said += f", with {ours['peak'] / best['peak']:.0%} of the memory"
    return f"{said}; the two commands: {sum(data['commands'].values()):.1f} s."


def inference(data: Data) -> Table:
    """Return a row for each run."""
    rows = [
        (row["case"], row["cov_type"], row["run"], row["error"], "", "")
        if "error" in row
        else (
            row["case"],
            row["cov_type"],
            row["run"],
            f"{row['seconds']:.3g} s",
            tiny(row["below"]),
            tiny(row["bse"]),
        )
        for row in data["rows"]
    ]
    return Table(("case", "errors", "run", "takes", "below", "bse"), rows)


def inference_gain(data: Data) -> str:
    """Return the gain over statsmodels, from the same input."""
    times: dict[tuple[str, str], dict[str, float]] = {}
    for row in data["rows"]:
        if "error" not in row:
            times.setdefault((row["case"], row["cov_type"]), {})[row["run"]] = row["seconds"]
    pairs = (
        ("statsmodels formula", "flr.logit", "statsmodels from a formula"),
        ("statsmodels of arrays", "flr.inference of arrays", "statsmodels from arrays"),
        ("glum", "flr.inference of arrays", "glum"),
    )
    over = (
        ([case[peer] / case[ours] for case in times.values() if {peer, ours} <= case.keys()], name)
        for peer, ours, name in pairs
    )
    return _means(over, len(times))


def debts(data: Data) -> Table:
    """Return a row for each weak spot."""
    rows = [
        (
            row["what"],
            row["unit"],
            "" if row["was"] != row["was"] else f"{row['was']:.3g}",
            f"{'at most' if row['at_most'] else 'at least'} {row['asked']:.3g}",
            f"{row['now']:.3g}",
        )
        for row in data["rows"]
    ]
    return Table(("what", "unit", "was", "asked", "now"), rows)


def debts_paid(data: Data) -> str:
    """Return how many are as was asked."""
    return f"{sum(row['paid'] for row in data['rows'])} of {len(data['rows'])} as asked."
