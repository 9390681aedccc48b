"""A student of ReLU units learns a teacher of ReLU units: the loss over all Gaussian inputs, without any data.

The student is Σᵢ relu(wᵢ·x), the teacher Σⱼ relu(vⱼ·x), and the loss is half the mean squared difference over standard
normal x. The mean of relu(w·x) relu(v·x) is the arc-cosine kernel of Cho & Saul 2009: f(w, v) = |w| |v| (sin θ +
(π − θ) cos θ) / 2π, where θ is the angle between w and v. So loss, gradient and Hessian are closed formulas. With
u = w / |w|, z = v / |v| and p = z − cos θ u, which has the length sin θ:

    loss         ½ Σᵢⱼ f(wᵢ, wⱼ) − Σᵢⱼ f(wᵢ, vⱼ) + ½ Σᵢⱼ f(vᵢ, vⱼ)
    ∂f / ∂w      (|v| sin θ u + (π − θ) v) / 2π
    ∂²f / ∂w²    |v| / |w| (sin θ (I − u uᵀ) + p pᵀ / sin θ) / 2π
    ∂²f / ∂w ∂v  ((π − θ) I + (u zᵀ + z uᵀ − cos θ (u uᵀ + z zᵀ)) / sin θ) / 2π

and f(w, w) = ½ |w|². Units are `[..., n, d]`: what comes before is a batch of students, who share one teacher `[k, d]`.
"""

import math

import torch
from torch import Tensor

_PARALLEL = 1e-7  # a smaller sine is rounding; what would be divided by it vanishes as well


def loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the mean squared difference of the outputs, `[...]`."""
    own, mixed, given = _kernel(student, student), _kernel(student, teacher), _kernel(teacher, teacher)
    return own / 2 - mixed + given / 2


def gradient(student: Tensor, teacher: Tensor) -> Tensor:
    """The loss's gradient by the student's weights, `[..., n, d]`."""
    (lengths, u), (given, z) = _split(student), _split(teacher)
    (_, sine, opening), (_, sine_given, opening_given) = _angles(u, u), _angles(u, z)
    along = sine @ lengths - sine_given @ given
    return (along * u + opening @ student - opening_given @ teacher) / (2 * math.pi)


def hessian(student: Tensor, teacher: Tensor) -> Tensor:
    """The loss's Hessian by the student's weights, flattened: `[..., n d, n d]`."""
    *batch, n, d = student.shape
    (lengths, u), (given, z) = _split(student), _split(teacher)
    outer = u[..., :, None] * u[..., None, :]
    cosine, sine, opening = _angles(u, u)
    # Two units: ∂²f / ∂w ∂v. In place, as there is a number for all pairs of weights.
    product = u[..., :, None, :, None] * u[..., None, :, None, :]
    blocks = product + product.mT
    for each in (outer[..., :, None, :, :], outer[..., None, :, :, :]):
        blocks.addcmul_(cosine[..., None, None], each, value=-1)
    blocks.mul_(_inverse(sine)[..., None, None]).diagonal(dim1=-2, dim2=-1).add_(opening[..., None])
    # A unit with itself: π from ½ |w|², and ∂²f / ∂w² for each of the others.
    others = torch.cat([u, z.expand(*batch, *z.shape)], dim=-2)
    weights = torch.cat([lengths.mT.expand_as(cosine), -given.mT.expand(*batch, n, -1)], dim=-1) / lengths
    cosine, sine, _ = (torch.cat(pair, dim=-1) for pair in zip((cosine, sine, opening), _angles(u, z), strict=True))
    p = others[..., None, :, :] - cosine[..., None] * u[..., None, :]
    along = (weights * sine).sum(dim=-1)
    own = (p * (weights * _inverse(sine))[..., None]).mT @ p - along[..., None, None] * outer
    own.diagonal(dim1=-2, dim2=-1).add_(math.pi + along[..., None])
    diagonal = torch.arange(n, device=u.device)
    blocks[..., diagonal, diagonal, :, :] = own
    return blocks.transpose(-3, -2).reshape(*batch, n * d, n * d) / (2 * math.pi)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """The sum of f over all pairs, `[...]`."""
    (of_a, u), (of_b, z) = _split(a), _split(b)
    cosine, sine, opening = _angles(u, z)
    return (of_a * (sine + opening * cosine) * of_b.mT).sum(dim=(-2, -1)) / (2 * math.pi)


def _split(units: Tensor) -> tuple[Tensor, Tensor]:
    """The lengths `[..., n, 1]` and the directions `[..., n, d]`."""
    lengths = torch.linalg.vector_norm(units, dim=-1, keepdim=True)
    return lengths, units / lengths


def _angles(u: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cos θ, sin θ and π − θ of all pairs, `[..., n, m]` each; a direction with itself has θ = 0 exactly."""
    cosine = (u @ z.mT).clamp(-1, 1)
    if u is z:
        cosine.diagonal(dim1=-2, dim2=-1).fill_(1)
    return cosine, (1 - cosine.square()).sqrt(), math.pi - cosine.acos()


def _inverse(sine: Tensor) -> Tensor:
    return torch.where(sine > _PARALLEL, 1 / sine, 0.0)
