"""Deeper plain nets have the higher training error.

Slide: Training Deeper ConvNets, which shows the training curves of He et al. on ImageNet: a plain net of 34 layers
stays above one of 18. That cannot be for want of a solution: a layer more, set to the identity, changes nothing that
comes out of ReLUs. So depth costs the optimizer, not the net.

Here both nets have 16 units in every layer, and meet with 32 digits. The deep net of forty hidden layers has the best
of six learning rates, of which a seed where it is behind shows that the smallest and the largest are hardly better
than the others; the net of two has one, and would be further ahead at a better one. All rates of a seed train in one
block: to weight a seed's loss by its rate, and step by the gradient, is what SGD with momentum does at that rate.

Is it slower, or is it worse? Ten times as many steps of SGD do not make it up. Adam does, given enough of them.

And why? Without normalisation signals and gradients wither with depth, which is one cause, and enough here. It was not
He et al.'s: their plain nets had batch norm, and they thought vanishing gradients unlikely. The second arm has batch
norm too. Its gradients are largest in the first layers (Yang et al. 2019), none vanish, and it is behind all the same;
that is said of few steps, not of many.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, ResidualMLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/deeper-plain-nets-train-worse",
    covers=("D9",),
    slide="Training Deeper ConvNets",
    version=1,
    finding="scoped",
    says="Deeper plain nets have a higher training error.",
    statement=(
        "A plain ReLU net with forty hidden layers ends SGD with momentum at a much higher training loss than a net "
        "with two, although it could compute the same. Neither ten times as many steps nor batch norm makes it up. "
        "Skip connections do, and so does Adam, with enough steps."
    ),
    reason=(
        "More layers can always compute what fewer do, so what is missing is a way there. Vanishing gradients "
        "are a way to miss it and not the only one: with batch norm the first layer's gradient is the larger, "
        "and the deep net is behind as well. What causes it in the ConvNets of He et al. is contested."
    ),
    scope="small data, fully connected nets of 16 units a layer, He's initialisation, full batch, float32",
    source="He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition (arXiv 1512.03385), section 4.1",
    evidence=Statistical(block=11),
)

FEW, MANY = 2, 40

# A quarter of what knowing nothing costs, which is log 10 nats.
WORSE = log(CLASSES) / 4


def net_of(hidden: int, *, skips: bool = False, norm: bool = False, width: int = 16) -> MLP:
    """The net with so many hidden layers."""
    widths = (64, *[width] * hidden, CLASSES)
    return ResidualMLP(widths) if skips else MLP(widths, norm=parts().batch_norm_1d if norm else None)


def trial(
    seeds: Seeds,
    *,
    more: int = MANY,
    skips: bool = False,
    norm: bool = False,
    images: int = 32,
    steps: int = 20,
    rate: float = 0.1,
    rates: tuple[float, ...] = (1e-5, 0.003, 0.01, 0.03, 0.1, 3.0),
) -> Rows:
    """A seed draws the images and the initialisations of two nets, one of which is deeper: it wins if it is behind.

    Premise: the shallow net has learned, and where the deep one is behind, neither end of its rates gains much. With
    batch norm, besides, that no gradient vanishes: at the start the first layer's is no smaller than the last's.
    """
    data = digits(seeds, n=images, n_test=0)
    arms = {"skips": skips, "norm": norm}
    shallow = losses(seeds, net_of(FEW, **arms), data.x, data.y, rates=(rate,), steps=steps)[:, 0]
    deep = net_of(more, **arms)
    ends = losses(seeds, deep, data.x, data.y, rates=rates, steps=steps)
    least = ends.amin(dim=1)
    behind = least - shallow >= WORSE
    tuned = ends[:, 1:-1].amin(dim=1) - least < WORSE / 10
    first, last = gradient_norms(deep, deep.init(seeds), data.x, data.y)
    premise = (shallow < WORSE) & (~behind | tuned)
    return Rows(
        win=behind,
        premise=premise & (first >= last) if norm else premise,
        shallow=shallow, deep=least, first_gradient=first, last_gradient=last,
    )  # fmt: skip


def losses(seeds: Seeds, net: MLP, x: Tensor, y: Tensor, *, rates: tuple[float, ...], steps: int) -> Tensor:
    """The training loss at the end at every rate, `[S, rates]`; one that is no number counts as infinite."""

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(len(rates), dim=0)

    weights = torch.tensor(rates, dtype=seeds.dtype, device=seeds.device).repeat(len(seeds))
    x, y = repeated(x), repeated(y)
    parameters = train(
        seeds.take(repeated(torch.arange(len(seeds)))), net, [repeated(start) for start in net.init(seeds)], x, y,
        loss=lambda logits, labels: weights * cross_entropy(logits, labels),
        optimizer=partial(parts().sgd, lr=1.0, momentum=0.9), epochs=steps,
    ).parameters  # fmt: skip
    return cross_entropy(net(parameters, x), y).nan_to_num(nan=torch.inf).reshape(len(seeds), len(rates))


def gradient_norms(net: MLP, parameters: list[Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The norm of the loss's gradient for the weights of the first and of the last hidden layer, `[S]` each."""
    parameters = [parameter.requires_grad_() for parameter in parameters]
    first, *_, last, _ = (weight for weight, *_ in net.layers(parameters))
    gradients = torch.autograd.grad(cross_entropy(net(parameters, x), y).sum(), [first, last])
    first, last = (gradient.flatten(1).norm(dim=1) for gradient in gradients)
    return first, last


def catches_up(seeds: Seeds, *, images: int = 32, rate: float = 0.002, steps: int = 2000) -> Rows:
    """The deep net is trained with Adam until its loss cannot be far behind any other, since no loss is below 0."""
    data, net = digits(seeds, n=images, n_test=0), net_of(MANY)
    fit = train(
        seeds, net, net.init(seeds), data.x, data.y,
        loss=cross_entropy, optimizer=partial(parts().adam, lr=rate), epochs=steps, goal=not_behind, check_every=10,
    )  # fmt: skip
    return Rows(win=fit.met, steps=fit.epochs)


def not_behind(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the loss is below what the claim calls worse, bool `[S]`."""
    return cross_entropy(logits, labels) < WORSE


def deepened(seeds: Seeds, *, activation: str = "relu", added: int = MANY - FEW) -> Rows:
    """The shallow net, and the deep one that is the same with layers of identity weights before its last.

    A win: both compute the same. The tolerance is for processors that round the factors of a product.
    """
    data = digits(seeds, n=32, n_test=0)
    shallow, deep = (replace(net_of(hidden), activation=parts().named(activation)) for hidden in (FEW, FEW + added))
    *body, weight, bias = shallow.init(seeds)
    unit = torch.eye(weight.shape[1], dtype=seeds.dtype, device=seeds.device).expand(len(seeds), -1, -1)
    same = [unit, torch.zeros_like(body[1])] * added
    difference = shallow([*body, weight, bias], data.x) - deep([*body, *same, weight, bias], data.x)
    largest = difference.abs().amax(dim=(1, 2))
    return Rows(win=largest < 0.01, difference=largest)


def test_claim(judge):
    """Two and forty hidden layers of 16 units, He's init, zero biases, 32 digits, 20 full-batch steps, momentum .9.

    At the best of the rates .00001, .003, .01, .03, .1 and 3 the loss of forty is larger than that of two at rate
    .1 by at least a quarter of log 10.
    """
    judge(trial).supports()


def test_ten_times_as_many_steps(judge):
    """The same with 200 steps, at the rates .00001, .001, .003, .01 and 3."""
    judge(trial, steps=200, rates=(1e-5, 0.001, 0.003, 0.01, 3.0)).supports()


def test_gradients_that_do_not_vanish(judge):
    """The same with batch norm, two layers at rate .3 and forty at .00001 to 30: the first layer's gradient is not the
    smaller one.
    """
    judge(trial, norm=True, rate=0.3, rates=(1e-5, 0.003, 0.03, 0.3, 30.0)).supports()


def test_adam_gets_there(judge):
    """With Adam at rate .002 the forty layers come below a quarter of log 10, so they are no longer behind by that."""
    judge(catches_up).supports()


def test_more_layers_can_compute_the_same(judge):
    """Thirty-eight layers of identity weights before the last change no output of a ReLU net."""
    judge(deepened).supports()


def test_control_skip_connections(judge):
    """The same depth and initial weights, with skip connections."""
    judge(trial, skips=True).refutes()


def test_control_one_layer_more(judge):
    """Three hidden layers are not behind two."""
    judge(trial, more=3).refutes()


def test_control_adam_with_few_steps(judge):
    judge(catches_up, steps=20).refutes()


def test_control_identity_layers_of_tanh(judge):
    judge(deepened, activation="tanh").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Forty plain layers end far above two, also with more steps or batch norm; with skip connections they do not."""
    arms = {
        "20 steps": "claim",
        "200 steps": "ten_times_as_many_steps",
        "20 steps,\nbatch norm": "gradients_that_do_not_vanish",
        "20 steps, skip\nconnections (control)": "control_skip_connections",
    }
    ax.set(yscale="log", ylabel="training loss (nats)")
    for place, test in enumerate(arms.values()):
        shallow, deep = measured[test]["shallow"], measured[test]["deep"]
        draw.runs(ax, (place - 0.2, place + 0.2), np.stack([shallow, deep], axis=1), style="0.6-")
        draw.dots(ax, place - 0.2, shallow, f"{FEW} hidden layers", width=0)
        draw.dots(ax, place + 0.2, deep, f"{MANY} hidden layers", style="C1s", width=0)
    draw.level(ax, log(CLASSES), "guessing: log 10", where="center")
    draw.names(ax.xaxis, arms)
    draw.key(ax)
