"""Weight norm can start with every unit standardised on a batch of data.

Slide: Weight Normalization. Before training one batch is sent through the net, layer by layer. Where a unit's
t = v x / ||v|| has the mean mu and the standard deviation sigma over that batch, its length is set to g = 1 / sigma and
its bias to b = -mu / sigma, so that g t + b has mean 0 and variance 1 there, and the next layer is given that.

In a recurrent net one g and one b serve all time steps, and each step asks for its own. Take the smallest example, one
unit h' = relu(g h + b) that starts from h = -1 and from h = 1. The first step has mean 0 and variance 1 for b = 0 and
g = 1 or -1 and for nothing else. Either way it leaves h = 0 and h = 1, which the second step needs g = 2 or -2 for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.data.digits import digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import cross_entropy
from claimlab.measure.rounding import linear, moments
from claimlab.nets import MLP
from claimlab.parts import lift, lift_weights, parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/data-dependent-init-standardises",
    covers=("F15",),
    slide="Weight Normalization",
    version=3,
    finding="scoped",
    says="It is better to start the lengths and biases of weight norm from data with care, which RNNs cannot do.",
    statement=(
        "Setting lengths and biases from one batch gives every unit mean 0 and variance 1 on that batch, exactly, and "
        "on another batch nearly. A deep net then trains far faster than from torch's default start, and a shallow "
        "one slower. A recurrent unit would need other settings at every step."
    ),
    reason="Standardising is exact on the batch it was done on. It is worth much in a deep net, in which the signal of "
    "the default start fades from layer to layer. In a shallow one nothing fades, and there the default start reaches "
    "less than half the loss, though both learn. Steps that share g and b ask for different ones.",
    scope=(
        "dense ReLU nets; better than torch's default (weights and biases uniform within 1 / √fan-in, g = ‖v‖), not "
        "than every other start, and in training loss after 30 steps, not in generalisation; identities in float64"
    ),
    source="Salimans and Kingma 2016 (arXiv 1602.07868), section 3",
    evidence=Property(examples=20),
)

LENGTHS, DIRECTIONS = "parametrizations.weight.original0", "parametrizations.weight.original1"


@dataclass(frozen=True)
class World:
    """A net of equally wide layers, a batch of inputs and how large they are, and the seed of it all."""

    depth: int = 3
    width: int = 8
    batch: int = 32
    scale: float = 1.0
    seed: int = 0


def batch_of(world: World, *, second: bool = False) -> Tensor:
    """A batch of inputs `[N, width]`, normal, with mean and standard deviation `scale`; `second` is another one."""
    return world.scale * (1 + Draws(world.seed).normal(f"x.{second:d}", world.batch, world.width))


def net_of(world: World) -> list[nn.Module]:
    """Layers with weight norm as torch starts them: v uniform within 1 / sqrt(fan-in), g = ||v||, biases like v."""
    draws, net = Draws(world.seed), []
    for place in range(world.depth):
        layer = nn.Linear(world.width, world.width, dtype=torch.float64)
        uniform = draws.uniform(f"layer.{place}", world.width, world.width + 1, low=-1) / math.sqrt(world.width)
        layer.load_state_dict({"weight": uniform[:, 1:], "bias": uniform[:, 0]})
        net.append(parts().weight_norm(layer))
    return net


def as_it_is(net: list[nn.Module], x: Tensor) -> None:
    """Set nothing from the data."""


def from_data(net: list[nn.Module], x: Tensor) -> None:
    """Give every unit the length and the bias that standardise it on the inputs `[N, width]`."""
    for layer in net:
        v = layer.state_dict()[DIRECTIONS]
        t = x @ (v / torch.linalg.vector_norm(v, dim=1, keepdim=True)).T
        sigma, mu = torch.std_mean(t, dim=0, correction=0)
        layer.load_state_dict({LENGTHS: 1 / sigma[:, None], DIRECTIONS: v, "bias": -mu / sigma})
        x = layer(x).detach().relu()


def starts_standardised(
    world: World, start: Callable[[list[nn.Module], Tensor], None] = from_data, other_batch: bool = False
) -> Certificate:
    """Whether every unit of every layer has mean 0 and variance 1 over the batch, up to rounding.

    mu and sigma are off by what t is and by their own rounding, in units of sigma by what w x = z - b allows; then z is
    off once more, and its mean and deviation too. The variance is off by twice what its root is.
    """
    x = batch_of(world)
    net = net_of(world)
    start(net, x)
    x = batch_of(world, second=True) if other_batch else x
    holds, means, deviations = True, [], []
    for layer in net:
        z = layer(x).detach()
        var, mean = torch.var_mean(z, dim=0, correction=0)
        bias = layer.get_parameter("bias").detach()
        products = linear(x, weights(layer), bias, before=world.width + 6)
        allowed = 2 * (2 * products.max() + (moments(z, dim=0) + moments(z - bias, dim=0)).max())
        holds &= bool((mean.abs() <= allowed).all() and ((var - 1).abs() <= allowed).all())
        means.append(mean.abs().max())
        deviations.append(var.mean().sqrt())
        x = z.relu()
    return Certificate(holds, largest_mean=means, standard_deviation=deviations)


def signal_through_one_net() -> Certificate:
    """Whether in a net of eight layers of 16 units, and batches of 256, the standard deviation is 1 in all layers on
    the batch, within a quarter of 1 on another batch, and below a half in the last layer by default.
    """
    world = World(depth=8, width=16, batch=256)
    same, another = starts_standardised(world), starts_standardised(world, other_batch=True)
    default = starts_standardised(world, start=as_it_is)
    from_data, another_batch, by_default = (c.numbers["standard_deviation"] for c in (same, another, default))
    near = all(0.75 <= deviation <= 1.25 for deviation in another_batch)
    return Certificate(
        same.holds and near and bool(by_default[-1] < 0.5),
        from_data=from_data, another_batch=another_batch, by_default=by_default,
    )  # fmt: skip


def weights(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight.detach()


# -- the recurrent net ------------------------------------------------------------------------------------------------

Setting = tuple[Fraction, Fraction]
"""A length g and a bias b."""


def settings(t: list[Fraction]) -> list[Setting]:
    """All g and b for which g t + b has mean 0 and variance 1: two, g = 1 / sigma and the negative of both.

    sigma of the two samples is half their distance.
    """
    low, high = t
    sigma, mu = abs(high - low) / 2, (low + high) / 2
    return [(1 / sigma, -mu / sigma), (-1 / sigma, mu / sigma)]


def standardised(t: list[Fraction], setting: Setting) -> bool:
    g, b = setting
    return sum(g * h + b for h in t) == 0 and sum((g * h + b) ** 2 for h in t) == len(t)


def a_setting_fits_both_steps(*, shared: bool) -> Certificate:
    """Whether some lengths and biases standardise two steps of h' = relu(g h + b) from h = -1 and h = 1.

    Every setting that does for the first step is tried, so if none of them does for the second, none there is.
    """
    start = [Fraction(-1), Fraction(1)]
    fitting, asked = [], []
    for first in settings(start):
        after = [max(first[0] * h + first[1], Fraction(0)) for h in start]
        for second in [first] if shared else settings(after):
            if standardised(start, first) and standardised(after, second):
                fitting.append((first, second))
        asked.append([[float(number) for number in setting] for setting in (first, *settings(after))])
    return Certificate(bool(fitting), fitting=len(fitting), first_then_second=asked)


# -- training ---------------------------------------------------------------------------------------------------------

Start = Literal["from_data", "by_default"]


@dataclass(frozen=True)
class Nets:
    """How many layers the nets have, and the learning rates of each start: the best one is to lie inside."""

    depth: int
    from_data: tuple[float, ...]
    by_default: tuple[float, ...]


DEEP = Nets(depth=6, from_data=(0.003, 0.01, 0.03, 0.1, 0.3), by_default=(0.03, 0.1, 0.3, 1.0, 3.0))
SHALLOW = Nets(
    depth=2, from_data=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4), by_default=(0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0)
)


@remembered
def trained(
    seeds: Seeds, nets: Nets, *, width: int = 24, samples: int = 128, steps: int = 30
) -> tuple[dict[Start, Tensor], Tensor]:
    """The training losses of each start at its rates, `[S, rates]`, and whether the start from data standardised.

    A seed draws the images and torch's initial weights; both starts have them in common, directions included.
    """
    data = digits(seeds, n=samples, n_test=1)
    mlp = MLP((64, *[width] * (nets.depth - 1), 10))
    activate, default = lift(mlp.activation), mlp.init(seeds, parts().torch_init)
    starts: dict[Start, list[Tensor]] = {"from_data": [], "by_default": []}  # v, g and b of every layer
    x, standardised = data.x, torch.ones(len(seeds), dtype=torch.bool, device=seeds.device)
    for v, b in zip(default[::2], default[1::2], strict=True):
        g = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        sigma, mu = torch.std_mean(x @ (v / g), dim=1, correction=0, keepdim=True)
        starts["from_data"] += [v, 1 / sigma, -mu / sigma]
        starts["by_default"] += [v, g, b]
        z = torch.baddbmm(-mu / sigma, x, lift_weights(parts().weight_norm, v, 1 / sigma))
        deviation, mean = torch.std_mean(z, dim=1, correction=0)
        # Far more than rounding, and far less than what another norm than that of a unit's weights makes of it.
        standardised &= ((mean.abs() < 0.05) & ((deviation - 1).abs() < 0.05)).all(dim=1)
        x = activate([], z)

    def net(parameters: list[Tensor], x: Tensor) -> Tensor:
        weights = [
            lift_weights(parts().weight_norm, v, g) for v, g in zip(parameters[::3], parameters[1::3], strict=True)
        ]
        return mlp([p for own in zip(weights, parameters[2::3], strict=True) for p in own], x)

    def loss(parameters: list[Tensor], rate: float) -> Tensor:
        optimizer = partial(parts().sgd, lr=rate, momentum=0.9)
        fit = train(seeds, net, parameters, data.x, data.y, loss=cross_entropy, optimizer=optimizer, epochs=steps)
        # A rate at which a seed diverges is not its best one.
        return cross_entropy(net(fit.parameters, data.x), data.y).nan_to_num(torch.inf)

    losses = {
        start: torch.stack([loss(parameters, rate) for rate in getattr(nets, start)], dim=1)
        for start, parameters in starts.items()
    }
    return losses, standardised


def trial(seeds: Seeds, *, nets: Nets = DEEP, better: Start = "from_data", by: float = 10.0) -> Rows:
    """A win: the start that is to be `better` has less than 1 / `by` of the other's training loss, at their best rates.

    The premise is that each best rate lies inside its grid (where every rate diverges it is the first), and that the
    start from data does standardise.
    """
    losses, premise = trained(seeds, nets)
    least, metrics = {}, {}
    for start, of_start in losses.items():
        least[start], place = of_start.min(dim=1)
        premise = premise & (place > 0) & (place < of_start.shape[1] - 1)
        metrics |= {f"loss_{start}": least[start], f"rate_{start}": torch.tensor(getattr(nets, start))[place.cpu()]}
    less = least.pop(better)
    (more,) = least.values()
    return Rows(win=by * less < more, premise=premise, **metrics)


def worlds() -> st.SearchStrategy[World]:
    """Up to five layers of 4 to 12 units, batches of 24 to 64."""
    return st.builds(
        World, st.integers(1, 5), st.integers(4, 12), st.integers(24, 64), st.sampled_from([1.0, 0.01, 100.0]),
        seed=st.integers(0, 499),
    )  # fmt: skip


def test_claim(judge):
    """Twenty nets of up to five ReLU layers of 4 to 12 units, batches of 24 to 64, float64: equal up to rounding."""
    judge(starts_standardised, given=worlds()).supports()


def test_control_as_torch_starts(judge):
    judge(starts_standardised, given=worlds(), example=World(), start=as_it_is).refutes()


def test_control_another_batch(judge):
    """There it holds only roughly."""
    judge(starts_standardised, given=worlds(), example=World(), other_batch=True).refutes()


@pytest.mark.exact
def test_a_setting_for_each_step(judge):
    """A unit h′ = relu(g h + b) from h = −1 and 1, in rational arithmetic: each step has a g and b of its own."""
    judge(a_setting_fits_both_steps, shared=False).supports()


@pytest.mark.exact
def test_control_one_setting_for_all_steps(judge):
    """What a recurrent net would need."""
    judge(a_setting_fits_both_steps, shared=True).refutes()


@pytest.mark.statistical
def test_deep_net_trains_faster(judge):
    """Six layers, 24 units in each hidden one, 128 digits, 30 steps of full-batch gradient descent with momentum 0.9.

    Each start at its best rate, of .003, .01, .03, .1 and .3 from data and .03, .1, .3, 1 and 3 by default, and never
    an end of these: from data less than a tenth of the default's training loss.
    """
    judge(trial).supports()


@pytest.mark.statistical
def test_control_shallow_net(judge):
    judge(trial, nets=SHALLOW).refutes()


@pytest.mark.statistical
def test_shallow_net_trains_slower(judge):
    """With two layers, all else the same but the rates: by default less than half the loss from data.

    The rates are .05, .1, .2, .4, .8, 1.6, 3.2 and 6.4 from data, and .5, 1, 1.5, 2, 3, 4.5 and 7 by default.
    """
    judge(trial, nets=SHALLOW, better="by_default", by=2.0).supports()


@pytest.mark.statistical
def test_control_deep_net_trains_slower(judge):
    judge(trial, better="by_default", by=2.0).refutes()


@pytest.mark.exact
def test_signal_through_one_net(judge):
    """The three starts of the figure: exact on the batch, near on another one, fading by default."""
    judge(signal_through_one_net).supports()


def figure(measured: Measured, ax: Axes) -> None:
    """From data every layer starts at deviation 1, and nearly so on another batch; by default the signal fades."""
    signal = measured["signal_through_one_net"]
    layers = range(1, len(signal["from_data"]) + 1)
    draw.curve(ax, layers, signal["from_data"], "from data, same batch")
    draw.curve(ax, layers, signal["another_batch"], "from data, another batch")
    draw.curve(ax, layers, signal["by_default"], "torch's default", style="C1")
    ax.set(xlabel="layer", ylabel="standard deviation over the batch", ylim=(0, None))
    draw.key(ax)
