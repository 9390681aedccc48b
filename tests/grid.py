"""`python -m tests.grid`: the deck's grid on Lipschitz constants and excess risk, anew and whole.

The deck's had 1,188 distinct fits, of ten label vectors on one set of points, with logits that left out the ReLUs. Here
every data set has points of its own, the optimizers stop when all labels are fitted, and what is printed is a mean over
data sets with its standard error: nets of one data set are no independent evidence, so nothing is computed from pooled
nets. The claims on this slide judge a small part of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context

import torch
from torch import Tensor

from claimlab import Seeds
from claimlab.measure.capacity import Method, concordance, fit_moons, pairs_of

METHODS: tuple[Method, ...] = ("sgd", "adam", "lbfgs")
RATES = {"sgd": 0.5, "adam": 0.05, "lbfgs": 0.0}
"""For one hidden layer, and so many times less for more."""
NETS = ((16,), (64,), (256,), (16, 16), (64, 64), (64, 64, 64), (64, 64, 64, 64), (64, 64, 64, 64, 64))
SETS = (0, 2, 4, 6, 8)
"""Wrong labels among the thirty."""


@dataclass(frozen=True)
class Cell:
    """Of one kind of net and one optimizer, `[data sets, sets of labels]` each."""

    constants: Tensor
    margins: Tensor
    excess: Tensor
    fitted: Tensor


def fitted(cell: tuple[tuple[int, ...], Method], *, epoch: str, data_sets: int, sets: tuple[int, ...]) -> Cell:
    """All fits of one kind of net by one optimizer."""
    torch.set_num_threads(1)
    hidden, method = cell
    seeds = Seeds("generalization/grid", 1, epoch, tuple(range(data_sets)))
    fits = fit_moons(seeds, wrong=sets, hidden=hidden, method=method, rate=RATES[method] / len(hidden), draws=1)
    return Cell(fits.product[:, 0], fits.margin[:, 0], fits.excess[:, 0], fits.fitted[:, 0])


def row(name: str, cells: Sequence[Cell]) -> str:
    """What the nets of some cells say, pairs being compared within a data set alone."""
    constants, margins, excess, counted = (
        torch.stack([getattr(cell, field) for cell in cells], dim=2)
        for field in ("constants", "margins", "excess", "fitted")
    )  # each [data sets, sets of labels, cells]
    sets = torch.arange(constants.shape[1]).repeat_interleave(len(cells))
    flat = counted.flatten(1)
    told = []
    for within, measure in product((False, True), (constants, constants / margins)):
        told.append(concordance(measure.flatten(1), excess.flatten(1), pairs_of(sets, flat, within=within)))
    shown = "  ".join(f"{value.mean():.2f} ±{value.std() / len(value) ** 0.5:.2f}" for value in told)
    median, risk = constants[counted].median(), excess[counted].median()
    below = (excess <= 0.07 + 0.68 / 150 * constants)[counted].double().mean()
    share = counted.double().mean()
    return f"{name:24s} {int(counted.sum()):5d} {share:5.0%} {median:9.0f} {risk:6.3f} {below:6.1%}  {shown}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the grid and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.grid", description=__doc__)
    parser.add_argument("--data-sets", type=int, default=16)
    parser.add_argument("--epoch", default="grid", help="which data sets to draw; any name gives fresh ones")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--small", action="store_true", help="two kinds of nets and two sets of labels")
    options = parser.parse_args(arguments)
    nets, sets = (NETS[:2], SETS[::4]) if options.small else (NETS, SETS)
    started = time.perf_counter()
    cells = sorted(product(nets, METHODS), key=lambda cell: -sum(cell[0]))  # the slow ones first
    work = partial(fitted, epoch=options.epoch, data_sets=options.data_sets, sets=sets)
    if options.workers > 1:
        with get_context("spawn").Pool(options.workers) as pool:
            found = dict(zip(cells, pool.map(work, cells, chunksize=1), strict=True))
    else:
        found = {cell: work(cell) for cell in cells}
    print(f"{'':24s}  nets   fit  constant excess  below  of pairs in the order of their excess risks, as told by")
    print(f"{'':57s}L, L/margin for other labels; L, L/margin for the same")
    for method in METHODS:
        print(row(method, [found[net, method] for net in nets]))
    for net in nets:
        print(row("-".join(map(str, net)), [found[net, method] for method in METHODS]))
    print(row("all", [found[cell] for cell in cells]))
    print(f"{len(cells) * len(sets) * options.data_sets} fits, {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
