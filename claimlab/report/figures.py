"""The figures of the report: each claim module's own `figure(measured, ax)`, as SVG that can stand inline in a page.

A picture is drawn from recorded numbers only. The same records and the same module give the same bytes: ids are
hashed with the claim's name, nothing carries a date, and text stays text, in the font of the page around it.
"""

import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from claimlab.declare.modules import load
from claimlab.declare.questions import tests_of
from claimlab.judge.plain import numbers
from claimlab.records.record import Record
from claimlab.report.inline import PALETTE, inline
from claimlab.report.words import RAISED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# {"claim": {"train_error": array of the trained rows, ...}, "control_two_units_cannot": {...}}: what a figure is given.
Measured = Mapping[str, Mapping[str, Any]]

INCHES = (6.4, 3.6)

# Seconds of CPU, measured: a figure costs about this, and so do torch and matplotlib in a fresh process.
_FIGURE, _START = 0.12, 3.0
_PRELOAD = ["torch", "claimlab.report.figures"]


class NoFigureError(Exception):
    """Why a card has no picture, in one sentence."""


@dataclass(frozen=True)
class Order:
    """A picture to draw: the claim module (None: it is not here), a name unique on the page, and the numbers."""

    module: Path | None
    name: str
    measured: Measured


@dataclass(frozen=True)
class Picture:
    """An inline SVG with the words that describe it, or the sentence that stands in its place."""

    svg: str = ""
    caption: str = ""
    missing: str = ""


def measured(of_claim: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """What each test measured, by the test's name without `test_`.

    A statistical test gives an array of all its trained rows for each metric (`[S]` or `[S, ...]`), an exact test its
    certificate's numbers, lists of numbers as arrays. Of several records of one test the first counts.
    """
    tests: dict[str, dict[str, Any]] = {}
    for record in of_claim:
        told = record.rows if record.kind == "statistical" else record.numbers
        values = {name: _array(numbers(value)) for name, value in told.items()}
        tests.setdefault(record.test.removeprefix("test_"), values)
    return tests


def _array(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        array = np.array(value)
    except ValueError:
        return value  # ragged
    return array if array.dtype.kind in "biufO" else value


def draw_all(orders: Sequence[Order], meanwhile: Callable[[], None] = lambda: None) -> list[Picture]:
    """The pictures, in order; in a pool of processes where that is faster than drawing them here.

    `meanwhile` is called once: while the pool draws, or else before.
    """
    cores = os.cpu_count() or 1
    # Without torch the claim modules must import it here too, and starting up costs the pool nothing more.
    saved = len(orders) * _FIGURE * (1 - 1 / cores) - (_START if "torch" in sys.modules else 0)
    if saved > 1:
        return pool_of(min(cores, len(orders) // 4), orders, meanwhile)
    meanwhile()
    return [_picture(order) for order in orders]


def pool_of(processes: int, orders: Sequence[Order], meanwhile: Callable[[], None] = lambda: None) -> list[Picture]:
    """The pictures, drawn in child processes. A child that dies costs pictures, not the page."""
    # A forkserver imports torch once for all children and forks from a process without threads, whatever the parent
    # (pytest, with torch's threads running) has done so far.
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload(_PRELOAD)
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = [_submit(pool, order) for order in orders]
        meanwhile()
        return [_result(future) for future in futures]


def _submit(pool: ProcessPoolExecutor, order: Order) -> Future[Picture] | None:
    try:
        return pool.submit(_picture, order)
    except BrokenProcessPool:
        return None


def _result(future: Future[Picture] | None) -> Picture:
    try:
        if future:
            return future.result()
    except BrokenProcessPool:
        pass
    return Picture(missing="The figure could not be drawn: the process that draws figures died.")


def _picture(order: Order) -> Picture:
    try:
        return draw(order.module, order.measured, name=order.name)
    except NoFigureError as reason:
        return Picture(missing=str(reason))


def draw(module: Path | None, measured: Measured, *, name: str) -> Picture:
    """The claim module's figure as inline SVG; `name` makes its ids unique on the page. Raises `NoFigureError`.

    The docstring of `figure` is the caption, and what a screen reader says of the picture.
    """
    if module is None:
        raise NoFigureError("No figure: the module that draws it is not here.")
    try:
        loaded = load(module)
    except (Exception, SystemExit) as error:
        raise NoFigureError(f"No figure: {module.name} cannot be loaded ({_said(error)}).") from error
    figure = getattr(loaded, "figure", None)
    if figure is None:
        raise NoFigureError("This claim draws no figure.")
    present = {f"test_{name.partition('[')[0]}" for name, values in measured.items() if values}
    absent = [name for name in tests_of(loaded) if name not in present]
    try:
        caption = " ".join((figure.__doc__ or "").split())
        return Picture(_svg(figure, measured, name, alt=caption or "Figure."), caption)
    except (Exception, SystemExit) as error:
        if isinstance(error, KeyError) and absent:
            said = f"it needs more than was measured here; no numbers of {', '.join(absent)}"
            raise NoFigureError(f"No figure: {said}.") from error
        raise NoFigureError(f"The figure could not be drawn ({_said(error)}).") from error


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _svg(figure: Callable[[Measured, "Axes"], None], measured: Measured, name: str, *, alt: str) -> str:
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator, FixedFormatter, MaxNLocator, NullLocator

    out = io.StringIO()
    with matplotlib.style.context(["default", _style(name)]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        canvas = FigureCanvasSVG(Figure(INCHES))
        figure(measured, canvas.figure.add_subplot())
        for axes in canvas.figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(_superscripts(axis.get_major_formatter()))
                axis.set_minor_formatter(_superscripts(axis.get_minor_formatter()))
                if not isinstance(axis.get_minor_formatter(), FixedFormatter):
                    axis.set_minor_locator(NullLocator())  # a log axis has dozens, and each costs a millisecond
                if type(axis.get_major_locator()) is AutoLocator:
                    axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        _make_room(canvas.figure)
        canvas.print_svg(out, metadata={"Date": None})
    return inline(out.getvalue(), name, alt=alt)


def _make_room(figure: "Figure") -> None:
    """Room for labels. Constrained layout measures everything twice; for one Axes, the usual case, once is enough."""
    if len(figure.axes) != 1:
        figure.set_layout_engine("constrained")
        return
    inside = figure.axes[0].get_window_extent()
    outside = figure.axes[0].get_tightbbox(for_layout_only=True)
    assert outside is not None
    width, height = figure.bbox.size
    pad = 0.05 * figure.dpi
    figure.subplots_adjust(
        left=(inside.x0 - outside.x0 + pad) / width,
        right=1 - (outside.x1 - inside.x1 + pad) / width,
        bottom=(inside.y0 - outside.y0 + pad) / height,
        top=1 - (outside.y1 - inside.y1 + pad) / height,
    )


def _style(name: str) -> dict[str, Any]:
    from cycler import cycler

    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": "black",
        "grid.alpha": 0.13,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "font.size": 11,
        "axes.titlesize": 11,
        "legend.fontsize": 10,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "axes.linewidth": 0.6,
    }


# -- tick labels --------------------------------------------------------------------------------------------------


def _superscripts(formatter: Any) -> Any:
    """A log axis's labels as plain text: matplotlib's mathtext takes most of a figure's time and ignores the font."""
    from matplotlib.ticker import Formatter, LogFormatterMathtext

    class Superscripts(Formatter):
        def set_axis(self, axis: Any) -> None:
            super().set_axis(axis)
            formatter.set_axis(axis)

        def set_locs(self, locs: Any) -> None:
            formatter.set_locs(locs)

        def __call__(self, x: float, pos: int | None = None) -> str:
            return plain_power(formatter(x, pos))

    return Superscripts() if isinstance(formatter, LogFormatterMathtext) else formatter


def plain_power(label: str) -> str:
    """`$\\mathdefault{10^{-2}}$` as 10⁻²; a label of another shape as it is."""
    power = re.fullmatch(r"\$\\mathdefault\{(.*?)(?:\^\{(.+)\})?\}\$", label)
    if not power or not re.fullmatch(r"[-\N{MINUS SIGN}0-9]*", power[2] or ""):
        return label
    base = power[1].replace(r"\times", "\N{MULTIPLICATION SIGN}").replace("-", "\N{MINUS SIGN}")
    return label if "\\" in base else base + (power[2] or "").translate(RAISED)
