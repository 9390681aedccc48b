"""Weight norm parts a weight vector into a length, which is learned, and a direction, which is all that v matters for.

Slide: Weight Normalization. The weights of a unit are written w = g v / ||v||, and g and v are trained instead of w.

Three consequences, all exact. ||w|| = |g| whatever v is, and the direction of w is that of v (or its opposite),
whatever g is. No loss notices how long v is, so the gradient by v is orthogonal to v. And so by Pythagoras a step of
gradient descent, v' = v - eta grad, makes v longer:

    ||v'||^2 = ||v||^2 + eta^2 ||grad||^2

With momentum the step is m = mu m_before + grad, and <v, m> = mu (<v_before, m_before> - eta ||m_before||^2), which by
induction from m = 0 is never positive: v does not grow as Pythagoras says, and still never shrinks. Weight decay pulls
v back, and Adam divides the gradient coordinate by coordinate, after which it need not be orthogonal to v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import gamma
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/weight-norm-decouples-length-and-direction",
    covers=("F13",),
    slide="Weight Normalization",
    version=2,
    finding="holds",
    says="Writing the weights of a unit as w = g v / ‖v‖ decouples their direction from their norm.",
    statement=(
        "In weight norm the length of the weights is |g| whatever v is, and their direction is v's whatever g is. So "
        "the gradient by v is orthogonal to v, and each step of gradient descent makes v longer, as Pythagoras says; "
        "momentum never makes it shorter either. Weight decay and Adam do."
    ),
    reason="The loss depends on v through its direction alone, so its gradient has no component along v.",
    scope="dense layers of 2 to 6 inputs without biases, five full-batch steps at a constant rate, momentum starting "
    "from zero; up to rounding in float64",
    source="Salimans and Kingma 2016 (arXiv 1602.07868), sections 2 and 2.1",
    evidence=Property(examples=20),
)

VISIBLE = 1000.0
"""How many times larger than rounding an effect must be to count."""

Layer = Callable[[Tensor, Tensor], tuple[nn.Module, nn.Parameter]]
"""From lengths g and directions v to a layer and the parameter in it that v has become."""


@dataclass(frozen=True)
class World:
    """The sizes of a dense layer, the rate of its training, and the seed of data, targets and weights."""

    inputs: int = 3
    units: int = 2
    rate: float = 0.1
    seed: int = 0
    samples: int = 8


@dataclass(frozen=True)
class Step:
    """One step of training: v, its gradient and v afterwards, `[H, D]`, and the size of w's gradient times |g| / ||v||,
    which would be that of v's if nothing were projected out, `[H, 1]`.
    """

    before: Tensor
    gradient: Tensor
    after: Tensor
    unprojected: Tensor


@dataclass(frozen=True)
class Rule:
    """How the gradients move the parameters; `decay` times v is added to the gradient by v first."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float | None = None
    decay: float = 0.0


GRADIENT_DESCENT, MOMENTUM = Rule(), Rule(momentum=0.9)
WEIGHT_DECAY, ADAM = Rule(decay=0.1), Rule("adam")


def length(v: Tensor) -> Tensor:
    """The norm of every unit's weights `[H, D]`, `[H, 1]`."""
    return torch.linalg.vector_norm(v, dim=1, keepdim=True)


def drawn(world: World) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs `[N, D]`, targets `[N, H]`, lengths g `[H, 1]` of either sign and directions v `[H, D]`, all normal."""
    draws, samples, inputs, units = Draws(world.seed), world.samples, world.inputs, world.units
    x, y = draws.normal("x", samples, inputs), draws.normal("y", samples, units)
    return x, y, draws.normal("g", units, 1), draws.normal("v", units, inputs)


def weight_norm(g: Tensor, v: Tensor) -> tuple[nn.Module, nn.Parameter]:
    """A layer without biases that has weight norm, and the parameter v in it."""
    layer = parts().weight_norm(nn.Linear(v.shape[1], len(v), bias=False, dtype=v.dtype))
    names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    layer.load_state_dict(dict(zip(names, (g, v), strict=True)))
    return layer, dict(layer.named_parameters())[names[1]]


def plain(g: Tensor, v: Tensor) -> tuple[nn.Module, nn.Parameter]:
    """The same layer with plain weights v."""
    layer = nn.Linear(v.shape[1], len(v), bias=False, dtype=v.dtype)
    layer.load_state_dict({"weight": v})
    return layer, dict(layer.named_parameters())["weight"]


def weights(layer: nn.Module) -> Tensor:
    """The weights w `[H, D]` that a layer computes with."""
    assert isinstance(layer.weight, Tensor)
    return layer.weight.detach()


def train(world: World, layer: Layer, rule: Rule, steps: int) -> list[Step]:
    """Full-batch training on the mean squared error."""
    x, y, g, v = drawn(world)
    net, parameter = layer(g, v)
    options = {} if rule.momentum is None else {"momentum": rule.momentum}
    optimizer = parts().named(rule.optimizer)(list(net.parameters()), lr=world.rate, **options)
    run = []
    for _ in range(steps):
        before = parameter.detach().clone()
        residual = net(x) - y
        optimizer.zero_grad()
        residual.square().mean().backward()
        assert parameter.grad is not None
        gradient = parameter.grad.clone()
        parameter.grad += rule.decay * before
        by_w = 2 * residual.detach().T @ x / residual.numel()
        unprojected = length(by_w) * length(weights(net)) / length(before)
        optimizer.step()
        run.append(Step(before, gradient, parameter.detach().clone(), unprojected))
    return run


def decouples(world: World, *, layer: Layer = weight_norm) -> Certificate:
    """Whether ||w|| = |g| and w / ||w|| = sign(g) v / ||v||, for v and for v of another length in each unit.

    Dividing by a norm of D numbers and multiplying by a length round a number D + 4 times. That is done once for v and
    w, twice for w / ||w|| and ||w|| / |g|: less than 4 (D + 4) roundings for the two sides of either equation.
    """
    _, _, g, v = drawn(world)
    other = v * torch.arange(2, 2 + len(v), dtype=v.dtype)[:, None]
    off = []
    for directions in (v, other):
        w = weights(layer(g, directions)[0])
        off += [(length(w) / g.abs() - 1).abs().max(), (w / length(w) - g.sign() * v / length(v)).abs().max()]
    allowed = gamma(4 * (world.inputs + 4))
    return Certificate(bool(max(off) <= allowed), off=max(off), rounding_allowed=allowed)


def rounding(world: World) -> float:
    """What a product of v and its gradient may be off by, as a multiple of ||v|| and of the gradient's size before v's
    component is projected out.

    That gradient sums N terms and what is projected out sums D more, so each of its D entries is rounded less
    than 8 (D + N) times; the product with v and the roundings of everything else make it 32 D (D + N).
    """
    return gamma(32 * world.inputs * (world.inputs + world.samples))


def is_orthogonal(world: World, *, layer: Layer = weight_norm) -> Certificate:
    """Whether <v, grad> is zero up to rounding, and the gradient is not."""
    (step,) = train(world, layer, GRADIENT_DESCENT, steps=1)
    along = (step.before * step.gradient).sum(dim=1, keepdim=True).abs()
    allowed = rounding(world) * step.unprojected * length(step.before)
    seen = (length(step.gradient) * length(step.before) > VISIBLE * allowed).any()
    return Certificate(
        bool((along <= allowed).all() and seen),
        along_v=along.max(), rounding_allowed=allowed.max(), gradient=length(step.gradient).max(),
    )  # fmt: skip


def squared_lengths(world: World, run: list[Step]) -> tuple[Tensor, Tensor, float]:
    """What each step adds to ||v||^2, what Pythagoras says, both `[T, H, 1]`, and what rounding may add.

    With u the largest gradient before projection, no step is longer than T rate u, momentum or not. So no product of v
    and a step, and no square, exceeds (||v|| + T rate u)^2, and each is off by less than `rounding` times that.
    """
    added = torch.stack([length(step.after) ** 2 - length(step.before) ** 2 for step in run])
    by_pythagoras = torch.stack([(world.rate * length(step.gradient)) ** 2 for step in run])
    longest = max(float((length(s.after) + len(run) * world.rate * s.unprojected).max()) for s in run)
    return added, by_pythagoras, rounding(world) * longest**2


def grows_by_pythagoras(
    world: World, *, layer: Layer = weight_norm, rule: Rule = GRADIENT_DESCENT, steps: int = 5
) -> Certificate:
    """Whether each of the steps adds rate^2 ||grad||^2 to ||v||^2, and that is more than rounding."""
    added, by_pythagoras, allowed = squared_lengths(world, train(world, layer, rule, steps))
    off = (added - by_pythagoras).abs().max()
    return Certificate(
        bool(off <= allowed and by_pythagoras.max() > VISIBLE * allowed),
        off=off, rounding_allowed=allowed, most_added=added.max(),
    )  # fmt: skip


def never_shrinks(
    world: World, *, layer: Layer = weight_norm, rule: Rule = GRADIENT_DESCENT, steps: int = 5
) -> Certificate:
    """Whether none of the steps makes any unit's v shorter, and some step makes one longer by more than rounding."""
    added, _, allowed = squared_lengths(world, train(world, layer, rule, steps))
    return Certificate(
        bool((added >= -allowed).all() and added.max() > VISIBLE * allowed),
        least_added=added.min(), most_added=added.max(), rounding_allowed=allowed,
    )  # fmt: skip


def lengths(rule: Rule, steps: int) -> list[float]:
    """The length of one unit's v, from 1 on, through one run."""
    run = train(World(rate=0.3), weight_norm, rule, steps)
    return [float(length(v)[0] / length(run[0].before)[0]) for v in (run[0].before, *(step.after for step in run))]


def grows_in_one_run(*, steps: int = 40) -> Certificate:
    """Whether v grows at every step of one run with gradient descent and with momentum, and not with the other two."""
    rules = {"gradient descent": GRADIENT_DESCENT, "momentum": MOMENTUM, "weight decay": WEIGHT_DECAY, "Adam": ADAM}
    grown = {name: lengths(rule, steps) for name, rule in rules.items()}
    never_fell = [name for name, run in grown.items() if all(a <= b for a, b in pairwise(run)) and run[-1] > run[0]]
    return Certificate(never_fell == ["gradient descent", "momentum"], **grown)


def worlds() -> st.SearchStrategy[World]:
    """Two to four units of 2 to 6 inputs; with one input there is nothing to learn but the length.

    A unit by itself may point where it should from the start, and then all that it has left to learn is its length.
    """
    return st.builds(
        World, st.integers(2, 6), st.integers(2, 4), st.sampled_from([0.1, 0.01, 1.0]), seed=st.integers(0, 999)
    )


def test_claim(judge):
    """Layers of 2 to 6 inputs: ‖w‖ = |g| whatever v, and w / ‖w‖ = sign(g) v / ‖v‖ whatever g, up to rounding."""
    judge(decouples, given=worlds()).supports()


def test_control_plain_weights_are_not_decoupled(judge):
    judge(decouples, given=worlds(), example=World(), layer=plain).refutes()


def test_gradient_is_orthogonal(judge):
    """⟨v, grad⟩ = 0 up to rounding on a least-squares problem, while the gradient is a thousand times larger."""
    judge(is_orthogonal, given=worlds()).supports()


def test_control_gradient_of_plain_weights(judge):
    judge(is_orthogonal, given=worlds(), example=World(), layer=plain).refutes()


def test_gradient_descent_grows_v_by_pythagoras(judge):
    """Each of five steps at rate 0.01, 0.1 or 1 adds η² ‖grad‖² to ‖v‖², up to rounding."""
    judge(grows_by_pythagoras, given=worlds()).supports()


def test_control_plain_weights_and_pythagoras(judge):
    judge(grows_by_pythagoras, given=worlds(), example=World(), layer=plain).refutes()


def test_control_momentum_and_pythagoras(judge):
    """With momentum v never shrinks, but it grows by more."""
    judge(grows_by_pythagoras, given=worlds(), example=World(), rule=MOMENTUM).refutes()


def test_gradient_descent_never_shrinks_v(judge):
    """None of five steps makes any v shorter, and some step makes one longer by more than a thousand roundings."""
    judge(never_shrinks, given=worlds()).supports()


def test_momentum_never_shrinks_v(judge):
    """The same with momentum 0.9, starting from zero, which adds another amount and never a negative one."""
    judge(never_shrinks, given=worlds(), rule=MOMENTUM).supports()


def test_control_plain_weights_shrink(judge):
    judge(never_shrinks, given=worlds(), example=World(), layer=plain).refutes()


def test_control_weight_decay_shrinks_v(judge):
    judge(never_shrinks, given=worlds(), example=World(), rule=WEIGHT_DECAY).refutes()


def test_control_adam_shrinks_v(judge):
    judge(never_shrinks, given=worlds(), example=World(), rule=ADAM).refutes()


@pytest.mark.exact
def test_one_run_of_each(judge):
    """Forty steps at rate 0.3: v grows at each with gradient descent and momentum, not with weight decay and Adam."""
    judge(grows_in_one_run).supports()


def figure(measured: Measured, ax: Axes) -> None:
    """Gradient descent and momentum never shorten v; weight decay and Adam do."""
    for name, run in measured["one_run_of_each"].items():
        shrinks = " (control)" if name in ("weight decay", "Adam") else ""
        draw.curve(ax, range(len(run)), run, name + shrinks, marks=False)
    ax.set(xlabel="step", ylabel="length of v (1 at the start)")
    draw.key(ax)
