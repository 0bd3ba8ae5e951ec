"""The charts: each draws stored figures on a matplotlib figure, wide or narrow.

Colours are those of :data:`INK` and :data:`SERIES` only: the page replaces them by variables, so
that one drawing serves light and dark. Narrow is for a phone: one column, fewer ticks.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Affine2D, Bbox

from fastlogreg.cli.measuring import duration

INK = {"text": "#1b2026", "muted": "#68717d", "grid": "#dfe3e8", "paper": "#fefefe"}
SERIES = {
    "ours": "#0b6e99",
    "second": "#c2571a",
    "third": "#7a5195",
    "fourth": "#3f8f4f",
    "fifth": "#a8862a",
    "sixth": "#c44569",
    "other": "#a3abb5",
}
_ORDER = ("second", "third", "fourth", "fifth", "sixth")
Data = dict[str, Any]
Draw = Callable[[Data, bool], Figure]


def _count(n: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:g}{unit}"
    return f"{n:g}"


def _figure(narrow: bool, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.3 if narrow else 9.0, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.flat:
        each.set_facecolor("none")
        each.tick_params(colors=INK["muted"], labelsize=8, length=0)
        each.spines[["top", "right", "left"]].set_visible(False)
        each.spines["bottom"].set_color(INK["grid"])
        each.grid(True, which="major", color=INK["grid"], linewidth=0.7)
        each.set_axisbelow(True)
        each.xaxis.label.set(color=INK["muted"], size=8.5)
        each.yaxis.label.set(color=INK["muted"], size=8.5)
    return figure, axes


def _log(axis: Any, form: Callable[[float], str], ticks: int = 6) -> None:
    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    return f"1e{round(math.log10(value))}" if value > 0 else "0"


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK["text"],
        handlelength=1.6,
        columnspacing=1.2,
    )


def vectorization(data: Data, narrow: bool) -> Figure:
    """Time of one evaluation against rows: the loop, NumPy, fused kernels, the floor."""
    figure, [[axes]] = _figure(narrow, 3.9)
    most = max(row["n_threads"] for row in data["rows"])
    lines = (
        ("loop", 1, "scalar loop", "second", "-o"),
        ("numpy", most, "NumPy", "third", "-o"),
        ("numba", 1, "fused, 1 thread", "ours", "--o"),
        ("numba", most, f"fused, {most} threads", "ours", "-o"),
    )
    for backend, threads, label, colour, style in lines[: 3 if most == 1 else 4]:
        line = [
            (row["n"], row["best"])
            for row in data["rows"]
            if (row["backend"], row["n_threads"]) == (backend, threads) and row["best"]
        ]
        axes.plot(
            *zip(*line, strict=True), style, color=SERIES[colour], label=label, ms=4, mfc="none"
        )
        if style == "-o":
            axes.annotate(
                duration(line[-1][1]),
                line[-1],
                textcoords="offset points",
                xytext=(6, 4 if backend == "loop" else -3),
                fontsize=8.5,
                color=SERIES[colour],
            )
    floor = sorted({(row["n"], row["read_best"]) for row in data["rows"]})
    axes.plot(*zip(*floor, strict=True), ":", color=SERIES["other"], label="read of X")
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="one evaluation")
    axes.margins(x=0.14)
    _log(axes.xaxis, _count)
    _log(axes.yaxis, duration)
    _legend(figure, axes, 2 if narrow else 5)
    return figure


def roofline(data: Data, narrow: bool) -> Figure:
    """Multiply-adds a second against multiply-adds a byte, under the measured roofs."""
    figure, [[axes]] = _figure(narrow, 4.4)
    roof = max(data["roofs"], key=lambda each: each["n_threads"])
    rows = [
        row
        for row in data["rows"]
        if row["n_threads"] == roof["n_threads"]
        and row["dtype"] == "float64"
        and row["kernel"] != "read"
    ]
    intensity = [row["multiply_adds"] / row["n_bytes"] for row in rows]
    low, high = min(intensity) / 2.5, max(max(intensity) * 2.5, 8.0)
    peak = roof["multiply_adds"]
    sizes = sorted(roof["bandwidth"], key=int)
    for size, style, label in ((sizes[0], "--", "first cache"), (sizes[-1], "-", "memory")):
        bandwidth = roof["bandwidth"][size]
        ridge = peak / bandwidth
        xs = [low, max(low, min(ridge, high)), high]
        axes.plot(
            xs,
            [min(peak, bandwidth * x) for x in xs],
            style,
            color=SERIES["other"],
            label=f"{label}, {bandwidth / 1e9:.0f} GB/s",
        )
    marks = {"predict_proba": "third", "loss_gradient": "ours", "loss_gradient_hessian": "second"}
    for kernel, colour in marks.items():
        own = [row for row in rows if row["kernel"] == kernel]
        axes.plot(
            [row["multiply_adds"] / row["n_bytes"] for row in own],
            [row["multiply_adds"] / row["seconds"] for row in own],
            "o",
            color=SERIES[colour],
            label=kernel,
            ms=5,
        )
    axes.annotate(
        f"{peak / 1e9:.0f} G multiply-adds/s",
        (high, peak),
        textcoords="offset points",
        xytext=(0, 4),
        ha="right",
        fontsize=8.5,
        color=INK["muted"],
    )
    axes.set(
        xscale="log", yscale="log", xlabel="multiply-adds a byte", ylabel="multiply-adds a second"
    )
    _log(axes.xaxis, lambda value: f"{value:g}")
    _log(axes.yaxis, lambda value: f"{value / 1e9:g} G")
    _legend(figure, axes, 2 if narrow else 5)
    if not narrow:
        _name_points(figure, axes, [row for row in rows if row["kernel"] in marks])
    return figure


def _places(x: float, y: float, width: float, height: float) -> Iterator[tuple[Bbox, Bbox]]:
    """Yield boxes for a name of a point, nearest first, each with the thread to it."""
    for away, up in sorted(
        itertools.product((6.0, 18.0, 30.0, 42.0), np.arange(-72.0, 73.0, 4.0)),
        key=lambda each: math.hypot(each[0], each[1]),
    ):
        for left in (x + away, x - away - width):
            box = Bbox.from_bounds(left, y + up - 0.5 * height, width, height)
            near = math.hypot(away, up) <= 9.0
            yield box, box if near else Bbox.union([box, Bbox.from_bounds(x, y, 0.0, 0.0)])


def _name_points(figure: Figure, axes: Axes, rows: list[Data]) -> None:
    """Write its name beside each point of the roofline, nearest where it hides nothing."""
    figure.draw_without_rendering()  # where things lie is known then
    to_points = axes.transData + Affine2D().scale(72.0 / figure.dpi)
    at = to_points.transform(
        [
            (row["multiply_adds"] / row["n_bytes"], row["multiply_adds"] / row["seconds"])
            for row in rows
        ]
    )
    taken = [Bbox.from_bounds(x - 3.0, y - 3.0, 6.0, 6.0) for x, y in at]
    for line in axes.lines:
        if line.get_linestyle() != "None":
            ends = to_points.transform(line.get_xydata())
            for first, last in itertools.pairwise(ends):
                for share in np.linspace(0.0, 1.0, 100):
                    x, y = first + share * (last - first)
                    taken.append(Bbox.from_bounds(x - 0.5, y - 0.5, 1.0, 1.0))
    names: list[Bbox] = []  # with the threads to their points

    def free(box: Bbox, whole: Bbox, own: int) -> bool:
        """Whether a name at a box, with its thread, hides nothing and crosses no other."""
        others = (point for k, point in enumerate(at) if k != own)
        crossed = whole.count_overlaps(names) or any(whole.contains(*point) for point in others)
        return not box.count_overlaps(taken) and not crossed

    for k in np.argsort(-at[:, 1], kind="stable"):
        row, (x, y) = rows[k], at[k]
        name = f"{_count(row['n'])} x {row['d']}"
        places = _places(x, y, 4.2 * len(name), 8.0)  # of the font below
        best, whole = next((place for place in places if free(*place, k)), (None, None))
        if best is None:
            continue
        taken.append(best)
        names.append(whole)
        on_right = best.x0 > x
        offset = (best.x0 if on_right else best.x1) - x, 0.5 * (best.y0 + best.y1) - y
        thread = {"arrowstyle": "-", "color": SERIES["other"], "lw": 0.5, "shrinkB": 3.0}
        axes.annotate(
            name,
            (row["multiply_adds"] / row["n_bytes"], row["multiply_adds"] / row["seconds"]),
            textcoords="offset points",
            xytext=offset,
            ha="left" if on_right else "right",
            va="center",
            fontsize=7,
            color=INK["muted"],
            arrowprops=thread if math.hypot(*offset) > 9.0 else None,
        )


def _bars(
    narrow: bool, rows: list[tuple[str, float, str, str]], xlabel: str, *, log: bool = False
) -> Figure:
    """Draw horizontal bars: label, length, what stands at its end, colour."""
    figure, [[axes]] = _figure(narrow, 0.7 + (0.36 if narrow else 0.29) * len(rows))
    places = list(range(len(rows)))[::-1]
    axes.barh(places, [row[1] for row in rows], color=[SERIES[row[3]] for row in rows], height=0.62)
    for place, (_, length, text, _) in zip(places, rows, strict=True):
        axes.annotate(
            text,
            (length, place),
            textcoords="offset points",
            xytext=(4, 0),
            va="center",
            fontsize=8.5,
            color=INK["text"],
        )
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.set_yticklabels([row[0] for row in rows], color=INK["text"], fontsize=8)
    axes.grid(False, axis="y")
    axes.set_xlabel(xlabel)
    if log:
        axes.set_xscale("log")
        _log(axes.xaxis, lambda value: f"{value:g}")
        axes.margins(x=0.15)
    else:
        axes.set_xlim(0, 1.18 * max(row[1] for row in rows))
    return figure


def shares(data: Data, narrow: bool) -> Figure:
    """Each kernel's share of the roof that limits it, on all threads."""
    most = max(row["n_threads"] for row in data["rows"])
    colours = {"bandwidth": "ours", "multiply-adds": "second", "pointwise": "third"}
    rows = [
        (
            f"{row['kernel']}\n{_count(row['n'])} x {row['d']}"
            if narrow
            else f"{row['kernel']}, {_count(row['n'])} x {row['d']}",
            100 * row["share"],
            f"{row['share']:.0%} of {row['bound_by']}",
            colours[row["bound_by"]],
        )
        for row in data["rows"]
        if row["n_threads"] == most and row["dtype"] == "float64" and row["kernel"] != "read"
    ]
    figure = _bars(narrow, rows, "% of the roof that limits it")
    figure.axes[0].set_xlim(0, max(140.0 if narrow else 115.0, 1.3 * max(row[1] for row in rows)))
    return figure


def kernels(data: Data, narrow: bool) -> Figure:
    """Loss and gradient: how many times as fast as NumPy and scikit-learn's compiled loss."""
    rows = []
    for row in data["rows"]:
        shape = f"{_count(row['n'])} x {row['d']}"
        for peer, label, colour in (
            ("numpy", "over NumPy", "third"),
            ("scikit-learn", "over scikit-learn", "fourth"),
        ):
            ratio = row[peer] / row["fastlogreg"]
            name = f"{shape}\n{label}" if narrow else f"{shape}, {label}"
            rows.append((name, ratio, f"{ratio:.1f} x", colour))
    return _bars(narrow, rows, "times as fast")


def _colours_of(cases: list[Data]) -> dict[str, str]:
    """Return a colour for us and the peers that are best most often; grey for the others."""
    wins: dict[str, int] = {}
    for case in cases:
        for distance in case["peers"][0]["reached"]:
            best = _best(case, distance)
            if best is not None:
                wins[best[0]] = wins.get(best[0], 0) + 1
    first = sorted(wins, key=lambda peer: -wins[peer])[: len(_ORDER)]
    return {"fastlogreg": "ours", **dict(zip(first, _ORDER, strict=False))}


def _best(case: Data, distance: str) -> tuple[str, float] | None:
    """Return the fastest peer to a distance, and its seconds."""
    reached = [
        (row["peer"], row["reached"][distance])
        for row in case["peers"]
        if row["peer"] != "fastlogreg" and row["reached"].get(distance) is not None
    ]
    return min(reached, key=lambda each: each[1], default=None)


def suboptimality(data: Data, narrow: bool) -> Figure:
    """Distance above the optimum against time, a panel for each case, a line for each peer."""
    cases = data["rows"]
    columns = 2 if narrow else 4
    rows = -(-len(cases) // columns)
    figure, grid = _figure(narrow, 0.7 + (1.75 if narrow else 1.85) * rows, rows, columns)
    colours = _colours_of(cases)
    shown: dict[str, Any] = {}
    for axes in list(grid.flat)[len(cases) :]:
        axes.set_visible(False)
    for axes, case in zip(grid.flat, cases, strict=False):
        order = sorted(case["peers"], key=lambda row: row["peer"] in colours)
        for row in [*order[1:], *order[:1]] if order else []:
            line = sorted((run["seconds"], max(run["above"], 1e-12)) for run in row["runs"])
            if not line:
                continue
            colour = colours.get(row["peer"], "other")
            [drawn] = axes.plot(
                *zip(*line, strict=True),
                "-o",
                color=SERIES[colour],
                ms=2.4,
                lw=2.0 if colour == "ours" else 1.1,
                alpha=0.7 if colour == "other" else 1.0,
                zorder=4 if colour == "ours" else 2 if colour == "other" else 3,
            )
            shown.setdefault(row["peer"] if colour != "other" else "other peers", drawn)
        axes.set(xscale="log", yscale="log")
        axes.set_ylim(3e-13, 30.0)
        axes.set_title(case["case"], fontsize=8, color=INK["text"], loc="left", pad=3)
        _log(axes.xaxis, lambda s: duration(s).replace(" ", ""), 3 if narrow else 4)
        axes.yaxis.set_major_locator(FixedLocator([1e-12, 1e-8, 1e-4, 1.0]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
        axes.tick_params(labelsize=7)
    order = [name for name in [*colours, "other peers"] if name in shown]
    figure.legend(
        [shown[name] for name in order],
        order,
        loc="outside upper left",
        ncols=2 if narrow else 4,
        frameon=False,
        fontsize=8,
        labelcolor=INK["text"],
    )
    return figure


def speedups(data: Data, narrow: bool) -> Figure:
    """Heat map: how many times as fast as the best peer, for each case and distance."""
    cases = data["rows"]
    distances = list(cases[0]["peers"][0]["reached"])
    figure, [[axes]] = _figure(narrow, 0.8 + (0.38 if narrow else 0.3) * len(cases), 1, 1)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for i, case in enumerate(cases):
        ours = next((r["reached"] for r in case["peers"] if r["peer"] == "fastlogreg"), {})
        for j, distance in enumerate(distances):
            best, mine = _best(case, distance), ours.get(distance)
            if mine is None:
                colour, strength, text = "other", 0.15, "not reached"
            elif best is None:
                colour, strength, text = "ours", 0.75, "only we"
            else:
                ratio = best[1] / mine
                colour = "ours" if ratio >= 1.0 else "second"
                strength = 0.12 + 0.63 * min(1.0, abs(math.log(ratio)) / math.log(30.0))
                who = best[0].removeprefix("scikit-learn ").removeprefix("scikit-learn-")
                text = f"{ratio:.3g} x" if narrow else f"{ratio:.3g} x  {who}"
            axes.add_patch(_rectangle(j + 0.02, i + 0.04, 0.96, 0.92, SERIES[colour], strength))
            axes.text(
                j + 0.5,
                i + 0.5,
                text,
                ha="center",
                va="center",
                fontsize=7.5 if narrow else 8,
                color=INK["text"],
            )
    axes.set(xlim=(0, len(distances)), ylim=(len(cases), 0))
    axes.xaxis.set_ticks_position("top")
    axes.set_xticks([j + 0.5 for j in range(len(distances))], distances)
    axes.set_yticks(
        [i + 0.5 for i in range(len(cases))],
        [case["case"] for case in cases],
        color=INK["text"],
        fontsize=8,
    )
    return figure


def _rectangle(x: float, y: float, width: float, height: float, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=colour, alpha=alpha, edgecolor="none")


def cold_start(data: Data, narrow: bool) -> Figure:
    """Seconds of whole processes."""
    rows = []
    for row in data["rows"]:
        name = row["program"]
        fresh = "nothing compiled" in name
        ours = "fastlogreg" in name or name.startswith(("fit iris", "first", "every"))
        colour = "second" if fresh else "ours" if ours and "scikit" not in name else "other"
        label = name.replace(", ", ",\n").replace(" import ", "\nimport ") if narrow else name
        rows.append((label, row["seconds"], duration(row["seconds"]), colour))
    return _bars(narrow, rows, "seconds, whole process", log=True)


def growth(data: Data, narrow: bool) -> Figure:
    """Time against rows for each operation, with the fitted exponent."""
    figure, [[axes]] = _figure(narrow, 4.2 if narrow else 3.7)
    colours = ("other", "ours", "second", "third", "fourth")
    for row, colour in zip(data["rows"], colours, strict=False):
        line = [(float(n), seconds) for n, seconds in row["seconds"].items()]
        axes.plot(
            *zip(*line, strict=True),
            "-o",
            color=SERIES[colour],
            ms=4,
            label=f"{row['operation']}: n^{row['exponent']:.2f}",
        )
    axes.set(xscale="log", yscale="log", xlabel="rows")
    _log(axes.xaxis, _count)
    _log(axes.yaxis, duration)
    _legend(figure, axes, 1 if narrow else 3)
    return figure


def threads(data: Data, narrow: bool) -> Figure:
    """Gain of several threads over one."""
    rows = []
    for row in data["rows"]:
        one = row["seconds"]["1"]
        for count, seconds in row["seconds"].items():
            if count != "1" or len(row["seconds"]) == 1:
                gain = one / seconds
                text = f"{gain:.2f} x, {duration(one)} to {duration(seconds)}"
                name = f"{row['operation']}, {count} threads"
                rows.append((name.replace(", ", ",\n") if narrow else name, gain, text, "ours"))
    figure = _bars(narrow, rows, "times as fast as on one thread")
    figure.axes[0].set_xlim(0, (2.2 if narrow else 1.5) * max(row[1] for row in rows))
    return figure
