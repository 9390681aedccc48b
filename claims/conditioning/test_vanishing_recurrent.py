"""A recurrent net's gradient vanishes over time if its recurrent matrix shrinks every vector; gates keep it if open.

Slide: Conditioning Issues. The gradient of h_T by h_0 is a product of T factors D W, with the recurrent matrix W and
the slopes D of the units, which are 1 at most for linear, tanh and ReLU units.

- Each factor stretches a vector by the largest singular value of W at most. Below one that is a proof that gradients
  vanish. Linear units with an orthogonal W keep them, but for rounding; 1.1 times that makes them explode.
- Pascanu et al. say it, in the version on arXiv, of the largest eigenvalue. For linear units that decides in the long
  run. For tanh it decides nothing: W = ((8, 8), (−8, −8)) has no eigenvalue but 0, and where the two slopes are 1 and
  3/4, D W has the eigenvalue 2. Their proof is about the singular value, and right.
- Of torch's initial W, with many units, the largest singular value is near 2/√3, which proves nothing. The largest
  eigenvalue is near 1/√3, and the gradient does vanish. So it does in torch's initial LSTM and GRU: gates half open
  halve what is kept at every step. Where an LSTM's hidden state has no say in its gates, the gradient by the cell
  is exactly the product of its forget gates. The net that keeps the gradient is one whose gates are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import gamma
from claimlab.parts import parts, remembered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/recurrent-nets-have-vanishing-gradients",
    covers=("E2",),
    slide="Conditioning Issues",
    version=1,
    finding="scoped",
    says="In recurrent nets the gradient vanishes over time.",
    statement=(
        "The gradient through T steps of a linear, tanh or ReLU recurrence is at most the largest singular value of "
        "its recurrent matrix to the power of T. Its eigenvalues are no such bound. As torch initialises them, plain "
        "RNN, LSTM and GRU alike keep less than a millionth over fifty steps; an LSTM or GRU with its gates biased "
        "open keeps a hundredth or more."
    ),
    reason=(
        "A matrix that shrinks every vector makes gradients vanish; one that does not may do as well, as torch's own "
        "initial weights do, or keep them, or make them explode. Gates alone are no cure: half open, they halve what "
        "is kept at every step. Biased by 5, they are open."
    ),
    scope="the gradient by the state, at initial weights; 32 units and normal inputs for torch's layers, float64",
    source="Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), section 2.1; the rest is derived in the module",
    evidence=Property(examples=30),
)

# No learning rate makes a millionth good; a hundredth is what fifty steps leave if each keeps nine tenths.
GONE, KEPT = 1e-6, 1e-2

Units = Literal["linear", "tanh", "relu"]


# -- what the recurrent matrix says -------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """So many units, steps, and what is random: the matrix, the inputs and what is read off the last state."""

    units: int
    steps: int
    seed: int


def matrix(world: World, kind: Literal["random", "orthogonal", "sheared"], largest: float) -> Tensor:
    """A matrix of this largest singular value, or one `sheared`: of this only eigenvalue, with ones above it."""
    dense = Draws(world.seed).normal("matrix", world.units, world.units)
    if kind == "sheared":
        return torch.ones_like(dense).triu(1) + largest * torch.eye(world.units, dtype=dense.dtype)
    if kind == "orthogonal":
        return largest * torch.linalg.qr(dense)[0]
    return largest * dense / torch.linalg.svdvals(dense)[0]


def gradient(units: Units, w: Tensor, inputs: Tensor, start: Tensor, reading: Tensor) -> Tensor:
    """The gradient of <reading, h_T> by h_0 = `start`, where h' = units(W h + input), for inputs `[T, units]`."""
    first = start.clone().requires_grad_()
    if units == "linear":
        last = first
        for each in inputs:
            last = w @ last + each
    else:
        layer = parts().rnn(len(w), len(w), nonlinearity=units, bias=False, dtype=w.dtype)
        set_to(layer, weight_ih_l0=torch.eye(len(w), dtype=w.dtype), weight_hh_l0=w)
        last = layer(inputs, first[None])[0][-1]
    return torch.autograd.grad(last @ reading, first)[0]


def set_to(layer: nn.Module, **values: Tensor) -> None:
    """Give parameters these values."""
    with torch.no_grad():
        for name, value in values.items():
            layer.get_parameter(name).copy_(value)


def stretch(world: World, units: Units, w: Tensor) -> Tensor:
    """How much longer the gradient is after all steps, for normal inputs and reading."""
    draws = Draws(world.seed)
    inputs, reading = draws.normal("inputs", world.steps, world.units), draws.normal("reading", world.units)
    found = gradient(units, w, inputs, draws.normal("start", world.units), reading)
    return torch.linalg.vector_norm(found) / torch.linalg.vector_norm(reading)


def rounding(world: World) -> float:
    """By what share of the bound its powers and the gradient can be off.

    A step's product with W is off by at most gamma(n + 3) √n of |W|, for n units; that, the singular value's own error
    and the power are far less than 100 n roundings a step.
    """
    return world.steps * gamma(100 * world.units)


def shrinks(
    world: World,
    *,
    units: Units = "tanh",
    kind: Literal["random", "orthogonal", "sheared"] = "random",
    largest: float = 0.9,
) -> Certificate:
    """Whether the gradient is at most .9^T of what it was, T steps earlier."""
    found, bound = stretch(world, units, matrix(world, kind, largest)), 0.9**world.steps
    return Certificate(bool(found <= bound * (1 + rounding(world))), stretch=found, bound=bound)


def is_a_power(world: World, *, units: Units = "linear", factor: float = 1.0) -> Certificate:
    """Whether an orthogonal matrix, times a factor, makes the gradient factor^T times as long, but for rounding."""
    found = stretch(world, units, matrix(world, "orthogonal", factor)) / factor**world.steps
    return Certificate(bool((found - 1).abs() <= rounding(world)), stretch_over_power=found)


def doubles_at_every_step(*, units: Units = "tanh", steps: int = 20) -> Certificate:
    """Whether the gradient doubles with each step although the matrix ((8, 8), (−8, −8)) has no eigenvalue but 0.

    The state stays at (0, 1/2), where the slopes 1 − h² of tanh are 1 and 3/4. From there D W has the eigenvalue 2, so
    that rounding is doubled as well: what is 1e-15 at first is at most 1e-9 after 20 steps.
    """
    w = torch.tensor([[8.0, 8.0], [-8.0, -8.0]], dtype=torch.float64)
    state = torch.tensor([0.0, 0.5], dtype=torch.float64)
    stay = (state.atanh() - w @ state).expand(steps, -1)
    reading = torch.tensor([1.0, 0.0], dtype=torch.float64)
    sizes = torch.stack(
        [torch.linalg.vector_norm(gradient(units, w, stay[:t], state, reading)) for t in range(1, steps + 1)]
    )
    squared = float((w @ w).abs().max())  # zero: the eigenvalues of a matrix whose square is zero are zero
    doubling = ((sizes[1:] - 2 * sizes[:-1]).abs() <= 1e-6 * sizes[1:]).all()
    return Certificate(
        squared == 0 and bool(sizes[0] > 0) and bool(doubling), gradient=sizes, largest_of_square=squared
    )


# -- torch's layers -----------------------------------------------------------------------------------------------


def cell_keeps_what_the_forget_gates_let(world: World, *, hidden: float = 0.0) -> Certificate:
    """Whether an LSTM's gradient of the sum of c_T by c_0 is the product of its forget gates, unit by unit.

    The gates see the inputs and, with weights of the size `hidden`, the last output. A gate and its product with the
    gradient are off by a few roundings of the pre-activation, which is below 50 here, so by far less than 1e-12 a step.
    """
    draws, n = Draws(world.seed), world.units
    layer = parts().lstm(n, n, bias=True, dtype=torch.float64)
    w_in, bias = draws.normal("w_in", 4 * n, n), draws.normal("bias", 4 * n)
    set_to(
        layer, weight_ih_l0=w_in, weight_hh_l0=hidden * draws.normal("w_hidden", 4 * n, n),
        bias_ih_l0=bias, bias_hh_l0=torch.zeros(4 * n, dtype=torch.float64),
    )  # fmt: skip
    inputs, start = draws.normal("inputs", world.steps, n), draws.normal("cell", 1, n).requires_grad_()
    _, (_, cell) = layer(inputs, (torch.zeros_like(start), start))
    found = torch.autograd.grad(cell.sum(), start)[0][0]
    gates = torch.sigmoid(inputs @ w_in[n : 2 * n].T + bias[n : 2 * n]).prod(dim=0)
    off = (found / gates - 1).abs().max()
    return Certificate(bool(off <= 1e-12 * world.steps), gradient=found, product_of_gates=gates, off=off)


@remembered  # the same layers are asked whether they lose the gradient and whether they keep it
def through_time(
    seeds: Seeds,
    *,
    layer: str = "rnn",
    units: int = 32,
    inputs: int = 8,
    gate_bias: float | None = None,
    recurrent: float = 1.0,
    steps: tuple[int, ...] = (1, 10, 25, 50),
) -> Tensor:
    """The norm of the gradient of a reading of h_T by the state T steps earlier, over the reading's: `[S, len(steps)]`.

    A seed draws a layer as torch initialises it, the inputs and the reading. The state is what 20 inputs have led to;
    an LSTM's is h and c. A `gate_bias` is that of the forget gate of an LSTM, the update gate of a GRU; the recurrent
    weights are multiplied by `recurrent`.
    """
    x = seeds.normal("x", 20 + max(steps), 1, inputs)
    readings = seeds.normal("reading", units)
    found = []
    for own, reading, start in zip(x, readings, seeds.integers("layer", high=2**63 - 1).tolist(), strict=True):
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(start)
            net = parts().named(layer)(inputs, units).to(own)
        if gate_bias is not None:
            with torch.no_grad():  # the second gate is the one that keeps, in torch's order of either layer
                net.get_parameter("bias_ih_l0")[units : 2 * units] = gate_bias
                net.get_parameter("bias_hh_l0")[units : 2 * units] = 0
        set_to(net, weight_hh_l0=recurrent * net.get_parameter("weight_hh_l0").detach())
        copies = own.expand(-1, len(steps), -1)  # one for each number of steps, so that one backward pass serves all
        with torch.no_grad():
            _, state = net(copies[:20])
        state = tuple(part.requires_grad_() for part in (state if isinstance(state, tuple) else (state,)))
        outputs, _ = net(copies[20:], state if len(state) > 1 else state[0])
        last = torch.stack([outputs[t - 1, copy] for copy, t in enumerate(steps)])
        gradients = torch.cat(torch.autograd.grad((last @ reading).sum(), state), dim=2)[0]
        found.append(torch.linalg.vector_norm(gradients, dim=1) / torch.linalg.vector_norm(reading))
    return torch.stack(found)


def over_time(seeds: Seeds, *, asked: Literal["gone", "kept"] = "gone", **layer: Any) -> Rows:
    """A win: of the gradient through one step, less than a millionth is left after fifty, or a hundredth is kept.

    `layer` is what `through_time` takes.
    """
    gradients = through_time(seeds, **layer)
    left = gradients[:, -1] / gradients[:, 0]
    return Rows(win=left < GONE if asked == "gone" else left >= KEPT, left=left, gradients=gradients)


# -- tests: what the recurrent matrix says ------------------------------------------------------------------------


statistical = pytest.mark.statistical(block=11, dtype="float64")
SOME = World(units=6, steps=3, seed=1)


def worlds() -> st.SearchStrategy[World]:
    """Up to six units and forty steps."""
    return st.builds(World, st.integers(1, 6), st.integers(1, 40), st.integers(0, 9999))


def test_claim(judge):
    """tanh units, torch.nn.RNN: with a largest singular value of .9, at most .9^T is left after T ≤ 40 steps."""
    judge(shrinks, given=worlds()).supports()


def test_relu(judge):
    """The same with ReLU units."""
    judge(shrinks, given=worlds(), units="relu").supports()


def test_linear(judge):
    """The same with linear units."""
    judge(shrinks, given=worlds(), units="linear").supports()


@pytest.mark.parametrize(
    ("units", "kind", "largest"),
    [("linear", "orthogonal", 1.0), ("linear", "sheared", 0.9), ("tanh", "random", 3.0)],
    ids=["orthogonal", "eigenvalues_of_nine_tenths", "largest_singular_value_of_three"],
)
def test_control(judge, units, kind, largest):
    judge(shrinks, given=worlds(), example=SOME, units=units, kind=kind, largest=largest).refutes()


def test_orthogonal_keeps(judge):
    """Linear units and an orthogonal matrix: the gradient is as long as it was, up to rounding."""
    judge(is_a_power, given=worlds()).supports()


def test_larger_explodes(judge):
    """1.1 times an orthogonal matrix: 1.1^T times as long, up to rounding."""
    judge(is_a_power, given=worlds(), factor=1.1).supports()


def test_control_orthogonal_with_tanh(judge):
    """The slopes of tanh are less than 1 wherever the state is not 0."""
    judge(is_a_power, given=worlds(), example=SOME, units="tanh").refutes()


@pytest.mark.exact
def test_eigenvalues_do_not_decide(judge):
    """Two tanh units whose recurrent matrix has no eigenvalue but 0: over 20 steps the gradient doubles with each."""
    judge(doubles_at_every_step).supports()


@pytest.mark.exact
def test_control_eigenvalues_with_linear_units(judge):
    """All slopes are 1, and nothing is left after two steps."""
    judge(doubles_at_every_step, units="linear").refutes()


# -- tests: torch's layers ----------------------------------------------------------------------------------------


def test_cell_gradient_is_the_product_of_forget_gates(judge):
    """torch.nn.LSTM whose gates see the inputs alone, up to six units and forty steps, within 1e-12 a step."""
    judge(cell_keeps_what_the_forget_gates_let, given=worlds()).supports()


def test_control_gates_that_see_the_last_output(judge):
    """Then the cell has other ways to the next one."""
    judge(cell_keeps_what_the_forget_gates_let, given=worlds(), example=SOME, hidden=1.0).refutes()


@statistical
def test_rnn_as_initialised(judge):
    """torch.nn.RNN, tanh, 32 units: less than a millionth of the gradient through one step is left after fifty."""
    judge(over_time).supports()


@statistical
def test_lstm_as_initialised(judge):
    """torch.nn.LSTM, by hidden state and cell: the same. Its forget gates are about half open."""
    judge(over_time, layer="lstm").supports()


@statistical
def test_gru_as_initialised(judge):
    """torch.nn.GRU: the same."""
    judge(over_time, layer="gru").supports()


@statistical
@pytest.mark.parametrize(
    ("layer", "gate_bias", "recurrent"),
    [("lstm", 5.0, 1.0), ("gru", 5.0, 1.0), ("rnn", None, 3.0)],
    ids=["lstm_with_open_gates", "gru_with_open_gates", "rnn_of_three_times_the_weights"],
)
def test_control_vanishes(judge, layer, gate_bias, recurrent):
    judge(over_time, layer=layer, gate_bias=gate_bias, recurrent=recurrent).refutes()


@statistical
def test_lstm_with_open_gates(judge):
    """Forget gates biased by 5: a hundredth or more of the gradient through one step is left after fifty."""
    judge(over_time, layer="lstm", gate_bias=5.0, asked="kept").supports()


@statistical
def test_gru_with_open_gates(judge):
    """Update gates biased by 5: the same."""
    judge(over_time, layer="gru", gate_bias=5.0, asked="kept").supports()


@statistical
@pytest.mark.parametrize(
    ("layer", "gate_bias"),
    [("lstm", None), ("lstm", 1.0), ("gru", None)],
    ids=["lstm_as_initialised", "lstm_with_a_bias_of_one", "gru_as_initialised"],
)
def test_control_kept(judge, layer, gate_bias):
    """A bias of 1 opens a forget gate to .73, of which fifty steps leave nothing much."""
    judge(over_time, layer=layer, gate_bias=gate_bias, asked="kept").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """As torch initialises them all three layers lose the gradient within fifty steps; gates biased open keep it."""
    layers = {
        "RNN": "rnn_as_initialised",
        "LSTM": "lstm_as_initialised",
        "GRU": "gru_as_initialised",
        "LSTM, gates open (control)": "control_vanishes[lstm_with_open_gates]",
        "GRU, gates open (control)": "control_vanishes[gru_with_open_gates]",
    }
    ax.set(yscale="log")
    for label, test in layers.items():
        draw.spread(ax, (1, 10, 25, 50), measured[test]["gradients"], label)
    ax.set(xlabel="steps back", ylabel="gradient by the state")
    draw.key(ax)
