"""Full batches end sharper than batches of two at the same rate, and flatter at a larger rate.

Slide: Small Batch vs Large Batch. Keskar et al. found flat minima at the end of training with small batches, sharp ones
with large batches, and held that against large batches. There are two objections, and both are tested.

Sharpness is no property of what a net computes. In a ReLU net, multiply what leads into a hidden layer by a factor f
and divide what leads out by it: the outputs are the same, and the curvature in the weights that lead out is f² times
what it was (Dinh et al. 2017). So any minimum has a twin as sharp as you like; Keskar's own measure, whose box has
sides of |w| + 1, tells the twins apart as well. Kwon et al. count steps in units of each weight's own size |w|, in
which twins are the same: factors f and f' of two weights turn their entry h of the Hessian into h / (f f'), and the
units into f |w| and f' |w'|. Here all factors are powers of two, so that scaling itself does not round, and what is
left is the order in which kernels add: 1e-9 of the larger number is far above it.

And it is not the batch alone. Noise grows with the rate over the batch (Jastrzębski et al. 2017), and the largest
curvature that gradient descent bears falls with the rate. So at one rate the batch decides, and at one batch the rate.

Nets are compared where their loss is the same: they stop below a loss of .3, and their last layer is then scaled until
it is .3. A seed is the geometric mean over a dozen pairs of nets, each of which has a data set of its own: from pair to
pair the effect varies as much as it is large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import two_moons
from claimlab.measure import curvature
from claimlab.measure.curvature import Parameters, hessian, in_units_of, own_sizes, rescaled, trace
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/small-batches-end-flat",
    covers=("H21",),
    slide="Small Batch vs Large Batch",
    version=1,
    finding="contested",
    says="Small batches take training to flat minima, large batches to sharp ones, and flat minima generalise better.",
    statement=(
        "Any minimum of a ReLU net has twins that compute the same and are as sharp as you like; in units of each "
        "weight's own size they are equally sharp. So measured, too, full batches end sharper on average than batches "
        "of two at the same rate and loss. But a full batch at ten times the rate ends flatter as well."
    ),
    reason=(
        "A weight's size is bookkeeping, and raw curvature depends on it. In what training does, batch and rate are "
        "mixed up: either makes minima flatter. Here the flat ones are not right on more of the fresh points."
    ),
    scope="two moons that overlap, 32 points, a net of 65 parameters, SGD without momentum, loss .3; float32",
    source=(
        "Keskar et al. 2017 (arXiv 1609.04836); against it Dinh et al. 2017 (1703.04933), Jastrzębski et al. 2017 "
        "(1711.04623); units: Kwon et al. 2021 (2102.11600)"
    ),
    evidence=Statistical(block=11),
)

SHARPER = 1.05
"""Minima are sharper than others if on average their curvatures add up to a twentieth more."""


# -- after training ---------------------------------------------------------------------------------------------------

Arm = tuple[int | None, float]
"""Batch and rate; no batch is the full one."""


def trial(
    seeds: Seeds,
    *,
    sharp: Arm = (None, 0.3),
    flat: Arm = (2, 0.3),
    pairs: int = 12,
    points: int = 32,
    noise: float = 0.3,
    width: int = 16,
    level: float = 0.3,
    most: int = 600,
    margin: float = SHARPER,
    factor: float = 1.0,
) -> Rows:
    """A seed draws data and initialisations of several pairs of nets that are trained for at most so many steps.

    The ratio of the sharp arm's trace of the Hessian to the flat arm's is a geometric mean over the pairs both of which
    arrive at the level of the loss; three in four must. A win is a ratio of the margin, in weights as they are and in
    units of their size. What leads into the hidden units of the flat nets is multiplied by a factor, and what leads
    out is divided by it.
    """
    each = replace(seeds, indices=tuple(pairs * index + pair for index in seeds.indices for pair in range(pairs)))
    world = two_moons(each, n=points, n_test=500, noise=noise)
    net = MLP((2, width, 1))
    traces, owns, right, arrived = [], [], [], []
    for (batch, rate), scaled in ((sharp, 1.0), (flat, factor)):
        fit = train(
            each, net, net.init(each), world.x, world.y, loss=logistic, optimizer=partial(parts().sgd, lr=rate),
            batch=batch, epochs=most * (batch or points) // points,
            goal=lambda logits, labels: logistic(logits, labels) < level, check_every=1 if batch else 4,
        )  # fmt: skip
        end = level_with(net, fit.parameters, world.x, world.y, level=level)
        end = rescaled(end, [torch.full((1,), scaled, dtype=seeds.dtype, device=seeds.device)])
        curved = hessian(lambda at: logistic(net(at, world.x), world.y), end)
        traces.append(trace(curved))
        owns.append(trace(in_units_of(own_sizes(end), curved)))
        right.append(accuracy(net(end, world.x_test), world.y_test))
        arrived.append(fit.met & ((logistic(net(end, world.x), world.y) - level).abs() < 0.01 * level))
    both = torch.stack(arrived).all(dim=0).view(-1, pairs)

    def ratio(of_sharp: Tensor, of_flat: Tensor) -> Tensor:
        logs = torch.where(both, (of_sharp / of_flat).log().view(-1, pairs), 0.0)
        return (logs.sum(dim=1) / both.sum(dim=1).clamp(min=1)).exp()

    raw, own = ratio(*traces), ratio(*owns)
    sharp_right, flat_right = (torch.where(both, share.view(-1, pairs), 0.0) for share in right)
    return Rows(
        win=(raw >= margin) & (own >= margin), premise=both.double().mean(dim=1) >= 0.75, raw=raw, own=own,
        more_right=(flat_right - sharp_right).sum(dim=1) / both.sum(dim=1).clamp(min=1),
    )  # fmt: skip


def level_with(net: MLP, parameters: Parameters, x: Tensor, y: Tensor, *, level: float) -> Parameters:
    """The nets with their outputs scaled until the loss is at the level."""
    outputs = net(parameters, x)
    return curvature.at_loss(lambda factor: logistic(factor[:, None, None] * outputs, y), parameters, level)


def test_claim(judge):
    """2-16-1 units, 32 points, SGD at rate .3, full batch against batches of two, at most 600 steps to a loss of .3.

    The Hessian's trace is a twentieth larger, raw and in units of own size, in the geometric mean of 12 pairs of nets.
    """
    judge(trial).supports()


def test_rate_instead_of_batch(judge):
    """Full batch in both arms: at rate .3 the traces are a twentieth larger than at rate 3, in the mean of 16 pairs."""
    judge(trial, flat=(None, 3.0), pairs=16).supports()


def test_control_almost_the_same_rate(judge):
    judge(trial, flat=(None, 0.33), pairs=4).refutes()


def test_control_twins_of_the_flat_ones(judge):
    """The nets that ended flat, rescaled by eight: they compute the same, and raw they are the sharper ones."""
    judge(trial, flat=(None, 3.0), pairs=4, factor=8.0).refutes()


# -- twins, exactly ---------------------------------------------------------------------------------------------------

Units = Callable[[Parameters], Parameters]

UNITS: Mapping[str, Units] = {
    "raw": lambda parameters: [torch.ones_like(parameter) for parameter in parameters],
    "own size": own_sizes,
    "Keskar's": lambda parameters: [parameter.abs() + 1 for parameter in parameters],
}
"""What a step is counted in."""


@dataclass(frozen=True)
class World:
    """A net with hidden layers of so many units, its points, and a seed of all numbers; what it is rescaled by."""

    hidden: tuple[int, ...] = (3, 2)
    points: int = 5
    seed: int = 0
    times: float = 1e6

    def net(self, *, rectified: bool) -> MLP:
        return MLP((2, *self.hidden, 1), activation=parts().relu if rectified else parts().tanh)

    def parameters(self) -> Parameters:
        draws, widths = Draws(self.seed), (2, *self.hidden, 1)
        shapes = [shape for fans in pairwise(widths) for shape in (fans, (1, fans[1]))]
        return [draws.normal(f"parameter {place}", 1, *shape) for place, shape in enumerate(shapes)]

    def data(self) -> tuple[Tensor, Tensor]:
        x = Draws(self.seed).normal("x", 1, self.points, 2)
        return x, (x[..., 0] > 0).long()

    def factors(self) -> list[Tensor]:
        """A power of two for each hidden unit."""
        draws = Draws(self.seed)
        return [
            2 ** draws.uniform(f"factor {place}", width, low=-4, high=5).floor()
            for place, width in enumerate(self.hidden)
        ]


def has_sharp_twin(world: World, *, units: Units = UNITS["raw"], rectified: bool = True) -> Certificate:
    """Whether a twin computes the same, and its trace and largest eigenvalue are as many times larger as is asked for.

    What leads out of the last hidden layer is divided by a factor whose square is at least that number times trace
    or eigenvalue, over the largest of these weights' own curvatures.
    """
    net, parameters, (x, y) = world.net(rectified=rectified), world.parameters(), world.data()
    raw = hessian(lambda at: logistic(net(at, x), y), parameters)
    readout = raw.diagonal(dim1=1, dim2=2)[0, -1 - world.hidden[-1] : -1].max()
    exponent = torch.ceil(
        torch.log2(world.times * torch.max(trace(raw), curvature.largest_eigenvalue(raw)) / readout) / 2
    )
    ones = [torch.ones(1, dtype=torch.float64) for _ in world.hidden[1:]]
    twin = rescaled(parameters, [*ones, 2**exponent])
    before, after = (
        in_units_of(units(at), hessian(lambda own: logistic(net(own, x), y), at)) for at in (parameters, twin)
    )
    traces = [float(trace(each)) for each in (before, after)]
    largest = [float(curvature.largest_eigenvalue(each)) for each in (before, after)]
    same = torch.allclose(net(twin, x), net(parameters, x), rtol=1e-9, atol=1e-9)
    rose = [after / before for before, after in (traces, largest)]
    # 1e-9: as much as rounding may take off what was asked for.
    sharp = min(rose) >= world.times * (1 - 1e-9)
    return Certificate(same and sharp, same=same, trace_rose=rose[0], largest_eigenvalue_rose=rose[1])


def same_for_twins(world: World, *, units: Units = own_sizes, reach: float = 0.1, steps: int = 8) -> Certificate:
    """Whether twins, each unit of which has a factor of its own, agree in trace, in largest eigenvalue and in how much
    the loss rises by each of some steps within a box whose sides are `reach` units.
    """
    net, parameters, (x, y) = world.net(rectified=True), world.parameters(), world.data()
    measured = []
    for at in (parameters, rescaled(parameters, world.factors())):
        curved = in_units_of(units(at), hessian(lambda own: logistic(net(own, x), y), at))
        numbers = [trace(curved), curvature.largest_eigenvalue(curved)]
        for step in range(steps):
            aside = [
                unit * Draws(world.seed).uniform(f"step {step} {place}", *unit.shape, low=-reach, high=reach)
                for place, unit in enumerate(units(at))
            ]
            numbers.append(logistic(net(curvature.moved(at, aside, 1.0), x), y))
        measured.append(torch.cat(numbers))
    before, after = measured
    return Certificate(torch.allclose(before, after, rtol=1e-9, atol=1e-9), before=before, after=after)


def is_alive(world: World) -> bool:
    """Whether a unit of the last hidden layer is on for one of the points: else no twin differs there."""
    *_, last, _ = world.net(rectified=True).pre_activations(world.parameters(), world.data()[0])
    return bool((last > 0.01).any())


def worlds() -> st.SearchStrategy[World]:
    """Nets of one or two hidden layers of 2 to 4 units, 3 to 6 points."""
    hidden = st.lists(st.integers(2, 4), min_size=1, max_size=2).map(tuple)
    times = st.sampled_from([1e3, 1e6, 1e9])
    return st.builds(World, hidden, st.integers(3, 6), st.integers(0, 999), times).filter(is_alive)


@pytest.mark.property(examples=12)
def test_twins_as_sharp_as_asked(judge):
    """A thousand, a million or a billion times the trace and the largest eigenvalue; one or two hidden layers."""
    judge(has_sharp_twin, given=worlds()).supports()


@pytest.mark.property(examples=12)
def test_twins_are_the_same_in_own_units(judge):
    """Factors from 1/16 to 16, one a unit: trace, largest eigenvalue and the loss after eight steps within .1 units."""
    judge(same_for_twins, given=worlds()).supports()


@pytest.mark.property(examples=12)
def test_control_no_sharp_twin_in_own_units(judge):
    judge(has_sharp_twin, given=worlds(), example=World(), units=own_sizes).refutes()


@pytest.mark.property(examples=12)
def test_control_tanh(judge):
    """A tanh is not homogeneous: rescaled, the net computes something else."""
    judge(has_sharp_twin, given=worlds(), example=World(), rectified=False).refutes()


@pytest.mark.property(examples=12)
@pytest.mark.parametrize("units", ["raw", "Keskar's"], ids=["raw", "keskar"])
def test_control_twins_differ(judge, units):
    judge(same_for_twins, given=worlds(), example=World(), units=UNITS[units]).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Full batches end sharper than batches of two, and than full batches at a larger rate; twins turn raw sharpness
    round, and leave that in units of own size as it was.
    """
    others = {
        "than batches of 2": "claim",
        "than a full batch at\nten times the rate": "rate_instead_of_batch",
        "than twins of those\n(control)": "control_twins_of_the_flat_ones",
    }
    draw.numbers(ax.yaxis, (0.03, 0.1, 0.3, 1, 2), log=True)
    units = {"in units of own size": "own", "raw": "raw"}
    draw.columns(
        ax,
        {name: {unit: measured[test][key] for unit, key in units.items()} for name, test in others.items()},
    )
    draw.level(ax, 1, "equally\nsharp")
    ax.set(ylabel="how many times sharper\na full batch ends")
    ax.legend(loc="lower left")
