"""SGD and Adam: torch's own update functions without the class around them.

`torch.optim.SGD` loads torch's compiler when it is made, some 800 modules and two seconds in every process, which is
a tenth of what all claims take. The functions that it calls (`torch.optim.sgd.sgd`, `torch.optim.adam.adam`) do not.
These classes have the part of a `torch.optim.Optimizer` that training uses, so any of those can stand in their place.
"""

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class _Optimizer:
    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.state: dict[Tensor, dict[str, Tensor]] = {parameter: {} for parameter in parameters}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def _moving(self) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that have a gradient, and their gradients: a parameter that no loss depends on rests."""
        moving = [parameter for parameter in self.parameters if parameter.grad is not None]
        return moving, [parameter.grad for parameter in moving if parameter.grad is not None]


class SGD(_Optimizer):
    """Gradient descent with momentum: v' = momentum v + g, w' = w - lr v', as `torch.optim.SGD` has it."""

    def __init__(self, parameters: list[Tensor], *, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters)
        self.lr, self.momentum = lr, momentum

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        velocities = [self.state[parameter].get("momentum_buffer") for parameter in moving]
        sgd(
            moving, gradients, velocities, lr=self.lr, momentum=self.momentum,
            weight_decay=0.0, dampening=0.0, nesterov=False, maximize=False, fused=True,
        )  # fmt: skip
        if self.momentum:
            for parameter, velocity in zip(moving, velocities, strict=True):
                assert velocity is not None
                self.state[parameter]["momentum_buffer"] = velocity


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
            fused=True,
        )  # fmt: skip
