"""In a deep net the first layer's gradient vanishes beside the last one's: with biases, or with sigmoid units.

Slide: Conditioning Issues. The deck says that the first layers of a deep net have the smaller gradient components. The
gradient of a layer's weights is made of what comes back to the layer, times what goes into it. Torch's initial weights
have the variance 1 / (3 fan-in): from layer to layer they shrink both, what comes back on its way down and what goes in
on its way up. For ReLU units, which let half through, the factor is √(1/6) a layer.

- Without biases nothing else happens, and the two factors make up for each other: what a layer is short of in the one
  it has more of in the other. A net of ReLUs without biases is linear in the weights W of each layer alone, so that
  the inner product of W with its gradient is, by Euler's theorem, the sum over all samples of the outputs times the
  loss's gradient by them: the same number in every layer. No layer lags behind; small weights make all of them vanish
  at once. Glorot & Bengio have as much for units that are symmetric and near linear, with weights like torch's and
  zero biases (equation 14: what comes back may vanish, the gradients of the weights are alike in all layers).
- Torch's biases keep the last layers alive. What goes into a layer is then about the same everywhere, and what comes
  back still shrinks on its way down. The same with sigmoid units, biases or not, whose outputs lie about a half.

He's initial weights, with zero biases, shrink neither what goes in nor what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/first-layers-have-vanishing-gradients",
    covers=("E1",),
    slide="Conditioning Issues",
    version=1,
    finding="scoped",
    says="In deep nets the gradient components of the first layers are smaller.",
    statement=(
        "With torch's initial weights and biases, the first layer's weight gradient in a net of thirty hidden layers "
        "is less than a thousandth of the last one's, for sigmoid, tanh and ReLU units. Without biases a ReLU net has "
        "no such gap: the inner product of weights and gradient is the same in every layer, and small weights make "
        "the gradients of all layers vanish at once."
    ),
    reason=(
        "Biases, and the constant half that sigmoid units put out, keep the last layers alive while what comes back "
        "shrinks on its way to the first. In a ReLU net without biases a layer that gets less back has larger inputs "
        "in return; and with He's initial weights and zero biases nothing shrinks."
    ),
    scope="weight gradients before training; nets 64 wide, cross-entropy on digits, float64",
    source="Glorot & Bengio 2010 (AISTATS), sections 4.2.1 and 4.2.2; Du, Hu & Lee 2018 (arXiv 1806.00900)",
    evidence=Statistical(block=11, dtype="float64"),
)

# A thousandth is what no learning rate common to both layers makes good; a factor of ten is nothing of that sort.
LAGS, EVEN = 1e-3, 10.0


def gradient_norms(
    seeds: Seeds, *, depth: int, width: int, images: int, activation: str, init: str, bias: bool
) -> Tensor:
    """The norm of the loss's gradient by the weights of every hidden layer, first to last: `[S, depth]`."""
    data = digits(seeds, n=images, n_test=1)
    net = MLP((64, *[width] * depth, CLASSES), parts().named(activation), bias=bias)
    parameters = [part.requires_grad_() for part in net.init(seeds, parts().named(init))]
    weights = [weight for weight, *_ in net.layers(parameters)[:-1]]
    loss = cross_entropy(net(parameters, data.x), data.y)
    gradients = torch.autograd.grad(loss.sum(), weights)
    return torch.stack([torch.linalg.vector_norm(gradient, dim=(1, 2)) for gradient in gradients], dim=1)


def first_layer_lags(
    seeds: Seeds,
    *,
    depths: tuple[int, ...] = (10, 20, 30),
    width: int = 64,
    images: int = 32,
    activation: str = "relu",
    init: str = "torch_init",
    bias: bool = True,
) -> Rows:
    """A seed draws the images and the initial weights and biases of a net of each depth.

    A win: the first hidden layer's gradient over the last one's falls to a tenth or less from depth to depth, and ends
    below a thousandth.
    """
    norms = [
        gradient_norms(seeds, depth=depth, width=width, images=images, activation=activation, init=init, bias=bias)
        for depth in depths
    ]
    ratios = torch.stack([each[:, 0] / each[:, -1] for each in norms], dim=1)
    falls = (10 * ratios[:, 1:] <= ratios[:, :-1]).all(dim=1)
    return Rows(win=falls & (ratios[:, -1] < LAGS), ratios=ratios, norms=norms[-1])


def no_layer_lags(
    seeds: Seeds,
    *,
    depth: int = 30,
    width: int = 64,
    images: int = 32,
    init: str = "he_init",
    bias: bool = True,
    vanished: float | None = None,
) -> Rows:
    """A win: the gradients of a ReLU net's first and last hidden layer differ by a factor of ten at most.

    If they are to have `vanished`, none may besides be larger than that share of the smallest in the same net with
    He's weights.
    """
    norms = gradient_norms(seeds, depth=depth, width=width, images=images, activation="relu", init=init, bias=bias)
    ratio = norms[:, 0] / norms[:, -1]
    win = (ratio <= EVEN) & (ratio >= 1 / EVEN)
    if vanished is not None:
        alive = gradient_norms(
            seeds, depth=depth, width=width, images=images, activation="relu", init="he_init", bias=bias
        )
        win &= norms.amax(dim=1) <= vanished * alive.amin(dim=1)
    return Rows(win=win, ratio=ratio, norms=norms)


@dataclass(frozen=True)
class World:
    """A net's widths, inputs first; its weights, inputs and targets are whole numbers from -3 to 3."""

    widths: tuple[int, ...]
    samples: int
    seed: int


def inner_product_is_the_same(world: World, *, activation: str = "relu", bias: bool = False) -> Certificate:
    """Whether the inner product of a layer's weights with their gradient is the same in all layers (squared error).

    With up to four inputs a unit and six layers no number on the way exceeds 2^53, so with ReLUs nothing is rounded,
    and the largest difference is exactly zero. Up to 1e-9 of the largest inner product is allowed none the less, so
    that no control is refuted by rounding.
    """
    draws = Draws(world.seed)

    def whole(name: str, *shape: int) -> Tensor:
        return draws.uniform(name, 1, *shape, low=-3, high=4).floor()

    net = MLP(world.widths, parts().named(activation), bias=bias)
    parameters = [
        whole(f"part{place}", *part.shape[1:]).requires_grad_()
        for place, part in enumerate(net.init(Seeds("", 0, "shapes", (0,), dtype=torch.float64)))
    ]
    x, y = whole("x", world.samples, world.widths[0]), whole("y", world.samples, world.widths[-1])
    weights = [weight for weight, *_ in net.layers(parameters)]
    gradients = torch.autograd.grad((net(parameters, x) - y).square().sum(), weights)
    inner = torch.stack([(w.detach() * gradient).sum() for w, gradient in zip(weights, gradients, strict=True)])
    off = inner.max() - inner.min()
    return Certificate(bool(off <= 1e-9 * inner.abs().max()), inner_products=inner, largest_difference=off)


DEEP = World((4, 4, 4, 4, 2), 2, 0)


def worlds() -> st.SearchStrategy[World]:
    """Up to five hidden layers of up to four units."""
    widths = st.lists(st.integers(1, 4), min_size=3, max_size=7).map(tuple)
    return st.builds(World, widths, st.integers(1, 3), st.integers(0, 9999))


# -- the first layer lags behind -----------------------------------------------------------------------------------


def test_claim(judge):
    """ReLU nets of 10, 20 and 30 hidden layers with torch's initial weights and biases, 32 images.

    First over last: each ten layers more make it a tenth or less, and at 30 it is below a thousandth. The factor
    √(1/6) a layer makes it some 1e-11.
    """
    judge(first_layer_lags).supports()


def test_tanh(judge):
    """The same with tanh: the factor is √(1/3) a layer."""
    judge(first_layer_lags, activation="tanh").supports()


def test_sigmoid(judge):
    """The same with sigmoid units, whose slope is a quarter at most."""
    judge(first_layer_lags, activation="sigmoid").supports()


def test_sigmoid_without_biases(judge):
    """Their outputs lie about a half, which keeps the last layers alive as biases do."""
    judge(first_layer_lags, activation="sigmoid", bias=False).supports()


@pytest.mark.parametrize(
    ("activation", "init", "bias"),
    [("relu", "torch_init", False), ("tanh", "torch_init", False), ("relu", "he_init", True)],
    ids=["relu_without_biases", "tanh_without_biases", "he_weights_and_zero_biases"],
)
def test_control(judge, activation, init, bias):
    """The gradients of all layers shrink alike without biases, and none with He's weights."""
    judge(first_layer_lags, activation=activation, init=init, bias=bias).refutes()


# -- no layer does -------------------------------------------------------------------------------------------------


def test_he_weights_and_zero_biases(judge):
    """Thirty hidden ReLU layers: first over last is between a tenth and ten."""
    judge(no_layer_lags).supports()


def test_control_torch_weights_and_biases(judge):
    judge(no_layer_lags, init="torch_init").refutes()


def test_without_biases_all_layers_vanish(judge):
    """Torch's initial weights, no biases: first over last between a tenth and ten, all below 1e-6 of the least of He's.

    Thirty factors √(1/6) would leave some 1e-12 of every layer's gradient.
    """
    judge(no_layer_lags, init="torch_init", bias=False, vanished=1e-6).supports()


@pytest.mark.parametrize(
    ("init", "bias"), [("torch_init", True), ("he_init", False)], ids=["with_biases", "with_he_weights"]
)
def test_control_all_layers_vanish(judge, init, bias):
    """With biases the last layer does not, and He's weights keep all of them alive."""
    judge(no_layer_lags, init=init, bias=bias, vanished=1e-6).refutes()


# -- why -----------------------------------------------------------------------------------------------------------


@pytest.mark.property(examples=60)
def test_inner_product_of_weights_and_gradient(judge):
    """ReLU nets without biases, up to five hidden layers, in whole numbers: exactly the same in every layer."""
    judge(inner_product_is_the_same, given=worlds()).supports()


@pytest.mark.property(examples=60)
def test_control_inner_product_with_biases(judge):
    """Then a layer's outputs are not proportional to its weights."""
    judge(inner_product_is_the_same, given=worlds(), example=DEEP, bias=True).refutes()


@pytest.mark.property(examples=60)
def test_control_inner_product_with_tanh(judge):
    judge(inner_product_is_the_same, given=worlds(), example=DEEP, activation="tanh").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With biases or sigmoid units the gradient vanishes towards the first layer; without biases, in all or in none."""
    nets = {
        "ReLU": "claim",
        "tanh": "tanh",
        "sigmoid": "sigmoid",
        "ReLU, He's weights, zero biases (control)": "control[he_weights_and_zero_biases]",
        "ReLU, no biases (control)": "control[relu_without_biases]",
    }
    ax.set(yscale="log")
    for label, test in nets.items():
        norms = measured[test]["norms"]
        draw.spread(ax, range(1, norms.shape[1] + 1), norms, label, marks=False)
    ax.set(xlabel="hidden layer, first to last", ylabel="norm of the weight gradient", xlim=(1, norms.shape[1]))
    draw.key(ax)
