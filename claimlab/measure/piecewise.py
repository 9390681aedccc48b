"""Exact continuous piecewise-linear functions of one real variable, in rational arithmetic.

Every such function can be written in exactly one way as a line and its *kinks*, the places where the slope changes:

    f(x) = intercept + slope * x + sum_i bend_i * relu(x - t_i),    t_1 < t_2 < ..., no bend_i zero,

and that is how it is kept. So two functions are equal if and only if `==` says so, and adding functions is adding
coefficients. They compute like numbers: code written with `+`, `-`, `*` and `relu`, applied to `identity()` instead of
a number, returns the function that it computes, with nothing rounded and no kink missed:

    >>> x = identity()
    >>> tent = relu(relu(2 * x) - relu(4 * x - 2))
    >>> tent(Fraction(2, 3))
    Fraction(2, 3)
    >>> [str(t) for t in tent(tent).breakpoints]
    ['0', '1/4', '1/2', '3/4', '1']
"""

import math
import numbers
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import overload

Rational = int | Fraction
Layer = tuple[Sequence[Sequence[Rational]], Sequence[Rational]]
"""A fully connected layer: its weights, a row for each output, and its biases."""


@dataclass(frozen=True)
class PiecewiseLinear:
    """A function in the form above; `kinks` are the pairs (t_i, bend_i). `f(x)` evaluates it and `f(g)` composes.

    Make one with `identity`, `constant`, `through` or arithmetic; numbers may be int or Fraction, never float.
    """

    intercept: Fraction
    slope: Fraction
    kinks: tuple[tuple[Fraction, Fraction], ...] = ()

    def __post_init__(self) -> None:
        if not all(bend for _, bend in self.kinks) or any(s >= t for s, t in pairwise(self.breakpoints)):
            raise ValueError("Kinks must be sorted, each at a place of its own, and bend the function.")

    @cached_property
    def breakpoints(self) -> tuple[Fraction, ...]:
        """Where the slope changes, left to right."""
        return tuple(t for t, _ in self.kinks)

    @cached_property
    def lines(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """(slope, intercept) of each of the n + 1 pieces, left to right."""
        lines = [(self.slope, self.intercept)]
        for t, bend in self.kinks:
            slope, intercept = lines[-1]
            lines.append((slope + bend, intercept - bend * t))
        return tuple(lines)

    @cached_property
    def values(self) -> tuple[Fraction, ...]:
        """The function's values at its breakpoints."""
        return tuple(slope * t + intercept for t, (slope, intercept) in zip(self.breakpoints, self.lines, strict=False))

    @cached_property
    def heights(self) -> tuple[Fraction | float, ...]:
        """The limit at -inf, the values at the breakpoints, and the limit at +inf: the ends of the n + 1 pieces."""
        (first, low), (last, high) = self.lines[0], self.lines[-1]
        return (-math.inf * _sign(first) if first else low, *self.values, math.inf * _sign(last) if last else high)

    @overload
    def __call__(self, x: Rational) -> Fraction: ...
    @overload
    def __call__(self, x: "PiecewiseLinear") -> "PiecewiseLinear": ...
    def __call__(self, x: "Rational | PiecewiseLinear") -> "Fraction | PiecewiseLinear":
        if isinstance(x, PiecewiseLinear):
            return _compose(self, x)
        slope, intercept = self.lines[bisect_left(self.breakpoints, x)]
        return slope * _exact(x) + intercept

    def __add__(self, other: "PiecewiseLinear | Rational") -> "PiecewiseLinear":
        if isinstance(other, PiecewiseLinear):
            return weighted_sum((1, 1), (self, other))
        if isinstance(other, numbers.Rational):
            return PiecewiseLinear(self.intercept + _exact(other), self.slope, self.kinks)
        return NotImplemented

    def __mul__(self, factor: Rational) -> "PiecewiseLinear":
        return weighted_sum((factor,), (self,)) if isinstance(factor, numbers.Rational) else NotImplemented

    def __neg__(self) -> "PiecewiseLinear":
        return self * -1

    def __sub__(self, other: "PiecewiseLinear | Rational") -> "PiecewiseLinear":
        if isinstance(other, PiecewiseLinear):
            return weighted_sum((1, -1), (self, other))
        return self + -other

    def __rsub__(self, other: Rational) -> "PiecewiseLinear":
        return -self + other

    def __abs__(self) -> "PiecewiseLinear":
        return weighted_sum((2, -1), (relu(self), self))

    __radd__ = __add__
    __rmul__ = __mul__


Activation = Callable[[PiecewiseLinear], PiecewiseLinear]


# -- making functions ---------------------------------------------------------------------------------------------


def identity() -> PiecewiseLinear:
    """x -> x."""
    return PiecewiseLinear(Fraction(0), Fraction(1))


def constant(value: Rational) -> PiecewiseLinear:
    """x -> value."""
    return PiecewiseLinear(_exact(value), Fraction(0))


def through(points: Iterable[tuple[Rational, Rational]], *, left: Rational = 0, right: Rational = 0) -> PiecewiseLinear:
    """The function that joins the points (x, y), sorted by x, and has the slopes `left` and `right` outside them."""
    points = [(_exact(x), _exact(y)) for x, y in points]
    between = [(v - u) / (t - s) for (s, u), (t, v) in pairwise(points)]
    return _joined([x for x, _ in points], [_exact(left), *between, _exact(right)], points[0])


def weighted_sum(
    weights: Iterable[Rational], functions: Iterable[PiecewiseLinear], bias: Rational = 0
) -> PiecewiseLinear:
    """bias + sum_j weights[j] * functions[j], all at once: what a neuron computes before its activation."""
    terms = [(_exact(weight), f) for weight, f in zip(weights, functions, strict=True) if weight]
    kinks: list[tuple[Fraction, Fraction]] = []
    for t, bend in sorted(((t, weight * bend) for weight, f in terms for t, bend in f.kinks), key=itemgetter(0)):
        if kinks and kinks[-1][0] == t:
            bend += kinks.pop()[1]
        if bend:
            kinks.append((t, bend))
    return PiecewiseLinear(
        intercept=sum((weight * f.intercept for weight, f in terms), _exact(bias)),
        slope=sum((weight * f.slope for weight, f in terms), Fraction(0)),
        kinks=tuple(kinks),
    )


@overload
def relu(x: Rational) -> Rational: ...
@overload
def relu(x: PiecewiseLinear) -> PiecewiseLinear: ...
def relu(x: Rational | PiecewiseLinear) -> Rational | PiecewiseLinear:
    """max(x, 0), of a number or of a function."""
    return _above_zero(x) if isinstance(x, PiecewiseLinear) else max(x, 0)


def hidden_units(layers: Iterable[Layer], *, activation: Activation = relu) -> Iterator[list[PiecewiseLinear]]:
    """The functions that the units of each layer compute, layer by layer, in a net of one input."""
    outputs = [identity()]
    for weights, biases in layers:
        outputs = [activation(weighted_sum(row, outputs, bias)) for row, bias in zip(weights, biases, strict=True)]
        yield outputs


def function_of(layers: Sequence[Layer], *, activation: Activation = relu) -> PiecewiseLinear:
    """The function that a net of one input and one output computes; its last layer has no activation."""
    *hidden, ((weights,), (bias,)) = layers
    inputs = [identity()]
    for units in hidden_units(hidden, activation=activation):
        inputs = units
    return weighted_sum(weights, inputs, bias)


def parameters(layers: Sequence[Layer]) -> int:
    """The number of weights and biases of a net."""
    return sum(len(row) for weights, _ in layers for row in weights) + sum(len(biases) for _, biases in layers)


# -- measuring them -----------------------------------------------------------------------------------------------


def pieces(f: PiecewiseLinear, low: Rational | float = -math.inf, high: Rational | float = math.inf) -> int:
    """The number of linear pieces of f on (low, high): the least with which it can be written."""
    return 1 + bisect_left(f.breakpoints, high) - bisect_right(f.breakpoints, low)


def lipschitz(f: PiecewiseLinear) -> Fraction:
    """The Lipschitz constant of f on R: its steepest slope."""
    return max(abs(slope) for slope, _ in f.lines)


def peaks(f: PiecewiseLinear) -> list[tuple[Fraction, Fraction]]:
    """The local maxima (x, f(x)): f rises to x, and falls from it or from the end of a flat top (which counts once)."""
    tops, rising = [], f.slope > 0
    summit: tuple[Fraction, Fraction] | None = None
    for t, value, (slope, _) in zip(f.breakpoints, f.values, f.lines[1:], strict=True):
        if rising and slope <= 0:
            summit = (t, value)
        if slope < 0 and summit:
            tops.append(summit)
            summit = None
        rising = slope > 0
    return tops


def crossings(f: PiecewiseLinear, level: Rational) -> list[Fraction]:
    """Where f passes from below the level to above it or back; touching is no crossing, a flat passage counts once."""
    level = _exact(level)
    found: list[Fraction] = []
    last, side = 0, 0  # the last end of a piece that was off the level, and on which side
    for end, height in enumerate(f.heights):
        here = _sign(height - level)
        if here and here == -side:
            slope, intercept = f.lines[last]
            found.append((level - intercept) / slope)
        if here:
            last, side = end, here
    return found


def sup_distance(f: PiecewiseLinear, g: PiecewiseLinear, low: Rational, high: Rational) -> Fraction:
    """The largest |f(x) - g(x)| for x in [low, high]: it is taken at an end or a breakpoint."""
    return max(abs(apart) for _, apart in _nodes(f - g, low, high))


def l1_distance(f: PiecewiseLinear, g: PiecewiseLinear, low: Rational, high: Rational) -> Fraction:
    """The integral of |f - g| over [low, high]."""
    return integral(abs(f - g), low, high)


def integral(f: PiecewiseLinear, low: Rational, high: Rational) -> Fraction:
    """The integral of f over [low, high]: the trapezoid rule on its pieces is exact."""
    return sum(((t - s) * (u + v) for (s, u), (t, v) in pairwise(_nodes(f, low, high))), Fraction(0)) / 2


# -- inside -------------------------------------------------------------------------------------------------------


def _exact(number: Rational) -> Fraction:
    if isinstance(number, Fraction):
        return number
    if not isinstance(number, numbers.Rational):
        raise TypeError(
            f"Exact arithmetic takes int or Fraction, not {type(number).__name__}: write Fraction({number!r})."
        )
    # Through int(), since the numerator of a numpy integer would go on counting modulo 2**64.
    return Fraction(int(number.numerator), int(number.denominator))


def _sign(number: Fraction | float) -> int:
    top = number.numerator if isinstance(number, Fraction) else number  # integers compare ten times as fast
    return (top > 0) - (top < 0)


def _nodes(f: PiecewiseLinear, low: Rational, high: Rational) -> list[tuple[Fraction, Fraction]]:
    """The points (x, f(x)) between which f is straight on [low, high]."""
    inside = slice(bisect_right(f.breakpoints, low), bisect_left(f.breakpoints, high))
    corners = zip(f.breakpoints[inside], f.values[inside], strict=True)
    return [(_exact(low), f(low)), *corners, (_exact(high), f(high))]


def _joined(
    joints: Sequence[Fraction], slopes: Sequence[Fraction], point: tuple[Fraction, Fraction]
) -> PiecewiseLinear:
    """The function of the given slopes left of, between and right of the joints; its first piece reaches `point`."""
    x, y = point
    bends = ((t, after - before) for t, (before, after) in zip(joints, pairwise(slopes), strict=True))
    return PiecewiseLinear(y - slopes[0] * x, slopes[0], tuple((t, bend) for t, bend in bends if bend))


def _above_zero(f: PiecewiseLinear) -> PiecewiseLinear:
    """x -> max(f(x), 0): it bends with f where f is positive, and by the slope of f where f passes through 0."""
    signs = [_sign(height) for height in f.heights]
    kinks: list[tuple[Fraction, Fraction]] = []
    for number, ((slope, intercept), (begin, end)) in enumerate(zip(f.lines, pairwise(signs), strict=True)):
        if number and begin >= 0:
            t, bend = f.kinks[number - 1]
            if begin == 0:
                bend = max(slope, Fraction(0)) - min(f.lines[number - 1][0], Fraction(0))
            if bend:
                kinks.append((t, bend))
        if begin * end < 0:
            kinks.append((-intercept / slope, abs(slope)))
    slope, intercept = f.lines[0] if signs[0] > 0 else (Fraction(0), Fraction(0))
    return PiecewiseLinear(intercept, slope, tuple(kinks))


def _compose(f: PiecewiseLinear, g: PiecewiseLinear) -> PiecewiseLinear:
    """x -> f(g(x)): on each piece of g, walk through the pieces of f that g passes, and note where it enters each."""
    knots = f.breakpoints
    joints: list[Fraction] = []
    slopes: list[Fraction] = []
    for number, ((slope, intercept), (begin, end)) in enumerate(zip(g.lines, pairwise(g.heights), strict=True)):
        if slope > 0:
            passed = range(bisect_right(knots, begin), bisect_left(knots, end) + 1)
        elif slope < 0:
            passed = range(bisect_left(knots, begin), bisect_right(knots, end) - 1, -1)
        else:
            passed = range(1)  # f(g) is flat here, whatever the slope of f
        for piece in passed:
            if piece != passed[0]:
                joints.append((knots[piece - (slope > 0)] - intercept) / slope)
            elif number:
                joints.append(g.breakpoints[number - 1])
            slopes.append(slope * f.lines[piece][0])
    x = joints[0] if joints else Fraction(0)
    return _joined(joints, slopes, (x, f(g(x))))
