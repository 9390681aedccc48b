"""Nets that have learned true labels dampen noise and can be compressed; so can nets that are good for nothing.

Slide: Generalization bounds. Arora, Ge, Neyshabur & Zhang bound the error of a compressed net by how stable the net is
to noise. They ask of a layer with the matrix A for its cushion, the largest μ with

  μ |A| |h| ≤ |A h|   for the layer's input h of every training point,

where |A| is the Frobenius norm. What that says is exact and tested: noise without direction, as long as h in the mean
square, comes out 1 / (μ √d) times as long as A h, where d is the number of inputs. So a layer dampens noise if its
cushion is above 1 / √d, which is that of a matrix of random numbers.

Then a net learns digits with their labels, and its twin random ones from the same weights. Cushions, the noise that
comes out, and the rank to which the first matrix can be cut tell the two apart. They go together with generalization;
no more is shown. The twin has the larger cushions if it starts from smaller weights, and a net that has learned to say
the same of every image is compressed best. That contradicts no theorem, as it does so with its training images too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy, interpolates
from claimlab.nets import MLP
from claimlab.parts import lift, parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/compression",
    covers=("H33",),
    slide="Generalization bounds",
    version=1,
    finding="scoped",
    says="Nets that generalize are stable to noise and compress well, which gives stronger bounds.",
    statement=(
        "A net trained on true labels dampens noise, has larger layer cushions than its twin trained on random labels, "
        "and its first matrix can be cut to a lower rank. That goes together with generalization and does not make it: "
        "from smaller initial weights the twin has the larger cushions, and a net that calls every image the same "
        "compresses best."
    ),
    reason=(
        "What true labels teach is of low rank and lies where the inputs lie, so that these pass and noise without "
        "direction does not. But a cushion measures the whole matrix: one that began small is nearly all learned, "
        "whatever was learned."
    ),
    scope=(
        "64-64-64-10 ReLU units without biases, 200 images of digits, SGD at rate .05 until all are right; "
        "a mean over three layers, of which the first differs least; the authors' bound itself is not tested; float32"
    ),
    source="Arora, Ge, Neyshabur & Zhang 2018 (arXiv 1802.05296), who define the layer cushion",
    evidence=Statistical(block=11),
)

Labels = Literal["true", "random", "one"]


def cushions(weight: Tensor, inputs: Tensor) -> Tensor:
    """|A h| / (|A| |h|) for inputs h, `[S, N, fan_in]`, of a layer: `[S, N]`."""
    return (inputs @ weight).norm(dim=2) / (weight.norm(dim=(1, 2))[:, None] * inputs.norm(dim=2))


@dataclass(frozen=True, eq=False)
class Trained:
    """A net's weights, its images and labels, accuracy on new images, and who has all labels right."""

    weights: list[Tensor]
    x: Tensor
    y: Tensor
    right: Tensor
    met: Tensor


def net_of(weights: list[Tensor]) -> MLP:
    return MLP((weights[0].shape[1], *(weight.shape[2] for weight in weights)), bias=False)


def activated(units: Tensor) -> Tensor:
    return lift(parts().relu)([], units)


def inputs_of(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """What goes into each layer, `[S, N, fan_in]`."""
    return [x, *(activated(units) for units in net_of(weights).pre_activations(weights, x)[:-1])]


def cushions_of(fit: Trained, *, least: bool) -> Tensor:
    """Of each layer, the mean over images or the least, `[S, layers]`."""
    layers = zip(fit.weights, inputs_of(fit.weights, fit.x), strict=True)
    found = torch.stack([cushions(*layer) for layer in layers], dim=1)
    return found.amin(dim=2) if least else found.mean(dim=2)


@remembered
def trained(seeds: Seeds, labels: Labels, rate: float, scale: float, images: int = 200) -> Trained:
    """Whatever the labels, a seed has the same images and the same initial weights, which `scale` multiplies."""
    world = digits(seeds, n=images, n_test=300)
    noise = seeds.integers("labels", images, high=CLASSES)
    y = {"true": world.y, "random": noise, "one": noise[:, :1].expand(-1, images)}[labels]
    net = MLP((64, 64, 64, CLASSES), bias=False)
    fit = train(
        seeds, net, [scale * weight for weight in net.init(seeds, parts().he_init)], world.x, y, loss=cross_entropy,
        optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=300, batch=50, goal=interpolates,
    )  # fmt: skip
    return Trained(fit.parameters, world.x, y, accuracy(net(fit.parameters, world.x_test), world.y_test), fit.met)


def trial(
    seeds: Seeds, *, scale: float = 1.0, turned: bool = False, least: bool = False, more: float = 1.1,
    rate: float = 0.05,
) -> Rows:  # fmt: skip
    """A seed draws images, random labels and weights; `scale` multiplies the initial ones for the random labels.

    A win: the cushions, averaged over images and layers, are a tenth larger with true labels or, `turned`, with random
    ones; `least` takes the worst image. Premise: both nets fit all, and of new images most are right with true labels
    and few with random ones.
    """
    true, noise = trained(seeds, "true", rate, 1.0), trained(seeds, "random", rate, scale)
    of_layers = torch.stack([cushions_of(net, least=least) for net in (true, noise)], dim=1)
    mean = of_layers.mean(dim=2)
    large, small = (mean.flip(1) if turned else mean).unbind(1)
    return Rows(
        win=large > more * small, premise=true.met & noise.met & (true.right > 0.5) & (noise.right < 1 / 3),
        cushion=mean, of_layers=of_layers, right=torch.stack([true.right, noise.right], dim=1),
    )  # fmt: skip


def dampens(
    seeds: Seeds, *, labels: Labels = "true", gaussian: bool = False, most: float = 2 / 3, rate: float = 0.05
) -> Rows:
    """Noise a tenth as long as what goes into a layer, injected there: how long is what it changes of the outputs, as a
    share of a tenth of them? A win: at most two thirds, at either hidden layer.

    `gaussian` has random numbers for the trained ones, each matrix as long as before. Premise: all labels are right.
    """
    fit = trained(seeds, labels, rate, 1.0)
    weights = fit.weights
    if gaussian:
        others = [seeds.normal(f"gaussian.{place}", *weight.shape[1:]) for place, weight in enumerate(weights)]
        pairs = zip(others, weights, strict=True)
        weights = [one * (weight.norm(dim=(1, 2)) / one.norm(dim=(1, 2)))[:, None, None] for one, weight in pairs]
    passed = []
    for place, inputs in enumerate(inputs_of(weights, fit.x)[:-1]):
        noise = seeds.normal(f"noise.{place}", *inputs.shape[1:])
        noise *= 0.1 * inputs.norm(dim=2, keepdim=True) / noise.norm(dim=2, keepdim=True)
        rest = partial(net_of(weights[place:]), weights[place:])
        outputs = rest(inputs)
        passed.append(((rest(inputs + noise) - outputs).norm(dim=2) / (0.1 * outputs.norm(dim=2))).mean(dim=1))
    found = torch.stack(passed, dim=1)
    return Rows(win=(found <= most).all(dim=1), premise=fit.met, passed=found)


@remembered
def least_rank(fit: Trained, keep: float = 0.8) -> Tensor:
    """To which rank the first matrix can be cut so that four training labels in five are still right, `[S]`."""
    left, values, right = torch.linalg.svd(fit.weights[0], full_matrices=False)
    into, rest = fit.x @ left * values[:, None], partial(net_of(fit.weights[1:]), fit.weights[1:])
    units = (activated(into[:, :, :rank] @ right[:, :rank]) for rank in range(1, values.shape[1]))
    return 1 + torch.stack([accuracy(rest(cut), fit.y) < keep - 1e-3 for cut in units]).sum(dim=0)


def compresses(
    seeds: Seeds, *, labels: Labels = "true", than: Labels = "random", useless: bool = False, rate: float = 0.05
) -> Rows:
    """A win: the first matrix can be cut to less than two thirds of the rank that the other net needs, and the net is
    right about most new images, or, `useless`, about few. Premise: both nets fit all their labels.
    """
    net, other = (trained(seeds, each, rate, 1.0) for each in (labels, than))
    rank = torch.stack([least_rank(net), least_rank(other)], dim=1)
    told = net.right < 1 / 3 if useless else net.right > 0.5
    return Rows(win=(3 * rank[:, 0] < 2 * rank[:, 1]) & told, premise=net.met & other.met, rank=rank, right=net.right)


def test_claim(judge):
    """64-64-64-10 units, He's weights, rate .05, momentum .9, batches of 50, until all labels are right.

    The cushion, averaged over 200 images and three layers, is at least a tenth larger for true labels.
    """
    judge(trial).supports()


def test_turned_round_by_smaller_weights(judge):
    """A tenth of He's weights for the random labels: larger cushions by a tenth, and few new images right."""
    judge(trial, scale=0.1, turned=True).supports()


def test_control_smaller_weights(judge):
    judge(trial, scale=0.1).refutes()


def test_least_cushion(judge):
    """The cushion as it is defined, of the worst image, averaged over layers: a twentieth larger with true labels."""
    judge(trial, least=True, more=1.05).supports()


def test_dampens_noise(judge):
    """Noise of a tenth of the length, put in before either hidden layer: two thirds of it or less reach the outputs."""
    judge(dampens).supports()


@pytest.mark.parametrize("world", [{"gaussian": True}, {"labels": "random"}], ids=["gaussian", "random_labels"])
def test_control_passes_noise_on(judge, world):
    judge(dampens, **world).refutes()


def test_compresses(judge):
    """The rank that keeps four labels in five is less than two thirds of that for random labels."""
    judge(compresses).supports()


def test_useless_and_compressible(judge):
    """The same label for all images: less than two thirds of the rank for true ones, and few new images are right."""
    judge(compresses, labels="one", than="true", useless=True).supports()


def test_control_useless_and_not_compressible(judge):
    """A net of random labels is as useless, and needs more."""
    judge(compresses, labels="random", than="true", useless=True).refutes()


# -- what a cushion says ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A layer of so many inputs and units, and the seed of its matrix and of what goes in."""

    inputs: int = 3
    units: int = 2
    seed: int = 0


def worlds() -> st.SearchStrategy[World]:
    """Two to eight inputs, one to eight units."""
    return st.builds(World, inputs=st.integers(2, 8), units=st.integers(1, 8), seed=st.integers(0, 999))


def cushion_says_what_becomes_of_noise(
    world: World, *, along: Literal["every axis", "input"] = "every axis"
) -> Certificate:
    """Whether noise as long as the input comes out 1 / (μ √d) times as long as what comes of the input.

    Noise along all axes of a rotated frame in turn, whose mean square is that of any noise without direction; or along
    the input alone.
    """
    draws = Draws(world.seed)
    weight, x = draws.normal("w", world.inputs, world.units), draws.normal("x", world.inputs)
    frame = torch.linalg.qr(draws.normal("frame", world.inputs, world.inputs)).Q * x.norm()
    noise = frame if along == "every axis" else x[None]
    found = float((noise @ weight).norm(dim=1).square().mean().sqrt() / (x @ weight).norm())
    foretold = float(1 / (cushions(weight[None], x[None, None]) * world.inputs**0.5))
    return Certificate(abs(found / foretold - 1) < 1e-9, found=found, foretold=foretold)


@pytest.mark.property(examples=30)
def test_cushion_says_what_becomes_of_noise(judge):
    """Noise along every axis of a rotated frame, the root of the mean square."""
    judge(cushion_says_what_becomes_of_noise, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_control_noise_along_the_input(judge):
    """Noise that has the input's direction is not dampened by any layer."""
    judge(cushion_says_what_becomes_of_noise, given=worlds(), example=World(), along="input").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """True labels go with larger cushions than random ones from the same weights, and smaller weights turn it round."""
    same, smaller = (measured[test]["cushion"].T for test in ("claim", "turned_round_by_smaller_weights"))
    groups = {"the same initial weights": same, "a tenth of them for\nrandom labels": smaller}
    labels = "true labels", "random labels"
    draw.columns(ax, {name: dict(zip(labels, values, strict=True)) for name, values in groups.items()})
    draw.level(ax, 64**-0.5, "random\nmatrix")
    ax.set(ylabel="mean layer cushion")
    draw.key(ax)
