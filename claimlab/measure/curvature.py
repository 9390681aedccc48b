"""How sharp a minimum is: the Hessian of a block of nets, in weights as they are or in units of their own size.

A ReLU net computes the same when what leads into a hidden unit is multiplied by a number and what leads out of it is
divided by it. So the size of a weight is a matter of bookkeeping, and with it the curvature, which counts steps of
equal length. Steps in units of a weight's own size (Kwon et al. 2021, arXiv 2102.11600) do not depend on it, and those
in units of its filter's size (Li et al. 2018, arXiv 1712.09913) do not if all units of a layer are rescaled alike. A
filter is what leads into one unit; biases are filters of one number.

Parameters are `[S, ...]` each, in the order of an `MLP` without norms: `[w1, b1, w2, b2, ...]`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Parameters = list[Tensor]
Loss = Callable[[Parameters], Tensor]


def flat(parameters: Parameters) -> Tensor:
    """All numbers of a net in a row, `[S, P]`."""
    return torch.cat([parameter.flatten(1) for parameter in parameters], dim=1)


def hessian(loss: Loss, parameters: Parameters) -> Tensor:
    """`[S, P, P]`, of a loss `[S]` in which every seed's depends on its own parameters only.

    By the gradient of the gradient, whose P rows are computed at once: for nets of a few hundred parameters.
    """
    at = [parameter.detach().requires_grad_() for parameter in parameters]
    gradient = flat(list(torch.autograd.grad(loss(at).sum(), at, create_graph=True, materialize_grads=True)))
    seeds, size = gradient.shape
    rows = torch.eye(size, dtype=gradient.dtype, device=gradient.device)[:, None].expand(size, seeds, size)
    columns = torch.autograd.grad(gradient, at, rows, is_grads_batched=True, materialize_grads=True)
    # One that nothing depends on comes without the rows' dimension.
    columns = [column.expand(size, *parameter.shape) for column, parameter in zip(columns, at, strict=True)]
    return torch.cat([column.flatten(2) for column in columns], dim=2).transpose(0, 1)


def trace(curvature: Tensor) -> Tensor:
    """The sum of all curvatures of a Hessian `[S, P, P]`, `[S]`."""
    return curvature.diagonal(dim1=1, dim2=2).sum(dim=1)


def largest_eigenvalue(curvature: Tensor) -> Tensor:
    """The curvature in the sharpest direction of a Hessian `[S, P, P]`, `[S]`; NaN where that is not finite.

    In float64: in less, LAPACK gives up on matrices whose entries differ widely in size.
    """
    finite = curvature.isfinite().all(dim=2).all(dim=1)
    largest = torch.linalg.eigvalsh(torch.where(finite[:, None, None], curvature, 0.0).double())[:, -1]
    return torch.where(finite, largest, torch.nan).to(curvature.dtype)


def in_units_of(sizes: Parameters, curvature: Tensor) -> Tensor:
    """The Hessian `[S, P, P]` for steps that are counted in `sizes`, one for every number."""
    units = flat(sizes)
    return units.unsqueeze(2) * curvature * units.unsqueeze(1)


def own_sizes(parameters: Parameters) -> Parameters:
    """The size of every number."""
    return [parameter.abs() for parameter in parameters]


def filter_sizes(parameters: Parameters) -> Parameters:
    """For every number the length of its filter, a column of `[S, fan_in, fan_out]`."""
    return [parameter.norm(dim=-2, keepdim=True).expand_as(parameter) for parameter in parameters]


def filter_normalised(directions: Parameters, parameters: Parameters) -> Parameters:
    """The directions, each of whose filters is made as long as that of the parameters (Li et al. 2018, section 4)."""
    return [
        direction * (parameter.norm(dim=-2, keepdim=True) / direction.norm(dim=-2, keepdim=True))
        for direction, parameter in zip(directions, parameters, strict=True)
    ]


def moved(parameters: Parameters, directions: Parameters, by: Tensor | float) -> Parameters:
    """The parameters after a step."""
    return [parameter + by * direction for parameter, direction in zip(parameters, directions, strict=True)]


def rescaled(parameters: Parameters, factors: list[Tensor]) -> Parameters:
    """What leads into the units of a hidden layer times its factors, what leads out divided by them.

    `factors` has a tensor for each hidden layer, a positive number for each unit, `[width]`, or one for all, `[1]`.
    """
    weights, biases = parameters[::2], parameters[1::2]
    one = torch.ones(1, dtype=weights[0].dtype, device=weights[0].device)
    scaled = []
    for weight, bias, before, after in zip(weights, biases, [one, *factors], [*factors, one], strict=True):
        scaled += [weight / before.unsqueeze(1) * after, bias * after]
    return scaled


def at_loss(
    loss: Callable[[Tensor], Tensor], parameters: Parameters, level: float, *, halvings: int = 40
) -> Parameters:
    """The nets with their last layers, and so their outputs, multiplied by what brings their losses to a level.

    `loss` maps factors `[S]` to losses `[S]`; it must fall with the factor, which is looked for from 1e-4 to 1e4.
    """
    low = torch.full(parameters[0].shape[:1], -4.0, dtype=parameters[0].dtype, device=parameters[0].device)
    high = -low
    for _ in range(halvings):
        middle = (low + high) / 2
        above = loss(10**middle) > level
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    factor = (10**high)[:, None, None]
    return [*parameters[:-2], *(factor * parameter for parameter in parameters[-2:])]
