"""L-BFGS for a block of seeds: each has its own curvature, its own search along the line and its own end.

It is Nocedal & Wright's algorithm 7.5. A step meets the weak Wolfe conditions, which bisection finds (Lewis & Overton
2013): it falls far enough, and the slope flattens enough for the pair of differences that is remembered to have
positive curvature. `scipy.optimize` and scikit-learn's nets look for the strong conditions, by interpolation. Nobody
waits for the others: with every pass over the data each seed either takes its step or tries another length.
"""

from dataclasses import dataclass, fields, replace
from math import prod

import torch
from torch import Tensor

from claimlab.train.loop import Fit, Goal, Loss, Net

FALL, FLATTEN = 1e-4, 0.9
"""The constants c1 and c2 of the Wolfe conditions, as they are nearly always chosen."""

TRIES = 25
"""So many lengths are tried for a step; a seed for which none will do has arrived as far as rounding lets it."""


@dataclass(frozen=True)
class _State:
    """S seeds: where they are, the step that is being tried, and what is remembered of steps before, oldest first.

    Points and gradients are `[S, P]`, remembered ones `[S, history, P]`. A pair not there yet has the inverse 0.
    """

    at: Tensor
    value: Tensor
    gradient: Tensor
    direction: Tensor
    length: Tensor
    low: Tensor
    high: Tensor
    tries: Tensor
    moves: Tensor
    changes: Tensor
    inverses: Tensor

    def take(self, members: Tensor) -> "_State":
        return _State(**{field.name: getattr(self, field.name)[members] for field in fields(self)})


def lbfgs(
    net: Net,
    parameters: list[Tensor],
    x: Tensor,
    y: Tensor,
    *,
    loss: Loss,
    epochs: int,
    goal: Goal | None = None,
    history: int = 10,
) -> Fit:
    """Minimise `loss` of `net` on inputs `x` `[S, N, d]` and targets `y` in at most so many passes over all of them.

    `loss` and `goal` are as for `train`. The goal is looked at after every step; a seed that meets it stops there, and
    so does one that finds no step. Nothing is drawn at random, and the parameters passed in are not changed.
    """
    shapes = [tuple(parameter.shape[1:]) for parameter in parameters]

    def evaluate(at: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        leaf = at.detach().requires_grad_()
        outputs = net(_apart(leaf, shapes), x)
        value = loss(outputs, y)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient, outputs.detach()

    start = torch.cat([parameter.detach().flatten(1) for parameter in parameters], dim=1)
    final = start.clone()
    here = torch.arange(len(start), device=x.device)
    took = torch.full((len(start),), epochs, device=x.device)
    met = torch.zeros(len(start), dtype=torch.bool, device=x.device)
    value, gradient, _ = evaluate(start, x, y)
    state = _started(start, value, gradient, history)
    for epoch in range(2, epochs + 1):  # the first pass was the one above
        tried = state.at + state.length[:, None] * state.direction
        value, gradient, outputs = evaluate(tried, x, y)
        state, stepped = _after(state, tried, value, gradient)
        reached = stepped & goal(outputs, y) if goal else torch.zeros_like(stepped)
        done = reached | (state.tries >= TRIES)
        if done.any():
            final[here[done]], took[here[done]], met[here[done]] = state.at[done], epoch, reached[done]
            stay = (~done).nonzero()[:, 0]
            state, here, x, y = state.take(stay), here[stay], x[stay], y[stay]
            if not len(stay):
                break
    final[here] = state.at
    return Fit(_apart(final, shapes), took, met)


def _apart(at: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    parts = at.split([prod(shape) for shape in shapes], dim=1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _started(at: Tensor, value: Tensor, gradient: Tensor, history: int) -> _State:
    """The first step is tried along the gradient, with a length of one at most."""
    none = at.new_zeros(len(at), history, at.shape[1])
    return _State(
        at, value, gradient, -gradient, (1 / gradient.abs().sum(dim=1)).clamp(max=1.0),
        torch.zeros_like(value), torch.full_like(value, torch.inf), torch.zeros_like(value),
        none, none.clone(), none[..., 0],
    )  # fmt: skip


def _after(state: _State, tried: Tensor, value: Tensor, gradient: Tensor) -> tuple[_State, Tensor]:
    """Who took the step that was tried, and what all do next."""
    slope = _dot(state.direction, state.gradient)
    falls = value <= state.value + FALL * state.length * slope
    stepped = falls & (_dot(state.direction, gradient) >= FLATTEN * slope)
    low, high = torch.where(falls, state.length, state.low), torch.where(falls, state.high, state.length)
    length = torch.where(high.isinf(), 2 * low, (low + high) / 2)
    state = replace(state, low=low, high=high, length=length, tries=state.tries + 1)
    if not stepped.any():
        return state, stepped
    old = state.take(stepped)
    move, change = tried[stepped] - old.at, gradient[stepped] - old.gradient
    curvature = _dot(move, change)
    inverse = torch.where(curvature > 0, 1 / curvature, 0.0)
    moves, changes, inverses = (
        torch.cat([before[:, 1:], now[:, None]], dim=1)
        for before, now in ((old.moves, move), (old.changes, change), (old.inverses, inverse))
    )
    direction = _direction(gradient[stepped], moves, changes, inverses)
    one = torch.ones_like(curvature)
    new = _State(
        tried[stepped], value[stepped], gradient[stepped], direction, one, 0 * one, torch.inf * one, 0 * one,
        moves, changes, inverses,
    )  # fmt: skip
    if stepped.all():
        return new, stepped
    mixed = {}
    for field in fields(state):
        mixed[field.name] = getattr(state, field.name).clone()
        mixed[field.name][stepped] = getattr(new, field.name)
    return _State(**mixed), stepped


def _direction(gradient: Tensor, moves: Tensor, changes: Tensor, inverses: Tensor) -> Tensor:
    """The two loops: minus the gradient, times what the pairs say of the inverse of the Hessian."""
    q, weights = gradient, []
    for pair in reversed(range(moves.shape[1])):
        weights.append(inverses[:, pair] * _dot(moves[:, pair], q))
        q = q - weights[-1][:, None] * changes[:, pair]
    newest = _dot(changes[:, -1], changes[:, -1]) * inverses[:, -1]
    q = q * torch.where(newest > 0, 1 / newest, 1.0)[:, None]
    for pair in range(moves.shape[1]):
        q = q + (weights.pop() - inverses[:, pair] * _dot(changes[:, pair], q))[:, None] * moves[:, pair]
    return -q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b)
