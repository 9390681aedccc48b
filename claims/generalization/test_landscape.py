"""Pictures of a landscape can be compared if their steps are as long as the net's own filters.

Slide: Geometry of the loss. The pictures that the deck links to show a net's loss along random directions. How steep it
looks depends on how long a step is, and that on how the weights are scaled, which a net's outputs do not show: what
leads into a layer of ReLU units may be multiplied by a number and what leads out divided by it, and what leads into a
unit with batch norm may be multiplied by any number. Li et al. 2018 make every filter of a direction, which is what
leads into one unit, as long as the net's own; as their code does by default, biases and norms stay where they are. Then
a slice is the same for all those twins: in a layer with factor f a filter is f times as long and so is its step.

Filter lengths do not undo everything. If each unit of a plain ReLU net has a factor of its own, the filters of the next
layer change direction and not only length. Nor is the straight line between two nets the same for their twins.

The drawing has such a line, from a good minimum to a poisoned one that began as the same net, and off it steps in
lengths of the filters of the net on the line. It shows a wide valley that narrows.

Factors are powers of two, so that scaling does not round; slices then agree but for the order in which kernels add,
which 1e-9 of a loss is far above. Batch norm's epsilon is 2⁻¹⁰⁰⁰: with the usual one it forgets scales only nearly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Seeds, draw
from claimlab.data.moons import poisoned_moons
from claimlab.measure.curvature import Parameters, at_loss, filter_normalised, moved, rescaled
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/landscapes-need-filter-lengths",
    covers=("H27",),
    slide="Geometry of the loss",
    version=1,
    finding="scoped",
    says="The geometry of the loss around a minimum can be looked at along random directions.",
    statement=(
        "Slices of a loss along random directions, each of whose filters is as long as the net's own, do not change "
        "when layers of a ReLU net, or filters that lead into batch norm, are rescaled. Raw slices change although the "
        "net computes the same. So do filter-normalised ones when each unit of a net without batch norm has a factor "
        "of its own."
    ),
    reason=(
        "A filter's step grows with the filter. A factor for each unit divides the next layer's weights one by one, "
        "which turns its filters as well."
    ),
    scope="weights move, biases and norms stay; batch norm without epsilon; float64. The drawing: one pair of nets",
    source="Li et al. 2018 (arXiv 1712.09913), section 4; twins: Dinh et al. 2017 (arXiv 1703.04933)",
    evidence=Property(examples=20),
)

NO_EPSILON = 2.0**-1000
"""No variance here notices it; torch's batch norm refuses 0."""

LENGTHS = (-1.0, -0.5, -0.1, 0.1, 0.5, 1.0)
"""Lengths of steps."""


# -- slices, exactly --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A net with hidden layers of so many units, its points, and a seed of all numbers."""

    hidden: tuple[int, ...] = (3, 2)
    points: int = 6
    seed: int = 0

    def net(self, *, normed: bool) -> MLP:
        norm = partial(parts().batch_norm_1d, eps=NO_EPSILON, dtype=torch.float64)
        return MLP((2, *self.hidden, 1), norm=norm if normed else None)

    def drawn(self, net: MLP, name: str) -> Parameters:
        """As many normal numbers as the net has parameters."""
        shapes = [each.shape for each in net.init(Seeds("", 0, "worlds", (0,), dtype=torch.float64))]
        return [Draws(self.seed).normal(f"{name} {place}", *shape) for place, shape in enumerate(shapes)]

    def factors(self, *, each_unit: bool) -> list[Tensor]:
        """A power of two, between 1/16 and 16, for each hidden unit or for each hidden layer."""
        draws = Draws(self.seed)
        return [
            2 ** draws.uniform(f"factor {place}", width if each_unit else 1, low=-4, high=5).floor()
            for place, width in enumerate(self.hidden)
        ]


Twin = Literal["layers", "filters into batch norm", "units"]
Steps = Literal["filter-normalised", "raw", "towards another net"]


def same_slice(world: World, *, twin: Twin = "layers", steps: Steps = "filter-normalised") -> Certificate:
    """Whether a net and its twin compute the same and have the same losses after six steps in a random direction.

    What is rescaled are layers or units of a ReLU net, or the filters that lead into batch norm. Steps are made as long
    as the net's filters, or left as they are; or they go towards another net, the same for both.
    """
    normed = twin == "filters into batch norm"
    net = world.net(normed=normed)
    x = Draws(world.seed).normal("x", 1, world.points, 2)
    y = (x[..., 0] > 0).long()
    original, direction = world.drawn(net, "parameter"), world.drawn(net, "direction")
    factors = world.factors(each_unit=twin != "layers")
    is_weight = {id(weight) for weight, *_ in net.layers(original)}
    weights = [place for place, each in enumerate(original) if id(each) in is_weight]
    if normed:
        other = list(original)
        for place, factor in zip(weights, factors, strict=False):  # the last filters lead into no norm
            other[place] = original[place] * factor
    else:
        other = rescaled(original, factors)
    outputs, slices = [], []
    for at in (original, other):
        aside = [torch.zeros_like(each) for each in at]
        for place in weights:
            way = direction[place]
            if steps == "filter-normalised":
                (way,) = filter_normalised([way], [at[place]])
            aside[place] = way - at[place] if steps == "towards another net" else way
        outputs.append(net(at, x))
        slices.append(torch.cat([logistic(net(moved(at, aside, length), x), y) for length in LENGTHS]))
    same = torch.allclose(*outputs, rtol=1e-9, atol=1e-9)
    alike = torch.allclose(*slices, rtol=1e-9, atol=1e-9)
    return Certificate(same and alike, same=same, slice=slices[0], of_twin=slices[1])


def worlds() -> st.SearchStrategy[World]:
    """Nets of one or two hidden layers of 2 to 4 units, 4 to 8 points."""
    hidden = st.lists(st.integers(2, 4), min_size=1, max_size=2).map(tuple)
    return st.builds(World, hidden, st.integers(4, 8), st.integers(0, 999))


def test_claim(judge):
    """Nets of one or two hidden layers of 2 to 4 ReLU units; each layer has a factor from 1/16 to 16."""
    judge(same_slice, given=worlds()).supports()


def test_filters_into_batch_norm(judge):
    """Each filter that leads into batch norm has a factor of its own, from 1/16 to 16."""
    judge(same_slice, given=worlds(), twin="filters into batch norm").supports()


@pytest.mark.parametrize("twin", ["layers", "filters into batch norm"], ids=["layers", "batch-norm"])
def test_control_raw_directions(judge, twin):
    judge(same_slice, given=worlds(), example=World(), twin=twin, steps="raw").refutes()


def test_control_a_factor_for_each_unit(judge):
    """In a ReLU net without batch norm: filter lengths do not make up for it."""
    judge(same_slice, given=worlds(), example=World(), twin="units").refutes()


def test_control_line_to_another_net(judge):
    """The straight line between two nets depends on how either is scaled."""
    judge(same_slice, given=worlds(), example=World(), steps="towards another net").refutes()


# -- the landscape between a good and a poisoned minimum --------------------------------------------------------------

ALONG = tuple(step / 16 for step in range(-4, 21))
"""How far on the way from the good net to the poisoned one."""
ASIDE = tuple(step / 10 for step in range(-6, 7))
"""How far off that line, in lengths of the filters of the net there."""
SIDE = tuple(step / 3 for step in range(-7, 8))
"""Where the outputs are looked at, along either input."""


def arrived(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether all answers are right with a loss below .05."""
    return interpolates(logits, labels) & (logistic(logits, labels) < 0.05)


def landscape(*, shuffled: bool = True, points: int = 30, width: int = 18, steps: int = 600) -> Certificate:
    """Whether two nets fit thirty points alike, one of which is wrong on a twentieth more of the fresh ones, and the
    loss .2 filter lengths aside is at least twice as high for that one.

    It is trained on thirty more points first, whose labels are shuffled or their own. Both then train on the thirty
    alone until they have arrived, and their last layer is scaled until the loss is .05.
    """
    seeds = Seeds(CLAIM.id, CLAIM.version, "drawing", (0,), dtype=torch.float64)
    world = poisoned_moons(seeds, n=points, poison=points)
    x, y = world.x[:, :points], world.y[:, :points]
    y_all = world.y if shuffled else torch.cat([y, y], dim=1)  # the first half of either is of one moon
    net = MLP((2, width, width, 1))
    fit = partial(train, seeds, net, loss=logistic)
    adam, slow_adam = (partial(parts().adam, lr=rate) for rate in (0.015, 0.003))
    minima = []
    for inputs, labels, goal in ((x, y, arrived), (world.x, y_all, None)):
        first = fit(net.init(seeds), inputs, labels, optimizer=adam, epochs=steps, goal=goal)
        end = fit(first.parameters, x, y, optimizer=slow_adam, epochs=4000, goal=arrived)
        outputs = net(end.parameters, x)
        minima.append(at_loss(lambda f, o=outputs: logistic(f[:, None, None] * o, y), end.parameters, 0.05))
    good, bad = minima
    shares = torch.tensor(ALONG, dtype=torch.float64)[:, None, None]
    line = moved(good, [b - g for g, b in zip(good, bad, strict=True)], shares)  # a net for every share, as seeds are
    across = filter_normalised([seeds.normal(f"across {place}", *g.shape[1:]) for place, g in enumerate(good)], line)
    many, labels = x.expand(len(ALONG), -1, -1), y.expand(len(ALONG), -1)
    sheet = torch.stack([logistic(net(moved(line, across, length), many), labels) for length in ASIDE])
    squares = torch.cartesian_prod(*2 * [torch.tensor(SIDE, dtype=torch.float64)])[None]
    shown = [ALONG.index(share) for share in (0, 0.5, 1)]
    answers = net([each[shown] for each in line], squares.expand(len(shown), -1, -1))
    regions = answers.view(len(shown), len(SIDE), len(SIDE)).mT.clamp(-3, 3)
    right = [interpolates(net(at, x), y).item() for at in minima]
    fresh = [float(accuracy(net(at, world.x_test), world.y_test)) for at in minima]
    beside = sheet[[ASIDE.index(-0.2), ASIDE.index(0.2)]].mean(dim=0)
    beside_good, beside_bad = (float(beside[ALONG.index(share)]) for share in (0, 1))
    ridge = float(sheet[ASIDE.index(0), ALONG.index(0) : ALONG.index(1)].max())
    return Certificate(
        all(right) and fresh[1] <= fresh[0] - 0.05 and beside_bad >= 2 * beside_good,
        right=right, fresh=fresh, beside_good=beside_good, beside_bad=beside_bad, ridge=ridge,
        sheet=sheet.clamp(max=9).tolist(), regions=regions.tolist(), x=x[0].tolist(), y=y[0].tolist(),
    )  # fmt: skip


@pytest.mark.exact
def test_landscape_between_minima(judge):
    """2-18-18-1 units, 600 steps of Adam, 30 points, one fixed draw: both fit them with a loss of .05; one is poisoned.

    That one is wrong on a twentieth more of 1000 fresh points, and .2 filter lengths off the line between them the loss
    is at least twice as high beside it.
    """
    judge(landscape).supports()


@pytest.mark.exact
def test_control_landscape_without_poison(judge):
    """Thirty more points with their own labels."""
    judge(landscape, shuffled=False, steps=300).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A good minimum lies in a wide valley, which narrows towards a poisoned one: the loss on the line between them and
    off it, with contours from .1 to 2.8. Above, what nets on the line answer, and the points that both have fitted.
    """
    seen = measured["landscape_between_minima"]
    levels = [0, 0.1, 0.2, 0.35, 0.7, 1.4, 2.8, 9]
    ax.contourf(ALONG, ASIDE, seen["sheet"], levels, cmap="Blues", alpha=0.8)
    ax.contour(ALONG, ASIDE, seen["sheet"], levels[1:-1], colors="0.4", linewidths=0.6)
    wide, high, middle = 0.14, 0.36, 1.02
    for share, outputs in zip((0, 0.5, 1), seen["regions"], strict=True):
        across, up = ([at + size * place / SIDE[-1] for place in SIDE] for at, size in ((share, wide), (middle, high)))
        ax.plot([share, share], [0, middle - high], color="0.4", linewidth=0.6)
        ax.contourf(across, up, outputs, [-4, 0, 4], colors=["C0", "C1"], alpha=0.35)
        for label, style in ((0, "C0o"), (1, "C1o")):
            x = seen["x"][seen["y"] == label] / SIDE[-1]
            ax.plot(share + wide * x[:, 0], middle + high * x[:, 1], style, markersize=2.5)
    ax.plot(ALONG, [0 for _ in ALONG], color="0.4", linewidth=0.6)
    draw.dots(ax, [0, 1], [0, 0], style="blackx")
    good, bad = (f"{share:.0%} of fresh points right" for share in seen["fresh"])
    draw.names(ax.xaxis, [f"good minimum\n{good}", "half way", f"poisoned minimum\n{bad}"], at=(0, 0.5, 1))
    draw.numbers(ax.yaxis, (-0.5, 0, 0.5))
    ax.set(xlim=(ALONG[0], ALONG[-1]), ylim=(ASIDE[0], middle + high + 0.02))
    ax.set_ylabel("off the line,\nin filter lengths", loc="bottom")
    ax.grid(visible=False)
