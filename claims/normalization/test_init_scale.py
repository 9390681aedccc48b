"""With batch norm, training hardly depends on the scale of the initial weights.

Slide: Batch Normalization. The claim has an exact core. Let c > 0 multiply the weights W in front of a batch norm. The
pre-activations become c times as large, and so do their mean and their spread: the output stays the same (epsilon
aside). The loss is then one and the same function of W and of c W, so the gradient with respect to the latter is 1/c of
the other. So c is forgotten but for how fast the weights turn: a step at learning rate lr moves c W, in proportion to
its size, as far as a step at lr / c^2 moves W. With c^2 lr instead, training is the same step by step; with c a power
of two scaling rounds nothing, so that this is tested to 1e-9.

At one learning rate for all c the runs differ, but all of them learn: weights that are too small grow in the first
steps, and weights that are too large hardly move, which leaves it to gains, shifts and readout to fit the data.

What the initial scale cannot mend is depth. Take random weights of variance s^2 / fan-in and wide layers on a large
batch. Deep in the net the batch's pre-activations are standard normal after the norm and nearly independent between
samples, so relu gives a mean square of 1/2, of which 1 / (2 pi) is shared by the batch and subtracted by the next norm:
that divides by s sqrt(1/2 - 1/(2 pi)). Backwards, the squared gradient gains s^2 from the weights, 1/2 from relu, and
1 / (s^2 (1/2 - 1/(2 pi))) from the norm: pi / (pi - 1) = 1.467 in all for every layer, whatever s. The norm of the
gradient grows by 1.211 a layer towards the input, and 46 times over twenty layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

SCALES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""What He's initial weights of the hidden layers are multiplied by."""

LEARNED = 0.05
"""A training error of ten classes below which a net has learned."""

EXPLOSION = math.sqrt(math.pi / (math.pi - 1))
"""What the gradient's norm grows by from layer to layer, for infinite width and batch."""

CLAIM = Claim(
    id="normalization/init-scale-hardly-matters",
    covers=("F3",),
    slide="Batch Normalization",
    version=4,
    finding="scoped",
    says="Batch norm stabilises training: it depends less on the initialisation.",
    statement=(
        "With batch norm a net learns at one learning rate from initial weights a hundred times too small to a "
        "hundred times too large; without it, neither from a tenth nor from twice the right scale. Exactly, the scale "
        "cancels but for an effective learning rate. But deep nets with batch norm start with gradients that explode "
        "towards the input, at every scale."
    ),
    reason=(
        "The scale of the weights before a batch norm cancels, so it only sets an effective learning rate. The claim "
        "stops at depth: without skip connections batch norm itself makes gradients explode, and no scale mends that."
    ),
    scope=(
        "The scale of hidden weights, as many learning rates to try as one (a plain net with weights twice too large "
        "needs a smaller one), training error; readout at He's scale. "
        "Says nothing of other defects of an initialisation, such as equal units; float32, exact part float64"
    ),
    source="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3.3; Yang et al. 2019 (arXiv 1902.08129) on explosion",
    evidence=Statistical(block=11),
)


Norm = Literal["batch", "none"]


# -- one learning rate, five initial scales ---------------------------------------------------------------------------


def layer_of(norm: Norm) -> Callable[[int], nn.Module] | None:
    return parts().batch_norm_1d if norm == "batch" else None


def scaled(net: MLP, seeds: Seeds, scale: Tensor) -> list[Tensor]:
    """He's initial parameters, the hidden weights times `scale` `[S]`: the same weights with batch norm and without."""
    *hidden, readout = net.layers(net.init(seeds))
    return [parameter for weight, *rest in hidden for parameter in (weight * scale[:, None, None], *rest)] + readout


def trial(
    seeds: Seeds,
    *,
    norm: Norm = "batch",
    scales: tuple[float, ...] = SCALES,
    hidden: int = 4,
    width: int = 32,
    samples: int = 64,
    rate: float = 0.1,
    steps: int = 60,
) -> Rows:
    """A seed draws the images and the weights, which all scales share. A win: the net has learned at every scale.

    Premise: it has learned at the right one, where that is among them. The losses are recorded, so that a net that has
    overflowed, which still answers something, is no evidence.
    """
    members = seeds.take(list(range(len(seeds))) * len(scales))  # all seeds at the first scale, then at the second, ...
    scale = torch.tensor(scales, dtype=seeds.dtype, device=seeds.device).repeat_interleave(len(seeds))
    data = digits(members, n=samples, n_test=1)
    net = MLP((64, *[width] * hidden, 10), norm=layer_of(norm))
    fit = train(
        members, net, scaled(net, members, scale), data.x, data.y,
        loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=steps,
    )  # fmt: skip
    logits = net(fit.parameters, data.x)
    train_error, loss = (
        each.view(len(scales), len(seeds)).T for each in (1 - accuracy(logits, data.y), cross_entropy(logits, data.y))
    )
    learned = train_error <= LEARNED
    right = learned[:, [place for place, times in enumerate(scales) if times == 1]].all(dim=1)
    return Rows(win=learned.all(dim=1), premise=right, train_error=train_error, loss=loss)


def test_claim(judge):
    """A 64-32-32-32-32-10 ReLU net, its hidden He weights multiplied by 0.01, 0.1, 1, 10 or 100; 64 digits.

    After 60 steps of full-batch SGD (rate 0.1, momentum 0.9) it errs on at most 5 % of them at each of the five scales.
    """
    judge(trial).supports()


def test_plain_net_learns_at_the_right_scale(judge):
    """Nothing but the scale stands in the way of the net without batch norm: at He's scale it learns as well."""
    judge(trial, norm="none", scales=(1.0,)).supports()


def test_plain_net_learns_from_larger_weights_at_a_smaller_rate(judge):
    """From twice He's weights the net without batch norm learns as well, at the rate 0.003 and in 120 steps."""
    judge(trial, norm="none", scales=(2.0,), rate=0.003, steps=120).supports()


def test_control_without_batch_norm(judge):
    """Scales of up to 1, where nothing diverges: the signal dies out on its way through the layers."""
    judge(trial, norm="none", scales=(0.01, 0.1, 1.0)).refutes()


@pytest.mark.statistical(dtype="float64")
def test_control_without_batch_norm_too_large(judge):
    """Twice as large is too large already, and nothing overflows: the first steps leave most nets guessing."""
    judge(trial, norm="none", scales=(1.0, 2.0)).refutes()


# -- the counter-finding: gradients explode with depth ----------------------------------------------------------------


def explodes(
    seeds: Seeds,
    *,
    norm: Norm = "batch",
    scales: tuple[float, ...] = (0.1, 1.0, 10.0),
    hidden: int = 20,
    width: int = 64,
    samples: int = 128,
    within: float = 0.05,
) -> Rows:
    """A win: at every scale the weights' gradient grows by `EXPLOSION` a layer towards the input, `within` a margin.

    The first layer, whose weights have another shape, is left out.
    """
    members = seeds.take(list(range(len(seeds))) * len(scales))
    scale = torch.tensor(scales, dtype=seeds.dtype, device=seeds.device).repeat_interleave(len(seeds))
    data = digits(members, n=samples, n_test=1)
    net = MLP((64, *[width] * hidden, 10), norm=layer_of(norm))
    parameters = scaled(net, members, scale)
    weights = [weight.requires_grad_() for weight, *_ in net.layers(parameters)[1:-1]]
    gradients = torch.autograd.grad(cross_entropy(net(parameters, data.x), data.y).sum(), weights)
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients], dim=1)
    growth = (norms[:, 0] / norms[:, -1]) ** (1 / (norms.shape[1] - 1))
    growth = growth.view(len(scales), len(seeds)).T
    return Rows(win=((growth - EXPLOSION).abs() < within).all(dim=1), growth=growth)


def test_gradients_explode_whatever_the_scale(judge):
    """At initialisation, 20 hidden layers of width 64, 128 digits, hidden He weights times 0.1, 1 or 10.

    The norm of the weights' gradient grows by √(π / (π − 1)) = 1.211 a layer towards the input, within 0.05.
    """
    judge(explodes).supports()


def test_control_gradients_without_batch_norm(judge):
    """At He's scale."""
    judge(explodes, norm="none", scales=(1.0,)).refutes()


# -- exactly: the scale cancels ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """The exponents k of the factors 2^k, one a hidden layer, and the seed of data and weights."""

    exponents: tuple[int, int, int]
    seed: int = 0


Layer = Callable[[int], nn.Module]
"""What follows the weights, for a number of units."""

TO_ROUNDING = 1e-9

NEGLIGIBLE = 2.0**-1000
"""An epsilon that no variance here notices; torch's batch norm refuses 0."""


def batch_norm_layer(units: int, eps: float = NEGLIGIBLE) -> nn.Module:
    return parts().batch_norm_1d(units, eps=eps, dtype=torch.float64)


def run(
    world: World, factors: list[float], layer: Layer, *, corrected: bool, steps: int = 3
) -> tuple[list[float], list[Tensor]]:
    """The loss before each of a few steps of gradient descent, and the first gradient of the hidden weights.

    A corrected learning rate is c^2 times as large for weights that have been multiplied by c.
    """
    draws = Draws(world.seed)
    x, y = draws.normal("x", 8, 3), draws.normal("y", 8, 1)
    weights = [
        (factor * draws.normal(f"w.{place}", fan_in, 5)).requires_grad_()
        for place, (factor, fan_in) in enumerate(zip(factors, (3, 5, 5), strict=True))
    ]
    readout, norms = draws.normal("readout", 5, 1).requires_grad_(), [layer(5) for _ in factors]
    others = [readout, *(parameter for norm in norms for parameter in norm.parameters())]
    losses, first = [], []
    for _ in range(steps):
        h = x
        for weight, norm in zip(weights, norms, strict=True):
            h = norm(h @ weight).relu()
        loss = (h @ readout - y).square().mean()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, [*weights, *others])
        first = first or list(gradients[:3])
        rates = [0.05 * (factor**2 if corrected else 1) for factor in factors] + [0.05] * len(others)
        with torch.no_grad():
            for parameter, gradient, rate in zip([*weights, *others], gradients, rates, strict=True):
                parameter -= rate * gradient
    return losses, first


def forgets_the_scale(world: World, layer: Layer = batch_norm_layer, *, corrected: bool = True) -> Certificate:
    """Whether scaled weights give the same losses, and 1/c of the first gradient, to 1e-9 of them.

    Bit by bit, where products are added up in the same order twice, which is not to be asked for. In another order they
    are off by some 1e-15, which three steps of a net of five units do not make a million times as large.
    """
    factors = [2.0**k for k in world.exponents]
    losses, gradients = run(world, [1.0, 1.0, 1.0], layer, corrected=corrected)
    scaled_losses, scaled_gradients = run(world, factors, layer, corrected=corrected)
    same_losses = np.allclose(losses, scaled_losses, rtol=TO_ROUNDING, atol=0)
    same_gradients = all(
        (factor * scaled - gradient).abs().max() <= TO_ROUNDING * gradient.abs().max()
        for factor, scaled, gradient in zip(factors, scaled_gradients, gradients, strict=True)
    )
    return Certificate(same_losses and same_gradients, losses=losses, scaled_losses=scaled_losses)


def worlds() -> st.SearchStrategy[World]:
    """Three factors from 2^-10 to 2^10."""
    k = st.integers(-10, 10)
    return st.builds(World, st.tuples(k, k, k), seed=st.integers(0, 999))


@pytest.mark.property
def test_scale_cancels(judge):
    """Three hidden layers, their weights times 2ᵏ, k from −10 to 10 in each, float64, an epsilon of 2⁻¹⁰⁰⁰.

    With 4ᵏ times the learning rate the losses of three steps are the same to 1e-9, and the gradient is 2⁻ᵏ of what
    it was: multiplying by a power of two rounds nothing.
    """
    judge(forgets_the_scale, given=worlds()).supports()


@pytest.mark.property
def test_control_no_norm(judge):
    judge(forgets_the_scale, given=worlds(), example=World((1, 2, 3)), layer=lambda units: nn.Identity()).refutes()


@pytest.mark.property
def test_control_usual_epsilon(judge):
    """An epsilon of 1e-5 does not scale with the weights, and so remembers a little of their scale."""
    judge(
        forgets_the_scale, given=worlds(), example=World((1, 2, 3)), layer=partial(batch_norm_layer, eps=1e-5)
    ).refutes()


@pytest.mark.property
def test_control_one_learning_rate(judge):
    """The scale is forgotten by the function, but not by the speed of training."""
    judge(forgets_the_scale, given=worlds(), example=World((1, 2, 3)), corrected=False).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With batch norm every initial scale learns; without it only the right one does."""
    small, large = measured["control_without_batch_norm"], measured["control_without_batch_norm_too_large"]
    plain = np.hstack([small["train_error"][:, :2], large["train_error"]])
    draw.numbers(ax.xaxis, SCALES, log=True)
    draw.spread(ax, SCALES, measured["claim"]["train_error"], "batch norm")
    draw.spread(ax, (*SCALES[:2], 1, 2), plain, "without (control)")
    draw.level(ax, 0.9, "guessing")
    ax.set(
        xlabel="initial hidden weights, as a multiple of He's", ylabel="training error after 60 steps", ylim=(-0.04, 1)
    )
    draw.key(ax)
