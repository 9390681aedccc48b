"""How far rounding can move what a layer computes, whatever the order in which its kernels add.

Let u be the unit roundoff, 2^-53 in float64. A number that has been through n operations, each right up to a factor
between 1 - u and 1 + u, is off by at most gamma(n) = n u / (1 - n u) of itself (Higham 2002, "Accuracy and Stability of
Numerical Algorithms", lemma 3.1). A term of a sum of n terms goes through n - 1 additions at most, in whatever order,
in however many lanes, so sums and products are off by at most gamma(n) times the sum of the terms' sizes (section 3.1);
a fused multiply-add rounds less often. All of it is for numbers that neither overflow nor underflow.

Mean and deviation, of n numbers up to M in size, with g = gamma(n + 4). The mean is a sum over n, or it is corrected
number by number or block by block (Welford 1962; Chan, Golub and LeVeque 1983), where a correction is off by a few u M
but enters in proportion to its block: either way at most g M. The squares of x - mean, summed, are off by g of
themselves and by the square of the mean's error; corrected along with the mean, by n c u of themselves, where the
condition number c = sqrt(s^2 + mean^2) / s (Chan et al., table 2.1) makes it n u s M at most. So the variance s^2 is
off by at most g s M + g^2 M^2, and s itself by 2 g M. The mean square less the squared mean is off by up to n c^2 u: an
algorithm that these bounds find out, and rightly.

Standardised numbers y = (x - mean) / d with d = sqrt(s^2 + eps) and k = M / d. Where g k <= 1/16, the error of s^2
moves 1 / d by 0.6 g k of itself, and the sum with eps, the root and the division by 0.7 g; the mean's error moves y by
at most 1.05 g k. What follows, be it gain (x - mean) / d + shift or (gain / d) x + (shift - mean gain / d), rounds four
times, numbers up to k in the largest two terms: less than 1.4 g |gain| k + g |shift|. With |y| <= Y = min(2k, sqrt(n)),
for |x - mean| is at most 2 M and at most sqrt(n) s, together less than

    g |gain| (3 k + Y (1 + k)) + g |shift|,

and what this leaves over is more than the rounding of the bound itself. If each x is off by at most r, so are its mean
and s (which is a seminorm), and with d' = d - r the output by at most |gain| (2 + Y) r / d' more.
"""

import math

import torch
from torch import Tensor


def gamma(n: int, dtype: torch.dtype = torch.float64) -> float:
    """By what part of itself a number can be off after n roundings; raises ValueError where that is a tenth or more."""
    off = n * torch.finfo(dtype).eps / 2
    if not off < 0.1:
        raise ValueError(f"{n} roundings leave nothing of a number in {dtype}")
    return off / (1 - off)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, before: int = 0) -> Tensor:
    """How far `torch.nn.functional.linear` of x `[N, D]`, weight `[H, D]` and bias `[H]` can be off, `[N, H]`.

    `before` is how often a product of x and weight has been rounded before it is taken. A number of a unit vector
    v / |v| has been rounded D + 4 times at most: those under the root count half.
    """
    sizes = x.abs() @ weight.abs().T
    terms = x.shape[1] + 1  # one more for the rounding of the bound itself
    if bias is not None:
        sizes, terms = sizes + bias.abs(), terms + 1
    return gamma(terms + before, x.dtype) * sizes


def moments(x: Tensor, *, dim: int) -> Tensor:
    """How far the mean and the standard deviation (biased) of x over a dimension can be off."""
    return 2 * gamma(x.shape[dim] + 4, x.dtype) * x.abs().amax(dim)


def standardised(
    x: Tensor,
    *,
    dim: int,
    eps: float = 0.0,
    gain: Tensor | float = 1.0,
    shift: Tensor | float = 0.0,
    off: Tensor | float = 0.0,
) -> Tensor:
    """How far gain (x - mean) / sqrt(var + eps) + shift can be off, with mean and biased variance over a dimension.

    The dimension stays, with length 1, where gain and shift do not fill it. `off` is how far x itself may be off: the
    bound is then on the distance from the output of the true x. Infinite where the numbers of x differ by so little
    that rounding may decide how much.
    """
    n = x.shape[dim]
    g, largest = gamma(n + 4, x.dtype), x.abs().amax(dim, keepdim=True)
    d = (x.var(dim, correction=0, keepdim=True) + eps).sqrt() - moments(x, dim=dim).unsqueeze(dim)
    k = largest / d
    y = (2 * k).clamp(max=math.sqrt(n))
    gain, shift = torch.as_tensor(gain).abs(), torch.as_tensor(shift).abs()
    bound = gain * (g * (3 * k + y * (1 + k)) + (2 + y) * off / (d - off)) + g * shift
    return torch.where((d > off) & (g * k <= 1 / 16), bound, math.inf)
