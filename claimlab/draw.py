"""What the figures of claims draw with: a series a line, all in one manner.

How to draw a claim. `figure(measured, ax)` is handed what each test measured (`claimlab.report.figures.measured`) and
an empty Axes of 6.4 x 3.6 inches. Its docstring is the caption: one sentence that says the point. A typical one:

    def figure(measured: Measured, ax: Axes) -> None:
        \"\"\"Test error against the batch size, one line a seed: only batch norm's rises as batches shrink.\"\"\"
        draw.numbers(ax.xaxis, SIZES, log=True)
        draw.runs(ax, SIZES, measured["claim"]["test_error"], "batch norm")
        draw.runs(ax, SIZES, measured["control_group_norm"]["test_error"], "group norm (control)")
        draw.level(ax, CHANCE, "chance")
        ax.set(xlabel="images in a batch", ylabel="test error", ylim=(0, 1))
        draw.key(ax)

- Which function: seeds at one place `dots`, under names `columns`; seeds along an axis `runs`, or `spread` where lines
  would hide one another; numbers that have no seed `curve`; bounds `band`; how soon each seed is there `share`; what
  they are compared with `reference`, `level`, `upright`.
- A series looks as its label says. Labels with "(control)" are drawn dashed and hollow in warm colours, all others
  whole and filled in cool ones; each further label has a colour, a marker and a dash of its own, so that prints and
  colour-blind readers can tell them apart. The same label again is the same series: it looks the same and stands in
  the key once. A series without a label looks like the first.
- `style` overrules that, as a matplotlib format in the order colour, marker, line, any of them left out: "C1", "C0s:",
  "x". A format with a marker and no line has no line, and the other way round. The label still takes its turn.
- Logarithmic axes come first (`numbers(..., log=True)` or `ax.set(xscale="log")`): `dots` spread seeds by the scale.
- Numbers may be arrays, lists, ranges, or exact fractions. Seeds are the first dimension, as everywhere.
- Nothing is drawn at random: the same numbers give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Numbers = Iterable[Any]

# Cool colours for claims and warm ones for controls, as in the report's evidence paths.
_LOOKS: dict[str, dict[str, tuple[Any, ...]]] = {
    "claim": {"color": ("C0", "C2", "C5"), "marker": ("o", "s", "^", "D"), "line": ("-", "-.", (0, (7, 2)))},
    "control": {"color": ("C1", "C3", "C4"), "marker": ("o", "s", "v", "D"), "line": ("--", ":", (0, (8, 2, 1, 2)))},
    "reference": {"color": ("0.5",), "marker": ("",), "line": ("--", ":", "-.", "-")},
}
_STYLE = re.compile(r"(C\d|black|0\.\d+)?([os^vDx*+.])?(--|-\.|-|:)?")
_INK = "0.4"  # of words that stand among the data
_FEW = 16  # points up to which a line shows each
_KEY_WIDTH = 440  # in points, of the figure's 461


# -- series -------------------------------------------------------------------------------------------------------


def dots(
    ax: Axes, x: float | Numbers, values: Numbers, label: str = "", *, style: str = "", width: float | None = None
) -> None:
    """One dot a seed: `values` `[S]` side by side about one place `x`, in the seeds' order, or at a place each `[S]`.

    `width` is that of the whole group: in units of the axis (.3 if not said), or in decades (.2) if it is logarithmic.
    With none, dots lie on the ends of pairs that `runs` joined.
    """
    y = _floats(values)
    if not isinstance(x, Iterable):
        logarithmic = ax.get_xscale() == "log"
        width = (0.2 if logarithmic else 0.3) if width is None else width
        aside = width * np.linspace(-0.5, 0.5, len(y)) if len(y) > 1 else np.zeros(len(y))
        x = float(x) * 10**aside if logarithmic else float(x) + aside
    look = _look(ax, label, style)
    look["linestyle"] = "none"
    _name(ax, ax.plot(_floats(x), y, **look, alpha=0.75), label)


def columns(ax: Axes, groups: Mapping[str, Numbers | Mapping[str, Numbers]]) -> None:
    """Named columns, one dot a seed: `{name: values [S]}`, or `{name: {label: values [S]}}` for several series in each.

    Without labels each column is a series of its own, and needs no key. The names become the ticks of the x-axis.
    """
    arms = list(dict.fromkeys(arm for group in groups.values() if isinstance(group, Mapping) for arm in group))
    for column, (name, group) in enumerate(groups.items()):
        if not isinstance(group, Mapping):
            dots(ax, column, group, name)
            continue
        for arm, values in group.items():
            aside = 0.8 / len(arms) * (arms.index(arm) - (len(arms) - 1) / 2)
            dots(ax, column + aside, values, arm, width=0.6 / len(arms))
    names(ax.xaxis, groups)
    ax.set_xlim(-0.5, len(groups) - 0.5)


def curve(
    ax: Axes,
    x: Numbers,
    y: Numbers | Callable[[Any], Any],
    label: str = "",
    *,
    style: str = "",
    marks: bool | None = None,
) -> None:
    """A line through `y` `[K]`, or through the function `y` at each `x`: numbers that are exact or have no seed.

    With `marks` every point shows; if not said, numbers do up to sixteen of them, and a function's values do not.
    """
    x = list(x)
    if callable(y):
        y, marks = [y(each) for each in x], bool(marks)
    _line(ax, x, _floats(y), label, style, marks=marks)


def reference(ax: Axes, x: Numbers, y: Numbers | Callable[[Any], Any], label: str = "", *, style: str = "") -> None:
    """A thin grey line that others are compared with: a bound, equal work, the target. `x`, `y` as for `curve`."""
    x = list(x)
    look = _look(ax, label, style, role="reference")
    values = [y(each) for each in x] if callable(y) else y
    _name(ax, ax.plot(_floats(x), _floats(values), **look, linewidth=1.2), label, "reference")


def runs(ax: Axes, x: Numbers, seeds: Numbers, label: str = "", *, style: str = "", marks: bool | None = None) -> None:
    """One thin line a seed, `seeds` `[S, K]` against `x` `[K]`, under one label. Two places make pairs: `(0, 1)`."""
    _line(ax, x, _floats(seeds).T, label, style, marks=marks, linewidth=1, alpha=0.6, markersize=4)


def spread(
    ax: Axes,
    x: Numbers,
    seeds: Numbers,
    label: str = "",
    *,
    style: str = "",
    middle: float = 1,
    whiskers: bool = False,
    marks: bool | None = None,
) -> None:
    """The median of `seeds` `[S, K]` against `x` `[K]`, over the `middle` share of them: 1 is their range, .9 leaves
    out a twentieth at either end. The share is a band, or `whiskers`. A NaN leaves a gap.
    """
    x = _floats(x)
    low, median, high = np.quantile(_floats(seeds), [(1 - middle) / 2, 0.5, (1 + middle) / 2], axis=0)
    look = _look(ax, label, style)
    if whiskers:
        ax.errorbar(x, median, (median - low, high - median), fmt="none", ecolor=look["color"], capsize=3)
    else:
        ax.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    _line(ax, x, median, label, style, marks=marks)


def band(ax: Axes, x: Numbers, low: Numbers, high: Numbers, label: str = "", *, style: str = "") -> None:
    """What lies between two bounds `low` and `high` `[K]`, filled."""
    look = _look(ax, label, style)
    area = ax.fill_between(_floats(x), _floats(low), _floats(high), color=look["color"], alpha=0.25, linewidth=0)
    _name(ax, [area], label)


def share(ax: Axes, reached: Numbers, label: str = "", *, within: tuple[float, float], style: str = "") -> None:
    """The share of seeds that are there by each x, over all of `within`: `reached` `[S]` is when, NaN for never."""
    when = _floats(reached)
    there = np.sort(when[~np.isnan(when)])
    shares = np.arange(len(there) + 1) / max(len(when), 1)
    x, y = [within[0], *there, within[1]], [*shares, shares[-1]]
    look = _look(ax, label, style)
    look["marker"] = ""
    _name(ax, ax.step(x, y, where="post", **look), label)


# -- what stands about them ---------------------------------------------------------------------------------------


def level(
    ax: Axes, y: float, text: str = "", *, where: Literal["beside", "left", "center", "right"] = "beside"
) -> None:
    """A dotted grey line at height `y`, with its name `beside` the plot, or on the line there within the plot.

    Beside the plot no data can be in the way; a long name costs the plot width, unless it is broken with a newline.
    """
    ax.axhline(y, color="0.5", linestyle=":", linewidth=1)
    place, ha, va = {
        "beside": (1.01, "left", "center"),
        "left": (0.01, "left", "bottom"),
        "center": (0.5, "center", "bottom"),
        "right": (0.99, "right", "bottom"),
    }[where]
    ax.annotate(text, (place, y), xycoords=ax.get_yaxis_transform(), ha=ha, va=va, color=_INK)


def upright(ax: Axes, x: float, text: str = "", *, left: bool = False, height: float = 0.02) -> None:
    """A dotted grey line down at `x`, with its name on the right or `left` of it, at a `height` from 0 to 1."""
    ax.axvline(x, color="0.5", linestyle=":", linewidth=1)
    ha, aside = ("right", -4) if left else ("left", 4)
    at, points = ax.get_xaxis_transform(), "offset points"
    ax.annotate(text, (x, height), (aside, 0), xycoords=at, textcoords=points, ha=ha, va="bottom", color=_INK)


def names(axis: Axis, names: Iterable[object], *, at: Numbers | None = None) -> None:
    """Ticks with names: at 0, 1, ..., or `at` these places. Takes `ax.xaxis` or `ax.yaxis`."""
    written = [str(name) for name in names]
    axis.set_ticks(list(range(len(written))) if at is None else [float(place) for place in at], written)
    axis.minorticks_off()


def numbers(axis: Axis, values: Numbers, *, log: bool = False) -> None:
    """Ticks at just these numbers, written plainly (1000, not 10³), on an axis that is logarithmic if `log` says so."""
    if log:
        axis.axes.set(**{"xscale" if axis is axis.axes.xaxis else "yscale": "log"})
    values = list(values)
    names(axis, [f"{float(value):.12g}" for value in values], at=values)


def key(ax: Axes) -> None:
    """The series' labels above the plot, where they cover no data; where there is room inside, `ax.legend(loc=...)`."""
    labels = ax.get_legend_handles_labels()[1]
    # The sample, the gaps and a letter of a legend, in points. Matplotlib fills column after column.
    widths = [40 + 5.2 * max(map(len, label.split("\n"))) for label in labels]
    fits = (n for n in range(len(labels), 1, -1) if sum(map(max, np.array_split(widths, n))) < _KEY_WIDTH)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=next(fits, 1), columnspacing=1.2)


# -- how a series looks -------------------------------------------------------------------------------------------


def _line(ax: Axes, x: Numbers, y: np.ndarray, label: str, style: str, *, marks: bool | None, **more: Any) -> None:
    look = _look(ax, label, style)
    places = _floats(x)
    shown = len(places) <= _FEW if marks is None else marks
    if not shown and look["linestyle"] != "none":
        look["marker"] = ""
    _name(ax, ax.plot(places, y, **look, **more), label)


def _look(ax: Axes, label: str, style: str, role: str = "") -> dict[str, Any]:
    """What `ax.plot` takes: the look of this label among those of its role that are drawn already, then the style."""
    role = role or _role(label)
    there = _labels(ax, role)
    place = there.index(label) if label in there else len(there) if label else 0
    colour, marker, line = (looks[place % len(looks)] for looks in _LOOKS[role].values())
    said = _STYLE.fullmatch(style)
    if said is None:
        raise ValueError(f"style {style!r} is not a colour (C0, black, 0.5), a marker and a line, in this order")
    if said[2] or said[3]:
        marker, line = said[2] or "", said[3] or "none"
    hollow = {"markerfacecolor": "none", "markeredgewidth": 1.3} if role == "control" else {}
    return {"color": said[1] or colour, "marker": marker, "linestyle": line, **hollow}


def _role(label: str) -> str:
    return "control" if "(control)" in label else "claim"


def _labels(ax: Axes, role: str) -> list[str]:
    """The labels of a role's series, in the order they were first drawn."""
    return [str(artist.get_label()) for artist in ax.get_children() if artist.get_gid() == role]


def _name(ax: Axes, artists: Iterable[Artist], label: str, role: str = "") -> None:
    """Enter a series in the key, once, whatever is drawn of it; its id says the role (the report drops unused ids)."""
    role = role or _role(label)
    if label and label not in _labels(ax, role):
        first = next(iter(artists))
        first.set_label(label)
        first.set_gid(role)


def _floats(numbers: Numbers) -> np.ndarray:
    return np.asarray([*numbers], dtype=float)
