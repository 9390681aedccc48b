"""A sensitivity recording as a table and as a power curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.rules import RULES
from bench.sensitivity import SLOWDOWNS, Recorded, false_alarms, injections, of_rule, power, runs, shuffled_runs
from bench.verdicts import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAWN = (0.0, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, 0.10)


def table(launches: Sequence[Recorded], plan: Plan) -> str:
    """What was recorded, idle and busy apart, in Markdown. Raises ValueError where no comparison was recorded whole."""
    conditions = {
        "idle": [launch for launch in launches if not launch.busy],
        "the other core busy": [launch for launch in launches if launch.busy],
    }
    enough = {name: some for name, some in conditions.items() if len(some) >= plan.looks[-1]}
    if not enough:
        raise ValueError(f"a comparison takes {plan.looks[-1]} launches, and fewer were recorded")
    lines = []
    for name, some in enough.items():
        lines += [f"### {name[0].upper()}{name[1:]}", "", *_condition(some, plan), ""]
    return "\n".join(lines)


def _condition(launches: Sequence[Recorded], plan: Plan) -> list[str]:
    seconds = sum(launch.seconds for launch in launches) / len(launches)
    first, last = plan.looks[0], plan.looks[-1]
    cases = len(launches[0].cases)
    early, whole = f"{first * seconds / 60:.1f} min", f"{last * seconds / 60:.1f} min"
    lines = [
        f"{len(launches)} launches of {seconds:.1f} s and {cases} cases: {len(runs(launches, last))} comparisons of "
        f"{last} launches ({whole}), one after the other. A first look after {first} ({early}) ends those that have "
        "found a regression. Each case was slowed down in turn. In brackets: 95 % intervals (Clopper and Pearson).",
        "",
        f"| slower by | called by `compare` within {early} | called in the end | mean minutes |",
        "|---|---|---|---|",
    ]
    for slowdown in SLOWDOWNS[1:]:
        found = power(launches, plan, slowdown)
        lines.append(f"| {slowdown:.0%} | {found.first_look} | {found.end} | {found.launches * seconds / 60:.1f} |")
    in_order = false_alarms(runs(launches, last), plan)
    shuffled = false_alarms(shuffled_runs(launches, last), plan)
    lines += [
        "",
        f"False alarms, a checkout against itself: {in_order} of the comparisons. Of {shuffled.trials} comparisons of "
        f"launches drawn at random, {shuffled.called} (they share launches: an estimate without an interval).",
        "",
        f"The same timings by other rules, base in one launch and head in the next ({2 * seconds / 60:.1f} min):",
        "",
        "| rule | " + " | ".join(f"{slowdown:.0%}" for slowdown in SLOWDOWNS[1:]) + " | a false alarm in a run |",
        "|---|" + "---|" * len(SLOWDOWNS),
    ]
    for name, rule in RULES.items():
        rates = [of_rule(rule, launches, slowdown) for slowdown in SLOWDOWNS]
        called = " | ".join(f"{100 * cases.called / cases.trials:.0f} %" for cases, _ in rates[1:])
        lines.append(f"| {name} | {called} | {rates[0][1]} |")
    measured = ", ".join(
        f"{100 * slowdown:.0f} %: {100 * mean:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
        for slowdown, (mean, low, high) in injections(launches).items()
    )
    return [*lines, "", f"Injected, and what was measured (mean over cases and launches): {measured}."]


def draw(launches: Sequence[Recorded], plan: Plan, path: Path) -> None:
    """The power curves, idle and busy, of `compare` and of the other rules."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, busy in zip(axes, (False, True), strict=True):
        some = [launch for launch in launches if launch.busy == busy]
        ax.set_title("the other core busy" if busy else "idle")
        if len(some) >= plan.looks[-1]:
            _curves(some, plan, ax)
    axes[0].set_ylabel("called a regression (%)")
    axes[0].legend(fontsize="x-small", loc="upper left")
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _curves(launches: Sequence[Recorded], plan: Plan, ax: Axes) -> None:
    slowdowns = [100 * slowdown for slowdown in _DRAWN]
    found = [power(launches, plan, slowdown) for slowdown in _DRAWN]
    ax.plot(slowdowns, [100 * p.end.called / p.end.trials for p in found], "C0-o", label="compare, in the end")
    ax.plot(
        slowdowns, [100 * p.first_look.called / p.first_look.trials for p in found], "C0:", label="compare, first look"
    )
    for place, (name, rule) in enumerate(RULES.items(), start=1):
        rates = [of_rule(rule, launches, slowdown)[0] for slowdown in _DRAWN]
        ax.plot(slowdowns, [100 * rate.called / rate.trials for rate in rates], f"C{place}--", label=name)
    ax.set_xlabel("one case slower by (%)")
    ax.grid(alpha=0.3)
