"""Optimizers that rescale each component help against bad conditioning along the axes, and not if it is turned.

Slide: Fixing Conditioning Issues, with its speaker notes. The losses are quadratics of a matrix of weights, 4 by 4,
with curvatures from 1 to κ = 100,000: in every place that of its row times that of its column. Along the axes, the
eigenvectors are the single weights. Turned by 45 degrees, once in each plane that pairs rows or columns up, they are
spread over all weights alike: these have the same curvature then, and a rescaling of weights has nothing to go by. (Of
a rotation drawn at random a control says that a third of the steps is out of reach, and no more.) Gradient descent does
not notice that anything has turned, which is a property here.

What they are compared with is gradient descent at its best: every method has its best rate, seed by seed and by
hindsight, and descent has its best momentum besides. Whoever loses must have it inside the grid, so that no rate beyond
would have helped; along the axes AdaGrad is as fast at any rate above one.

Shampoo preconditions rows and columns, and turns with them. That is an advantage where curvature is made of rows and
columns; with the same curvatures dealt out to the weights otherwise it has none, along the axes or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.draws import Draws
from claimlab.parts import lift_optimizer, parts, remembered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/adaptive-rates-help-along-the-axes",
    covers=("E6",),
    slide="Fixing Conditioning Issues",
    version=1,
    finding="holds",
    says="Adam and its like, being diagonal preconditioners, cannot fix curvature in directions that are not aligned "
    "with the axes of the parameters.",
    statement="On a quadratic of condition number 100,000, tuned Adam, AdaGrad and RMSprop reach a millionth of the "
    "loss in at most a third of the steps of tuned gradient descent with momentum, if the curvature lies along the "
    "axes. Turned by 45 degrees, they take no fewer steps. Shampoo takes at most a third of them even then, if the "
    "curvature is made of rows and columns.",
    reason="A rescaling of components undoes different curvatures of components. Turned by 45 degrees all of them have "
    "the same, and the conditioning is as bad. Descent takes as many steps either way.",
    scope="quadratics of 4 × 4 weights, full gradients, constant rates; no averaging of the iterates; float64",
    source="derived in the module; Shampoo: Gupta et al. 2018 (arXiv 1802.09568)",
    evidence=Statistical(block=11, dtype="float64"),
)

FEWER = 3
"""At most a third of the steps: less would be no reason to change the optimizer."""

Turn = Literal["along", "by 45 degrees", "at random"]


# -- the losses -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quadratic:
    """Half w H w for 4 × 4 weights w in a row, from a start: `[S, 16, 16]` and `[S, 4, 4]`."""

    hessian: Tensor
    start: Tensor

    def gradient(self, w: Tensor) -> Tensor:
        return (self.hessian @ w.flatten(1).unsqueeze(2)).view_as(w)


def quadratic(seeds: Seeds, *, turn: Turn, kappa: float, dealt: bool = False) -> Quadratic:
    """A seed draws how far along each eigenvector it starts, from half to three halves, and on which side.

    Curvatures that are `dealt` lie as in a Graeco-Latin square: the eight factors, four of the rows and four of the
    columns, are each once in every row and in every column, so that no row or column is steeper than another.
    """
    side = torch.logspace(0, 0.5, 4, base=kappa, dtype=seeds.dtype, device=seeds.device)
    curvatures = torch.outer(side, side).flatten().repeat(len(seeds), 1)
    if dealt:
        curvatures = curvatures[:, [4 * (i ^ j) + (i ^ (0, 2, 3, 1)[j]) for i in range(4) for j in range(4)]]
    basis = torch.eye(16, dtype=seeds.dtype, device=seeds.device)
    if turn == "by 45 degrees":
        two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=seeds.dtype, device=seeds.device) / 2**0.5
        four = torch.kron(two, two)
        basis = torch.kron(four, four)
    if turn == "at random":
        basis = torch.linalg.qr(seeds.normal("turn", 16, 16))[0]
    away = seeds.uniform("away", 16, 1, low=0.5, high=1.5) * (2 * seeds.integers("side", 16, 1, high=2) - 1)
    return Quadratic(basis @ torch.diag_embed(curvatures) @ basis.mT, (basis @ away).view(-1, 4, 4))


# -- steps to a millionth -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """Steps to the target at the best rate, or the budget (`[S]`), that rate, and whether it is inside its grid."""

    steps: Tensor
    rate: Tensor
    tuned: Tensor


def steps_taken(
    loss: Quadratic, make: Callable[..., Any], rates: Sequence[float], *, budget: int, target: float = 1e-6
) -> Taken:
    """Each rate is tried on every seed, side by side. The best gets there first, or is nearest when the budget is used.

    The optimizer makes steps of rate 1, which are multiplied by the rates: all optimizers here step in proportion.
    """
    size, many = len(loss.start), len(rates)
    all_rates = torch.tensor(rates, dtype=loss.start.dtype, device=loss.start.device)
    rate = all_rates.repeat_interleave(size)[:, None, None]
    losses = Quadratic(loss.hessian.repeat(many, 1, 1), loss.start.repeat(many, 1, 1))
    w = losses.start.clone().requires_grad_()
    optimizer = lift_optimizer(partial(make, lr=1.0), [w])
    left = []
    with torch.no_grad():
        w.grad = losses.gradient(w)
        first = (w * w.grad).sum(dim=(1, 2))
        for step in range(1, budget + 1):
            before = w.clone()
            optimizer.step()
            w.copy_(torch.lerp(before, w, rate))
            w.grad = losses.gradient(w)
            left.append((w * w.grad).sum(dim=(1, 2)) / first)
            if step % 10 == 0 and (torch.stack(left[-10:]) <= target).any(dim=0).view(many, size).any(dim=0).all():
                break  # of late every seed was there at some rate
    there = torch.stack(left) <= target
    needed = torch.where(there.any(dim=0), there.int().argmax(dim=0) + 1, budget).view(many, size)
    far = left[-1].view(many, size).nan_to_num(nan=torch.inf, posinf=torch.inf)
    far = torch.where(needed < budget, needed - budget, far)  # who is there comes before who is not, the first first
    best = far.argmin(dim=0)
    return Taken(needed.gather(0, best[None])[0], all_rates[best], (best > 0) & (best < many - 1))


@remembered
def by_descent(seeds: Seeds, kappa: float, budget: int = 1000) -> tuple[Taken, Tensor]:
    """What gradient descent takes at the best of its momenta, tuned if it gets there inside both grids, and which.

    Rates are shares of 2 (1 + momentum) / κ, beyond which descent diverges.
    """
    loss, momenta = quadratic(seeds, turn="along", kappa=kappa), (0.95, 0.97, 0.98, 0.99)
    tried = [
        steps_taken(
            loss,
            partial(parts().sgd, momentum=momentum),
            [share * 2 * (1 + momentum) / kappa for share in (0.7, 0.8, 0.9, 0.96, 0.99, 1.0)],
            budget=budget,
        )
        for momentum in momenta
    ]
    steps, rate, tuned = (torch.stack([getattr(each, name) for each in tried]) for name in ("steps", "rate", "tuned"))
    best = steps.argmin(dim=0)
    inside = (best > 0) & (best < len(momenta) - 1) & (steps.amin(dim=0) < budget)
    steps, rate, tuned = (each.gather(0, best[None])[0] for each in (steps, rate, tuned))
    return Taken(steps, rate, tuned & inside), torch.tensor(momenta, dtype=rate.dtype, device=rate.device)[best]


@dataclass(frozen=True)
class Grid:
    """The rates tried along the axes and turned, and after how many steps to give up."""

    along: Sequence[float]
    turned: Sequence[float]
    budget: int = 1000


GRIDS: Mapping[str, Grid] = {
    "adam": Grid((0.05, 0.1, 0.2, 0.4, 0.8), (0.1, 0.3, 0.9, 2.7, 8.0, 24.0, 72.0)),
    "adagrad": Grid((0.5, 0.7, 1.0, 1.4, 2.0), (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)),
    "rmsprop": Grid((0.04, 0.06, 0.1, 0.15, 0.25), (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)),
    "shampoo": Grid(*2 * [tuple(2.0**power for power in range(-1, 13))], budget=300),
}


def trial(seeds: Seeds, *, method: str = "adam", kappa: float = 1e5) -> Rows:
    """The method takes a third of descent's steps along the axes, at most, and turned no fewer than descent.

    The premise is that those who are to lose were tuned: descent along the axes, the method turned.
    """
    descent, momentum = by_descent(seeds, kappa)
    grid, make = GRIDS[method], parts().named(method)
    along = steps_taken(quadratic(seeds, turn="along", kappa=kappa), make, grid.along, budget=grid.budget)
    turned = steps_taken(quadratic(seeds, turn="by 45 degrees", kappa=kappa), make, grid.turned, budget=grid.budget)
    return Rows(
        win=(FEWER * along.steps <= descent.steps) & (turned.steps >= descent.steps),
        premise=descent.tuned & turned.tuned,
        descent=descent.steps, along=along.steps, turned=turned.steps,
        descent_rate=descent.rate, descent_momentum=momentum, along_rate=along.rate, turned_rate=turned.rate,
    )  # fmt: skip


def keeps(
    seeds: Seeds, *, method: str = "shampoo", turn: Turn = "by 45 degrees", dealt: bool = False, kappa: float = 1e5
) -> Rows:
    """The method takes a third of descent's steps at most, though turned. The premise is that of the trial."""
    descent, _ = by_descent(seeds, kappa)
    loss, grid = quadratic(seeds, turn=turn, kappa=kappa, dealt=dealt), GRIDS[method]
    turned = steps_taken(loss, parts().named(method), grid.turned, budget=grid.budget)
    return Rows(
        win=FEWER * turned.steps <= descent.steps, premise=descent.tuned & turned.tuned,
        descent=descent.steps, turned=turned.steps, turned_rate=turned.rate,
    )  # fmt: skip


# -- descent does not notice ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """How many weights, and the seed that draws the start and the turn."""

    weights: int
    seed: int


def turns_along(world: World, *, method: str = "sgd", kappa: float = 100.0, steps: int = 20) -> Certificate:
    """Whether in a turned quadratic all iterates are the turned iterates, to rounding.

    Below the rate where descent diverges errors do not grow, and a step rounds sums of at most six terms a few times:
    20 steps stay below 1e-12 of the start.
    """
    n, draws = world.weights, Draws(world.seed)
    curvatures = torch.logspace(0, 1, n, base=kappa, dtype=torch.float64)
    turn = torch.linalg.qr(draws.normal("turn", n, n))[0]
    options = {"momentum": 0.9} if method == "sgd" else {}
    places = []
    for basis in (torch.eye(n, dtype=torch.float64), turn):
        w = (basis @ draws.normal("start", n)).requires_grad_()
        optimizer = parts().named(method)([w], lr=1 / kappa, **options)
        hessian, path = basis @ curvatures.diag() @ basis.T, [w.detach().clone()]
        for _ in range(steps):
            w.grad = hessian @ w.detach()
            optimizer.step()
            path.append(basis.T @ w.detach())
        places.append(torch.stack([basis.T @ path[0], *path[1:]]))
    off = (places[0] - places[1]).abs().max() / places[0][0].abs().max()
    gone = (places[0][-1] - places[0][0]).abs().max()
    return Certificate(bool(off <= 1e-10 and gone > 0), off=off)


def worlds() -> st.SearchStrategy[World]:
    """Two to six weights."""
    return st.builds(World, st.integers(2, 6), st.integers(0, 999))


# -- tests ----------------------------------------------------------------------------------------------------------


def test_claim(judge):
    """Adam, against descent with the best of four momenta; 16 weights, 1000 steps at most, turned by 45 degrees."""
    judge(trial).supports()


def test_adagrad(judge):
    """AdaGrad: some six steps along the axes; turned by 45 degrees, it takes no fewer than descent."""
    judge(trial, method="adagrad").supports()


def test_rmsprop(judge):
    """RMSprop, whose constant rate keeps it from ending anywhere: turned by 45 degrees no fewer steps than descent."""
    judge(trial, method="rmsprop").supports()


def test_shampoo_keeps_its_advantage(judge):
    """Rows and columns turned by 45 degrees: Shampoo takes at most a third of descent's steps, 300 at most."""
    judge(keeps).supports()


def test_control_shampoo_is_no_diagonal(judge):
    """It does not lose when rows and columns turn."""
    judge(trial, method="shampoo").refutes()


@pytest.mark.parametrize("turn", ["by 45 degrees", "at random"], ids=["by-45-degrees", "at-random"])
def test_control_adam_does_not_keep_it(judge, turn):
    """Nor does it where each seed turns the sixteen eigenvectors by a rotation that it draws."""
    judge(keeps, method="adam", turn=turn).refutes()


def test_control_curvature_dealt_otherwise(judge):
    """The same curvatures, along the axes, but not made of rows and columns: Shampoo's advantage is gone."""
    judge(keeps, turn="along", dealt=True).refutes()


@pytest.mark.property(examples=30)
def test_descent_does_not_notice(judge):
    """Gradient descent with momentum: 20 iterates in the turned quadratic are the turned iterates, to 1e-10."""
    judge(turns_along, given=worlds()).supports()


@pytest.mark.property(examples=30)
def test_control_adam_notices(judge):
    judge(turns_along, given=worlds(), example=World(weights=3, seed=0), method="adam").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Only Shampoo stays below gradient descent when the curvature turns; descent itself does not notice."""
    draw.numbers(ax.yaxis, [3, 10, 30, 100, 300, 1000], log=True)
    groups = {"descent\n(either way)": {"along the axes": measured["claim"]["descent"]}}
    for test, name in (
        ("claim", "Adam"),
        ("adagrad", "AdaGrad"),
        ("rmsprop", "RMSprop"),
        ("control_shampoo_is_no_diagonal", "Shampoo"),
    ):
        groups[name] = {"along the axes": measured[test]["along"], "turned by 45°": measured[test]["turned"]}
    draw.columns(ax, groups)
    draw.level(ax, 1000, "given up")
    ax.set(ylabel="steps to a millionth of the loss", ylim=(3, 1500))
    draw.key(ax)
