"""One rate of Adam serves losses of all scales; gradient descent wants another rate for each.

Slide: Practical Takeaways, which advises optimizers that are robust. That diagonal methods undo poor scaling along the
axes and not along others is E6, and their formulas are E5. Robust is taken here to mean that a rate found for one
problem serves another: the same quadratic, in other units. Multiply a loss by c, and the steps of SGD are those of a
rate c times as large. Adam and AdaGrad divide by the size of the gradients, and take the steps that they took before.
The number that keeps them from dividing by zero is set to zero here, and has its own control: where it is no longer
small beside the gradients, the steps do depend on the units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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
    id="conclusions/one-rate-for-all-scales",
    covers=("P3",),
    slide="Practical Takeaways",
    version=1,
    finding="scoped",
    says="Use an optimizer that is robust.",
    statement="Multiply a loss by any constant: Adam and AdaGrad take the same steps as before at the same rate, while "
    "gradient descent takes those of a rate that is as many times larger. So a rate of theirs serves all scales of the "
    "loss, until the constant in their denominator is no longer small beside the gradients.",
    reason="Adam and AdaGrad divide a gradient by the size of past ones, and the constant cancels. That is robustness "
    "to units, not to everything: where poor scaling does not lie along the axes they hardly help (E6), and one "
    "that fits better need not generalise better (I2).",
    scope="quadratic losses, up to ten steps, float64; in Adam and AdaGrad the constant that is added to the "
    "denominator is zero, but for one control",
    source="Kingma & Ba 2015 (arXiv 1412.6980), section 2.1; Duchi, Hazan & Singer 2011 (JMLR 12)",
    evidence=Property(examples=30),
)

Name = Literal["adam", "adagrad", "sgd"]

# Ten steps of a handful of roundings each; products with powers of two are exact.
ROUNDING = 1e-9


@dataclass(frozen=True)
class World:
    """A quadratic with drawn curvature and minimum, and a loss that is 2^power times as large."""

    weights: int
    power: int
    steps: int
    seed: int


def path(world: World, name: Name, *, times: float, rate: float, eps: float) -> Tensor:
    """The weights after every step from zero, `[steps, weights]`."""
    draws = Draws(world.seed)
    curvature, target = draws.uniform("curvature", world.weights, low=0.5, high=2.0), draws.normal("w", world.weights)
    w = torch.zeros_like(target, requires_grad=True)
    options = {} if name == "sgd" else {"eps": eps}
    optimizer = parts().named(name)([w], lr=rate, **options)
    seen = []
    for _ in range(world.steps):
        optimizer.zero_grad()
        (times * (curvature * (w - target).square()).sum() / 2).backward()
        optimizer.step()
        seen.append(w.detach().clone())
    return torch.stack(seen)


def same_steps(
    world: World, *, name: Name, rate: float = 0.125, eps: float = 0.0, scaled_rate: bool = False
) -> Certificate:
    """Whether the larger loss leads to the same weights, at the same rate or at one `scaled_rate` down by as much."""
    times = 2.0**world.power
    before = path(world, name, times=1.0, rate=rate, eps=eps)
    after = path(world, name, times=times, rate=rate / times if scaled_rate else rate, eps=eps)
    moved, off = before.abs().max(), (after - before).abs().max()
    return Certificate(bool(moved > 0) and bool(off <= ROUNDING * moved), off=off / moved, moved=moved)


def worlds() -> st.SearchStrategy[World]:
    """Losses from a thousandth to a thousand times as large."""
    return st.builds(
        World, weights=st.integers(1, 5), power=st.integers(-10, 10), steps=st.integers(1, 10), seed=st.integers(0, 999)
    )


LARGER = World(weights=3, power=3, steps=5, seed=1)
SMALLER = World(weights=3, power=-10, steps=5, seed=1)


def test_claim(judge):
    """Adam at rate 1/8, up to ten steps on up to five weights, the loss times 2^-10 to 2^10: the same to 1e-9."""
    judge(same_steps, given=worlds(), name="adam").supports()


def test_adagrad(judge):
    """AdaGrad in the same worlds."""
    judge(same_steps, given=worlds(), name="adagrad").supports()


def test_descent_at_another_rate(judge):
    """Gradient descent takes the same steps if its rate is divided by what the loss is multiplied with."""
    judge(same_steps, given=worlds(), name="sgd", scaled_rate=True).supports()


OTHERWISE: Mapping[str, dict[str, Any]] = {
    "descent-at-the-same-rate": {"name": "sgd", "example": LARGER},
    "adam-at-another-rate": {"name": "adam", "scaled_rate": True, "example": LARGER},
    "gradients-no-larger-than-the-constant": {"name": "adam", "eps": 0.1, "example": SMALLER},
}


@pytest.mark.parametrize("world", OTHERWISE.values(), ids=list(OTHERWISE))
def test_control_of(judge, world):
    judge(same_steps, given=worlds(), **world).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Adam's steps are off by nothing whatever the loss is multiplied with, those of gradient descent by a lot."""
    powers = range(-10, 4)
    draw.numbers(ax.xaxis, [2.0**power for power in (-10, -5, 0, 3)], log=True)
    for name, label in (("adam", "Adam"), ("sgd", "gradient descent (control)")):
        ends = [
            float(path(World(1, power, 10, 1), name, times=2.0**power, rate=0.125, eps=0.0)[-1, 0]) for power in powers
        ]
        draw.curve(ax, [2.0**power for power in powers], ends, label)
    ax.set(xlabel="loss multiplied by", ylabel="weight after ten steps")
    draw.key(ax)
