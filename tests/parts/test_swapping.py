"""Each part swapped for a twin, the same mathematics written anew, and for a broken one: the claims notice.

The claims' own trials and predicates are called, on a few seeds and worlds: "as found" is what their tests assert.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from claimlab.declare.modules import load
from claimlab.parts import Parts, swapped
from claimlab.parts.initialisers import fans
from claimlab.seeds import Seeds
from tests.parts import twins

CLAIMS = Path(__file__).parents[2] / "claims"

# Twins, in the plainest way


class BatchNorm(nn.Module):
    """Over the batch, and over space if there is any."""

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1, dtype: torch.dtype | None = None):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(features, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(features, dtype=dtype))
        self.register_buffer("running_mean", torch.zeros(features, dtype=dtype))
        self.register_buffer("running_var", torch.ones(features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.statistics(x) if self.training else (self.running_mean, self.running_var)
        shape = (-1, *[1] * (x.ndim - 2))
        x = (x - mean.view(shape)) / (var.view(shape) + self.eps).sqrt()
        return x * self.weight.view(shape) + self.bias.view(shape)

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values = x.transpose(0, 1).flatten(1)
        mean, var = values.mean(dim=1), values.var(dim=1, correction=0)
        self.remember(mean.detach(), var.detach() * values.shape[1] / (values.shape[1] - 1))
        return mean, var

    def remember(self, mean: Tensor, var: Tensor) -> None:
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var


class LayerNorm(nn.Module):
    """Over the features of each sample."""

    def __init__(self, features: int, eps: float = 1e-5, dtype: torch.dtype | None = None):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (centred.square().mean(dim=-1, keepdim=True) + self.eps).sqrt() * self.weight + self.bias


class GroupNorm(nn.Module):
    """Over each sample's groups of channels."""

    over = (2,)

    def __init__(self, groups: int, channels: int, dtype: torch.dtype | None = None):
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(channels, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(channels, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.unflatten(1, (self.groups, -1)).flatten(2)
        var, mean = torch.var_mean(grouped, dim=self.over, correction=0, keepdim=True)
        shape = (-1, *[1] * (x.ndim - 2))
        y = ((grouped - mean) / (var + 1e-5).sqrt()).view(x.shape)
        return y * self.weight.view(shape) + self.bias.view(shape)


class Length(nn.Module):
    """w = g v / ||v||."""

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return g * v / v.square().sum(dim=1, keepdim=True).sqrt()

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight.square().sum(dim=1, keepdim=True).sqrt(), weight


def weight_norm(module: nn.Module, *, by: type[Length] = Length) -> nn.Module:
    return parametrize.register_parametrization(module, "weight", by(), unsafe=True)


class Relu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.0)


class Tanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * torch.sigmoid(2 * x) - 1


class Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1 / (1 + (-x).exp())


class Identity(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0


@dataclass(frozen=True)
class Drawn:
    """Uniform weights of the variance that the fans ask for, zero biases."""

    variance: Callable[[int, int], float]

    def weight(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        return (2 * seeds.uniform(f"{name}.twin", *shape) - 1) * math.sqrt(3 * self.variance(*fans(shape)))

    def bias(self, seeds: Seeds, name: str, *shape: int) -> Tensor:
        return self.weight(seeds, name, *shape)[:, 0] * 0


class Descent(torch.optim.Optimizer):
    """v' = momentum v + g, w' = w - lr v'."""

    def __init__(self, parameters, *, lr: float, momentum: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                velocity = group["momentum"] * self.state[parameter].get("velocity", 0) + parameter.grad
                self.state[parameter]["velocity"] = velocity
                parameter -= group["lr"] * velocity


class Adam(torch.optim.Optimizer):
    """Moments of the gradient, corrected for their start at 0."""

    def __init__(self, parameters, *, lr: float):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                state, g = self.state[parameter], parameter.grad
                state["t"] = t = state.get("t", 0) + 1
                state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
                state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
                parameter -= group["lr"] * state["m"] / (1 - 0.9**t) / ((state["v"] / (1 - 0.999**t)).sqrt() + 1e-8)


class TurnsBothSides(torch.optim.Optimizer):
    """Shampoo of one matrix, its inverse fourth roots by singular values."""

    def __init__(self, parameters, *, lr: float, eps: float = 1e-4):
        super().__init__(parameters, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                step = parameter.grad
                for side, size in enumerate(parameter.shape):
                    g = parameter.grad if side == 0 else parameter.grad.T
                    seen = self.state[parameter].get(side, group["eps"] * torch.eye(size, dtype=g.dtype)) + g @ g.T
                    self.state[parameter][side] = seen
                    u, s, v = torch.linalg.svd(seen)
                    step = ((u * s**-0.25) @ v @ step).T
                parameter -= group["lr"] * step


# Broken ones


class NeverDecays(torch.optim.AdamW):
    def __init__(self, parameters, *, weight_decay: float, **options: Any):
        super().__init__(parameters, weight_decay=0.0, **options)


class ForgetsToSum(torch.optim.RMSprop):
    def __init__(self, parameters, **options: Any):
        super().__init__(parameters, alpha=0.5, **options)


class ForgetsEpsilon(BatchNorm):
    def __init__(self, features: int, eps: float = 1e-5, **options: Any):
        super().__init__(features, eps=0.0, **options)


class NeverMoves(BatchNorm):
    def remember(self, mean: Tensor, var: Tensor) -> None: ...


class DoesNothing(BatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        return x


class OverTheBatch(LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(dim=0)) * self.weight + self.bias


class GroupsOfTheBatch(GroupNorm):
    over = (0, 2)


class KeepsTheLength(Length):
    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return g * v


class Dead(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0 * x


class StandsStill(Descent):
    def step(self, closure=None): ...


# What claims find


@cache
def claim(path: str) -> ModuleType:
    return load(CLAIMS / f"{path}.py")


def all_come_out(path: str, trial: str, *, win: bool, **world: Any) -> bool:
    """Whether three seeds of the claim do so, with what the trial takes for granted."""
    module = claim(path)
    rows = getattr(module, trial)(Seeds(module.CLAIM.id, module.CLAIM.version, "pinned", (0, 1, 2)), **world)
    return bool((rows.win == win).all()) and (rows.premise is None or bool(rows.premise.all()))


def supported(path: str, trial: str = "trial", **world: Any) -> bool:
    return all_come_out(path, trial, win=True, **world)


def refuted(path: str, trial: str = "trial", **world: Any) -> bool:
    return all_come_out(path, trial, win=False, **world)


def holds(path: str, predicate: str, *world: Any, **options: Any) -> bool:
    """In the module's worlds of these sizes, with five seeds; or for the options, where there is no world."""
    module = claim(path)
    check = getattr(module, predicate)
    if not world:
        return check(**options).holds
    return all(check(module.World(*world, seed=seed), **options).holds for seed in range(5))


NORMALISES = partial(holds, "normalization/test_batch_norm_normalises", "normalises", (5, 4))
NORMALISES_IMAGES = partial(holds, "normalization/test_batch_norm_normalises", "normalises", (3, 4, 3, 2))
EVALUATES = partial(holds, "normalization/test_evaluation_statistics", "evaluates_with", 4, 5, 2)
ANY_SCALE = partial(supported, "normalization/test_init_scale")
SEES_CONTRAST = partial(supported, "normalization/test_layer_norm_in_cnns", "worse_on_contrast")
SAMPLE_BY_SAMPLE = partial(holds, "normalization/test_layer_norm_algorithm", "same_algorithm", 5, 4)
ONE_SEQUENCE = partial(supported, "normalization/test_layer_norm_without_a_batch")
ONE_SEQUENCE_IN_A_TRANSFORMER = partial(supported, "normalization/test_layer_norm_without_a_batch", net="transformer")
SMALL_BATCHES_WILL_DO = partial(refuted, "normalization/test_batch_size", norm="group")
NO_BATCH = partial(holds, "normalization/test_batch_size", "knows_no_batch", name="group_norm")
DECOUPLES = partial(holds, "normalization/test_weight_norm_decouples", "decouples", 3, 2)
FROM_DATA = partial(supported, "normalization/test_data_dependent_init")
ZERO_ERROR = partial(supported, "optimization/test_wide_nets")
STUCK = partial(supported, "optimization/test_loss_surface", "descent")
NOT_STUCK = partial(refuted, "optimization/test_loss_surface", "descent", rectified=False)
FAST_WITH_NOISE = partial(supported, "normalization/test_covariate_shift", "fast_though_unsteady")
INTERPOLATES = partial(supported, "generalization/test_moons_table")
LAGS = partial(supported, "conditioning/test_vanishing_gradients", "first_layer_lags", activation="sigmoid", bias=False)
SHRINKS = partial(holds, "conditioning/test_vanishing_recurrent", "shrinks", 3, 5)
DOUBLES = partial(holds, "conditioning/test_vanishing_recurrent", "doubles_at_every_step")
CELL = partial(holds, "conditioning/test_vanishing_recurrent", "cell_keeps_what_the_forget_gates_let", 3, 5)
GATED = partial(supported, "conditioning/test_vanishing_recurrent", "over_time", asked="kept", gate_bias=5.0)
DROPS = partial(holds, "generalization/test_dropout_and_augmentation", "drops")
LSTM_DROPS = partial(holds, "generalization/test_dropout_and_augmentation", "lstm_drops")
OCCURRING = partial(holds, "conditioning/test_rare_words", "rows_with_a_gradient", (0, 2, 2, 5))
PADDED = partial(OCCURRING, padding_idx=0, which="occurring but for padding")
DIVIDES = partial(
    holds, "conditioning/test_diagonal_preconditioners", "all_follow", 6, (3, 2), True, 0.1, 1e-8, 0.1, False
)
ORTHOGONAL = partial(holds, "conditioning/test_shampoo_and_kfac", "first_step_is_orthogonal", 4, 3)
TURNS = partial(holds, "conditioning/test_shampoo_and_kfac", "turns_along", 4, 3)

FOUND: dict[str, list[Callable[[], bool]]] = {
    "batch_norm_1d": [NORMALISES, EVALUATES, ANY_SCALE],
    "batch_norm_2d": [NORMALISES_IMAGES, SEES_CONTRAST],
    "layer_norm": [SAMPLE_BY_SAMPLE, ONE_SEQUENCE, ONE_SEQUENCE_IN_A_TRANSFORMER],
    "group_norm": [NO_BATCH, SMALL_BATCHES_WILL_DO],
    "weight_norm": [DECOUPLES, FROM_DATA],
    "rnn": [SHRINKS, DOUBLES],
    "lstm": [CELL, partial(GATED, layer="lstm"), LSTM_DROPS],
    "gru": [partial(GATED, layer="gru")],
    "embedding": [OCCURRING, PADDED],
    "dropout": [DROPS],
    "relu": [ZERO_ERROR, STUCK],
    "tanh": [ONE_SEQUENCE],
    "sigmoid": [LAGS],
    "identity": [NOT_STUCK],
    "he_init": [ZERO_ERROR],
    "torch_init": [FAST_WITH_NOISE],
    "glorot_init": [INTERPOLATES],
    "sgd": [ZERO_ERROR],
    "adam": [INTERPOLATES],
    "adamw": [DIVIDES],
    "adagrad": [DIVIDES],
    "rmsprop": [DIVIDES],
    "adadelta": [DIVIDES],
    "shampoo": [ORTHOGONAL, TURNS],
}
"""What claims find of a part, asked as cheaply as can be."""

TWINS = {
    "batch_norm_1d": BatchNorm,
    "batch_norm_2d": BatchNorm,
    "layer_norm": LayerNorm,
    "group_norm": GroupNorm,
    "weight_norm": weight_norm,
    "rnn": twins.RNN,
    "lstm": twins.lstm,
    "gru": twins.GRU,
    "embedding": twins.Embedding,
    "dropout": twins.Dropout,
    "relu": Relu,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "identity": Identity,
    "he_init": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "torch_init": Drawn(lambda fan_in, fan_out: 1 / (3 * fan_in)),
    "glorot_init": nn.init.xavier_uniform_,
    "sgd": Descent,
    "adam": Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "shampoo": TurnsBothSides,
}

BROKEN = [
    ("batch_norm_1d", ForgetsEpsilon, NORMALISES),
    ("batch_norm_1d", NeverMoves, EVALUATES),
    ("batch_norm_1d", DoesNothing, ANY_SCALE),
    ("batch_norm_2d", ForgetsEpsilon, NORMALISES_IMAGES),
    ("batch_norm_2d", NeverMoves, SEES_CONTRAST),
    ("layer_norm", OverTheBatch, SAMPLE_BY_SAMPLE),
    ("layer_norm", OverTheBatch, ONE_SEQUENCE),
    ("group_norm", GroupsOfTheBatch, NO_BATCH),
    ("weight_norm", partial(weight_norm, by=KeepsTheLength), DECOUPLES),
    ("rnn", twins.Linear, DOUBLES),
    ("lstm", twins.NeverForgets, CELL),
    ("lstm", partial(twins.lstm, deep=twins.LSTMDropsInEvaluation), LSTM_DROPS),
    ("lstm", partial(twins.lstm, deep=twins.LSTMBackwardIgnores), LSTM_DROPS),
    ("lstm", partial(twins.lstm, deep=twins.LSTMRepeats), LSTM_DROPS),
    ("gru", twins.GateTurnedRound, partial(GATED, layer="gru")),
    ("dropout", twins.DropsInEvaluation, DROPS),
    ("dropout", twins.BackwardIgnores, DROPS),
    ("dropout", twins.Repeats, DROPS),
    ("embedding", twins.Smears, OCCURRING),
    ("embedding", twins.LearnsPadding, PADDED),
    ("relu", Dead, ZERO_ERROR),
    ("relu", nn.Identity, STUCK),
    ("tanh", Dead, ONE_SEQUENCE),
    ("sigmoid", nn.Identity, LAGS),
    ("identity", nn.ReLU, NOT_STUCK),
    ("he_init", nn.init.zeros_, ZERO_ERROR),
    ("torch_init", nn.init.zeros_, FAST_WITH_NOISE),
    ("glorot_init", nn.init.zeros_, INTERPOLATES),
    ("sgd", StandsStill, ZERO_ERROR),
    ("adam", StandsStill, INTERPOLATES),
    ("adam", torch.optim.AdamW, DIVIDES),
    ("adamw", NeverDecays, DIVIDES),
    ("adagrad", ForgetsToSum, DIVIDES),
    ("rmsprop", ForgetsToSum, DIVIDES),
    ("adadelta", ForgetsToSum, DIVIDES),
    ("shampoo", ForgetsToSum, ORTHOGONAL),
    ("shampoo", ForgetsToSum, TURNS),
]

UNUSED = {"instance_norm_2d", "transformer_encoder_layer", "lecun_init"}
"""Parts that no claim is about yet."""


@pytest.mark.parametrize("name", TWINS)
def test_claims_find_of_a_twin_what_they_find_of_torchs_own(name, recwarn):
    with swapped(**{name: TWINS[name]}):
        assert all(found() for found in FOUND[name])
    assert not [warning for warning in recwarn if "seed by seed" in str(warning.message)]


@pytest.mark.parametrize(("name", "broken", "found"), BROKEN)
def test_a_claim_notices_a_broken_part(name, broken, found):
    with swapped(**{name: broken}):
        assert not found()


def test_no_part_is_left_out():
    assert TWINS.keys() == FOUND.keys() == {name for name, _, _ in BROKEN}
    assert TWINS.keys() | UNUSED == {field.name for field in fields(Parts)}
    sources = [path.read_text() for path in CLAIMS.glob("*/*.py")]
    for name in UNUSED:
        assert not any(f"parts().{name}" in source or f'="{name}"' in source for source in sources)
