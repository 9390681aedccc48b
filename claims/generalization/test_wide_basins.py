"""Minima that generalise lie in wider basins than poisoned ones, also where rescaling a layer moves no measure.

Slide: Good and bad global minima. Train a net on thirty points of two moons, and another on the thirty and on more
whose labels are shuffled. Both are right on the thirty, and the second is wrong on many a new point: it has been taken
to a bad minimum of the thirty's loss. Wu, Zhu & E found that such minima have larger Hessians and smaller basins, and
took that to be why training misses them.

Two things would make the comparison worthless. The logistic loss flattens as it falls, so a bad net with larger
margins would look flat: both are taken to one loss on the thirty, first by training on these alone, then by scaling the
last layer. And raw curvature depends on how the weights are scaled (Dinh et al. 2017): a twin of the good net computes
the same and is sharper than the poisoned one. So curvature is measured in units of each weight's size, too, and the
basin by steps in random directions whose filters are as long as the net's own (Li et al. 2018). Its radius is where the
mean loss of ten directions comes to half of that of a guess. Where the good net trains on for as many steps as the
other, its raw curvature is not in every seed the smaller one; its basin is the wider one all the same.
"""

from __future__ import annotations

from functools import partial
from math import log
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.moons import poisoned_moons
from claimlab.measure import curvature
from claimlab.measure.curvature import Parameters
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/good-minima-lie-in-wide-basins",
    covers=("H26",),
    slide="Good and bad global minima",
    version=2,
    finding="scoped",
    says="Good minima lie in wide basins and bad ones in narrow basins, so training finds the good ones.",
    statement=(
        "Of two nets with one loss on thirty clean points, that which was trained on forty shuffled labels too lies in "
        "the narrower basin: steps two fifths as long, in lengths of its own filters, take it to half a guess's loss, "
        "and its curvature is at least 2.5 times as large. Raw curvature does not say so in general: a rescaled twin "
        "of the good net has more still."
    ),
    reason=(
        "Shuffled labels have to be fitted by steep turns between points that lie close together, and small steps "
        "in any direction move those."
    ),
    scope=(
        "two moons, nets with two hidden layers of 18 units, Adam, loss .05 on thirty points; float32. Whether it is "
        "the basins that lead training to good minima is not tested."
    ),
    source="Wu, Zhu & E 2017 (arXiv 1706.10239); twins: Dinh et al. 2017 (1703.04933); steps: Li et al. 2018",
    evidence=Statistical(block=11),
)

WIDER = 2.5
"""By what factor a basin must be wider, or a curvature smaller, to be called so."""

WORSE = 0.01
"""How many more fresh points a poisoned net is wrong on, at least. Most are on more than a tenth."""

RADII = tuple(0.02 * 1.2**step for step in range(28))
"""Lengths of steps, in lengths of a net's own filters: from .02 to 2.7."""


def trial(
    seeds: Seeds,
    *,
    points: int = 30,
    poison: int = 40,
    shuffled: bool = True,
    width: int = 18,
    rate: float = 0.015,
    last_rate: float = 0.003,
    steps: int = 1500,
    last_steps: int = 1500,
    stops: bool = True,
    level: float = 0.05,
    directions: int = 10,
    factor: float = 1.0,
    worse: float = WORSE,
    margin: float = WIDER,
    asked: Literal["all", "basin"] = "all",
) -> Rows:
    """A seed draws both sets of points, their labels, the initialisation of both nets, and the directions.

    Each net is trained for so many steps, the good one no longer than until it has arrived, if it `stops`; then at the
    last rate on the clean points alone until it has: it is right on all of them at the level of the loss. In the place
    of shuffled labels the other points may have their own. What leads into the first hidden layer of the good net is
    multiplied by a factor, and what leads out is divided by it. Asked is for the basin, or for all measures. Premise:
    the losses are the same, all clean points are right, and the poisoned net is worse.
    """
    world = poisoned_moons(seeds, n=points, poison=poison)
    own_labels = torch.arange(2, device=seeds.device).repeat_interleave(poison // 2).expand(len(seeds), poison)
    y_all = world.y if shuffled else torch.cat([world.y[:, :points], own_labels], dim=1)
    x, y = world.x[:, :points], world.y[:, :points]
    net, goal = MLP((2, width, width, 1)), partial(arrived, level=level)
    fit = partial(train, seeds, net, loss=logistic)
    first, last = (partial(parts().adam, lr=each) for each in (rate, last_rate))
    start = net.init(seeds)
    firsts = [
        fit(start, x, y, optimizer=first, epochs=steps, goal=goal if stops else None),
        fit(start, world.x, y_all, optimizer=first, epochs=steps),
    ]
    nets = []
    for each in firsts:
        there = fit(each.parameters, x, y, optimizer=last, epochs=last_steps, goal=goal).parameters
        outputs = net(there, x)
        nets.append(curvature.at_loss(lambda f, o=outputs: logistic(f[:, None, None] * o, y), there, level))
    factors = [torch.full((1,), scale, dtype=seeds.dtype, device=seeds.device) for scale in (factor, 1.0)]
    nets[0] = curvature.rescaled(nets[0], factors)
    curves = [losses_around(seeds, net, at, x, y, directions=directions) for at in nets]
    good, bad = (radius(curve) for curve in curves)
    narrower = {"wider": good / bad}
    if asked == "all":
        before, after = (curvatures(net, at, x, y) for at in nets)
        narrower |= {name: after[name] / before[name] for name in after}
    fresh, poisoned = (accuracy(net(at, world.x_test), world.y_test) for at in nets)
    in_place = [interpolates(net(at, x), y) & ((logistic(net(at, x), y) - level).abs() < 0.01 * level) for at in nets]
    return Rows(
        win=torch.stack(list(narrower.values())).amin(dim=0) >= margin,
        premise=in_place[0] & in_place[1] & (fresh - poisoned >= worse),
        fresh=fresh, poisoned=poisoned, good_curve=curves[0], bad_curve=curves[1], **narrower,
    )  # fmt: skip


def curvatures(net: MLP, at: Parameters, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The trace in units of own size; and raw, trace and largest eigenvalue, `[S]` each."""
    raw = curvature.hessian(lambda own: logistic(net(own, x), y), at)
    own = curvature.in_units_of(curvature.own_sizes(at), raw)
    return {"own": curvature.trace(own), "trace": curvature.trace(raw), "largest": curvature.largest_eigenvalue(raw)}


def arrived(logits: Tensor, labels: Tensor, *, level: float) -> Tensor:
    return interpolates(logits, labels) & (logistic(logits, labels) < level)


def losses_around(seeds: Seeds, net: MLP, at: Parameters, x: Tensor, y: Tensor, *, directions: int) -> Tensor:
    """The mean loss over random directions after a step of every radius, `[S, radii]`."""
    ways = [seeds.normal(f"direction {place}", directions, *each.shape[1:]) for place, each in enumerate(at)]
    own = [each.unsqueeze(1).expand_as(way) for each, way in zip(at, ways, strict=True)]
    aside = curvature.filter_normalised(ways, own)
    many, labels = x.repeat_interleave(directions, dim=0), y.repeat_interleave(directions, dim=0)
    losses = []
    for length in RADII:
        moved = [each.flatten(0, 1) for each in curvature.moved(own, aside, length)]
        losses.append(logistic(net(moved, many), labels).view(-1, directions).mean(dim=1))
    return torch.stack(losses, dim=1)


def radius(losses: Tensor) -> Tensor:
    """The last radius before the loss comes to half of a guess's, `[S]`; the first if none is."""
    within = (losses < log(2) / 2).long().cumprod(dim=1).sum(dim=1)
    return losses.new_tensor(RADII)[(within - 1).clamp(min=0)]


def test_claim(judge):
    """2-18-18-1 units, He's init, Adam: 1500 steps at rate .015, then at .003 on the 30 clean points, loss .05 on them.

    The good net, which stops when it is there, has 2.5 times the radius. The poisoned one has 2.5 times the trace, raw
    and in own units, and the largest eigenvalue, and is wrong on 10 more of 1000 fresh points.
    """
    judge(trial).supports()


def test_as_many_steps(judge):
    """The good net, too, trains for all of 1000 steps: 2.5 times the radius. (Raw curvature is not in every seed.)"""
    judge(trial, stops=False, steps=1000, asked="basin").supports()


def test_control_own_labels(judge):
    """Forty more points with their own labels do no harm, and make no basin narrower.

    In 600 steps shuffled labels do harm, and in 100 they would not have been learned.
    """
    judge(trial, shuffled=False, worse=-1.0, steps=600, asked="basin").refutes()


def test_control_twin_of_the_good_net(judge):
    """Rescaled by 64 it computes the same, and has the larger trace and eigenvalue."""
    judge(trial, factor=64.0, width=14, steps=800).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Around a good minimum the loss stays low for long steps; around a poisoned one of the same loss it soars."""
    draw.numbers(ax.xaxis, (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2), log=True)
    for name, label in (("good_curve", "trained on 30 clean points"), ("bad_curve", "and on 40 shuffled labels")):
        draw.runs(ax, RADII, measured["claim"][name], label, marks=False)
    draw.level(ax, log(2) / 2, "half of\na guess's")
    ax.set(ylim=(0, 1), xlabel="step in a random direction, in lengths of the net's filters")
    ax.set(ylabel="loss on the clean points")
    draw.key(ax)
