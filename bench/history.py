"""What comparisons found, one line a case, appended: trends inform, only a paired verdict gates.

A line has the ratio to the base it was compared with, and the ratio to its *origin*: the oldest commit that a chain of
comparisons on this machine leads back to (a release, when the first comparison was with that). Slow creep, no step of
which is a regression, shows there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import environment
from bench.verdicts import ALL_CASES

if TYPE_CHECKING:
    from bench.compare import Comparison

Line = dict[str, Any]


def append(path: Path, run: Comparison, *, base: str, head: str) -> None:
    """Add the verdicts of a comparison: the ratio of each case to the base, on this machine, of this case's code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    when, before = datetime.now(UTC).isoformat(timespec="seconds"), read(path)
    with path.open("a", encoding="utf-8") as file:
        for verdict in run.verdicts:
            line: Line = {
                "when": when, "machine": environment.fingerprint(), "base": base, "head": head,
                "case": verdict.name, "digest": run.digests.get(verdict.name, ""), "verdict": verdict.verdict,
                "ratio": round(verdict.ratio, 5), "low": round(verdict.low, 5), "high": round(verdict.high, 5),
            }  # fmt: skip
            file.write(json.dumps(line | since_origin(line, before)) + "\n")


def read(path: Path) -> list[Line]:
    """The lines of a history; of a file that does not exist, none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def since_origin(line: Line, before: Sequence[Line]) -> Line:
    """The line's origin and its ratio to that, `[low, ratio, high]`: the last such ratio of its base, times its own.

    Logarithms of independent ratios add, and so do the squares of their errors.
    """
    same = ("machine", "case", "digest")
    links = [old for old in before if old["head"] == line["base"] and all(old[key] == line[key] for key in same)]
    own = [math.log(line[key]) for key in ("low", "ratio", "high")]
    if not links or line["base"] == line["head"]:
        return {"origin": line["base"], "since_origin": [line["low"], line["ratio"], line["high"]]}
    low, ratio, high = map(math.log, links[-1]["since_origin"])
    middle = ratio + own[1]
    below, above = math.hypot(ratio - low, own[1] - own[0]), math.hypot(high - ratio, own[2] - own[1])
    chained = [round(math.exp(place), 5) for place in (middle - below, middle, middle + above)]
    return {"origin": links[-1]["origin"], "since_origin": chained}


def draw(path: Path, picture: Path) -> None:
    """A small chart a case: its time relative to its origin, comparison by comparison on this machine."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    mine = [line for line in read(path) if line["machine"] == environment.fingerprint()]
    mine.sort(key=lambda line: (line["case"] != ALL_CASES, line["case"]))
    cases = [(case, list(lines)) for case, lines in groupby(mine, key=lambda line: line["case"])]
    rows = math.ceil(len(cases) / 4)
    figure = Figure(figsize=(12, 1.6 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, (case, lines) in zip(axes, cases, strict=False):
        for _, of_one_code in groupby(enumerate(lines), key=lambda entry: (entry[1]["digest"], entry[1]["origin"])):
            places, chain = zip(*of_one_code, strict=True)
            low, ratio, high = zip(*(line["since_origin"] for line in chain), strict=True)
            ax.plot(places, ratio, "C0.-")
            ax.fill_between(places, low, high, color="C0", alpha=0.2, linewidth=0)
        ax.axhline(1, color="grey", linewidth=0.8)
        ax.set_title(case, fontsize="small")
    for ax in axes[len(cases) :]:
        ax.set_axis_off()
    figure.supylabel("time / time at the origin", fontsize="small")
    figure.supxlabel("comparison", fontsize="small")
    FigureCanvasSVG(figure).print_svg(picture, metadata={"Date": None})
