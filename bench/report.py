"""Render what `pytest bench --benchmark-json=...` measured: tables in Markdown and a roofline plot in SVG.

    python -m bench.report reports/benchmarks/benchmarks.json

writes `table.md` and `roofline.svg` beside the file. A *bar* is a ratio this project wants to reach. Bars are reported,
never asserted: a machine's noise is no reason for red.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODES = {
    "eval": "evaluation, forward",
    "forward": "training, forward",
    "train": "training, forward and backward",
}
Case = dict[str, Any]
"""A benchmark's `extra_info`."""


@dataclass(frozen=True)
class Bar:
    """A ratio (for the report, a size) to reach, what was measured, and where a miss comes from."""

    says: str
    measured: float
    bound: float
    at_least: bool
    limit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        text = f"{self.says}: {self.measured:.2f} ({sign} {self.bound:g})"
        return text if self.met or not self.limit else f"{text}; {self.limit}"


def bars(cases: Sequence[Case]) -> Iterator[Bar]:
    """Every bar that the measured cases have."""
    for case in of_kind(cases, "step"):
        yield Bar(f"{case['name']}: one by one / block", case["over_one_by_one"], case["needs"], at_least=True)
        yield Bar(f"{case['name']}: vmap / block", case["over_vmap"], 1.0, at_least=True)
    for case in of_kind(cases, "page"):
        yield Bar(f"{case['name']}: seconds", case["seconds"], 10.0, at_least=False)
        yield Bar(f"{case['name']}: megabytes", case["megabytes"], 3.0, at_least=False)
    for case in of_kind(cases, "conv/BN"):
        name = f"{case['name']}, {case['mode']}"
        roofline = f"at {case['of_the_limit']:.0%} of the roofline, which {bound_by(case)} sets"
        yield Bar(f"{name}: ours / best stock", case["ours_over_best_stock"], 1.03, at_least=False, limit=roofline)
        if case["mode"] == "eval" and "1x1" in case["name"] and "56px" in case["name"]:
            yield Bar(
                f"{name}: stock NCHW / ours", 1 / case["ours_over_stock_nchw"], 1.2, at_least=True, limit=roofline
            )
        if "kept_bytes" in case:
            share, least = kept(case)
            # No way to save bytes keeps less than the input and the weights: there the bar is what they are.
            bound = max(0.6, round(least + 0.01, 2))
            yield Bar(f"{name}: bytes kept, ours / stock", share, bound, at_least=False)


def kept(case: Case) -> tuple[float, float]:
    """Bytes kept for backward over stock's: ours that keeps the input, and the input and the weights alone."""
    by_variant = case["kept_bytes"]
    stock = by_variant["stock channels-last"]
    return by_variant["ours, keeps input"] / stock, case["least_bytes"] / stock


def bound_by(case: Case) -> str:
    """Which of the roofline's two lines a case meets first."""
    arithmetic, memory = case["flops"] / case["gemm_peak"], case["bytes"] / case["copy_bandwidth"]
    return "arithmetic" if arithmetic > memory else "memory"


def of_kind(cases: Iterable[Case], kind: str, mode: str | None = None) -> list[Case]:
    return [case for case in cases if case.get("kind") == kind and mode in (None, case.get("mode"))]


def markdown(run: dict[str, Any], cases: Sequence[Case]) -> str:
    """The whole report."""
    machine = run["machine_info"]
    lines = [
        "# What was measured",
        "",
        f"{machine['cpu'].get('brand_raw', 'a CPU')}, device {machine.get('device', 'cpu')}, "
        f"{machine.get('threads', '?')} threads, torch {machine.get('torch', '?')}, "
        f"Python {machine['python_version']}, "
        f"{run['datetime'][:10]}. `make bench` measures it again; all variants of a case are timed in turn in one run.",
        "",
        *_bars(list(bars(cases))),
        *_steps(of_kind(cases, "step")),
        *_claims("## A claim's block of seeds", of_kind(cases, "claim")),
        *_claims("## A whole question, against its seeds one at a time", of_kind(cases, "question")),
        *_layouts(of_kind(cases, "layout")),
        *_start_up(of_kind(cases, "start-up")),
        *_page(of_kind(cases, "page")),
    ]
    blocks = of_kind(cases, "conv/BN")
    if blocks:
        peak = statistics.median(case["gemm_peak"] for case in blocks)
        bandwidth = statistics.median(case["copy_bandwidth"] for case in blocks)
        lines += [
            "## Convolution, batch norm and ReLU",
            "",
            f"The roofline: a float32 matrix product reaches {peak / 1e9:.0f} GFLOP/s here and a copy "
            f"{bandwidth / 1e9:.0f} GB/s. *Of the limit* is max(FLOPs / peak, bytes / bandwidth) over our seconds, "
            "with the least traffic a mode needs; above 100 % a case lives in the caches.",
            "",
            "![roofline](roofline.svg)",
            "",
        ]
        for mode, title in MODES.items():
            lines += _blocks(title, of_kind(cases, "conv/BN", mode))
    return "\n".join(lines)


def _bars(all_bars: list[Bar]) -> Iterator[str]:
    missed = [bar for bar in all_bars if not bar.met]
    yield f"{len(all_bars) - len(missed)} of {len(all_bars)} bars are met." + (" Missed:" if missed else "")
    yield ""
    if missed:
        yield from (f"- {bar}" for bar in missed)
        yield ""


def _steps(cases: list[Case]) -> Iterator[str]:
    if not cases:
        return
    yield from ("## One training step of all seeds", "")
    yield from _table(
        ["net", "seeds", "one by one", "`torch.func.vmap`", "block", "one by one / block", "at least", "vmap / block"],
        [
            [
                case["name"], case["seeds"], *(_ms(case["seconds"][arm]) for arm in ("one by one", "vmap", "block")),
                f"**{case['over_one_by_one']:.1f}**", f"{case['needs']:g}", f"{case['over_vmap']:.1f}",
            ]
            for case in cases
        ],
    )  # fmt: skip


def _claims(heading: str, cases: list[Case]) -> Iterator[str]:
    if not cases:
        return
    yield from (heading, "")
    yield from _table(
        ["block", "what", "seeds", "one by one", "block", "one by one / block"],
        [
            [
                case["name"], case["says"].rstrip("."), case["seeds"], _ms(case["seconds"]["one by one"]),
                _ms(case["seconds"]["block"]), f"**{case['over_one_by_one']:.1f}**",
            ]
            for case in cases
        ],
    )  # fmt: skip


def _layouts(cases: list[Case]) -> Iterator[str]:
    if not cases:
        return
    ways = list(cases[0]["seconds"])
    yield from ("## Ways to convolve all seeds at once", "")
    yield "A 3 x 3 convolution, forward and backward, milliseconds; the fastest in bold. Ours: grouped, channels-last."
    yield ""
    rows = []
    for case in cases:
        fastest = min(case["seconds"].values())
        times = [case["seconds"][way] for way in ways]
        rows.append([case["name"], *(f"**{_ms(time)}**" if time == fastest else _ms(time) for time in times)])
    yield from _table(["case", *ways], rows)


def _start_up(cases: list[Case]) -> Iterator[str]:
    for case in cases:
        seconds = case["seconds"]
        yield from ("## Start-up", "")
        yield (
            f"`{case['name']}` reads {case['claims']} claims in {seconds['collect']:.2f} s, "
            f"{case['over_import_torch']:.1f} times what `import torch` takes ({seconds['import torch']:.2f} s); "
            f"`import claimlab` takes {seconds['import claimlab']:.2f} s. Interpreters included."
        )
        yield ""


def _page(cases: list[Case]) -> Iterator[str]:
    for case in cases:
        yield from ("## The report", "")
        yield f"{case['name'].capitalize()} is made in {case['seconds']:.1f} s and holds {case['megabytes']:.1f} MB."
        yield ""


def _blocks(title: str, cases: list[Case]) -> Iterator[str]:
    if not cases:
        return
    variants = list(dict.fromkeys(name for case in cases for name in case["seconds"]))
    cold = any("seconds_cold" in case for case in cases)
    keeps = any("kept_bytes" in case for case in cases)
    yield from (f"### {title.capitalize()} (milliseconds{', hot / cold' if cold else ''})", "")
    yield from _table(
        ["case", *variants, "ours / best stock", "of the limit", "bound by"]
        + (["bytes kept, keeps input / stock", "the least"] if keeps else []),
        [
            [
                case["name"], *(_both(case, name) for name in variants), f"**{case['ours_over_best_stock']:.2f}**",
                f"{case['of_the_limit']:.0%}", bound_by(case),
                *([f"{share:.2f}" for share in kept(case)] if keeps else []),
            ]
            for case in cases
        ],
    )  # fmt: skip


def _both(case: Case, variant: str) -> str:
    if variant not in case["seconds"]:
        return ""
    hot = _ms(case["seconds"][variant])
    cold = case.get("seconds_cold", {})
    return f"{hot} / {_ms(cold[variant])}" if variant in cold else hot


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
    yield ""


def roofline(cases: Sequence[Case], path: Path) -> None:
    """Draw every conv/BN case by its arithmetic intensity and the speed reached, under the machine's two lines."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "claimlab", "font.size": 9}):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        FigureCanvasSVG(figure)
        _draw(cases, figure.add_subplot())
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw(cases: Sequence[Case], ax: Axes) -> None:
    peak = statistics.median(case["gemm_peak"] for case in cases)
    bandwidth = statistics.median(case["copy_bandwidth"] for case in cases)
    intensity = {id(case): case["flops"] / case["bytes"] for case in cases}
    left, right = min(intensity.values()) / 2, max(intensity.values()) * 2
    ax.plot([left, peak / bandwidth, right], [left * bandwidth / 1e9, peak / 1e9, peak / 1e9], color="0.3")
    ax.text(right, peak / 1e9, f"matrix product {peak / 1e9:.0f} GFLOP/s ", ha="right", va="bottom")
    ax.text(left, left * bandwidth / 1e9, f"   copy {bandwidth / 1e9:.0f} GB/s", ha="left", va="top")
    names = list(dict.fromkeys(case["name"] for case in cases))
    for color, (mode, marker) in enumerate(zip(MODES, "o^s", strict=True)):
        own = of_kind(cases, "conv/BN", mode)
        for case in own:
            x = intensity[id(case)]
            ours, stock = (case["flops"] / case["seconds"][name] / 1e9 for name in ("ours", case["best_stock"]))
            ax.plot([x, x], [ours, stock], color=f"C{color}", linewidth=0.8)
            ax.plot(x, stock, marker, color=f"C{color}", fillstyle="none", markersize=5)
            ax.plot(x, ours, marker, color=f"C{color}", markersize=5)
            ax.annotate(str(names.index(case["name"]) + 1), (x, ours), (4, 3), textcoords="offset points", fontsize=7)
        ax.plot([], [], marker, color=f"C{color}", label=MODES[mode])
    ax.plot([], [], "D", color="0.3", fillstyle="none", label="best stock variant (hollow)")
    ax.set(xscale="log", yscale="log", xlabel="FLOPs per byte of the least traffic", ylabel="GFLOP/s")
    ax.legend(loc="lower right")
    key = "\n".join(f"{number}  {name}" for number, name in enumerate(names, start=1))
    ax.text(1.01, 1, key, transform=ax.transAxes, va="top", fontsize=7)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, help="what pytest bench --benchmark-json=FILE wrote")
    path = parser.parse_args(arguments).file
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        cases = [benchmark["extra_info"] for benchmark in run["benchmarks"]]
    except FileNotFoundError:
        print(f"{path} is not there; `make bench` writes it.", file=sys.stderr)
        return 2
    except (json.JSONDecodeError, KeyError, TypeError):
        print(f"{path} is not what pytest bench --benchmark-json writes; run `make bench` again.", file=sys.stderr)
        return 2
    if blocks := of_kind(cases, "conv/BN"):
        roofline(blocks, path.with_name("roofline.svg"))
    table = path.with_name("table.md")
    table.write_text(markdown(run, cases), encoding="utf-8")
    print("\n".join(_bars(list(bars(cases)))) + f"table: {table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
