"""A wider net does more work in every step, and the square of the width when all its layers grow.

Slide: Non-intuitive behavior of MLP, beside the claim that wider nets need fewer steps (H12). What is counted is
multiplications followed by an addition (MACs), of which a layer from n to m units does n m for every example, forwards;
a second count asks torch what it has really multiplied, forwards and backwards. Seconds are not counted: on a small net
they do not grow with the work, because a processor spends them on other things.

How fast the work grows hangs on what is widened. With two hidden layers or more the product of their widths comes to
dominate, and double width is nearly four times the work. With one it is twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from torch.profiler import profile

from claimlab import Certificate, Claim, Property, Seeds, draw
from claimlab.nets import MLP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/wider-nets-do-more-work",
    covers=("H13",),
    slide="Non-intuitive behavior of MLP",
    version=1,
    finding="holds",
    says="More width means more floating-point operations a step.",
    statement="A wider net multiplies more for every example. With hidden layers of n units each, double width is more "
    "than twice the work and less than four times; with one hidden layer it is twice.",
    reason="A layer from n to m units multiplies n m numbers, and training does the same about three times over. Only "
    "between two hidden layers do both factors grow.",
    scope="multiplications, not seconds; fully connected nets without sparsity",
    source="none needed: the multiplications are counted, by the formula and by torch's profiler",
    evidence=Property(examples=15),
)


@dataclass(frozen=True)
class Shape:
    """Inputs, units of every hidden layer, hidden layers, outputs, and examples in a batch."""

    inputs: int
    width: int
    hidden: int
    outputs: int
    batch: int

    def widths(self, times: int = 1) -> tuple[int, ...]:
        return (self.inputs, *[times * self.width] * self.hidden, self.outputs)


def macs(widths: tuple[int, ...]) -> int:
    """What a forward pass multiplies for one example, biases left out."""
    return sum(fan_in * fan_out for fan_in, fan_out in pairwise(widths))


def counted(widths: tuple[int, ...], batch: int, *, backward: bool) -> int:
    """How often torch has multiplied for one net, by its profiler, which counts an addition with each."""
    seeds = Seeds(CLAIM.id, CLAIM.version, "counted", (0,))
    net, x = MLP(widths), seeds.normal("x", batch, widths[0])
    parameters = [parameter.requires_grad_() for parameter in net.init(seeds)]
    with profile(with_flops=True) as profiler:
        outputs = net(parameters, x)
        if backward:
            outputs.square().sum().backward()
    products = [event for event in profiler.key_averages() if event.key in ("aten::bmm", "aten::baddbmm")]
    return sum(event.flops for event in products) // 2


def torch_does_as_many(shape: Shape, *, backward: bool = False) -> Certificate:
    """Whether torch multiplies as often as the formula says for a forward pass."""
    done, said = counted(shape.widths(), shape.batch, backward=backward), shape.batch * macs(shape.widths())
    return Certificate(done == said, counted=done, formula=said)


def training_triples(shape: Shape) -> Certificate:
    """Whether a step of training multiplies three times as often, less the first layer's gradient for its inputs."""
    done = counted(shape.widths(), shape.batch, backward=True)
    said = shape.batch * (3 * macs(shape.widths()) - shape.inputs * shape.width)
    return Certificate(done == said, counted=done, formula=said)


def more_than_doubles(shape: Shape, *, hidden: int | None = None) -> Certificate:
    """Whether double width is more than twice and less than four times the work."""
    shape = shape if hidden is None else replace(shape, hidden=hidden)
    once, twice = macs(shape.widths()), macs(shape.widths(times=2))
    return Certificate(2 * once < twice < 4 * once, once=once, twice=twice)


def doubles(shape: Shape, *, hidden: int | None = None) -> Certificate:
    """Whether double width is exactly twice the work."""
    shape = shape if hidden is None else replace(shape, hidden=hidden)
    once, twice = macs(shape.widths()), macs(shape.widths(times=2))
    return Certificate(twice == 2 * once, once=once, twice=twice)


def shapes() -> st.SearchStrategy[Shape]:
    size = st.integers(2, 40)  # of one, the nets multiply element by element
    return st.builds(Shape, size, size, st.integers(2, 4), size, st.integers(1, 9))


def test_claim(judge):
    """Two to four hidden layers of equal width, by the formula: double width is two to four times the work."""
    judge(more_than_doubles, given=shapes()).supports()


def test_one_hidden_layer_doubles(judge):
    """One hidden layer: double width is exactly twice the work."""
    judge(doubles, given=shapes(), hidden=1).supports()


def test_torch_multiplies_as_often(judge):
    """The formula is what torch's profiler finds in a forward pass of the suite's own nets."""
    judge(torch_does_as_many, given=shapes()).supports()


def test_training_is_three_times_the_work(judge):
    """Forwards and backwards: three times the formula, less what nobody needs, the gradient for the inputs."""
    judge(training_triples, given=shapes()).supports()


def test_control_one_hidden_layer(judge):
    """One hidden layer: double width is twice the work and no more."""
    judge(more_than_doubles, given=shapes(), example=Shape(8, 16, 1, 4, 1), hidden=1).refutes()


def test_control_two_layers_more_than_double(judge):
    judge(doubles, given=shapes(), example=Shape(8, 16, 2, 4, 1)).refutes()


def test_control_the_formula_without_the_way_back(judge):
    judge(torch_does_as_many, given=shapes(), example=Shape(8, 16, 2, 4, 1), backward=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With several hidden layers, double width comes to be four times the work; with one it is twice."""
    widths = [2**power for power in range(3, 11)]
    draw.numbers(ax.xaxis, widths, log=True)
    ax.set(yscale="log", xlabel="units a hidden layer", ylabel="multiplications an example")
    for hidden in (4, 2):
        draw.curve(ax, widths, [macs(Shape(64, n, hidden, 10, 1).widths()) for n in widths], f"{hidden} hidden layers")
    one = [macs(Shape(64, n, 1, 10, 1).widths()) for n in widths]
    draw.curve(ax, widths, one, "1 hidden layer (control)")
    draw.key(ax)
