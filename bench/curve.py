"""A sensitivity recording, judged: as a table and as power curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import sensitivity
from bench.rules import RULES
from bench.sensitivity import SLOWDOWNS, Power, Rate, Recorded, Replay
from bench.verdicts import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BETWEEN = (0.015, 0.025, 0.04, 0.07)
"""Slowdowns that the curve has beside the table's."""


@dataclass(frozen=True)
class Judged:
    """What a recording under one condition says; rates of the rules are of cases and of whole runs, by slowdown."""

    condition: str
    plan: Plan
    launches: int
    cases: int
    seconds: float
    powers: dict[float, Power]
    in_order: Rate
    shuffled: Rate
    rules: dict[str, dict[float, tuple[Rate, Rate]]]
    injected: dict[float, tuple[float, float, float]]


def judge(recorded: Sequence[Recorded], plan: Plan) -> list[Judged]:
    """Idle launches, and those beside a busy core. Raises ValueError where neither make up a whole comparison."""
    conditions = {
        "Idle": [launch for launch in recorded if not launch.busy],
        "The other core busy": [launch for launch in recorded if launch.busy],
    }
    enough = [(name, launches) for name, launches in conditions.items() if len(launches) >= plan.looks[-1]]
    if not enough:
        raise ValueError(f"a comparison takes {plan.looks[-1]} launches, and fewer were recorded")
    return [_judge(name, launches, plan) for name, launches in enough]


def _judge(condition: str, launches: Sequence[Recorded], plan: Plan) -> Judged:
    first, whole = (
        [Replay(run, plan) for run in sensitivity.runs(launches, length)] for length in (plan.looks[0], plan.looks[-1])
    )
    shuffled = (Replay(run, plan) for run in sensitivity.shuffled_runs(launches, plan.looks[-1]))
    return Judged(
        condition=condition,
        plan=plan,
        launches=len(launches),
        cases=len(launches[0].cases),
        seconds=sum(launch.seconds for launch in launches) / len(launches),
        powers={slowdown: sensitivity.power(first, whole, slowdown) for slowdown in sorted({*SLOWDOWNS, *_BETWEEN})},
        in_order=sensitivity.false_alarms(whole),
        shuffled=sensitivity.false_alarms(shuffled),
        rules={
            name: {slowdown: sensitivity.of_rule(rule, launches, slowdown) for slowdown in SLOWDOWNS}
            for name, rule in RULES.items()
        },
        injected=sensitivity.injections(launches),
    )


def table(judged: Sequence[Judged]) -> str:
    """Both conditions in Markdown."""
    return "\n".join("\n".join([f"### {found.condition}", "", *_lines(found), ""]) for found in judged)


def _lines(found: Judged) -> list[str]:
    def minutes(launches: float) -> str:
        return f"{launches * found.seconds / 60:.1f} min"

    first, last = found.plan.looks[0], found.plan.looks[-1]
    shown = SLOWDOWNS[1:]
    rows = [
        f"| {slowdown:.0%} | {p.first_look} | {p.end} | {minutes(p.launches)} |"
        for slowdown, p in found.powers.items()
        if slowdown in shown
    ]
    measured = ", ".join(
        f"{slowdown:.0%}: {100 * mean:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
        for slowdown, (mean, low, high) in found.injected.items()
    )
    return [
        f"{found.launches} launches of {found.seconds:.1f} s, {found.cases} cases, in comparisons "
        f"of up to {last} launches, one after the other. Each case was made slower in turn. In brackets: 95 % "
        "intervals (Clopper and Pearson).",
        "",
        f"| one case slower by | called by the first look ({minutes(first)}) | in the end (at most {minutes(last)}) "
        "| until the answer, in the mean |",
        "|---|---|---|---|",
        *rows,
        "",
        f"False alarms, a checkout against itself: {found.in_order} of the comparisons. Of {found.shuffled.trials} "
        f"comparisons of launches drawn at random, {found.shuffled.called} (they share launches: no interval).",
        "",
        f"The same timings by other rules, base in one launch and head in the next ({minutes(2)}): how many of the "
        "slower cases they call, and how many runs of all cases raise a false alarm.",
        "",
        f"| rule | {' | '.join(f'{slowdown:.0%}' for slowdown in shown)} | false alarms |",
        "|---|" + "---|" * len(SLOWDOWNS),
        *(
            f"| {name} | {' | '.join(f'{rates[slowdown][0].percent:.0f} %' for slowdown in shown)} | {rates[0.0][1]} |"
            for name, rates in found.rules.items()
        ),
        "",
        f"Injected, and what was measured (mean over cases and launches, 95 % interval): {measured}.",
    ]


def draw(judged: Sequence[Judged], path: Path) -> None:
    """The power curves of `compare` and of the other rules, a panel a condition."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(judged), 4), layout="constrained")
    axes = figure.subplots(1, len(judged), sharey=True, squeeze=False)[0]
    for ax, found in zip(axes, judged, strict=True):
        _curves(found, ax)
    axes[0].set_ylabel("called a regression (%)")
    axes[0].legend(fontsize="x-small", loc="lower right")
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _curves(found: Judged, ax: Axes) -> None:
    slowdowns = [100 * slowdown for slowdown in found.powers]
    for style, label, rates in (
        ("C0o-", "compare", [p.end for p in found.powers.values()]),
        ("C0o:", "compare, first look", [p.first_look for p in found.powers.values()]),
    ):
        ax.plot(slowdowns, [rate.percent for rate in rates], style, markersize=4, label=label)
    for place, (name, rates) in enumerate(found.rules.items(), start=1):
        called = [cases.percent for cases, _ in rates.values()]
        ax.plot([100 * slowdown for slowdown in rates], called, f"C{place}--", label=name)
    ax.set_title(found.condition)
    ax.set_xlabel("one case slower by (%)")
    ax.grid(alpha=0.3)
