"""The spectral margin bound tells random labels from true ones, and is far too large to promise anything.

Slide: Generalization bounds. Theorem 1.1 of Bartlett, Foster & Telgarsky: with high probability the error on new points
is at most the margin loss, which is the share of training points with a margin of γ or less, plus a term that grows
with |X| R / (γ n), where

  R = Π|Aᵢ| × (Σ (|Aᵢ - Mᵢ|₂₁ / |Aᵢ|)^(2/3))^(3/2),

|A| is the spectral norm, |A|₂₁ the sum of the lengths of the units' incoming weights, and M are matrices chosen before
the data are seen, here zero. Constants, logarithms and the term for the confidence are left out, all of which would add
to it. So the theorem is not what is tested here: its parts are, and what they come to on digits.

For no γ could this be a bound below one if |X| R / n is above the largest margin of a training point: a smaller γ makes
the term larger than one, and with a larger one the margin loss is one.

Nagarajan & Kolter found such bounds to grow with the number of training points while the error falls. In this small
world, trained to one margin in batches of fifty, the measure falls too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.measure.lipschitz import gradient_norms, spectral_product
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/spectral-margin-bound",
    covers=("H32",),
    slide="Generalization bounds",
    version=1,
    finding="scoped",
    says="Margins and spectral norms of the weights bound the error on new data.",
    statement=(
        "What the spectral margin bound multiplies is larger after training on random labels than on true ones, from "
        "the same initial weights. But it is above one whatever margin is chosen, so that it promises nothing. Larger "
        "initial weights turn the order round."
    ),
    reason=(
        "The product multiplies what each layer can do to the input that it stretches most, which no one input need "
        "meet. Scaling layers does not change the measure; starting from larger weights does, and the "
        "net with true labels is still right about most new images."
    ),
    scope=(
        "without the bound's constants and logarithms, zero as reference; a net without biases, 200 images of digits, "
        "minibatch SGD until nine margins in ten are above 3; float32. That the bound grows with the number of points "
        "(Nagarajan & Kolter 2019) was not found here: it falls"
    ),
    source=(
        "Bartlett, Foster & Telgarsky 2017 (arXiv 1706.08498), theorem 1.1; Nagarajan & Kolter 2019 (arXiv 1902.04742)"
    ),
    evidence=Statistical(block=11),
)

Labels = Literal["true", "random"]


def complexity(weights: list[Tensor], references: list[Tensor]) -> Tensor:
    """R of weights `[S, fan_in, fan_out]`, float64 `[S]`."""
    pairs = zip(weights, references, strict=True)
    terms = [
        ((weight - reference).double().norm(dim=1).sum(dim=1) / spectral_product([weight])) ** (2 / 3)
        for weight, reference in pairs
    ]
    return spectral_product(weights) * torch.stack(terms).sum(dim=0) ** 1.5


def margins(outputs: Tensor, labels: Tensor) -> Tensor:
    """How far the output for the label is above the largest other one, float64 `[S, N]`."""
    index = labels.unsqueeze(2)
    others = outputs.scatter(2, index, float("-inf")).amax(dim=2)
    return (outputs.gather(2, index).squeeze(2) - others).double()


def of_nine_in_ten(outputs: Tensor, labels: Tensor) -> Tensor:
    """The margin that nine points in ten have, `[S]`."""
    return margins(outputs, labels).quantile(0.1, dim=1)


@dataclass(frozen=True)
class Trained:
    """All `[S]`: |X| R / n, the margin of nine points in ten, the largest, accuracy on new images, and whether the goal
    was met.
    """

    numerator: Tensor
    margin: Tensor
    largest: Tensor
    right: Tensor
    met: Tensor

    @property
    def measure(self) -> Tensor:
        return self.numerator / self.margin


@remembered
def trained(
    seeds: Seeds, *, labels: Labels, images: int, scale: float, rate: float, epochs: int, margin: float, batch: int = 50
) -> Trained:
    """The images of a smaller set are among those of a larger, and both have the same initial weights."""
    world = digits(seeds, n=400, n_test=500)
    x = world.x[:, :images]
    y = (world.y if labels == "true" else seeds.integers("labels", 400, high=CLASSES))[:, :images]
    net = MLP((64, 64, 64, CLASSES), bias=False)
    start = [scale * weight for weight in net.init(seeds, parts().he_init)]
    fit = train(
        seeds, net, start, x, y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
        epochs=epochs, batch=batch, goal=lambda outputs, told: of_nine_in_ten(outputs, told) > margin,
    )  # fmt: skip
    outputs = net(fit.parameters, x)
    zero = [torch.zeros_like(weight) for weight in fit.parameters]
    return Trained(
        numerator=x.double().norm(dim=(1, 2)) * complexity(fit.parameters, zero) / images,
        margin=of_nine_in_ten(outputs, y),
        largest=margins(outputs, y).amax(dim=1),
        right=accuracy(net(fit.parameters, world.x_test), world.y_test),
        met=fit.met,
    )


def trial(
    seeds: Seeds, *, images: int = 200, scale: float = 1.0, rate: float = 0.05, epochs: int = 150, margin: float = 3.0,
    more: float = 1.2,
) -> Rows:  # fmt: skip
    """A seed draws images, random labels and weights; `scale` multiplies the initial weights for the true labels.

    A win: the measure for random labels is a fifth larger. Premise: both nets have reached the margin, and most new
    images are right with true labels, few with random ones.
    """
    true, noise = (
        trained(seeds, labels=labels, images=images, scale=by, rate=rate, epochs=epochs, margin=margin)
        for labels, by in (("true", scale), ("random", 1.0))
    )
    return Rows(
        win=noise.measure > more * true.measure,
        premise=true.met & noise.met & (true.right > 0.5) & (noise.right < 0.25),
        measure=torch.stack([true.measure, noise.measure], dim=1),
        right=torch.stack([true.right, noise.right], dim=1),
    )


def says_nothing(
    seeds: Seeds, *, images: int = 200, rate: float = 0.05, epochs: int = 150, margin: float = 3.0, part: float = 1.0
) -> Rows:
    """A win: |X| R / n, or a part of it, is above the largest margin. Premise: the net is good, so there is a bound
    to be had.
    """
    net = trained(seeds, labels="true", images=images, scale=1.0, rate=rate, epochs=epochs, margin=margin)
    least = part * net.numerator / net.largest
    return Rows(win=least > 1, premise=net.met & (net.right > 0.5), least=least, right=net.right)


def falls_with_points(
    seeds: Seeds, *, labels: Labels = "true", few: int = 50, many: int = 400, rate: float = 0.05, epochs: int = 150,
    margin: float = 3.0,
) -> Rows:  # fmt: skip
    """A win: with many points the measure is less than three fifths of that with few. Premise: both reach it."""
    arms = [
        trained(seeds, labels=labels, images=images, scale=1.0, rate=rate, epochs=epochs, margin=margin)
        for images in (few, many)
    ]
    measure, right = (torch.stack([getattr(arm, what) for arm in arms], dim=1) for what in ("measure", "right"))
    return Rows(
        win=5 * measure[:, 1] < 3 * measure[:, 0], premise=arms[0].met & arms[1].met, measure=measure, right=right
    )


def test_claim(judge):
    """64-64-64-10 ReLU units, He's weights, rate .05, momentum .9, batches of 50, until nine margins in ten exceed 3.

    The measure at the margin of nine points in ten is at least a fifth larger for random labels.
    """
    judge(trial).supports()


def test_control_larger_initial_weights(judge):
    """Three times He's for the true labels only: that net is right about new images, and has the larger measure."""
    judge(trial, scale=3.0).refutes()


def test_says_nothing(judge):
    """Even at the largest margin of all training points the term alone is above one."""
    judge(says_nothing).supports()


def test_control_a_thousandth_would_say_something(judge):
    """The same predicate for a measure a thousand times smaller."""
    judge(says_nothing, part=1e-3).refutes()


def test_falls_with_points(judge):
    """400 points for 50, true labels: less than three fifths of the measure."""
    judge(falls_with_points).supports()


def test_control_random_labels_fall_less(judge):
    judge(falls_with_points, labels="random").refutes()


# -- the parts of the bound ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A net of that many hidden layers of a width, with or without biases, and the seed of all numbers."""

    hidden: int = 2
    width: int = 4
    seed: int = 0


def worlds() -> st.SearchStrategy[World]:
    """One to three hidden layers of two to six units."""
    return st.builds(World, hidden=st.integers(1, 3), width=st.integers(2, 6), seed=st.integers(0, 999))


def weights_of(world: World, *, outputs: int = 3) -> tuple[MLP, list[Tensor]]:
    draws, widths = Draws(world.seed), (3, *[world.width] * world.hidden, outputs)
    net = MLP(widths, parts().relu, bias=False)
    shapes = pairwise(widths)
    return net, [draws.normal(f"w{place}", 1, *shape) for place, shape in enumerate(shapes)]


def scaling_is_forgotten(
    world: World, *, reference: Literal["zero", "initial"] = "zero", bias: float = 0.0
) -> Certificate:
    """Whether the mean margin over R stays when each layer's weights are multiplied by a number of their own.

    The reference is zero, or half the weights before they are scaled. `bias` is that of all units, and is not scaled.
    A net whose units are all off has no margin, before and after.
    """
    plain, weights = weights_of(world)
    factors = [float(factor) for factor in Draws(world.seed).uniform("factors", len(weights), low=2.0, high=4.0)]
    net = MLP(plain.widths, parts().relu)
    x = Draws(world.seed).normal("x", 1, 20, 3)
    references = [(0.5 if reference == "initial" else 0.0) * weight for weight in weights]
    ratios = []
    for scaled in (weights, [factor * weight for factor, weight in zip(factors, weights, strict=True)]):
        parameters = [part for weight in scaled for part in (weight, torch.full_like(weight[:, :1], bias))]
        spread = margins(net(parameters, x), torch.zeros(1, 20, dtype=torch.int64)).abs().mean()
        ratios.append(float(spread / complexity(scaled, references)))
    return Certificate(abs(ratios[1] - ratios[0]) <= 1e-9 * ratios[0], before=ratios[0], after=ratios[1])


def product_bounds_the_gradient(world: World, *, part: float = 1.0) -> Certificate:
    """Whether no gradient at two hundred points is longer than the product of norms, or than a part of it."""
    net, weights = weights_of(world, outputs=1)
    steepest = float(gradient_norms(partial(net, weights), Draws(world.seed).normal("x", 1, 200, 3)).max())
    bound = part * float(spectral_product(weights))
    return Certificate(steepest <= bound * (1 + 1e-9), steepest=steepest, bound=bound)


def margin_loss_is_above_the_error(world: World, *, sign: int = 1) -> Certificate:
    """Whether the margin loss starts at the error or above and never falls as γ grows from zero, or with the sign."""
    net, weights = weights_of(world)
    x = Draws(world.seed).normal("x", 1, 50, 3)
    outputs, labels = net(weights, x), torch.arange(50)[None] % 3
    error = float((outputs.argmax(dim=2) != labels).double().mean())
    found = margins(outputs, labels)
    losses = [float((found <= sign * gamma).double().mean()) for gamma in (0.0, 0.3, 1.0, 3.0, 10.0, 1e9)]
    return Certificate(min(losses) >= error and losses == sorted(losses), error=error, losses=losses)


@pytest.mark.property(examples=30)
def test_scaling_is_forgotten(judge):
    """No biases, zero as reference: R and the margins grow by the same product of factors."""
    judge(scaling_is_forgotten, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_control_scaling_with_another_reference(judge):
    """The distance from a reference that is not zero does not scale."""
    judge(scaling_is_forgotten, given=worlds(), example=World(), reference="initial").refutes()


@pytest.mark.property(examples=30)
def test_control_scaling_with_biases(judge):
    """R knows of no biases, and the margins do."""
    judge(scaling_is_forgotten, given=worlds(), example=World(), bias=1.0).refutes()


@pytest.mark.property(examples=30)
def test_product_bounds_the_gradient(judge):
    """ReLU nets with one output, two hundred points each."""
    judge(product_bounds_the_gradient, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_control_a_twentieth_of_the_product(judge):
    """A bound that is proven by the norms alone, and not by being large."""
    judge(product_bounds_the_gradient, given=worlds(), example=World(hidden=1, width=2), part=0.05).refutes()


@pytest.mark.property(examples=30)
def test_margin_loss_is_above_the_error(judge):
    """Fifty points in three classes, γ from 0 to 10⁹."""
    judge(margin_loss_is_above_the_error, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_control_negative_margins(judge):
    """With a negative γ some errors are not counted."""
    judge(margin_loss_is_above_the_error, given=worlds(), example=World(), sign=-1).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Random labels have the larger measure, unless true ones start from larger weights; all are far above one."""
    tests = {"He's weights": "claim", "three times He's for\ntrue labels (control)": "control_larger_initial_weights"}
    draw.columns(
        ax,
        {
            name: dict(zip(("true labels", "random labels"), measured[test]["measure"].T, strict=True))
            for name, test in tests.items()
        },
    )
    draw.level(ax, 1, "says nothing above")
    ax.set(ylabel="bound without constants", yscale="log")
    draw.key(ax)
