"""The layers that claims are about, by name: torch's own.

A claim about batch norm is a claim about an implementation of it. Claims take the layer under test from here, and
nowhere else, so that another implementation with the same interface can be judged in its place.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.nn.utils import parametrizations

PARTS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "batch_norm_1d": nn.BatchNorm1d,
        "batch_norm_2d": nn.BatchNorm2d,
        "layer_norm": nn.LayerNorm,
        "group_norm": nn.GroupNorm,
        "instance_norm_2d": nn.InstanceNorm2d,
        "weight_norm": parametrizations.weight_norm,
        "rnn": nn.RNN,
        "lstm": nn.LSTM,
        "gru": nn.GRU,
        "transformer_encoder_layer": nn.TransformerEncoderLayer,
    }
)
"""Each makes a module from the arguments that torch's takes (`weight_norm` wraps a module)."""


def part(name: str, *arguments: Any, **options: Any) -> nn.Module:
    """A new layer of the name, such as `part("batch_norm_1d", 64, eps=0.0)`; raises ValueError for an unknown one."""
    if name not in PARTS:
        raise ValueError(f"unknown part {name!r}: choose one of {', '.join(PARTS)}")
    return PARTS[name](*arguments, **options)
