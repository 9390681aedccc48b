"""The parts in force: torch's own, or what stands in their place for a while."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from functools import cache, partial, wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from torch import nn
from torch.nn.utils import parametrizations

from claimlab.parts import initialisers
from claimlab.parts.initialisers import Initialise
from claimlab.parts.layers import Activation
from claimlab.train.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from claimlab.train.shampoo import Shampoo

P = ParamSpec("P")
R = TypeVar("R")


def parts() -> Parts:
    """The parts in force."""
    return _IN_FORCE.get()


@contextmanager
def swapped(**others: Any) -> Generator[Parts]:
    """Have other parts in force, by their names, until the end of the block: `with swapped(layer_norm=MyNorm):`.

    What a net is made of is looked up when the net is made. Raises ValueError for a name that no part has.
    """
    for name in others:
        parts().named(name)
    token = _IN_FORCE.set(replace(parts(), **others))
    try:
        yield parts()
    finally:
        _IN_FORCE.reset(token)


def in_force() -> dict[str, str]:
    """The parts that are not torch's own, by name, each as `module:object`."""
    stock = Parts()
    others = {field.name: getattr(parts(), field.name) for field in fields(Parts)}
    return {name: _said(part) for name, part in others.items() if part is not getattr(stock, name)}


def found(said: str) -> Any:
    """The object that `module:object` names. Raises ValueError in one sentence if there is none."""
    module, _, name = said.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{said!r} is no part: write module:object, like torch.nn:Identity ({error})") from error


def _said(part: Any) -> str:
    while isinstance(part, partial):
        part = part.func
    named = part if hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}:{named.__qualname__}"


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """`functools.cache` for what is computed with parts: it is computed anew where others are in force."""
    by_parts = cache(lambda chosen, *arguments, **options: function(*arguments, **options))

    @wraps(function)
    def remembering(*arguments: P.args, **options: P.kwargs) -> R:
        return by_parts(parts(), *arguments, **options)  # ty: ignore[invalid-argument-type]

    return remembering


@dataclass(frozen=True)
class Parts:
    """Every part by its name, called as torch's own is called.

    The layers make a module, and `weight_norm` wraps one. `he_init`, `lecun_init`, `glorot_init` and `torch_init` draw
    weights and biases (`claimlab.parts.initialisers`). The last ones, from `sgd` on, make an optimizer from a list of
    parameters.
    """

    batch_norm_1d: Callable[..., nn.Module] = nn.BatchNorm1d
    batch_norm_2d: Callable[..., nn.Module] = nn.BatchNorm2d
    layer_norm: Callable[..., nn.Module] = nn.LayerNorm
    group_norm: Callable[..., nn.Module] = nn.GroupNorm
    instance_norm_2d: Callable[..., nn.Module] = nn.InstanceNorm2d
    weight_norm: Callable[..., nn.Module] = parametrizations.weight_norm
    rnn: Callable[..., nn.Module] = nn.RNN
    lstm: Callable[..., nn.Module] = nn.LSTM
    gru: Callable[..., nn.Module] = nn.GRU
    transformer_encoder_layer: Callable[..., nn.Module] = nn.TransformerEncoderLayer
    embedding: Callable[..., nn.Module] = nn.Embedding
    dropout: Callable[..., nn.Module] = nn.Dropout
    relu: Activation = nn.ReLU
    tanh: Activation = nn.Tanh
    sigmoid: Activation = nn.Sigmoid
    identity: Activation = nn.Identity
    he_init: Initialise = initialisers.he
    lecun_init: Initialise = initialisers.lecun
    glorot_init: Initialise = initialisers.glorot
    torch_init: Initialise = initialisers.of_torch
    sgd: Callable[..., Any] = SGD
    adam: Callable[..., Any] = Adam
    adamw: Callable[..., Any] = AdamW
    adagrad: Callable[..., Any] = Adagrad
    rmsprop: Callable[..., Any] = RMSprop
    adadelta: Callable[..., Any] = Adadelta
    shampoo: Callable[..., Any] = Shampoo

    def named(self, name: str) -> Any:
        """The part of the name; raises ValueError for an unknown one."""
        names = [field.name for field in fields(self)]
        if name not in names:
            raise ValueError(f"unknown part {name!r}: choose one of {', '.join(names)}")
        return getattr(self, name)


_IN_FORCE: ContextVar[Parts] = ContextVar("parts in force", default=Parts())  # noqa: B039 - frozen
