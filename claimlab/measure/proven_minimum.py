"""Proof that a student of ReLU units has a strict local minimum near a point, with its loss, by interval arithmetic.

The loss is that of `claimlab.measure.student_teacher`. Let G bound its gradient at the point c, and let its Hessian
have no eigenvalue below λ > 0 in the ball of radius r around c. At the ball's surface the loss is then higher than at c
by λ r² / 2 − G r or more. If this is positive the least loss in the ball is taken inside: at a local minimum, the only
one there as the loss is convex, and no lower than at c by more than G r.

Gradient and loss are enclosed at c, the Hessian at all points of the cube around the ball at once. What is left is a
matrix M with a radius R for its entries, and λ ≥ λ(M) − |R|, with Frobenius's norm. If Cholesky's factorisation of
M − s I in floating point comes to its end, it is exact for a matrix within γ / (1 − γ) tr(M − s I) of it, where γ is
m + 1 rounding errors for m rows (Higham 2002, Theorem 10.3); so λ(M) is at least s less that.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import mpmath
import numpy as np

iv: Any = mpmath.iv

Units = list[list[float]]
Intervals = list[list[Any]]


@dataclass(frozen=True)
class Proof:
    """Whether a strict local minimum was `proven` within `radius`, and bounds that are certain, proven or not.

    `gradient` is an upper bound of its norm at the point, `curvature` a lower bound of the Hessian's eigenvalues in the
    ball, and `least_loss` one of the loss there, if the curvature is not negative.
    """

    proven: bool
    gradient: float
    curvature: float
    least_loss: float
    radius: float


def prove_minimum(student: Units, teacher: Units, *, radius: float = 1e-9) -> Proof:
    """Look for a strict local minimum within `radius` of the student, whose units must not be parallel to others."""
    centre = [[iv.mpf(x) for x in unit] for unit in student]
    around = [[x + iv.mpf([-radius, radius]) for x in unit] for unit in centre]
    given = [[iv.mpf(x) for x in unit] for unit in teacher]
    steepness = iv.sqrt(sum(x**2 for unit in _gradient(centre, given) for x in unit)).b
    loss = _loss(centre, given).a
    curvature = _least_eigenvalue(_hessian(around, given))
    proven = curvature > 0 and curvature * radius / 2 > float(steepness) * (1 + 1e-9)
    return Proof(proven, float(steepness), curvature, float((loss - steepness * radius).a), radius)


def _loss(student: Intervals, teacher: Intervals) -> Any:
    signed = [(1, unit) for unit in student] + [(-1, unit) for unit in teacher]
    total = iv.mpf(0)
    for (left, w), (right, v) in product(signed, signed):
        if w is v:
            total += iv.pi * sum(x**2 for x in w)
        else:
            (a, u), (b, z) = _split(w), _split(v)
            cosine, sine, opening = _angle(u, z)
            total += left * right * a * b * (sine + opening * cosine)
    return total / (4 * iv.pi)


def _gradient(student: Intervals, teacher: Intervals) -> Intervals:
    gradients = []
    for w in student:
        slope = [iv.pi * x for x in w]
        _, u = _split(w)
        for sign, v in [(1, v) for v in student if v is not w] + [(-1, v) for v in teacher]:
            b, z = _split(v)
            _, sine, opening = _angle(u, z)
            slope = [g + sign * (b * sine * x + opening * y) for g, x, y in zip(slope, u, v, strict=True)]
        gradients.append([g / (2 * iv.pi) for g in slope])
    return gradients


def _hessian(student: Intervals, teacher: Intervals) -> Intervals:
    d, n = len(student[0]), len(student)
    entries = [[iv.mpf(0)] * (n * d) for _ in range(n * d)]
    pairs = [(p, q) for p in range(d) for q in range(p, d)]  # every block is symmetric

    def put(i: int, j: int, p: int, q: int, value: Any) -> None:
        for row, column in {(i, j), (j, i)}:
            entries[row * d + p][column * d + q] = entries[row * d + q][column * d + p] = value

    split = [_split(unit) for unit in [*student, *teacher]]
    for i, (a, u) in enumerate(split[:n]):
        own = {(p, q): iv.pi * (p == q) for p, q in pairs}
        for j, (b, z) in enumerate(split):
            if i == j:
                continue
            cosine, sine, opening = _angle(u, z)
            weight = b / a if j < n else -b / a
            rest = [y - cosine * x for x, y in zip(u, z, strict=True)]
            for p, q in pairs:
                own[p, q] += weight * (sine * ((p == q) - u[p] * u[q]) + rest[p] * rest[q] / sine)
                if i < j < n:
                    mixed = u[p] * z[q] + z[p] * u[q] - cosine * (u[p] * u[q] + z[p] * z[q])
                    put(i, j, p, q, (opening * (p == q) + mixed / sine) / (2 * iv.pi))
        for p, q in pairs:
            put(i, i, p, q, own[p, q] / (2 * iv.pi))
    return entries


def _least_eigenvalue(entries: Intervals) -> float:
    """A lower bound of the least eigenvalue, for all symmetric matrices within the entries."""
    low, high = (np.array([[float(getattr(x, end)) for x in row] for row in entries]) for end in "ab")
    middle = (low + high) / 2
    radius = np.linalg.norm(np.maximum(high - middle, middle - low)) * (1 + 1e-9)
    least = np.linalg.eigvalsh(middle)[0]
    shift = least - 0.01 * abs(least)
    shifted = middle - shift * np.eye(len(middle))
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return -np.inf
    rounding = (len(middle) + 2) * np.finfo(float).eps * np.trace(shifted)  # twice γ, and the shift's own
    return float(shift - rounding - radius)


def _dot(a: list[Any], b: list[Any]) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _split(unit: list[Any]) -> tuple[Any, list[Any]]:
    """The length of a unit and its direction."""
    length = iv.sqrt(sum(x**2 for x in unit))
    return length, [x / length for x in unit]


def _angle(u: list[Any], z: list[Any]) -> tuple[Any, Any, Any]:
    """cos θ, sin θ and π − θ of two directions."""
    cosine = _dot(u, z)
    square = 1 - cosine**2
    if square.a <= 0:
        raise ValueError("two units are parallel, and the third derivative of the loss jumps there")
    sine = iv.sqrt(square)
    return cosine, sine, iv.pi - iv.atan2(sine, cosine)
