"""How steep a net can be, seed by seed: the Lipschitz constant of its output in its input, or bounds on it.

What is often given for it is the product of the spectral norms of the weights. That is an upper bound where no
activation is steeper than one, and the largest gradient among any inputs is a lower one. For a ReLU net of two inputs
and one hidden layer the constant itself is found, for all of the plane.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

NETS_AT_ONCE = 32
"""So many nets have the gradients of all their regions in memory at once."""


def spectral_product(weights: Iterable[Tensor]) -> Tensor:
    """The product of the spectral norms of matrices `[S, m, n]`, float64 `[S]`; NaN where a weight is not finite."""
    norms = []
    for weight in weights:
        matrix = weight.detach().double()
        finite = matrix.isfinite().all(dim=(1, 2))
        wide = torch.where(finite[:, None, None], matrix, 0.0)
        wide = wide if wide.shape[1] <= wide.shape[2] else wide.mT
        norm = torch.linalg.eigvalsh(wide @ wide.mT)[:, -1].clamp(min=0).sqrt()
        norms.append(torch.where(finite, norm, torch.nan))
    return torch.stack(norms).prod(dim=0)


def gradient_norms(outputs: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The norm of the gradient of one output, `[S, N, 1]`, at each of the inputs `[S, N, d]`: `[S, N]`."""
    inputs = x.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(outputs(inputs).sum(), inputs)
    return gradients.norm(dim=2)


def lipschitz_on_the_plane(weight: Tensor, bias: Tensor, readout: Tensor) -> Tensor:
    """The Lipschitz constants of one-hidden-layer ReLU nets on the plane, float64 `[S]`.

    Weights are `[S, 2, H]`, biases `[S, 1, H]` and readouts `[S, H, 1]`. Each unit switches along a line. A region
    between the lines has a corner, unless all are parallel, and four regions meet where two lines cross: either unit is
    on or off. So the gradients at all crossings, four at each, are those of all regions. That asks for lines of which
    no two are parallel and no three meet in a point, as those of random weights; ValueError for parallel ones.
    """
    if weight.shape[1] != 2 or readout.shape[2] != 1 or weight.shape[2] < 2:
        raise ValueError("This is for nets of two inputs, at least two units, and one output.")
    parts = zip(*(part.detach().double().split(NETS_AT_ONCE) for part in (weight, bias, readout)), strict=True)
    return torch.cat([_steepest_region(*some) for some in parts])


def _steepest_region(weight: Tensor, bias: Tensor, readout: Tensor) -> Tensor:
    slopes = (readout * weight.mT).contiguous()  # what each unit adds to the gradient where it is on, [S, H, 2]
    i, j = torch.triu_indices(weight.shape[2], weight.shape[2], 1, device=weight.device)
    (ax, ay), (bx, by) = weight[:, :, i].unbind(1), weight[:, :, j].unbind(1)
    a, b = -bias[:, 0, i], -bias[:, 0, j]
    cross = ax * by - ay * bx
    if (cross == 0).any():
        raise ValueError("Two units switch along parallel lines.")
    corners = torch.stack([(a * by - b * ay) / cross, (ax * b - bx * a) / cross], dim=2)
    on = torch.baddbmm(bias, corners, weight) > 0
    pairs = torch.arange(len(i), device=weight.device)
    on[:, pairs, i] = on[:, pairs, j] = False  # the two whose lines cross here are put on and off by hand
    others = on.double() @ slopes
    of_i, of_j = slopes[:, i], slopes[:, j]
    around = torch.stack([others, others + of_i, others + of_j, others + of_i + of_j])
    return around.norm(dim=3).amax(dim=(0, 2))
