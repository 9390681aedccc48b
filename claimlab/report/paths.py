"""The evidence path as a small inline SVG: the log-likelihood ratio against the seeds judged, to both boundaries.

Only tests are drawn in which a seed dissents: where all agree every path is the same straight line, and the words
beside it (11 of 11 seeds) say as much.

Written by hand instead of drawn by matplotlib: it is a dozen elements, costs nothing and takes the page's own ink.
"""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from claimlab.declare.claim import Statistical
from claimlab.judge.sequential import boundaries
from claimlab.records.record import Record
from claimlab.report import words

# How the lines of a claim differ: the claim and its other tests in cool colours, controls in warm ones.
_CLAIM, _CONTROL = (0, 2, 5), (1, 4, 3)
_DASHES = ("none", "7 3", "2 3", "9 3 2 3")

_WIDTH, _HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 76, 10, 28


def styles(tests: Sequence[Record]) -> list[str]:
    """A line style for each test, the same in the plot and beside the test's row."""
    chosen, counts = [], {True: 0, False: 0}
    for test in tests:
        place = counts[test.control]
        counts[test.control] += 1
        colours = _CONTROL if test.control else _CLAIM
        dash = _DASHES[place % len(_DASHES)]
        chosen.append(f"stroke:var(--c{colours[place % len(colours)]});stroke-dasharray:{dash}")
    return chosen


def plots(tests: Sequence[Record], styles: Sequence[str]) -> list[Markup]:
    """A plot for the drawn tests of each plan (a claim has one; a mark on a test can bring a second)."""
    by_plan: dict[Statistical, list[tuple[Record, str]]] = {}
    for test, style in zip(tests, styles, strict=True):
        if dissent(test):
            by_plan.setdefault(Statistical(**test.plan), []).append((test, style))
    return [_plot(plan, lines) for plan, lines in by_plan.items()]


def dissent(test: Record) -> bool:
    """Whether the evidence went both ways."""
    return len({after > before for before, after in pairwise([0.0, *test.path])}) > 1


def _plot(plan: Statistical, lines: Sequence[tuple[Record, str]]) -> Markup:
    lower, upper = boundaries(plan)
    seeds = max(len(test.path) for test, _ in lines)
    top = max(upper, *(max(test.path) for test, _ in lines))
    bottom = min(lower, *(min(test.path) for test, _ in lines))

    def x(n: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * n / seeds, 1)

    def y(ratio: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (top - ratio) / (top - bottom), 1)

    def level(ratio: float, label: str, kind: str) -> Markup:
        at, end = y(ratio), _WIDTH - _RIGHT
        return Markup(
            '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
            '<text x="{}" y="{}" text-anchor="end">{}</text><text x="{}" y="{}">{}</text>'
        ).format(
            kind, _LEFT, end, at, at, _LEFT - 6, at + 4, words.signed(ratio) if ratio else "0", end + 6, at + 4, label
        )

    def line(test: Record, style: str) -> Markup:
        points = " ".join(f"{x(n)},{y(ratio)}" for n, ratio in enumerate((0.0, *test.path)))
        return Markup('<polyline style="{}" points="{}"/><circle style="{}" cx="{}" cy="{}" r="3"/>').format(
            style, points, style, x(len(test.path)), y(test.path[-1])
        )

    drawn = Markup("").join(line(test, style) for test, style in lines)
    ticks: list[int] = []
    for n in sorted({0, *(len(test.path) for test, _ in lines)}, reverse=True):
        if not ticks or x(ticks[-1]) - x(n) > 20:
            ticks.append(n)
    base = _HEIGHT - _BOTTOM
    along = Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x(n), base + 17, n) for n in ticks
    )
    summary = "; ".join(f"{test.test} ends at {words.signed(test.path[-1])} after {test.n} seeds" for test, _ in lines)
    return Markup(
        '<svg class="path" viewBox="0 0 {} {}" role="img" aria-label="Evidence path: {}.">{}{}{}{}{}'
        '<text x="{}" y="{}">seeds</text></svg>'
    ).format(
        _WIDTH, _HEIGHT, summary, level(upper, "supported", "bound"), level(0.0, "", "zero"),
        level(lower, "refuted", "bound"), drawn, along, _WIDTH - _RIGHT + 14, base + 17,
    )  # fmt: skip
