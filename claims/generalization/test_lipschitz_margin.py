"""Divided by the margin the Lipschitz constant compares nets of different optimizers; the deck's margin is another's.

Slide: Lipschitz constant as a measure of capacity. The deck's last figure has the constant divided by the margin, which
is how far the logits are from zero, and the risk follows it more closely than the bare constant. The idea is sound. To
double the last layer of a net doubles its constant and changes no answer; the quotient stays. So it can tell what the
bare constant cannot: L-BFGS, which follows the loss far down, makes nets of large constants and large margins. Fitted
to true labels they have larger constants than Adam's nets with eight wrong labels in thirty, and overfit far less. The
quotient has the two in their right order.

But it is not that quotient which the deck's code computes. To find the logits it goes through the layers, computes the
ReLUs of each, and goes on with what was not put through them. So its logits are those of another net, a linear one,
whatever the net is (`test_linear_logits_are_affine`). No straight line is right on more than 88 % of the two moons, so
where the net is right on 97 %, every eleventh sign or more is another one. The margins come out far too large as well.
As they still grow with the last layer, even that quotient has the two optimizers in order (`deck_quotients`).

Nor is the quotient a better guide where nothing is rescaled. Of nets that one optimizer has fitted to the same labels,
it does not foretell which overfits more, no more than the constant alone does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.capacity import Fits, fit_moons
from claimlab.measure.draws import Draws
from claimlab.measure.lipschitz import spectral_product
from claimlab.nets import MLP
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/lipschitz-over-margin",
    covers=("H31",),
    slide="Lipschitz constant as a measure of capacity",
    version=1,
    finding="scoped",
    says="Divided by the margin, the Lipschitz constant follows the excess risk more closely.",
    statement=(
        "L-BFGS fits true labels with larger Lipschitz constants than Adam needs if eight labels in thirty are wrong, "
        "and overfits less. Divided by the margin, the constants come in the right order. The deck's code takes the "
        "margin of another net, without ReLUs, whose answers differ on one new point in twenty or more."
    ),
    reason=(
        "The quotient does not change with the scale of the last layer, as the answers do not. That helps where nets "
        "differ in scale, as those of two optimizers do. The deck's figure cannot show it: its logits are affine in "
        "the input, and its margins at least twice too large."
    ),
    scope=(
        "thirty points of two moons, ReLU nets of 32 units from Glorot's weights, the mean margin of the training "
        "points; the comparison is between L-BFGS run to a loss of .0001 and Adam run to .1, means over six data "
        "sets; float32"
    ),
    source=(
        "the deck's experiment, generalization_grid.py, its function logits; Bartlett, Foster & Telgarsky 2017 "
        "(arXiv 1706.08498), who divide by the margin"
    ),
    evidence=Statistical(block=11),
)

APART = 1 / 30
"""Of the excess risk: one of the thirty training points."""


def linear_logits(net: MLP, parameters: list[Tensor], x: Tensor) -> Tensor:
    """What comes out if no layer's ReLUs are gone through."""
    for weight, bias in net.layers(parameters):
        x = x @ weight + bias
    return x


def linear_margin(fit: Fits) -> Tensor:
    """The margin as the deck computes it, of the training points."""
    return fit.of_each(linear_logits(fit.net, fit.parameters, fit.x).abs().mean(dim=(1, 2)))


def log_mean(values: Tensor) -> Tensor:
    """The geometric mean over a seed's draws, of the one set of labels: `[S]`."""
    return values[:, :, 0].log().mean(dim=1).exp()


def trial(
    seeds: Seeds,
    *,
    strong: Literal["lbfgs", "adam"] = "lbfgs",
    target: float = 1e-4,
    wrong: int = 8,
    gap: float = APART,
) -> Rows:
    """A seed draws six sets of points, wrong labels, and initial weights, which both optimizers begin with.

    The strong one has the true labels. A win: its nets have the larger constants, the smaller quotients, and less
    excess risk. All are means over the draws, geometric ones but for the risk. Premise: two nets in three are fitted.
    """
    first = fit_moons(seeds, wrong=(0,), method=strong, target=target, epochs=400 if strong == "adam" else 120)
    second = fit_moons(seeds, wrong=(wrong,))
    constants, quotients, deck_quotients, excess, fitted = (
        torch.stack([measure(fit) for fit in (first, second)], dim=1)
        for measure in (
            lambda fit: log_mean(fit.product),
            lambda fit: log_mean(fit.product / fit.margin),
            lambda fit: log_mean(fit.product / linear_margin(fit)),
            lambda fit: fit.excess[:, :, 0].mean(dim=1),
            lambda fit: fit.fitted[:, :, 0].double().mean(dim=1),
        )
    )
    larger, smaller = constants[:, 0] > constants[:, 1], quotients[:, 0] < quotients[:, 1]
    return Rows(
        win=larger & smaller & (excess.diff(dim=1)[:, 0] >= gap),
        premise=(fitted > 0.6).all(dim=1),
        constants=constants, quotients=quotients, deck_quotients=deck_quotients, excess=excess,
    )  # fmt: skip


def logits_are_of_another_net(
    seeds: Seeds, *, activation: str = "relu", share: float = 0.05, factor: float = 2.0
) -> Rows:
    """Nets fitted to true labels. A win: without its ReLUs a net gives new points the other label in such a share, and
    the margin is so many times too large. Premise: four labels in five are learned, which a linear net can do, too.
    """
    fit = fit_moons(seeds, wrong=(0,), activation=activation, epochs=100)
    answers, others = fit.net(fit.parameters, fit.x_test), linear_logits(fit.net, fit.parameters, fit.x_test)
    differ = fit.of_each(((answers > 0) != (others > 0)).double().mean(dim=(1, 2)))[:, :, 0].mean(dim=1)
    inflated = log_mean(linear_margin(fit) / fit.margin)
    return Rows(
        win=(differ >= share) & (inflated >= factor),
        premise=fit.train_accuracy.mean(dim=(1, 2)) > 0.8,
        differ=differ, inflated=inflated,
    )  # fmt: skip


@dataclass(frozen=True)
class World:
    """A net of some hidden widths with random weights and biases, and a factor for the last layer."""

    widths: tuple[int, ...] = (4, 3)
    factor: float = 2.0
    seed: int = 0

    @property
    def net(self) -> MLP:
        return MLP((2, *self.widths, 1), activation=parts().relu)

    @property
    def parameters(self) -> list[Tensor]:
        widths, draws = self.net.widths, Draws(self.seed)
        shapes = [shape for fans in pairwise(widths) for shape in (fans, (1, fans[1]))]
        return [draws.normal(f"parameter.{place}", *shape)[None] for place, shape in enumerate(shapes)]

    @property
    def points(self) -> Tensor:
        return Draws(self.seed).normal("points", 16, 2)[None]


def worlds() -> st.SearchStrategy[World]:
    """One to four hidden layers of one to eight units."""
    widths = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)
    return st.builds(World, widths=widths, factor=st.sampled_from([0.01, 0.5, 3.0, 100.0]), seed=st.integers(0, 999))


def logits_are_affine(world: World, *, of: Literal["deck", "net"] = "deck") -> Certificate:
    """Whether half way between two points the logit is half way between theirs, on eight pairs, but for rounding.

    Each of at most 85 sums and products of float64 is off by 1e-16 of what goes into it: 1e-9 of the largest logit
    leaves room for numbers that nearly cancel.
    """
    net, parameters = world.net, world.parameters
    p, q = world.points.chunk(2, dim=1)
    logits = net if of == "net" else lambda parameters, x: linear_logits(net, parameters, x)
    at_p, at_q, between = (logits(parameters, x) for x in (p, q, (p + q) / 2))
    off = ((at_p + at_q) / 2 - between).abs().max() / (1 + at_p.abs().max() + at_q.abs().max())
    return Certificate(bool(off < 1e-9), off=off)


def is_left_alone(world: World, *, what: Literal["quotient", "constant"] = "quotient") -> Certificate:
    """Whether it is the same after the last layer is multiplied, which changes no answer; but for rounding, 1e-9."""
    *below, weight, bias = world.parameters
    found, signs = [], []
    for factor in (1.0, world.factor):
        parameters = [*below, factor * weight, factor * bias]
        logits = world.net(parameters, world.points)
        constant = spectral_product(layer[0] for layer in world.net.layers(parameters))
        found.append(float(constant / logits.abs().mean() if what == "quotient" else constant))
        signs.append(logits > 0)
    same = abs(found[1] / found[0] - 1) < 1e-9
    return Certificate(same and bool((signs[0] == signs[1]).all()), before=found[0], after=found[1])


def test_claim(judge):
    """32 units, L-BFGS on true labels to .0001 nats, Adam (rate .05, 400 steps at most) on eight wrong labels in
    thirty to .1 nats.

    L-BFGS's nets have the larger constants, the smaller quotients, and at least 1/30 less excess risk.
    """
    judge(trial).supports()


def test_logits_of_the_deck(judge):
    """Adam's nets, true labels: on at least 5 % of 1000 new points the sign is another one, and the mean margin at
    least doubled.
    """
    judge(logits_are_of_another_net).supports()


@pytest.mark.property(examples=30)
def test_linear_logits_are_affine(judge):
    """One to four hidden layers of one to eight units, random weights and biases: to 1e-9 on eight pairs of points."""
    judge(logits_are_affine, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_quotient_ignores_the_scale_of_the_last_layer(judge):
    """Multiplied by .01 to 100: no answer changes, nor the quotient by more than 1e-9 of it."""
    judge(is_left_alone, given=worlds()).supports()


def test_control_one_optimizer(judge):
    """Adam on both, stopped at the same loss: the larger constants belong to the wrong labels as it is."""
    judge(trial, strong="adam", target=0.1).refutes()


def test_control_labels_equally_wrong(judge):
    """Adam's labels true as well: the constants are ordered as before, but Adam's nets do not overfit more."""
    judge(trial, wrong=0).refutes()


def test_control_net_without_relus(judge):
    judge(logits_are_of_another_net, activation="identity").refutes()


@pytest.mark.property(examples=30)
def test_control_logits_with_relus(judge):
    judge(logits_are_affine, given=worlds(), example=World(), of="net").refutes()


@pytest.mark.property(examples=30)
def test_control_constant_alone(judge):
    judge(is_left_alone, given=worlds(), example=World(), what="constant").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """L-BFGS on true labels has the larger constants; over the margin they are the smaller ones, as the risks are."""
    columns = {"constants": "constant", "quotients": "constant / margin", "excess": "excess risk"}
    ax.set(yscale="log", ylabel="ratio of L-BFGS on true labels\nto Adam on wrong ones")
    ratios = {name: (rows := measured["claim"][key])[:, 0] / rows[:, 1] for key, name in columns.items()}
    draw.columns(ax, ratios)
    draw.numbers(ax.yaxis, (0.1, 0.3, 1, 3, 10), log=True)
    draw.level(ax, 1, "the same")
