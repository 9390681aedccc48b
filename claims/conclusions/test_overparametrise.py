"""More parameters than samples are safe with a penalty that fits them, and only if they say something about the labels.

Slide: Practical Takeaways, which advises to overparametrise. It rests on other entries: wide nets train in fewer steps
(H12), and nets with a thousand times more parameters than images generalise (I3), but around the width that just fits
noisy labels a wider net is worse (H11). What those leave out is regularisation. Is the peak the price of parameters, or
of fitting without a penalty? For linear regression on random projections of isotropic inputs, Nakkiran et al. prove
that with the best ridge penalty for each size more parameters never do harm.

Here the parameters are the output weights of ReLU units with random inputs, a net whose first layer is not trained. All
fits are in closed form: of least norm, where gradient descent from zero ends, or with a ridge penalty from a grid,
chosen for every number of units on inputs that are not those of the comparison.

The proof needs parameters that are all alike. Let them be weights of inputs instead of which only a few count, and the
same penalties do not make up for those that say nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.parts import remembered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/overparametrise-with-a-penalty",
    covers=("P1",),
    slide="Practical Takeaways",
    version=1,
    finding="scoped",
    says="Use more parameters than needed.",
    statement="Fit the output weights of random ReLU units to 50 noisy labels. Without a penalty, 50 units err at "
    "least twice as much as 10, and 500 less than either. With the best ridge penalty for each, 50 are better than 10, "
    "and 500 better still. But in linear regression, 240 weights more for inputs that say nothing at least double the "
    "error, even with the best penalty.",
    reason="Where the labels can just be fitted, noise takes large weights, which a penalty forbids; so the peak is "
    "not the price of parameters. That wide nets need fewer steps is H12, that they generalise I3, and that trained "
    "nets have the peak with wrong labels H11.",
    scope="a linear truth with noise, fits in closed form of the last layer alone, float64; penalties that are tuned "
    "for every size. How many units are enough, and what they cost, is not said",
    source="Nakkiran, Venkat, Kakade & Ma 2021 (arXiv 2003.01897) for the penalty; Belkin, Hsu & Xu 2020 (arXiv "
    "1903.07571) for the peak, and for features of which some are known to count",
    evidence=Statistical(block=11, dtype="float64"),
)

Kind = Literal["units", "inputs"]
# Output weights of units, and of inputs: the second of each is the number of samples.
SIZES, INPUTS = (10, 50, 500), (10, 50, 250)
PENALTIES = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 30.0)


@remembered  # tests ask different things of the same fits
def errors(
    seeds: Seeds,
    *,
    kind: Kind,
    sizes: tuple[int, ...],
    noise: float,
    samples: int,
    inputs: int,
    problems: int,
    new: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The error without a penalty, that with the best one, and whether the grid holds it, `[S, sizes]` each.

    An error is the mean square off the truth, of deviation 1, on `new` inputs: the median of a seed's problems. The
    penalty, one for all problems, is the best on as many others; the grid holds it if no end of it is over a hundredth
    better than all between. The parameters of a size are the first of so many.
    """
    drawn = inputs if kind == "units" else sizes[-1]
    x = seeds.normal("x", problems, samples + 2 * new, drawn)
    truth = seeds.normal("truth", problems, inputs, 1)
    y = (x[..., :inputs] @ (truth / truth.norm(dim=2, keepdim=True)))[..., 0]
    labels = y[..., :samples] + noise * seeds.normal("noise", problems, samples)
    if kind == "units":
        x = (x @ seeds.normal("units", problems, inputs, sizes[-1]) / math.sqrt(inputs)).relu()
    penalties = torch.tensor((0.0, *PENALTIES), dtype=seeds.dtype, device=seeds.device)
    found = []
    for size in sizes:
        features = x[..., :size] / math.sqrt(size)
        told, other = features[..., :samples, :], features[..., samples:, :]
        values, vectors = torch.linalg.eigh(told @ told.mT)  # in rising order; beyond the rank they are zero
        values, vectors = values[..., -size:], vectors[..., -size:]
        weights = (vectors.mT @ labels[..., None]) / (values[..., None] + penalties)
        off = (other @ (told.mT @ (vectors @ weights)) - y[..., samples:, None]).square()
        tuning, testing = (part.mean(dim=2) for part in off.split(new, dim=2))
        tuning, testing = tuning[..., 1:].mean(dim=1), testing.median(dim=1).values
        least, best = tuning.min(dim=1, keepdim=True)
        inside = tuning[:, 1:-1].amin(dim=1) <= 1.01 * least[:, 0]
        found.append((testing[:, 0], testing[:, 1:].gather(1, best)[:, 0], inside))
    none, tuned, inside = (torch.stack(parts, dim=1) for parts in zip(*found, strict=True))
    return none, tuned, inside


def trial(
    seeds: Seeds,
    *,
    asked: Literal["falls", "peak", "rises"] = "falls",
    penalty: bool = True,
    kind: Kind = "units",
    sizes: tuple[int, ...] = SIZES,
    noise: float = 0.4,
    samples: int = 50,
    inputs: int = 10,
    problems: int = 8,
    new: int = 100,
) -> Rows:
    """A seed draws eight problems of 50 noisy labels, each with its units.

    Asked is whether the error falls from every size to the next; or has a peak at the second, twice as high as the
    first, and is lowest at the last; or at least doubles from the first size to the last. The premise is that sizes
    which are said to be worse have a best penalty that the grid holds.
    """
    none, tuned, inside = errors(
        seeds, kind=kind, sizes=sizes, noise=noise, samples=samples, inputs=inputs, problems=problems, new=new
    )
    error = tuned if penalty else none
    if asked == "falls":
        win = (error[:, 1:] < error[:, :-1]).all(dim=1)
    elif asked == "peak":
        win = (error[:, 1] >= 2 * error[:, 0]) & (error[:, -1] < error[:, 0])
    else:
        win = error[:, -1] >= 2 * error[:, 0]
    behind = inside[:, -1:] if asked == "rises" else inside[:, :-1]
    return Rows(win=win, premise=behind.all(dim=1) if penalty else torch.ones_like(win), error=error)


def test_claim(judge):
    """50 labels, <x, w> of ten inputs and |w| = 1 with noise of deviation .4; 10, 50 and 500 ReLU units.

    Ridge penalties from .0001 to 30. Each time the error on 100 new inputs, the median of eight problems, falls.
    """
    judge(trial).supports()


def test_peak_without_a_penalty(judge):
    """The fits of least norm: with 50 units at least twice the error of 10, and with 500 less than with 10."""
    judge(trial, asked="peak", penalty=False).supports()


def test_inputs_that_say_nothing(judge):
    """Linear regression on 10, 50 or 250 inputs, of which the first 10 count, each with its best penalty.

    With 250 the error is at least twice that with 10.
    """
    judge(trial, asked="rises", kind="inputs").supports()


def test_control_without_a_penalty(judge):
    """Where the labels can just be fitted, more units are worse."""
    judge(trial, penalty=False).refutes()


def test_control_more_inputs(judge):
    judge(trial, kind="inputs").refutes()


def test_control_peak_with_a_penalty(judge):
    judge(trial, asked="peak").refutes()


def test_control_more_units(judge):
    """Units all look at the ten inputs that count: more of them do not hurt."""
    judge(trial, asked="rises").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Without a penalty there is a peak where 50 labels can just be fitted; with the best one more units help."""
    draw.numbers(ax.xaxis, sorted({*SIZES, *INPUTS}), log=True)
    draw.runs(ax, SIZES, measured["claim"]["error"], "best penalty")
    draw.runs(ax, INPUTS, measured["inputs_that_say_nothing"]["error"], "best penalty, useless inputs")
    draw.runs(ax, SIZES, measured["control_without_a_penalty"]["error"], "no penalty (control)")
    draw.level(ax, 1, "a guess\nof zero")
    draw.numbers(ax.yaxis, (0.1, 1, 10), log=True)
    ax.set(xlabel="parameters, for 50 noisy labels", ylabel="error on new inputs")
    draw.key(ax)
