"""The kernels give what they give by hand, and each of these faults in one would be noticed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError
from torch.nn import functional

from claimlab.nets import attention
from tests.parts import references
from tests.parts.references import CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_a_kernel_gives_what_it_gives_by_hand(check):
    check()


# -- faults ----------------------------------------------------------------------------------------------------------

Kernel = Callable[..., Any]


def layer(
    x: Tensor,
    shape: Any,
    gain: Any = 1,
    shift: Any = 0,
    eps: float = 1e-5,
    *,
    correction: int = 0,
    outside: bool = False,
) -> Tensor:
    """Layer norm, if it is not asked for a fault."""
    var, mean = torch.var_mean(x, dim=-1, correction=correction, keepdim=True)
    return (x - mean) / (var.sqrt() + eps if outside else (var + eps).sqrt()) * gain + shift


def group(x: Tensor, groups: int, gain: Tensor, shift: Tensor, eps: float, **fault: Any) -> Tensor:
    """Group norm, likewise."""
    y = layer(x.unflatten(1, (groups, -1)).flatten(2), None, eps=eps, **fault).view_as(x)
    shape = (-1, *[1] * (x.ndim - 2))
    return y * gain.view(shape) + shift.view(shape)


def batch(
    x: Tensor, gain: Any, shift: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any,
    correction: int = 0, remembered: int = 1, outside: bool = False, constant: bool = False, flipped: bool = False,
) -> Tensor:  # fmt: skip
    """Batch norm, likewise."""
    values = x.transpose(0, 1).flatten(1)
    own_var, own_mean = torch.var_mean(values, dim=1, correction=correction)
    if training and mean is not None:
        with torch.no_grad():
            mean.lerp_(own_mean, 1 - momentum if flipped else momentum)
            var.lerp_(values.var(dim=1, correction=remembered), 1 - momentum if flipped else momentum)
    if not training:
        own_mean, own_var = mean.clone(), var.clone()
    if constant:
        own_mean, own_var = own_mean.detach(), own_var.detach()
    shape = (-1, *[1] * (x.ndim - 2))
    root = own_var.sqrt() + eps if outside else (own_var + eps).sqrt()
    return (x - own_mean.view(shape)) / root.view(shape) * gain.view(shape) + shift.view(shape)


def uniform(query: Tensor, key: Tensor, value: Tensor, *_: Any, **options: Any) -> Tensor:
    """Attention that looks everywhere alike."""
    return value.mean(dim=-2, keepdim=True).expand_as(query)


def halved(kernel: Kernel) -> Kernel:
    """Of half of the first argument: the kernel at temperature 2, where that is logits or queries."""
    return lambda x, *rest, **options: kernel(x / 2, *rest, **options)


def no_gradient(kernel: Kernel) -> Kernel:
    """By the first argument."""
    return lambda x, *rest, **options: kernel(x.detach(), *rest, **options) + 0 * x


def half_a_gradient(kernel: Kernel) -> Kernel:
    def wrong(*arguments: Any, **options: Any) -> Tensor:
        y = kernel(*arguments, **options)
        return y.detach() + 0.5 * (y - y.detach())

    return wrong


def slope_of_one_less_y(x: Tensor) -> Tensor:
    """Tanh with the derivative 1 - y, where it is 1 - y^2."""
    y = x.tanh().detach()
    return y + (1 - y) * (x - x.detach())


def repeating(x: Tensor, p: float, training: bool, *_: Any) -> Tensor:
    """Dropout whose masks repeat every number fourfold (pytorch/pytorch#198333)."""
    return x * (torch.rand(len(x) // 4) >= p).repeat_interleave(4) / (1 - p) if training else x


def not_added(taken: Tensor, rows: Tensor, *_: Any) -> Tensor:
    """An embedding whose gradient is that of the last index alone."""
    y = rows.detach()[taken]
    y[-1] += rows[taken[-1]] - rows[taken[-1]].detach()
    return y


def reordered(kernel: Kernel) -> Kernel:
    """A recurrent layer of one unit, so that a row of each weight is a gate, with the gates in another order."""
    return lambda x, state, weights, *rest: kernel(x, state, [weight.roll(1, 0) for weight in weights], *rest)


F, VF = functional, torch._VF
LAYER, GROUP, BATCH, INSTANCE = (F, "layer_norm"), (F, "group_norm"), (torch, "batch_norm"), (F, "instance_norm")
ATTEND, SOFTMAX = (F, "scaled_dot_product_attention"), (F, "softmax")
CROSS, LOGISTIC = (F, "cross_entropy"), (F, "binary_cross_entropy_with_logits")

FAULTS: list[tuple[str, str, tuple[Any, str], Kernel]] = [
    ("layer_norm", "eps outside the root", LAYER, partial(layer, outside=True)),
    ("layer_norm", "unbiased variance", LAYER, partial(layer, correction=1)),
    ("layer_norm", "no gradient", LAYER, no_gradient(F.layer_norm)),
    ("layer_norm", "half a gradient", LAYER, half_a_gradient(F.layer_norm)),
    ("encoder_layer", "no gradient through the norm", LAYER, no_gradient(F.layer_norm)),
    ("batch_norm", "eps outside the root", BATCH, partial(batch, outside=True)),
    ("batch_norm", "unbiased variance", BATCH, partial(batch, correction=1)),
    ("batch_norm", "biased variance remembered", BATCH, partial(batch, remembered=0)),
    ("batch_norm", "momentum flipped", BATCH, partial(batch, flipped=True)),
    ("batch_norm", "statistics as constants", BATCH, partial(batch, constant=True)),
    ("batch_norm_of_images", "unbiased variance", BATCH, partial(batch, correction=1)),
    ("group_norm", "eps outside the root", GROUP, partial(group, outside=True)),
    ("group_norm", "unbiased variance", GROUP, partial(group, correction=1)),
    ("group_norm", "one group", GROUP, lambda x, _, *rest, own=F.group_norm: own(x, 1, *rest)),
    ("group_norm", "no gradient", GROUP, no_gradient(F.group_norm)),
    ("instance_norm", "one group", GROUP, lambda x, _, *rest, own=F.group_norm: own(x, 1, *rest)),
    ("instance_norm", "no gradient", INSTANCE, no_gradient(F.instance_norm)),
    ("attention", "uniform", ATTEND, uniform),
    ("attention", "temperature 2", ATTEND, halved(F.scaled_dot_product_attention)),
    ("attention", "no gradient", ATTEND, no_gradient(F.scaled_dot_product_attention)),
    ("attention_of_heads", "uniform", ATTEND, uniform),
    ("attention_of_heads", "temperature 2", SOFTMAX, halved(F.softmax)),
    ("encoder_layer", "uniform", ATTEND, uniform),
    ("encoder_layer", "no gradient of queries", ATTEND, no_gradient(F.scaled_dot_product_attention)),
    ("encoder_layer", "keys for queries", (attention, "_attention"),
     lambda qkv, heads, own=attention._attention: own(qkv.roll(8, -1), heads)),
    ("tanh", "gradient", (torch, "tanh"), slope_of_one_less_y),
    ("tanh", "gradient, in place", (Tensor, "tanh_"), slope_of_one_less_y),
    ("sigmoid", "gradient", (torch, "sigmoid"), half_a_gradient(torch.sigmoid)),
    ("relu", "leaky", (F, "relu"), lambda x, inplace=False: F.leaky_relu(x, 0.01)),
    ("softmax", "temperature 2", (torch, "softmax"), halved(torch.softmax)),
    ("softmax", "no gradient", SOFTMAX, no_gradient(F.softmax)),
    ("embedding", "gradients not added", (F, "embedding"), not_added),
    ("embedding", "the next row", (F, "embedding"), lambda taken, rows, *_: rows[(taken + 1) % len(rows)]),
    ("dropout", "not scaled", (F, "dropout"), halved(F.dropout)),
    ("dropout", "repeats", (F, "dropout"), repeating),
    ("dropout", "in evaluation", (F, "dropout"), lambda x, p, *_, own=F.dropout: own(x, p, True)),
    ("dropout", "gradient not masked", (F, "dropout"),
     lambda x, *rest, own=F.dropout: own(x.detach(), *rest) + x - x.detach()),
    ("rnn", "gradient of tanh", (Tensor, "tanh_"), slope_of_one_less_y),
    ("rnn", "torch's, halved", (VF, "rnn_tanh"), halved(VF.rnn_tanh)),
    ("lstm", "gradient of tanh", (torch, "tanh"), slope_of_one_less_y),
    ("lstm", "torch's, another order", (VF, "lstm"), reordered(VF.lstm)),
    ("gru", "gradient of sigmoid", (Tensor, "sigmoid_"), half_a_gradient(torch.sigmoid)),
    ("gru", "torch's, another order", (VF, "gru"), reordered(VF.gru)),
    ("cross_entropy", "temperature 2", CROSS, halved(F.cross_entropy)),
    ("cross_entropy", "smoothed", CROSS, partial(F.cross_entropy, label_smoothing=0.1)),
    ("cross_entropy", "half a gradient", CROSS, half_a_gradient(F.cross_entropy)),
    ("logistic", "temperature 2", LOGISTIC, halved(F.binary_cross_entropy_with_logits)),
    ("logistic", "half a gradient", LOGISTIC, half_a_gradient(F.binary_cross_entropy_with_logits)),
    ("mean_squared_error", "absolute", (Tensor, "square"), lambda x: x.abs()),
    ("mean_squared_error", "half a gradient", (Tensor, "square"), half_a_gradient(torch.square)),
]  # fmt: skip
"""A check, a fault, where it is put, and what is put there."""


@pytest.mark.parametrize(
    ("check", "place", "fault"),
    [pytest.param(check, place, fault, id=f"{check}-{what}") for check, what, place, fault in FAULTS],
)
def test_a_fault_is_noticed(monkeypatch, check, place, fault):
    monkeypatch.setattr(*place, fault)
    with pytest.raises((AssertionError, GradcheckError)):
        getattr(references, f"check_{check}")()


@pytest.mark.parametrize(
    ("check", "place", "stand_in"),
    [("layer_norm", LAYER, layer), ("group_norm", GROUP, group), ("batch_norm", BATCH, batch)],
    ids=["layer", "group", "batch"],
)
def test_what_the_faults_are_put_into_has_none_of_its_own(monkeypatch, check, place, stand_in):
    monkeypatch.setattr(*place, stand_in)
    getattr(references, f"check_{check}")()


def test_a_fault_of_every_check_is_tried():
    assert {f"check_{check}" for check, *_ in FAULTS} == {check.__name__ for check in CHECKS}
