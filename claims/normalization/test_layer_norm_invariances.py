"""Layer norm takes its mean and standard deviation over the units of a layer, one sample at a time.

Slide: Layer Normalizations. Batch norm, there, with the statistics of the layer's activations in place of those of the
mini-batch. The slide's formula is the core of it and leaves out what torch.nn.LayerNorm has besides: a small epsilon
under the root, and a gain and a shift for every unit.

What a layer forgets shows what it normalises. Let a = w x be what goes into the units, and let each method turn it into
gain (a - mean) / spread + shift. With a factor f > 0 and a constant vector c:

  every weight times f          a, mean and spread all become f times as large: no method notices
  c added to every row of w     a gains the same number c x in all units of a sample, which leaves with the mean over
                                units; the mean over samples leaves some of it, and weight norm subtracts no mean
  one row of w times f          one unit's a is scaled, and so are its own mean and spread in batch norm and its own
                                length in weight norm; layer norm mixes that unit into all others
  every sample times f          as for the weights; but the length of a weight vector knows nothing of the samples
  c added to every sample       unit i gains the same number w_i c in all samples, which leaves with the mean over
                                samples only
  one sample times f            its a, its mean and its spread over the units scale alike; over samples they do not

Ten times yes and eight times no, which is Table 1 of the paper. (A sentence under that table says that all three
methods forget the scale of the data; for weight norm the table, and the test, say no.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab import Certificate, Claim, Property
from claimlab.measure.draws import Draws
from claimlab.measure.rounding import linear, standardised
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/layer-norm-normalises-each-sample",
    covers=("F9",),
    slide="Layer Normalizations",
    version=2,
    finding="holds",
    says="Layer norm normalises with the mean and the standard deviation of the layer's activations, not of the batch.",
    statement=(
        "Layer norm takes mean and variance over the units of one sample: it is batch norm of the transposed "
        "activations, and other samples do not matter. Its output stays the same when all weights, all samples or one "
        "sample are scaled, or one vector is added to all rows of weights, and moves when one row of weights is "
        "scaled or all samples are shifted."
    ),
    reason="The statistics are taken over units, within a sample. The slide's formula leaves out epsilon, gain and "
    "shift.",
    scope=(
        "one dense layer, outputs compared before the nonlinearity; positive factors, and for the invariances an "
        "epsilon of 2⁻¹⁰⁰⁰: with the usual 10⁻⁵ scaling is forgotten only nearly; float64"
    ),
    source="Ba, Kiros and Hinton 2016 (arXiv 1607.06450), section 3 and Table 1",
    evidence=Property(examples=20),
)

EPSILON = 1e-5
NEGLIGIBLE = 2.0**-1000
"""No variance here notices it; torch's batch norm refuses 0."""

Method = Callable[..., Tensor]
Change = Callable[["Layer"], "Layer"]


@dataclass(frozen=True)
class World:
    """The sizes of a dense layer, the scale of its inputs, the factor f of the changes, and the seed of all numbers.

    Four samples and four units are the least: two normalised numbers are -1 and 1, whatever they were.
    """

    samples: int = 4
    inputs: int = 3
    units: int = 5
    scale: float = 1.0
    factor: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class Layer:
    """Inputs x `[N, D]`, weights w `[H, D]`, gain and shift `[H]`, and the factor by which a change scales."""

    x: Tensor
    w: Tensor
    gain: Tensor
    shift: Tensor
    factor: float

    @property
    def a(self) -> Tensor:
        """What goes into the units, `[N, H]`."""
        return self.x @ self.w.T


def layer_of(world: World) -> Layer:
    draws = Draws(world.seed)
    x, w = world.scale * draws.normal("x", world.samples, world.inputs), draws.normal("w", world.units, world.inputs)
    gain, shift = 1 + draws.normal("gain", world.units).abs(), draws.normal("shift", world.units)
    return Layer(x, w, gain, shift, world.factor)


def with_parameters(module: nn.Module, **parameters: Tensor) -> nn.Module:
    module.load_state_dict({name.replace("__", "."): value for name, value in parameters.items()}, strict=False)
    return module


def layer_norm(layer: Layer, eps: float = NEGLIGIBLE) -> Tensor:
    norm = parts().layer_norm(len(layer.w), eps=eps, dtype=torch.float64)
    return with_parameters(norm, weight=layer.gain, bias=layer.shift)(layer.a).detach()


def batch_norm(layer: Layer, eps: float = NEGLIGIBLE) -> Tensor:
    norm = parts().batch_norm_1d(len(layer.w), eps=eps, dtype=torch.float64)
    return with_parameters(norm, weight=layer.gain, bias=layer.shift)(layer.a).detach()


def weight_norm(layer: Layer) -> Tensor:
    units, inputs = layer.w.shape
    norm = parts().weight_norm(nn.Linear(inputs, units, dtype=torch.float64))
    lengths, directions = "parametrizations__weight__original0", "parametrizations__weight__original1"
    with_parameters(norm, **{lengths: layer.gain[:, None], directions: layer.w}, bias=layer.shift)
    return norm(layer.x).detach()


def plain(a: Tensor, name: str) -> Tensor:
    """Activations `[n, features]` through torch's layer or batch norm without gain and shift."""
    affine = {"layer_norm": "elementwise_affine", "batch_norm_1d": "affine"}[name]
    return parts().named(name)(a.shape[1], **{affine: False}, dtype=torch.float64)(a)


METHODS: Mapping[str, Method] = {"batch norm": batch_norm, "weight norm": weight_norm, "layer norm": layer_norm}


def rounding(layer: Layer, method: str, eps: float = NEGLIGIBLE) -> float:
    """How far an output can be off that of the exact x and w, of which a change has rounded each number once."""
    inputs = layer.x.shape[1]
    if method == "weight norm":
        w = layer.gain[:, None] * layer.w / torch.linalg.vector_norm(layer.w, dim=1, keepdim=True)
        return float(linear(layer.x, w, layer.shift, before=inputs + 6).max())
    dim = ("batch norm", "layer norm").index(method)
    off = linear(layer.x, layer.w, before=2).amax(dim, keepdim=True)
    return float(standardised(layer.a, dim=dim, eps=eps, gain=layer.gain, shift=layer.shift, off=off).max())


# -- the definition ---------------------------------------------------------------------------------------------------


def formula(a: Tensor, axis: int = 1, eps: float = EPSILON) -> Tensor:
    """(a - mean) / sqrt(var + eps), written out, with the statistics along an axis of `[N, H]`."""
    count = a.shape[axis]
    centred = a - a.sum(dim=axis, keepdim=True) / count
    return centred / ((centred * centred).sum(dim=axis, keepdim=True) / count + eps).sqrt()


def follows(
    world: World, rule: Callable[[Layer], Tensor] = lambda layer: layer.gain * formula(layer.a) + layer.shift
) -> Certificate:
    """Whether torch's layer norm, as it is by default, follows the rule up to rounding."""
    layer = layer_of(world)
    off = (layer_norm(layer, EPSILON) - rule(layer)).abs().max()
    allowed = 2 * rounding(layer, "layer norm", EPSILON)
    return Certificate(bool(off <= allowed), off=off, rounding_allowed=allowed)


def is_batch_norm_of(world: World, arranged: Callable[[Tensor], Tensor] = torch.t) -> Certificate:
    """Whether layer norm is what batch norm makes of the activations so arranged, arranged back."""
    layer = layer_of(world)
    off = (plain(layer.a, "layer_norm") - arranged(plain(arranged(layer.a), "batch_norm_1d"))).abs().max()
    allowed = 2 * rounding(layer, "layer norm", EPSILON)
    return Certificate(bool(off <= allowed), off=off, rounding_allowed=allowed)


def ignores_other_samples(world: World, method: Method = layer_norm) -> Certificate:
    """Whether the first sample's output stays the same, up to rounding, when all other samples are others.

    Not to the bit: a product may add a sample's terms up in another order.
    """
    layer, others = layer_of(world), layer_of(replace(world, seed=world.seed + 1))
    mixed = replace(layer, x=torch.cat([layer.x[:1], others.x[1:]]))
    off = (method(layer)[0] - method(mixed)[0]).abs().max()
    allowed = 2 * rounding(layer, "layer norm")
    return Certificate(bool(off <= allowed), off=off, rounding_allowed=allowed)


# -- what a layer forgets ---------------------------------------------------------------------------------------------


def constants(layer: Layer) -> Tensor:
    """The vector c: 1, 2, ..., D."""
    return torch.arange(1, layer.x.shape[1] + 1, dtype=torch.float64)


def first_scaled(rows: Tensor, factor: float) -> Tensor:
    return torch.cat([factor * rows[:1], rows[1:]])


CHANGES: Mapping[str, Change] = {
    "all weights scaled": lambda layer: replace(layer, w=layer.factor * layer.w),
    "all weights shifted": lambda layer: replace(layer, w=layer.w + constants(layer)),
    "one unit scaled": lambda layer: replace(layer, w=first_scaled(layer.w, layer.factor)),
    "all samples scaled": lambda layer: replace(layer, x=layer.factor * layer.x),
    "all samples shifted": lambda layer: replace(layer, x=layer.x + constants(layer)),
    "one sample scaled": lambda layer: replace(layer, x=first_scaled(layer.x, layer.factor)),
}
FORGOTTEN: Mapping[str, tuple[bool, bool, bool]] = {
    "all weights scaled": (True, True, True),
    "all weights shifted": (False, False, True),
    "one unit scaled": (True, True, False),
    "all samples scaled": (True, False, True),
    "all samples shifted": (True, False, False),
    "one sample scaled": (False, False, True),
}
"""Ba et al. 2016, Table 1, as derived above: whether batch, weight and layer norm forget the change."""


def moved(world: World, method: str, change: str, **options: float) -> tuple[float, float]:
    """How far a change moves the output, and how far rounding could have moved it."""
    before = layer_of(world)
    after = CHANGES[change](before)
    off = (METHODS[method](after, **options) - METHODS[method](before, **options)).abs().max()
    return float(off), sum(rounding(layer, method) for layer in (before, after))


def forgets(world: World, method: str, change: str, **options: float) -> Certificate:
    off, allowed = moved(world, method, change, **options)
    return Certificate(off <= allowed, moved=off, rounding_allowed=allowed)


def forgets_ten_changes(world: World) -> Certificate:
    """Whether every "yes" of the table holds in this world."""
    yes = [(method, change) for change, row in FORGOTTEN.items() for method, y in zip(METHODS, row, strict=True) if y]
    wrong = [pair for pair in yes if not forgets(world, *pair).holds]
    return Certificate(len(yes) == 10 and not wrong, wrong=wrong)


def has_the_table(visible: float = 0.01) -> Certificate:
    """Whether the eighteen changes move one world's output as the table says: by rounding at most, or visibly."""
    cells = [[moved(World(), method, change) for method in METHODS] for change in CHANGES]
    stays = [[off <= allowed for off, allowed in row] for row in cells]
    moves = [[off > visible for off, _ in row] for row in cells]
    yes = [list(FORGOTTEN[change]) for change in CHANGES]
    no = [[not forgotten for forgotten in row] for row in yes]
    return Certificate(
        stays == yes and moves == no,
        changes=list(CHANGES), methods=list(METHODS), forgotten=stays, moved=[[off for off, _ in row] for row in cells],
    )  # fmt: skip


def worlds() -> st.SearchStrategy[World]:
    """Layers of 4 to 8 samples, 1 to 4 inputs and 4 to 8 units."""
    return st.builds(
        World,
        samples=st.integers(4, 8),
        inputs=st.integers(1, 4),
        units=st.integers(4, 8),
        scale=st.sampled_from([1.0, 0.01, 100.0]),
        factor=st.sampled_from([3.0, 0.1, 20.0]),
        seed=st.integers(0, 999),
    )


def test_claim(judge):
    """Layers of 4 to 8 samples and units, 1 to 4 inputs: gain (a − mean) / √(var + 10⁻⁵) + shift, up to rounding."""
    judge(follows, given=worlds()).supports()


def test_control_statistics_of_the_batch(judge):
    judge(
        follows, given=worlds(), example=World(), rule=lambda layer: layer.gain * formula(layer.a, axis=0) + layer.shift
    ).refutes()


def test_control_formula_of_the_slide(judge):
    """Without epsilon, gain and shift it is not the layer that is trained."""
    judge(follows, given=worlds(), example=World(), rule=lambda layer: formula(layer.a, eps=0.0)).refutes()


def test_control_formula_without_epsilon(judge):
    judge(
        follows,
        given=worlds(),
        example=World(),
        rule=lambda layer: layer.gain * formula(layer.a, eps=0.0) + layer.shift,
    ).refutes()


def test_batch_norm_of_the_transpose(judge):
    """Without gain and shift it is training-mode batch norm of the transposed activations, up to rounding."""
    judge(is_batch_norm_of, given=worlds()).supports()


def test_control_batch_norm_not_transposed(judge):
    judge(is_batch_norm_of, given=worlds(), example=World(), arranged=torch.clone).refutes()


def test_other_samples_do_not_matter(judge):
    """The first sample's output is the same, but for rounding, when all other samples are others."""
    judge(ignores_other_samples, given=worlds()).supports()


def test_control_batch_norm_depends_on_other_samples(judge):
    judge(ignores_other_samples, given=worlds(), example=World(), method=batch_norm).refutes()


@pytest.mark.exact
def test_invariance_table(judge):
    """Table 1 of Ba et al.: ten of eighteen changes move the output by rounding at most, eight by above 0.01."""
    judge(has_the_table).supports()


def test_ten_invariances(judge):
    """The ten cells of the table that say yes, in every world, up to rounding, with an epsilon of 2⁻¹⁰⁰⁰."""
    judge(forgets_ten_changes, given=worlds()).supports()


NOT_FORGOTTEN = [
    (method, change)
    for change, row in FORGOTTEN.items()
    for method, forgotten in zip(METHODS, row, strict=True)
    if not forgotten
]


@pytest.mark.parametrize(
    ("method", "change"),
    NOT_FORGOTTEN,
    ids=["-".join(pair).replace(" ", "-") for pair in NOT_FORGOTTEN],
)
def test_control_moves(judge, method, change):
    """The eight cells of the table that say no."""
    judge(forgets, given=worlds(), example=World(), method=method, change=change).refutes()


def test_control_usual_epsilon(judge):
    """An epsilon of 1e-5 does not scale with the weights, and so remembers a little of their scale."""
    judge(
        forgets, given=worlds(), example=World(), method="layer norm", change="all weights scaled", eps=EPSILON
    ).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Each method forgets changes that the others see; only layer norm forgets how large one sample is."""
    table = measured["invariance_table"]
    for row, (stays, moved_by) in enumerate(zip(table["forgotten"], table["moved"], strict=True)):
        for column, (same, off) in enumerate(zip(stays, moved_by, strict=True)):
            ax.fill_between([column, column + 1], row, row + 1, color="C0" if same else "C1", alpha=0.3, edgecolor="w")
            said = "yes: the same" if same else f"no: moves by {off:.2g}"
            ax.text(column + 0.5, row + 0.5, said, ha="center", va="center")
    ax.set_yticks([row + 0.5 for row in range(6)], [str(name) for name in table["changes"]])
    ax.set_xticks([0.5, 1.5, 2.5], [str(name) for name in table["methods"]])
    ax.set(xlim=(0, 3), ylim=(6, 0))
    ax.tick_params(length=0)
