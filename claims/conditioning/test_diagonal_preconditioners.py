"""AdaGrad, RMSprop, AdaDelta and Adam divide each component of the gradient by what its squares have accumulated to.

Slide: Fixing Conditioning Issues. The deck says: by the root of the (moving) average of g². For RMSprop that is all
there is to it. AdaGrad has the sum, and its steps become shorter and shorter. AdaDelta multiplies by the root of a
moving average of its own squared updates besides, which takes the place of a learning rate. Adam divides a moving
average of the gradient, and corrects both averages for having started at 0; without that its first step would be
0.1 / √0.001, more than three times as long.

The formulas are written out here, step by step, and torch's are held against them, with what has gone wrong in ports
of them: epsilon outside the root (inside it for AdaDelta), bias correction, weight decay added to the gradient, but in
AdamW taken off the weight, and ascent. Rounding: nothing that is accumulated cancels but Adam's mean, which is off by
units in the last place of the largest gradient, and divided by no less than √(1 − β₂) of that; eight steps of some
twenty roundings each stay below 1e-13 of weights and steps.

What follows from the formulas is that components of any scale are treated alike: multiply the gradient of each by a
positive number, and the steps stay as they were, as long as epsilon is negligible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, draw
from claimlab.measure.draws import Draws
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/diagonal-preconditioners",
    covers=("E5",),
    slide="Fixing Conditioning Issues",
    version=1,
    finding="scoped",
    says="AdaGrad, RMSProp, AdaDelta and Adam rescale every gradient component by the root of the (moving) average "
    "of its squares.",
    statement="RMSprop and Adam divide each gradient component by the root of a moving average of its squares, which "
    "Adam corrects for its start. AdaGrad's is a sum: under equal gradients its steps fall as one over the root of "
    "their number. AdaDelta multiplies by the root mean square of its own updates as well. Rescale components by any "
    "positive numbers, and all four make the same steps.",
    reason="As the deck says for RMSprop. The others add something that it leaves out, and what AdaGrad accumulates is "
    "no average: with one, the last of a hundred equal gradients would move it as far as the first, and it moves it "
    "by a tenth of that.",
    scope="torch's update rules in float64, to rounding; the invariance where epsilon is negligible and no decay is "
    "added to the gradient (AdamW's is not)",
    source="Duchi et al. 2011; Zeiler 2012 (arXiv 1212.5701); Kingma & Ba 2015 (arXiv 1412.6980); Loshchilov & Hutter "
    "2019 (arXiv 1711.05101)",
    evidence=Property(examples=40),
)

ROUNDING = 1e-12
NEGLIGIBLE = 1e-30

Memory = dict[str, Any]
Rule = Callable[[Memory, Tensor, int, float], Tensor]


@dataclass(frozen=True)
class World:
    """The options of an optimizer, how many steps, the matrix of components, and the seed they are drawn with.

    A `transposed` matrix of weights lies in memory column by column, where kernels have gone wrong.
    """

    steps: int = 6
    components: tuple[int, int] = (3, 2)
    transposed: bool = False
    rate: float = 0.1
    eps: float = 1e-8
    decay: float = 0.0
    ascent: bool = False
    seed: int = 0

    def gradients(self) -> Tensor:
        """Of sizes from a hundredth to a hundred, component by component: `[steps, *components]`."""
        sizes = 10 ** Draws(self.seed).uniform("sizes", *self.components, low=-2, high=2)
        return sizes * Draws(self.seed).normal("gradients", self.steps, *self.components)

    def start(self) -> Tensor:
        return Draws(self.seed).normal("weights", *self.components)


# -- the rules, written out: what a gradient g becomes at step t, before the rate is multiplied to it ----------------


def adagrad(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    memory["sum"] = memory.get("sum", 0) + g * g
    return g / (memory["sum"].sqrt() + eps)


def rmsprop(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    return g / (average(memory, "squares", g * g, 0.99).sqrt() + eps)


def adadelta(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    squares, before = average(memory, "squares", g * g, 0.9), memory.get("updates", torch.zeros_like(g))
    update = g * (before + eps).sqrt() / (squares + eps).sqrt()
    average(memory, "updates", update * update, 0.9)
    return update


def adam(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    mean, squares = average(memory, "mean", g, 0.9), average(memory, "squares", g * g, 0.999)
    return mean / (1 - 0.9**t) / ((squares / (1 - 0.999**t)).sqrt() + eps)


def average(memory: Memory, name: str, new: Tensor, share: float) -> Tensor:
    """A moving average that starts at 0, and keeps that share of the old."""
    memory[name] = share * memory.get(name, torch.zeros_like(new)) + (1 - share) * new
    return memory[name]


RULES: Mapping[str, Rule] = {
    "adagrad": adagrad, "rmsprop": rmsprop, "adadelta": adadelta, "adam": adam, "adamw": adam,
}  # fmt: skip


# -- what is near them and wrong -----------------------------------------------------------------------------------


def by_the_average(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    """As the deck has it for AdaGrad."""
    memory["sum"] = memory.get("sum", 0) + g * g
    return g / ((memory["sum"] / t).sqrt() + eps)


def times_the_root(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    return g * (average(memory, "squares", g * g, 0.99).sqrt() + eps)


def epsilon_inside(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    return g / (average(memory, "squares", g * g, 0.99) + eps).sqrt()


def without_its_updates(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    return g / (average(memory, "squares", g * g, 0.9) + eps).sqrt()


def without_correction(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    return average(memory, "mean", g, 0.9) / (average(memory, "squares", g * g, 0.999).sqrt() + eps)


def adam_epsilon_inside(memory: Memory, g: Tensor, t: int, eps: float) -> Tensor:
    mean, squares = average(memory, "mean", g, 0.9), average(memory, "squares", g * g, 0.999)
    return mean / (1 - 0.9**t) / (squares / (1 - 0.999**t) + eps).sqrt()


# -- the checks -----------------------------------------------------------------------------------------------------


def torchs_path(method: str, world: World, gradients: Tensor, start: Tensor) -> Tensor:
    """Where the optimizer takes the weights: `[steps, *components]`."""
    options = {"lr": world.rate} if method == "sgd" else {"lr": world.rate, "eps": world.eps}
    w = (start.T.clone(memory_format=torch.contiguous_format).T if world.transposed else start.clone()).requires_grad_()
    optimizer = parts().named(method)([w], weight_decay=world.decay, maximize=world.ascent, **options)
    places = []
    for gradient in gradients:
        w.grad = gradient.clone()
        optimizer.step()
        places.append(w.detach().clone())
    return torch.stack(places)


def written_out(
    rule: Rule, world: World, gradients: Tensor, start: Tensor, *, decoupled: bool = False, ascent: bool | None = None
) -> Tensor:
    """Where the rule takes them. Decay adds to the gradient, or shrinks the weights if it is `decoupled`."""
    w, memory, places = start, {}, []
    for t, gradient in enumerate(gradients, start=1):
        g = -gradient if (world.ascent if ascent is None else ascent) else gradient
        shrunk, g = (w - world.rate * world.decay * w, g) if decoupled else (w, g + world.decay * w)
        w = shrunk - world.rate * rule(memory, g, t, world.eps)
        places.append(w)
    return torch.stack(places)


def follows(world: World, *, method: str, rule: Rule, **how: bool) -> Certificate:
    """Whether torch's optimizer goes where the rule goes, after every step, and moves at all."""
    gradients, start = world.gradients(), world.start()
    ours, torchs = written_out(rule, world, gradients, start, **how), torchs_path(method, world, gradients, start)
    off = ((ours - torchs).abs() / torchs.abs().amax(dim=0).clamp(min=world.rate)).max()
    return Certificate(bool(off <= ROUNDING and (torchs != start).any()), off=off)


def all_follow(world: World) -> Certificate:
    """Whether all five do."""
    off = {
        method: follows(world, method=method, rule=rule, decoupled=method == "adamw") for method, rule in RULES.items()
    }
    return Certificate(
        all(each.holds for each in off.values()), **{method: each.numbers["off"] for method, each in off.items()}
    )


def forgets_scale(world: World, *, method: str, least: float = -3.0) -> Certificate:
    """Whether the path stays when each component of all gradients is multiplied by a number from 10^least to 1000."""
    gradients, start = world.gradients(), world.start() * (world.decay > 0)
    factors = 10 ** Draws(world.seed).uniform("factors", *world.components, low=least, high=3)
    before, after = (torchs_path(method, world, each, start) for each in (gradients, factors * gradients))
    off = ((after - before).abs() / before.abs().amax(dim=0)).max()
    return Certificate(bool(off <= ROUNDING), off=off, factors=factors)


def all_forget_scale(world: World) -> Certificate:
    """Whether all four do from weights of 0, so that no digit is lost, and AdamW with decay from others."""
    decay = {method: 0.1 * (method == "adamw") for method in RULES}
    found = {method: forgets_scale(replace(world, decay=decay[method]), method=method) for method in RULES}
    return Certificate(
        all(each.holds for each in found.values()), **{method: each.numbers["off"] for method, each in found.items()}
    )


def steps_are(
    *, method: str, derived: Callable[[Tensor], Tensor], steps: int = 100, sizes: tuple[float, ...] = (0.1, 1.0, 10.0)
) -> Certificate:
    """Whether under equal gradients, one of each size, step t is as long as derived, in units of the rate."""
    gradients = torch.tensor(sizes, dtype=torch.float64).expand(steps, -1)
    start = torch.zeros(len(sizes), dtype=torch.float64)
    path = torchs_path(method, World(rate=1.0, eps=NEGLIGIBLE), gradients, start)
    taken = -torch.cat([start[None], path]).diff(dim=0)
    # The path is up to 110 rates long, so that a step, the difference of two places, is off by 1e-14 times that.
    off = (taken - derived(torch.arange(1, steps + 1, dtype=torch.float64))[:, None]).abs().max()
    return Certificate(bool(off <= ROUNDING), off=off, steps=taken[:, 0])


def worlds(*, eps: tuple[float, ...] = (1e-8, 0.1)) -> st.SearchStrategy[World]:
    """One to eight steps of up to twelve components; decay, ascent and a transposed layout in some."""
    return st.builds(
        World, steps=st.integers(1, 8), components=st.tuples(st.integers(1, 4), st.integers(1, 3)),
        transposed=st.booleans(), rate=st.sampled_from([0.1, 0.001, 1.0]),
        eps=st.sampled_from(eps), decay=st.sampled_from([0.0, 0.1]), ascent=st.booleans(), seed=st.integers(0, 999),
    )  # fmt: skip


USUAL = World(eps=0.1, decay=0.1, ascent=True)


def test_claim(judge):
    """Weights after each of one to eight steps, to 1e-12 of them: AdaGrad, RMSprop, AdaDelta, Adam and AdamW."""
    judge(all_follow, given=worlds()).supports()


NEAR: Mapping[str, dict[str, Any]] = {
    "adagrad-by-the-average": {"method": "adagrad", "rule": by_the_average},
    "rmsprop-times-the-root": {"method": "rmsprop", "rule": times_the_root},
    "rmsprop-epsilon-inside": {"method": "rmsprop", "rule": epsilon_inside},
    "adadelta-without-its-updates": {"method": "adadelta", "rule": without_its_updates},
    "adam-without-correction": {"method": "adam", "rule": without_correction},
    "adam-epsilon-inside": {"method": "adam", "rule": adam_epsilon_inside},
    "adam-decays-as-adamw": {"method": "adam", "rule": adam, "decoupled": True},
    "adamw-decays-as-adam": {"method": "adamw", "rule": adam},
    "adam-never-ascends": {"method": "adam", "rule": adam, "ascent": False},
}


@pytest.mark.parametrize("near", NEAR.values(), ids=list(NEAR))
def test_control_rule(judge, near):
    """One thing is other than in the rule: no optimizer of torch goes there."""
    judge(follows, given=worlds(), example=USUAL, **near).refutes()


def test_scale_is_forgotten(judge):
    """Each component's gradients times a number from 0.001 to 1000, epsilon 1e-30: the same path to 1e-12."""
    judge(all_forget_scale, given=worlds(eps=(NEGLIGIBLE,))).supports()


def test_control_descent_remembers_scale(judge):
    judge(forgets_scale, given=worlds(), example=USUAL, method="sgd").refutes()


def test_control_usual_epsilon_remembers_small_scales(judge):
    judge(forgets_scale, given=worlds(eps=(1e-8,)), example=USUAL, method="adam", least=-6.0).refutes()


def test_control_decay_by_the_gradient_remembers_scale(judge):
    """Decay that is added to the gradient is weighed against it."""
    judge(
        forgets_scale, given=worlds(eps=(NEGLIGIBLE,)), example=replace(USUAL, eps=NEGLIGIBLE), method="adam"
    ).refutes()


@pytest.mark.exact
def test_adagrad_slows_down(judge):
    """A hundred equal gradients, of three sizes: step t is 1 / √t rates long, the last a tenth of the first."""
    judge(steps_are, method="adagrad", derived=lambda t: t**-0.5).supports()


@pytest.mark.exact
def test_adam_goes_on(judge):
    """A hundred equal gradients: every step is one rate long, the first as well, thanks to the correction."""
    judge(steps_are, method="adam", derived=torch.ones_like).supports()


@pytest.mark.exact
def test_rmsprop_begins_long(judge):
    """A hundred equal gradients: step t is 1 / √(1 − 0.99ᵗ) rates long, the first ten, for nothing corrects it."""
    judge(steps_are, method="rmsprop", derived=lambda t: (1 - 0.99**t) ** -0.5).supports()


@pytest.mark.exact
def test_control_adagrad_does_not_go_on(judge):
    """With an average in place of the sum, every step would be one rate long."""
    judge(steps_are, method="adagrad", derived=torch.ones_like).refutes()


@pytest.mark.exact
def test_control_rmsprop_does_not_begin_with_its_rate(judge):
    judge(partial(steps_are, steps=1), method="rmsprop", derived=torch.ones_like).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """While the gradient stays the same, AdaGrad's steps shrink for ever; an average would leave them as Adam's."""
    draw.numbers(ax.xaxis, [1, 2, 5, 10, 20, 50, 100], log=True)
    draw.numbers(ax.yaxis, [0.1, 0.2, 0.5, 1, 2, 5, 10], log=True)
    for test, name in (
        ("rmsprop_begins_long", "RMSprop: moving average"),
        ("adam_goes_on", "Adam: moving average, corrected"),
        ("adagrad_slows_down", "AdaGrad: sum"),
    ):
        steps = measured[test]["steps"]
        draw.curve(ax, range(1, len(steps) + 1), steps, name)
    ax.set(xlabel="step, all gradients equal", ylabel="its length, in learning rates")
    draw.key(ax)
