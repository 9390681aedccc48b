"""Gradient descent on a net need not find the global minimum: at every width there are starts that it never leaves.

Slide: Non-convex Optimization, its first line. One start would do. The start here switches every unit off for every
sample: inputs are positive, and all hidden weights negative. The output is zero then, whatever the other weights are,
and so is the gradient of every weight. That the net could do better is part of the certificate: a teacher with one
unit made the targets, and any number of units can copy it.

The control is a model for which there is a guarantee, linear regression with more weights than samples. With K = XXᵀ
the matrix of the inputs' inner products, a step at rate 1 / tr K maps the errors r to (1 − K / tr K) r. For two samples
the smaller eigenvalue of K is at least det K / tr K, so from wherever it is made a step leaves at most the share
(1 − det K / tr² K)² of the squared error, and the least loss, zero, is the limit from every start.

Are such starts ever met? A layer of n units without biases that sees one direction only, as all positive numbers are
one, is off at birth with probability 2⁻ⁿ under any symmetric initialisation, and L layers with 1 − (1 − 2⁻ⁿ)ᴸ: 0.49 for
five layers of three units, and half of all starts for the deck's net. Lu et al. prove that it tends to 1 with depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.parts import initialiser, lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="optimization/no-guarantee-of-a-global-minimum",
    covers=("D4",),
    slide="Non-convex Optimization",
    version=1,
    finding="holds",
    says="For feed-forward nets nothing guarantees that training converges to a global minimum.",
    statement="At every width a ReLU net without biases has starts from which gradient descent never moves, although "
    "the net could fit the data exactly. In narrow deep nets they are no rarity: of usual starts of five layers of "
    "three units, at least a quarter never move. Linear regression with more weights than samples has the guarantee.",
    reason="Where all units are off for all samples no weight has a gradient; one such start is enough. Width makes "
    "them rare under random initialisation, and no width removes them.",
    scope="one hidden layer and positive inputs, in rational arithmetic; deep nets on positive numbers, He's "
    "initialisation, float32. Output biases would move, and fit a constant",
    source="derived in the module; Lu, Shin, Su & Karniadakis 2020 (arXiv 1903.06733), nets that are born dead",
    evidence=Property(examples=50),
)

Vector = tuple[Fraction, ...]


def dot(a: Vector, b: Vector) -> Fraction:
    return sum((left * right for left, right in zip(a, b, strict=True)), Fraction(0))


# -- starts that are never left, in rational arithmetic --------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Two samples and a teacher's unit, all positive; a start with all units off, and one `anywhere` for one unit."""

    inputs: tuple[Vector, Vector]
    teacher: Vector
    hidden: tuple[Vector, ...]
    readout: Vector
    anywhere: Vector

    @property
    def targets(self) -> Vector:
        """What the teacher answers."""
        return tuple(dot(self.teacher, x) for x in self.inputs)


def squared_error(world: World, hidden: tuple[Vector, ...], readout: Vector, leak: Fraction) -> Fraction:
    """The sum over the samples for the net of units max(z, leak z)."""
    answers = [sum((v * max(dot(w, x), leak * dot(w, x)) for w, v in zip(hidden, readout, strict=True)), Fraction(0))
               for x in world.inputs]  # fmt: skip
    return sum(((answer - y) ** 2 for answer, y in zip(answers, world.targets, strict=True)), Fraction(0))


def gradient(world: World, leak: Fraction) -> list[Fraction]:
    """The gradient of the squared error at the start: for each unit that of its readout, then of its weights."""
    parts_of_it: list[Fraction] = []
    sides = [[leak if dot(w, x) < 0 else Fraction(1) for x in world.inputs] for w in world.hidden]
    outputs = [[side * dot(w, x) for side, x in zip(slopes, world.inputs, strict=True)]
               for slopes, w in zip(sides, world.hidden, strict=True)]  # fmt: skip
    answers = [dot(world.readout, column) for column in zip(*outputs, strict=True)]
    errors = tuple(2 * (answer - y) for answer, y in zip(answers, world.targets, strict=True))
    for slopes, units, v in zip(sides, outputs, world.readout, strict=True):
        parts_of_it.append(dot(errors, tuple(units)))
        for entries in zip(*world.inputs, strict=True):
            parts_of_it.append(v * dot(errors, tuple(s * e for s, e in zip(slopes, entries, strict=True))))
    return parts_of_it


def never_moves(world: World, *, leak: Fraction = Fraction(0)) -> Certificate:
    """Whether the gradient at the start is zero while the loss is not, and other weights have the loss zero."""
    width = len(world.hidden)
    loss = squared_error(world, world.hidden, world.readout, leak)
    copied = (world.teacher,) * width, (Fraction(1, width),) * width
    least = squared_error(world, *copied, leak)
    moving = sum(bool(part) for part in gradient(world, leak))
    return Certificate(moving == 0 and loss > least == 0, width=width, loss=loss, least=least, weights_that_move=moving)


def a_step_always_helps(world: World, *, rectified: bool = False) -> Certificate:
    """Whether a step of <w, x>, or of relu(<w, x>), leaves at most (1 − det K / tr² K)² of the squared error.

    It is made from anywhere; so what holds of one step holds of all.
    """
    weights, inputs, targets = world.anywhere, world.inputs, world.targets

    def errors(weights: Vector) -> Vector:
        outputs = [max(z, Fraction(0)) if rectified else z for z in (dot(weights, x) for x in inputs)]
        return tuple(output - y for output, y in zip(outputs, targets, strict=True))

    trace = sum((dot(x, x) for x in inputs), Fraction(0))
    determinant = dot(inputs[0], inputs[0]) * dot(inputs[1], inputs[1]) - dot(inputs[0], inputs[1]) ** 2
    before = errors(weights)
    seen = [Fraction(not rectified or dot(weights, x) > 0) for x in inputs]
    pull = tuple(error * on for error, on in zip(before, seen, strict=True))
    after = errors(tuple(w - dot(pull, column) / trace
                         for w, column in zip(weights, zip(*inputs, strict=True), strict=True)))  # fmt: skip
    share = (1 - determinant / trace**2) ** 2
    return Certificate(
        share < 1 and dot(after, after) <= share * dot(before, before),
        share=share, before=dot(before, before), after=dot(after, after),
    )  # fmt: skip


ONE = Fraction(1)
OFF = World(
    inputs=((ONE, ONE, 2 * ONE), (2 * ONE, ONE, ONE)), teacher=(ONE, ONE, ONE),
    hidden=((-ONE, -ONE, -ONE),), readout=(ONE,), anywhere=(-ONE, -ONE, -ONE),
)  # fmt: skip
"""One unit that is off on both samples, wherever it is looked at."""


def worlds() -> st.SearchStrategy[World]:
    """Two inputs of three entries that are no multiples of one another, and one to eight units."""
    positive = st.integers(1, 12).map(lambda count: Fraction(count, 4))
    vectors = st.tuples(positive, positive, positive)
    anywhere = st.tuples(*[st.integers(-12, 12).map(lambda count: Fraction(count, 4))] * 3)
    units = st.lists(st.tuples(vectors.map(lambda w: tuple(-e for e in w)), positive), min_size=1, max_size=8)

    def world(
        inputs: tuple[Vector, Vector], teacher: Vector, units: list[tuple[Vector, Fraction]], anywhere: Vector
    ) -> World:
        return World(inputs, teacher, tuple(w for w, _ in units), tuple(v for _, v in units), anywhere)

    apart = st.tuples(vectors, vectors).filter(
        lambda two: dot(two[0], two[1]) ** 2 < dot(two[0], two[0]) * dot(two[1], two[1])
    )
    return st.builds(world, apart, vectors, units, anywhere)


def test_claim(judge):
    """One to eight units on two samples of three positive entries, from a teacher of one unit."""
    judge(never_moves, given=worlds()).supports()


def test_control_leaky_units(judge):
    """Units that let a tenth through when they are off can be moved from every such start."""
    judge(never_moves, given=worlds(), example=OFF, leak=Fraction(1, 10)).refutes()


def test_linear_regression_has_the_guarantee(judge):
    """Two samples, three weights: a step from anywhere leaves a share of the loss below 1, always the same."""
    judge(a_step_always_helps, given=worlds()).supports()


def test_control_one_relu_has_not(judge):
    """The same regression through a ReLU, from the same starts."""
    judge(a_step_always_helps, given=worlds(), example=OFF, rectified=True).refutes()


# -- how often usual starts are such ---------------------------------------------------------------------------------


def born_dead(
    seeds: Seeds,
    *,
    width: int = 3,
    hidden: int = 5,
    samples: int = 8,
    starts: int = 64,
    rate: float = 0.003,
    steps: int = 100,
) -> Rows:
    """Descent from usual starts of deep nets, on samples like the slide's, drawn anew for every seed.

    A seed wins if at least a quarter of its starts answer zero for every sample, and still do so at the end. The
    premise is that descent works: at least a tenth of the starts end with less than half the loss that they had.
    """
    x = (1 + seeds.normal("x", samples)).abs()
    y = 2 * x
    sizes = [1, *[width] * hidden, 1]
    scheme = initialiser(parts().he_init)
    first = [
        torch.stack([scheme.weight(seeds, f"w{layer}.{start}", *fans) for start in range(starts)], dim=1)
        for layer, fans in enumerate(pairwise(sizes))
    ]
    activate = lift(parts().relu)

    def net(weights: list[Tensor], x: Tensor) -> Tensor:
        """Outputs `[S, starts, samples]`."""
        z = x[:, None, :, None].expand(-1, starts, -1, -1)
        for weight in weights[:-1]:
            z = activate([], z @ weight)
        return (z @ weights[-1])[..., 0]

    def errors(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs - y[:, None]).square().mean(dim=2)

    fit = train(
        seeds, net, first, x, y, loss=lambda outputs, y: errors(outputs, y).sum(dim=1),
        optimizer=partial(parts().sgd, lr=rate), epochs=steps,
    )  # fmt: skip
    before, after = net(first, x), net(fit.parameters, x)
    dead, still = ((outputs == 0).all(dim=2) for outputs in (before, after))
    halved = errors(after, y) < errors(before, y) / 2
    share = dead.to(seeds.dtype).mean(dim=1)
    return Rows(
        win=(share >= 0.25) & (still | ~dead).all(dim=1),
        premise=halved.to(seeds.dtype).mean(dim=1) >= 0.1,
        share_born_dead=share,
        loss_ratio=(errors(after, y) / y.square().mean(dim=1, keepdim=True)).sort(dim=1).values,
    )


@pytest.mark.statistical
def test_narrow_deep_nets_are_born_dead(judge):
    """Five layers of three units, He's initialisation, 64 starts a seed, 100 steps at rate 0.003: a quarter or more."""
    judge(born_dead).supports()


@pytest.mark.statistical
def test_control_wider_layers(judge):
    """A layer of ten units is off with probability 2⁻¹⁰."""
    judge(born_dead, width=10).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Most starts of the narrow net never get below the loss of answering zero; nearly all of the wider net go to 0."""
    nets = {
        "layers of 3 units": "narrow_deep_nets_are_born_dead",
        "layers of 10 units (control)": "control_wider_layers",
    }
    for label, test in nets.items():
        ratios = measured[test]["loss_ratio"]
        draw.runs(ax, (np.arange(ratios.shape[1]) + 1) / ratios.shape[1], ratios, label, marks=False)
    ax.set(xlabel="share of starts, the best first", ylabel="final loss, 1 is answering zero", ylim=(0, 1.2))
    draw.key(ax)
