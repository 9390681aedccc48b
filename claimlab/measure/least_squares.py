"""What least squares can expect of a sample, in closed form, and what it makes of samples that are drawn.

Inputs x have p independent standard normal features; labels are y = <x, w> + e, with noise e of mean zero, independent
of x. A linear predictor with weights v has the risk E(v) = |v - w|^2 + var(e), which is least for v = w. From n
examples, the rows of X and the entries of y, least squares takes v = X^+ y: the minimiser of the training error and,
where p > n leaves many of them, the one of least norm.

- p <= n. v - w = X^+ e, so E(v) - E(w) is var(e) tr (X'X)^-1 on average over e. One over the j-th diagonal entry of
  (X'X)^-1 is the squared distance of X's j-th column from the span of the others: a chi square of k = n - p + 1 degrees
  of freedom. E[1 / chi2_k] = 1 / (k - 2) for k > 2, and the p entries add up to p / (n - p - 1). The residuals are e
  less its projection on p dimensions: the training error is var(e) (1 - p / n).
- p > n. With P the projection on the span of X's rows, v - w = -(1 - P) w + X^+ e. That span is a uniformly random
  subspace of n dimensions, so (1 - P) w has (1 - n / p) of the squared length of w; the noise costs var(e) tr (XX')^-1,
  where n and p have swapped their roles. The training error is zero.

Features that a class leaves out count as noise: they are independent of those it has.

Sources: Breiman and Freedman 1983 (p < n); Belkin, Hsu and Xu 2020 (arXiv 1903.07571, both cases).
"""

import math
from fractions import Fraction

import torch
from torch import Tensor

from claimlab.seeds import Seeds

Rational = int | Fraction


def estimation_error(n: int, p: int, *, noise: Rational, signal: Rational = 0) -> Fraction | float:
    """E[E(f_n)] - E(f_F*) of p features from n examples, with `noise` = var(e) and `signal` = |w|^2.

    Infinite for noisy labels and |n - p| <= 1, where 1 / chi2_k has no mean.
    """
    bias = signal * max(Fraction(0), 1 - Fraction(n, p))
    if noise == 0:
        return bias
    if abs(n - p) <= 1:
        return math.inf
    return bias + noise * Fraction(min(n, p), abs(n - p) - 1)


def training_error(n: int, p: int, *, noise: Rational) -> Fraction:
    """E[E_n(f_n)] of p features from n examples."""
    return noise * max(Fraction(0), 1 - Fraction(p, n))


def drawn_errors(seeds: Seeds, n: int, p: int, *, noise: float, samples: int = 4000) -> tuple[Tensor, Tensor]:
    """The estimation and the training error of least squares itself, each the mean over samples of a seed, `[S]`.

    The true weights are (1, 0, ..., 0), so that the signal is 1. The estimation error is that of the weights found:
    nothing is averaged over new examples.
    """
    x = seeds.normal(f"x.{n}.{p}", samples, n, p)
    y = x[..., :1] + math.sqrt(noise) * seeds.normal(f"noise.{n}.{p}", samples, n, 1)
    solve = torch.linalg.solve
    weights = solve(x.mT @ x, x.mT @ y) if n > p else x.mT @ solve(x @ x.mT, y)
    training = (x @ weights - y).square().mean(dim=(1, 2, 3))
    weights[..., 0, :] -= 1
    return weights.square().sum(dim=(2, 3)).mean(dim=1), training
