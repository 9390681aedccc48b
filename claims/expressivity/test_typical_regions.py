"""At random initialisation, and after training, the number of regions follows the number of units, whatever the depth.

Slide: For a fixed param budget, deeper is better. What the slide says of deep nets is what their best weights can do
(see `test_deeper_at_fixed_budget.py`), and chance does not draw such weights. Hanin & Rolnick 2019a prove that along a
line the mean number of regions at initialisation grows linearly with the number of units, and no faster for deep nets.

Here nets of two inputs meet a segment through the origin. With one hidden layer of N units there are at most N + 1
regions on it, one kink for each unit; six layers of 40 units could make 41^6 of them, more than 10^9 (Serra et al.
2018, Theorem 5). A seed wins if every net, of 60 or of 240 units and of any depth, has between N/2 and 2N. The two
ranges meet at 120 only, so that a win says both that units count and that depth does not. The control plants a
sawtooth, four units in each layer, among the random weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical
from claimlab.measure.count import mlp_parameters
from claimlab.measure.fit import accuracy, logistic
from claimlab.measure.regions import count_on_segments
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="expressivity/typical-regions-follow-the-units",
    covers=("C8",),
    slide="For a fixed param budget, deeper is better",
    version=1,
    finding="scoped",
    says="For a fixed number of parameters, deeper nets have more linear regions.",
    statement="A random ReLU net of two inputs meets between half as many and twice as many activation regions on a "
    "segment as it has hidden units, in one layer or in six, and a net of four layers still does after memorising "
    "random labels. At equal parameters one hidden layer meets more regions than four, not fewer.",
    reason="Many regions are possible for deep nets, not typical of them: random layers do not fold their input in "
    "step, and each unit adds about a kink wherever it sits. With a sawtooth planted among such weights six layers "
    "meet more than 2N regions.",
    scope="regions on a segment through the origin, where the small biases put most kinks; equal layers of at least "
    "24 units; one training task; weights float32, counted in float64",
    source="Hanin & Rolnick 2019a (arXiv 1901.09021); Hanin & Rolnick 2019b (arXiv 1906.00904)",
    evidence=Statistical(block=11),
)

Shape = tuple[int, int]
"""Hidden units in all, and the number of equal layers they are spread over."""

SHAPES: tuple[Shape, ...] = ((60, 1), (60, 2), (240, 1), (240, 2), (240, 4), (240, 6))


def trial(
    seeds: Seeds,
    *,
    shapes: tuple[Shape, ...] = SHAPES,
    bias: float = 0.1,
    sawtooth: bool = False,
    steps: int = 0,
    points: int = 32,
) -> Rows:
    """A seed draws the nets, with biases of that standard deviation, and for training points and labels for them.

    The premise is that trained nets have learned. `regions` is `[S, shapes]`; more than 2N are not counted any further.
    """
    counts, accuracies = [], []
    for shape in shapes:
        parameters = random_net(seeds, shape, bias=bias)
        if sawtooth:
            plant_sawtooth(parameters)
        if steps:
            parameters, train_accuracy = memorised(seeds, shape, parameters, steps=steps, points=points)
            accuracies.append(train_accuracy)
        counts.append(regions_on_segment(parameters, most=2 * shape[0] + 1))
    regions = torch.stack(counts, dim=1)
    per_unit = regions / torch.tensor([units for units, _ in shapes], device=seeds.device)
    win = ((per_unit >= 1 / 2) & (per_unit <= 2)).all(dim=1)
    if not steps:
        return Rows(win=win, regions=regions)
    train_accuracy = torch.stack(accuracies, dim=1)
    return Rows(win=win, premise=(train_accuracy >= 0.9).all(dim=1), regions=regions, train_accuracy=train_accuracy)


def deeper_has_more(seeds: Seeds, *, deep: Shape = (96, 4), shallow: Shape = (474, 1), bias: float = 0.1) -> Rows:
    """Whether the deeper of two nets with equally many parameters meets more regions."""
    assert parameter_count(deep) == parameter_count(shallow)
    nets = [random_net(seeds, shape, bias=bias) for shape in (deep, shallow)]
    regions = torch.stack([regions_on_segment(parameters) for parameters in nets], dim=1)
    return Rows(win=regions[:, 0] > regions[:, 1], regions=regions)


def net_of(shape: Shape) -> MLP:
    """Two inputs, one output, and the units in equal layers."""
    units, depth = shape
    return MLP((2, *[units // depth] * depth, 1))


def parameter_count(shape: Shape) -> int:
    """The number of weights and biases."""
    return mlp_parameters(net_of(shape).widths)


def random_net(seeds: Seeds, shape: Shape, *, bias: float) -> list[Tensor]:
    """He's weights, and normal biases of that standard deviation in the hidden layers."""
    units, depth = shape
    name = f"{units} units in {depth}"
    parameters = net_of(shape).init(seeds, parts().he_init, name=name)
    for layer in range(depth):
        parameters[2 * layer + 1] = bias * seeds.normal(f"{name}, bias {layer}", 1, units // depth)
    return parameters


def plant_sawtooth(parameters: list[Tensor]) -> None:
    """Make the first four units of each layer a zigzag of four pieces on [0, 1], of the first input or the last zigzag.

    The zigzag is relu(4z) - relu(8z - 2) + relu(8z - 4) - relu(8z - 6). One inside the other they have 4^layers pieces.
    The other units see them, as they see each other, with random weights.
    """
    for layer, (weight, bias) in enumerate(zip(parameters[:-2:2], parameters[1:-2:2], strict=True)):
        slopes = weight.new_tensor([4.0, 8.0, 8.0, 8.0])
        readout = weight.new_tensor([1.0, -1.0, 1.0, -1.0] if layer else [1.0, 0.0])
        weight[:, :, :4] = 0
        weight[:, : len(readout), :4] = readout[:, None] * slopes
        bias[:, 0, :4] = weight.new_tensor([0.0, -2.0, -4.0, -6.0])


def memorised(
    seeds: Seeds, shape: Shape, parameters: list[Tensor], *, steps: int, points: int
) -> tuple[list[Tensor], Tensor]:
    """The parameters after full-batch Adam on points with random labels, and the training accuracy `[S]`."""
    x, y = seeds.uniform("points", points, 2, low=-1, high=1), seeds.integers("labels", points, high=2)
    net, adam = net_of(shape), partial(parts().adam, lr=0.003)
    fit = train(seeds, net, parameters, x, y, loss=logistic, optimizer=adam, epochs=steps)
    return fit.parameters, accuracy(net(fit.parameters, x), y)


def regions_on_segment(parameters: list[Tensor], most: int = 10_000) -> Tensor:
    """The number of activation regions from (-1, 0) to (1, 0), int64 `[S]`; the count ends at `most`."""
    end = parameters[0].new_tensor([1.0, 0.0]).expand(len(parameters[0]), 2)
    return count_on_segments(parameters, -end, end, most=most)


def test_claim(judge):
    """60 hidden units in 1 or 2 layers, or 240 in 1, 2, 4 or 6: between N/2 and 2N regions for N units.

    He init, normal biases of standard deviation 0.1; the segment goes from (−1, 0) to (1, 0).
    """
    judge(trial).supports()


def test_after_memorising_random_labels(judge):
    """Four layers of 60 after 200 steps of Adam, which have taught them nine in ten of 32 random labels or more."""
    judge(trial, shapes=((240, 4),), steps=200).supports()


def test_deeper_has_more_at_equal_parameters(judge):
    """Four layers of 24 units and one hidden layer of 474 have 1897 parameters each, and the latter more regions."""
    judge(deeper_has_more).refutes()


def test_control_sawtooth_planted(judge):
    judge(trial, shapes=((240, 6),), sawtooth=True).refutes()


def test_control_sawtooth_planted_and_trained(judge):
    """Training does not undo the sawtooth: nets that memorise the labels as well still meet more than 2N regions."""
    judge(trial, shapes=((240, 6),), sawtooth=True, steps=200).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Regions on the segment against units: random nets of each depth, with a sawtooth planted, and tents alone."""
    random, planted = measured["claim"]["regions"], measured["control_sawtooth_planted"]["regions"]
    markers = {1: "o", 2: "s", 4: "^", 6: "D"}
    for place, (units, depth) in enumerate(SHAPES):
        beside = units + 7 * [*markers].index(depth)  # so that the depths do not hide one another
        ax.plot([beside] * len(random), random[:, place], markers[depth], color="C0", alpha=0.4, markersize=4)
    for depth, marker in markers.items():
        ax.plot([], [], marker, color="C0", label=f"random, {depth} hidden layer{'s' * (depth > 1)}")
    at = [275] * len(planted)
    ax.plot(at, planted[:, 0], "^", color="C1", markersize=7, label="6 layers, sawtooth planted: over 2N")
    layers = range(1, 13)  # k tents one inside the other have 2^k pieces on [0, 1], and are flat on [-1, 0]
    ax.plot([2 * k for k in layers], [2**k + 1 for k in layers], color="C1", label="k layers of 2 units, all tents")
    ax.plot(range(2, 321), range(2, 321), ":", color="0.5", label="one region a unit")
    ax.set(yscale="log", ylim=(10, 3000), xlabel="hidden units N", ylabel="regions on the segment")
    ax.legend(loc="lower right", fontsize=9)
