"""SGD, Adam and their kin: torch's own update functions without the class around them.

`torch.optim.SGD` loads torch's compiler when it is made, some 800 modules and two seconds in every process, which is
a tenth of what all claims take. The functions that it calls (`torch.optim.sgd.sgd`, `torch.optim.adam.adam`) do not.
These classes have the part of a `torch.optim.Optimizer` that training uses, so any of those can stand in their place,
and torch's defaults. With `weight_decay` d the gradient gains d times the weight (L2); AdamW shrinks the weight itself.

The fused update is one call for all parameters, and trusts what it is given. On a CPU, torch 2.13's skips every whole
vector of a half-precision parameter (github.com/pytorch/pytorch/issues/191763), and pairs the numbers of parameter and
gradient as they lie in memory, whatever their strides. So it is used in float32 and float64 alone, and a gradient is
brought into its parameter's layout first.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.adadelta import adadelta
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

FUSED_DTYPES = (torch.float32, torch.float64)


class _Optimizer:
    def __init__(self, parameters: list[Tensor], *, weight_decay: float = 0.0, maximize: bool = False) -> None:
        self.parameters = parameters
        self.weight_decay, self.maximize = weight_decay, maximize
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

    def _remember(self, *names: str) -> None:
        """Begin with a count of steps and with these, all zero, for every parameter."""
        for parameter, state in self.state.items():
            state["step"] = torch.zeros(())
            state.update({name: torch.zeros_like(parameter) for name in names})

    def _remembered(self, parameters: list[Tensor], *names: str) -> list[list[Tensor]]:
        return [[self.state[parameter][name] for parameter in parameters] for name in names]


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

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay=weight_decay, maximize=maximize)
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
            moving, gradients, velocities, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay,
            dampening=0.0, nesterov=False, maximize=self.maximize, fused=self.fused,
        )  # fmt: skip


class Adam(_Optimizer):
    """Adam with bias correction (Kingma & Ba 2015), as `torch.optim.Adam` has it."""

    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay=weight_decay, maximize=maximize)
        self.lr, self.betas, self.eps = lr, betas, eps
        self._remember("exp_avg", "exp_avg_sq")

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        means, squares, steps = self._remembered(moving, "exp_avg", "exp_avg_sq", "step")
        adam(
            moving, gradients, means, squares, [], steps, amsgrad=False, beta1=self.betas[0], beta2=self.betas[1],
            lr=self.lr, weight_decay=self.weight_decay, decoupled_weight_decay=self.decoupled, eps=self.eps,
            maximize=self.maximize, fused=self.fused,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov & Hutter 2019): w shrinks by lr weight_decay, as in `torch.optim.AdamW`."""

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)


class Adagrad(_Optimizer):
    """AdaGrad, by the sum of squared gradients (Duchi et al. 2011), as `torch.optim.Adagrad` has it."""

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay=weight_decay, maximize=maximize)
        self.lr, self.eps = lr, eps
        self._remember("sum")

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        sums, steps = self._remembered(moving, "sum", "step")
        adagrad(
            moving, gradients, sums, steps, lr=self.lr, lr_decay=0.0, eps=self.eps, weight_decay=self.weight_decay,
            maximize=self.maximize, fused=self.fused,
        )  # fmt: skip


class RMSprop(_Optimizer):
    """By a moving average of squared gradients (Tieleman & Hinton 2012), as `torch.optim.RMSprop` has it."""

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay=weight_decay, maximize=maximize)
        self.lr, self.alpha, self.eps = lr, alpha, eps
        self._remember("square_avg")

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        squares, steps = self._remembered(moving, "square_avg", "step")
        rmsprop(
            moving, gradients, squares, [], [], steps, lr=self.lr, alpha=self.alpha, eps=self.eps,
            weight_decay=self.weight_decay, momentum=0.0, centered=False, maximize=self.maximize,
        )  # fmt: skip


class Adadelta(_Optimizer):
    """By moving averages of squared gradients and squared updates (Zeiler 2012), as `torch.optim.Adadelta` has it."""

    def __init__(
        self,
        parameters: list[Tensor],
        *,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay=weight_decay, maximize=maximize)
        self.lr, self.rho, self.eps = lr, rho, eps
        self._remember("square_avg", "acc_delta")

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moving, gradients = self._moving()
        squares, updates, steps = self._remembered(moving, "square_avg", "acc_delta", "step")
        adadelta(
            moving, gradients, squares, updates, steps, lr=self.lr, rho=self.rho, eps=self.eps,
            weight_decay=self.weight_decay, maximize=self.maximize,
        )  # fmt: skip


TORCHS_OWN = (SGD, Adam, AdamW, Adagrad, RMSprop, Adadelta)
"""All of them treat every number by itself."""
