"""SGD and Adam: torch's own update functions without the class around them.

`torch.optim.SGD` loads torch's compiler when it is made, some 800 modules and two seconds in every process, which is
a tenth of what all claims take. The functions that it calls (`torch.optim.sgd.sgd`, `torch.optim.adam.adam`) do not.
These classes have the part of a `torch.optim.Optimizer` that training uses, so any of those can stand in their place.

The fused update is one call for all parameters, and trusts what it is given. On a CPU, torch 2.13's skips every whole
vector of a half-precision parameter (github.com/pytorch/pytorch/issues/191763), and pairs the numbers of parameter and
gradient as they lie in memory, whatever their strides. So it is used in float32 and float64 alone, and a gradient is
brought into its parameter's layout first.
"""

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

FUSED_DTYPES = (torch.float32, torch.float64)


class _Optimizer:
    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.state: dict[Tensor, dict[str, Tensor]] = {parameter: {} for parameter in parameters}
        self.fused = all(_can_fuse(parameter) for parameter in parameters) or None  # None: the update torch prefers

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def _moving(self) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that have a gradient, and their gradients: a parameter that no loss depends on rests."""
        moving = [(parameter, gradient) for parameter in self.parameters if (gradient := parameter.grad) is not None]
        gradients = [_laid_out_as(parameter, gradient) for parameter, gradient in moving]
        return [parameter for parameter, _ in moving], gradients


def _can_fuse(parameter: Tensor) -> bool:
    """Whether what is made like the parameter also lies in memory like it, and the fused update knows its dtype."""
    return parameter.dtype in FUSED_DTYPES and torch.empty_like(parameter).stride() == parameter.stride()


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the parameter's memory layout, which `backward` sees to and `autograd.grad` does not."""
    both_plain = gradient.is_contiguous() and parameter.is_contiguous()  # strides of dimensions of size 1 may differ
    if both_plain or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


class SGD(_Optimizer):
    """Gradient descent with momentum: v' = momentum v + g, w' = w - lr v', as `torch.optim.SGD` has it."""

    def __init__(self, parameters: list[Tensor], *, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters)
        self.lr, self.momentum = lr, momentum
        if momentum:
            for parameter, state in self.state.items():
                state["momentum_buffer"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        velocities = [self.state[parameter].get("momentum_buffer") for parameter in moving]
        sgd(
            moving, gradients, velocities, lr=self.lr, momentum=self.momentum,
            weight_decay=0.0, dampening=0.0, nesterov=False, maximize=False, fused=self.fused,
        )  # fmt: skip


class Adam(_Optimizer):
    """Adam with bias correction (Kingma & Ba 2015), as `torch.optim.Adam` has it."""

    def __init__(
        self, parameters: list[Tensor], *, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(parameters)
        self.lr, self.betas, self.eps = lr, betas, eps
        for parameter, state in self.state.items():
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        means, squares, steps = (
            [self.state[parameter][name] for parameter in moving] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        adam(
            moving, gradients, means, squares, [], steps, amsgrad=False,
            beta1=self.betas[0], beta2=self.betas[1], lr=self.lr, weight_decay=0.0, eps=self.eps, maximize=False,
            fused=self.fused,
        )  # fmt: skip
