"""At random initialisation, and after training, a net has about as many regions as units, and no more for being deep.

Slide: For a fixed param budget, deeper is better. What the slide says of deep nets is what their best weights can do
(see `test_deeper_at_fixed_budget.py`), and chance does not draw such weights. Hanin & Rolnick 2019a prove that along a
line the mean number of regions at initialisation grows linearly with the number of units, and no faster for deep nets.

Here nets of two inputs meet a segment through the origin. With one hidden layer of N units there are at most N + 1
regions on it, one kink for each unit; six layers of 40 units could make 41^6 of them, more than 10^9 (Serra et al.
2018, Theorem 5). A seed wins if every net, of 60 or of 240 units, has between N/2 and 2N. The two ranges meet at 120
only, so that a win says both that units count and that depth does not. The control plants a sawtooth, four units in
each layer, among the random weights.

The upper side holds at any depth. The lower one does not: behind many layers of few units there is little left to see,
and regions are lost.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
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
    version=2,
    finding="scoped",
    says="For a fixed number of parameters, deeper nets have more linear regions.",
    statement="On a segment a random ReLU net of two inputs meets at most twice as many activation regions as it has "
    "hidden units, in however many layers, and at least half as many unless the layers are thin; a net of four layers "
    "still does after memorising random labels. At equal parameters one hidden layer meets more regions than four, "
    "not fewer.",
    reason="Many regions are possible for deep nets, not typical of them: random layers do not fold their input in "
    "step, and each unit adds about a kink wherever it sits. With a sawtooth planted among such weights six layers "
    "meet more than 2N regions, and keep them while they are trained.",
    scope="regions on a segment through the origin, where the small biases put most kinks; equal layers, for the "
    "lower side of at least 30 units; He's initialisation; one training task; weights float32, counted in float64",
    source="Hanin & Rolnick 2019a (arXiv 1901.09021); Hanin & Rolnick 2019b (arXiv 1906.00904)",
    evidence=Statistical(block=11),
)

Shape = tuple[int, int]
"""Hidden units in all, and the number of equal layers they are spread over."""

SHAPES: tuple[Shape, ...] = ((60, 1), (60, 2), (240, 1), (240, 2), (240, 4), (240, 6))
THIN: tuple[Shape, ...] = ((60, 10), (240, 24))
THINNEST: tuple[Shape, ...] = ((60, 30),)


def trial(
    seeds: Seeds,
    *,
    shapes: tuple[Shape, ...] = SHAPES,
    least: float = 1 / 2,
    most: float = 2,
    bias: float = 0.1,
    sawtooth: bool = False,
    steps: int = 0,
    points: int = 32,
) -> Rows:
    """Whether nets meet at least and at most so many regions a unit.

    A seed draws the nets, with biases of that standard deviation, and for training points and labels for them. The
    premise is that trained nets have learned. `regions` is `[S, shapes]`, and is not counted beyond the most.
    """
    counts, accuracies = [], []
    for shape in shapes:
        parameters = random_net(seeds, shape, bias=bias)
        if sawtooth:
            plant_sawtooth(parameters)
        if steps:
            parameters, train_accuracy = memorised(seeds, shape, parameters, steps=steps, points=points)
            accuracies.append(train_accuracy)
        counts.append(regions_on_segment(parameters, most=int(most * shape[0]) + 1))
    regions = torch.stack(counts, dim=1)
    per_unit = regions / torch.tensor([units for units, _ in shapes], device=seeds.device)
    win = ((per_unit >= least) & (per_unit <= most)).all(dim=1)
    if not steps:
        return Rows(win=win, regions=regions)
    train_accuracy = torch.stack(accuracies, dim=1)
    return Rows(win=win, premise=(train_accuracy >= 0.9).all(dim=1), regions=regions, train_accuracy=train_accuracy)


def has_more(seeds: Seeds, *, this: Shape, than: Shape, times: float = 1, bias: float = 0.1) -> Rows:
    """Whether one of two nets with equally many parameters meets more regions, or more than so many times as many."""
    assert parameter_count(this) == parameter_count(than)
    nets = [random_net(seeds, shape, bias=bias) for shape in (this, than)]
    regions = torch.stack([regions_on_segment(parameters) for parameters in nets], dim=1)
    return Rows(win=regions[:, 0] > times * regions[:, 1], regions=regions)


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


def test_no_more_in_thin_layers(judge):
    """10 layers of 6 units, 24 of 10 and 30 of 2: at most 2N regions."""
    judge(trial, shapes=THIN + THINNEST, least=0).supports()


def test_fewer_in_the_thinnest_layers(judge):
    """30 layers of 2 units: at most N/2 regions."""
    judge(trial, shapes=THINNEST, least=0, most=1 / 2).supports()


def test_after_memorising_random_labels(judge):
    """Four layers of 60 after 200 steps of Adam, which have taught them nine in ten of 32 random labels or more."""
    judge(trial, shapes=((240, 4),), steps=200).supports()


def test_deeper_has_more_at_equal_parameters(judge):
    """Four layers of 24 units do not meet more regions than one hidden layer of 474, which has 1897 parameters too."""
    judge(has_more, this=(96, 4), than=(474, 1)).refutes()


def test_one_layer_has_more_at_equal_parameters(judge):
    """One hidden layer of 474 units meets more than twice as many regions as four of 24."""
    judge(has_more, this=(474, 1), than=(96, 4), times=2).supports()


def test_control_sawtooth_planted(judge):
    judge(trial, shapes=((240, 6),), sawtooth=True).refutes()


def test_control_sawtooth_planted_and_trained(judge):
    """Training does not undo the sawtooth: nets that memorise the labels as well still meet more than 2N regions."""
    judge(trial, shapes=((240, 6),), sawtooth=True, steps=200).refutes()


def test_control_thinnest_layers(judge):
    """The lower side is about layers that are not thin."""
    judge(trial, shapes=THINNEST).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """At equal parameters deeper random nets meet fewer regions, not more, unless a sawtooth is planted."""
    random, thin = measured["claim"]["regions"], measured["no_more_in_thin_layers"]["regions"]
    equal = measured["one_layer_has_more_at_equal_parameters"]["regions"]
    counts = [
        *zip(SHAPES, random.T, strict=True),
        *zip([(474, 1), (96, 4)], equal.T, strict=True),
        *zip(THIN + THINNEST, thin.T, strict=True),
    ]
    draw.numbers(ax.xaxis, [300, 1000, 3000, 10000, 30000, 100000], log=True)
    ax.set(yscale="log", xlabel="parameters", ylabel="regions on the segment")
    for name, depths in {"1 hidden layer": [1], "2 layers": [2], "4 or 6": [4, 6], "10 to 30": range(10, 31)}.items():
        for shape, regions in counts:
            if shape[1] in depths:
                draw.dots(ax, parameter_count(shape), regions, name, width=0.06)
    planted = measured["control_sawtooth_planted"]["regions"]
    draw.dots(ax, parameter_count((240, 6)), planted[:, 0], "sawtooth planted, over 2N (control)", width=0.06)
    draw.key(ax)
