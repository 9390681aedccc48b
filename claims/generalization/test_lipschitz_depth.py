"""A deep net has a large product of norms whether it overfits or not, so that the constants of two depths say nothing.

Slide: Lipschitz constant as a measure of capacity. The deck draws nets of one to five hidden layers into one figure,
each with its product of spectral norms, and finds them all below the line .07 + .0045 L. They are, and could not be
elsewhere: a net that is better than guessing has an excess risk below one half, and with five layers the line is above
that for every net, whatever the net does.

The product multiplies up what each layer can do at most, for an input of its own. Layers that undo each other show how
little that need mean: double one of two coordinates, then halve it, and the net is the same and the product is twice as
large (`test_same_net_any_product`). In trained nets too the product is many times the largest gradient that is found
at any of the points, with five layers more so than with one. That is recorded as `looseness`.

So the nets of two depths are compared seed by seed, on the same points: the deep ones with the true labels, the
shallow ones with six of the thirty turned wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.capacity import Fits, fit_moons
from claimlab.measure.lipschitz import gradient_norms, spectral_product
from claimlab.nets import MLP
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/lipschitz-across-depths",
    covers=("H29",),
    slide="Lipschitz constant as a measure of capacity",
    version=1,
    finding="scoped",
    says="Nets of any depth overfit no more than the same line through their Lipschitz constants allows.",
    statement=(
        "Five hidden layers fitted to true labels have more than twice the product of norms of one hidden layer fitted "
        "to the same points with a fifth of the labels wrong, and overfit far less. The deck's line is above every "
        "such deep net because it is above one half there, and says nothing. A product can double while the net stays "
        "the same."
    ),
    reason=(
        "The product bounds what a net could do if each layer met the input that it stretches most. The more layers, "
        "the further the bound is from the largest gradient that the nets are found to have. Within one depth wrong "
        "labels raise the product, as they raise the excess risk."
    ),
    scope=(
        "products of spectral norms, as in the deck; thirty points of two moons, ReLU nets of 24 units a layer from "
        "Glorot's weights, full-batch Adam until all labels are fitted or 400 steps over, means over six data sets; "
        "float32"
    ),
    source="the deck's experiment, generalization_grid.py; Bartlett, Foster & Telgarsky 2017 (arXiv 1706.08498)",
    evidence=Statistical(block=11),
)

SLOPE, OFFSET = 0.68 / 150, 0.07
"""The deck's line."""

APART = 1 / 30
"""Of the excess risk: one of the thirty training points."""

FEW, MANY = 1, 5


def trial(
    seeds: Seeds, *, deep: int = MANY, wrong_for_deep: int = 0, wrong: int = 6, width: int = 24, factor: float = 2.0
) -> Rows:
    """A seed draws six sets of points, wrong labels, and initial weights.

    A win: deep nets have a product so many times larger, and a point of thirty less excess risk. The products are
    geometric means over the draws. Premise: four nets in five are fitted.
    """
    arms = [
        fit_moons(seeds, wrong=(labels,), hidden=(width,) * layers)
        for layers, labels in ((deep, wrong_for_deep), (FEW, wrong))
    ]
    products, looseness, excess, fitted = (
        torch.stack([measure(fit) for fit in arms], dim=1)
        for measure in (
            lambda fit: log_mean(fit.product),
            lambda fit: log_mean(fit.product / steepest(fit)),
            lambda fit: fit.excess[:, :, 0].mean(dim=1),
            lambda fit: fit.fitted[:, :, 0].double().mean(dim=1),
        )
    )
    return Rows(
        win=(products[:, 0] > factor * products[:, 1]) & (excess.diff(dim=1)[:, 0] >= APART),
        premise=(fitted >= 0.8).all(dim=1),
        products=products, looseness=looseness, excess=excess,
    )  # fmt: skip


def log_mean(values: Tensor) -> Tensor:
    """The geometric mean over a seed's draws, of the one set of labels: `[S]`."""
    return values[:, :, 0].log().mean(dim=1).exp()


def steepest(fit: Fits) -> Tensor:
    """The largest gradient at the training points, which no Lipschitz constant is below."""
    return fit.of_each(gradient_norms(lambda x: fit.net(fit.parameters, x), fit.x).amax(dim=1))


def line_forbids_nothing(seeds: Seeds, *, layers: int = MANY, width: int = 24) -> Rows:
    """A win: the line is above one half for every net, with true labels. Premise: four nets in five are fitted.

    A net that is right on half of the new points, as a guesser is, has an excess risk of one half at most.
    """
    fit = fit_moons(seeds, wrong=(0,), hidden=(width,) * layers)
    least = OFFSET + SLOPE * fit.product.amin(dim=(1, 2))
    return Rows(
        win=least > 0.5, premise=fit.fitted.double().mean(dim=(1, 2)) >= 0.8,
        line_at_the_least=least, most_excess=fit.excess.amax(dim=(1, 2)),
    )  # fmt: skip


def padded(*, pairs: int = 4, half: float = 0.5) -> Certificate:
    """Whether a net with pairs of layers before its last, which double a unit and halve it again, is the same net with
    a product doubled for each of them. All numbers are whole, or halves: nothing is rounded in the outputs.
    """
    first = torch.tensor([[[1.0, -2.0, 3.0], [2.0, 1.0, -1.0]]], dtype=torch.float64)
    bias, last = torch.tensor([[[1.0, 0.0, -2.0]]], dtype=torch.float64), torch.ones(1, 3, 1, dtype=torch.float64)
    none, end = torch.zeros(1, 1, 3, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    double, halve = (torch.diag(torch.tensor([by, 1.0, 1.0], dtype=torch.float64))[None] for by in (2.0, half))
    plain, long = [first, bias, last, end], [first, bias, *[double, none, halve, none] * pairs, last, end]
    side = torch.arange(-4.0, 5.0, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)[None]
    outputs = [MLP((2, *[3] * (len(net) // 2 - 1), 1), parts().relu)(net, x) for net in (plain, long)]
    before, after = (float(spectral_product(net[::2])) for net in (plain, long))
    same = bool((outputs[0] == outputs[1]).all())
    return Certificate(same and abs(after / before / 2**pairs - 1) < 1e-9, product=before, padded=after, same=same)


def test_claim(judge):
    """24 units a layer, Glorot's weights, Adam at rate .05 until all labels are right and the loss below .1 nats,
    or 400 steps are over.

    Five layers on true labels have more than twice the product of one layer on six wrong labels in thirty, and at
    least 1/30 less excess risk.
    """
    judge(trial).supports()


def test_line_forbids_nothing(judge):
    """Five layers, true labels: .07 + .68 L / 150 is above one half for the smallest product of six nets."""
    judge(line_forbids_nothing).supports()


@pytest.mark.exact
def test_same_net_any_product(judge):
    """Four pairs of layers in a net of three units: equal outputs at 81 points, and a product 16 times as large."""
    judge(padded).supports()


def test_control_one_depth(judge):
    """One hidden layer in either arm: wrong labels have the larger products."""
    judge(trial, deep=FEW).refutes()


def test_control_labels_equally_wrong(judge):
    """With true labels in either arm the deep nets have the larger products all the same, and do not overfit less."""
    judge(trial, wrong=0).refutes()


def test_control_line_for_one_layer(judge):
    judge(line_forbids_nothing, layers=FEW).refutes()


@pytest.mark.exact
def test_control_layers_that_do_not_undo_each_other(judge):
    judge(padded, half=0.25).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Deep nets on true labels have far larger products than shallow ones on wrong labels, and far less excess risk."""
    products, excess = measured["claim"]["products"], measured["claim"]["excess"]
    ax.set(xscale="log", xlabel="product of the spectral norms", ylabel="training less test accuracy")
    draw.dots(ax, products[:, 1], excess[:, 1], f"{FEW} hidden layer, a fifth of the labels wrong")
    draw.dots(ax, products[:, 0], excess[:, 0], f"{MANY} hidden layers, true labels")
    ax.set(ylim=(-0.01, 0.3))
    draw.key(ax)
