"""Steep nets overfit because wrong labels make nets steep; among nets fitted to the same labels steepness says nothing.

Slide: Lipschitz constant as a measure of capacity. Of every net in its figures the deck has the excess risk, which is
training accuracy less test accuracy, and the product of the spectral norms of the weights. The product bounds the
Lipschitz constant and is called by its name. A line is drawn that nearly all nets lie below: .07 + .0045 L.

In the deck's experiment are ten sets of labels, all of one set of points, with more and fewer wrong labels. Where more
are wrong, nets must be steeper to fit them, and they overfit more since the test labels are right. So both rise, as ice
cream and sunburn do. That can be told from a cause by looking at nets that were fitted to the same labels. Here every
seed draws six sets of points, each with its true labels and with six of the thirty turned wrong, and fits nets of
three widths to both. Pairs of nets are asked: is the steeper one the one that overfits more?

The line is above nearly all nets, here too. It has to be read with the constants dealt out anew: it is also above most
pairs of one net's excess risk and another's constant. And it depends on what no answer depends on. Divide the last
layer by thirty, and every net classifies as before, with a thirtieth of the constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.capacity import Fits, concordance, fit_moons, pairs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/steep-nets-and-excess-risk",
    covers=("H28",),
    slide="Lipschitz constant as a measure of capacity",
    version=1,
    finding="contested",
    says="Nets of one hidden layer overfit no more than a line through their Lipschitz constants allows.",
    statement=(
        "Of two nets fitted to the same points, one to true labels and one to labels of which a fifth is wrong, mostly "
        "the steeper overfits more. Of two fitted to the same labels that is little more than a toss-up. The deck's "
        "line lies above nearly all nets, and above most if they swap their Lipschitz constants."
    ),
    reason=(
        "To fit wrong labels takes a steep net, and costs accuracy on right ones. So the Lipschitz constant tells how "
        "wrong the labels are, not which net to prefer. A last layer divided by thirty changes no answer, and puts "
        "nets above the line."
    ),
    scope=(
        "thirty points of two moons; ReLU nets of 16, 32 and 64 units from Glorot's weights, trained by full-batch "
        "Adam until all labels are fitted or 400 steps over; the product of spectral norms, and the exact constant; "
        "float32"
    ),
    source="the deck's experiment, generalization_grid.py; Bartlett, Foster & Telgarsky 2017 (arXiv 1706.08498)",
    evidence=Statistical(block=11),
)

WIDTHS = (16, 32, 64)
SETS = (0, 6)
"""Wrong labels among the thirty."""

SLOPE, OFFSET = 0.68 / 150, 0.07
"""The deck's line."""

TELLS = 2 / 3
"""Two pairs in three are put in order by what tells something; by what tells nothing, one in two."""


def nets(seeds: Seeds, *, wrong: tuple[int, ...], widths: tuple[int, ...], exact: bool = False) -> tuple[Tensor, ...]:
    """Constants, excess risks, and whether a net has fitted its labels: `[S, draws, sets, widths]` each."""
    fits = [fit_moons(seeds, wrong=wrong, hidden=(width,)) for width in widths]

    def constant(fit: Fits) -> Tensor:
        return fit.lipschitz if exact else fit.product

    columns = ([constant(fit), fit.excess, fit.fitted] for fit in fits)
    return tuple(torch.stack(column, dim=3) for column in zip(*columns, strict=True))


def trial(
    seeds: Seeds, *, wrong: tuple[int, ...] = SETS, widths: tuple[int, ...] = WIDTHS, exact: bool = False
) -> Rows:
    """A seed draws six sets of points, which labels are wrong, and the initial weights.

    `across` is how many pairs of nets, of the same points and of different labels, the constant puts in the order of
    their excess risks; `within` is that of nets fitted to the same labels. A win: the one is above two in three, and
    the other not half as far from a toss-up. Premise: four nets in five fit nine labels in ten; others are left out.
    """
    constants, excess, fitted = nets(seeds, wrong=wrong, widths=widths, exact=exact)
    sets = torch.arange(len(wrong), device=seeds.device).repeat_interleave(len(widths))

    def right(*, within: bool) -> Tensor:
        pairs = pairs_of(sets, fitted.flatten(0, 1).flatten(1), within=within)
        told = concordance(constants.flatten(0, 1).flatten(1), excess.flatten(0, 1).flatten(1), pairs)
        return told.reshape(excess.shape[:2]).mean(dim=1)

    across, within = right(within=False), right(within=True)
    return Rows(
        win=(across >= TELLS) & (2 * (within - 0.5) < across - 0.5),
        premise=fitted.double().mean(dim=(1, 2, 3)) >= 0.8,
        across=across, within=within, constants=constants.mean(dim=1).flatten(1), excess=excess.mean(dim=1).flatten(1),
    )  # fmt: skip


def below_the_line(seeds: Seeds, *, share: float = 0.9, swapped: bool = False, divided_by: float = 1.0) -> Rows:
    """A win: such a share of a seed's nets lie below the line. If constants are `swapped`, each net is tried with those
    of all. With the last layer divided by a number no net answers otherwise, and the constants are divided as well.
    """
    constants, excess, fitted = (column.flatten(1) for column in nets(seeds, wrong=SETS, widths=WIDTHS))
    allowed = OFFSET + SLOPE * constants / divided_by
    counted = fitted[:, :, None] & fitted[:, None, :]
    if not swapped:
        counted = counted & torch.eye(excess.shape[1], dtype=torch.bool, device=seeds.device)
    under = (excess[:, :, None] <= allowed[:, None, :]) & counted
    found = under.sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)
    return Rows(win=found >= share, premise=fitted.double().mean(dim=1) >= 0.8, below=found)


def test_claim(judge):
    """16, 32 and 64 units, Glorot's weights, Adam at rate .05 until all labels are right and the loss below
    .1 nats, or 400 steps are over.

    At least two of three pairs with different labels are put in order by the product of spectral norms, and of those
    with the same labels less than half as far above one in two.
    """
    judge(trial).supports()


def test_exact_constant(judge):
    """The same with the Lipschitz constant itself, which is the largest gradient in any region of the plane."""
    judge(trial, exact=True).supports()


def test_line(judge):
    """Nine nets in ten lie below .07 + .68 L / 150, or more."""
    judge(below_the_line).supports()


def test_line_with_the_constants_of_others(judge):
    """Any net of a seed with the constant of any: two in three still lie below the line, or more."""
    judge(below_the_line, share=TELLS, swapped=True).supports()


def test_control_all_labels_true(judge):
    """Two sets of labels, and none wrong in either: there is nothing left that could make the steeper overfit."""
    judge(trial, wrong=(0, 0)).refutes()


def test_control_last_layer_divided(judge):
    """By thirty: every answer is the same, and many nets are above the line."""
    judge(below_the_line, divided_by=30.0).refutes()


def test_control_last_layer_divided_and_swapped(judge):
    judge(below_the_line, share=TELLS, swapped=True, divided_by=30.0).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Wrong labels make nets steep and make them overfit; among those of one colour, the steeper overfit no
    more. A dot is six nets of one width."""
    constants, excess = np.array(measured["claim"]["constants"]), np.array(measured["claim"]["excess"])
    draw.numbers(ax.xaxis, (20, 30, 50, 100, 200, 300), log=True)
    ax.set(xlabel="product of the spectral norms", ylabel="training less test accuracy")
    for place, label in enumerate(("true labels", "six of thirty wrong")):
        some = slice(place * len(WIDTHS), (place + 1) * len(WIDTHS))
        draw.dots(ax, constants[:, some].ravel(), excess[:, some].ravel(), label)
    steps = np.geomspace(constants.min(), constants.max(), 50)
    draw.reference(ax, steps, OFFSET + SLOPE * steps, "the deck's line")
    ax.set(ylim=(-0.02, 0.4))
    draw.key(ax)
