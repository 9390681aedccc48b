"""Recurrent layers and an embedding in the plainest way, with the parameters of torch's own and its initial weights."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """One layer over `[T, N, inputs]` or `[T, inputs]`, its state `[1, N, units]` or `[1, units]`."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def __init__(self, inputs: int, units: int, *, bias: bool = True, dtype: torch.dtype | None = None):
        super().__init__()
        self.units, wide = units, self.gates * units
        shapes: list[tuple[str, tuple[int, ...]]] = [("weight_ih_l0", (wide, inputs)), ("weight_hh_l0", (wide, units))]
        if bias:
            shapes += [("bias_ih_l0", (wide,)), ("bias_hh_l0", (wide,))]
        bound = 1 / math.sqrt(units)
        for name, shape in shapes:
            self.register_parameter(name, nn.Parameter(torch.empty(shape, dtype=dtype).uniform_(-bound, bound)))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        own = state if isinstance(state, tuple) else (state,) * self.states
        now = tuple(x.new_zeros(*x.shape[1:-1], self.units) if part is None else part[0] for part in own)
        outputs = []
        for each in x:
            now = self.step(self.maps(each, "ih"), self.maps(now[0], "hh"), now)
            outputs.append(now[0])
        last = tuple(part[None] for part in now)
        return torch.stack(outputs), last if self.states > 1 else last[0]

    def maps(self, x: Tensor, which: str) -> State:
        """What the inputs or the last output say to every gate."""
        own = dict(self.named_parameters())
        z = x @ own[f"weight_{which}_l0"].T + own.get(f"bias_{which}_l0", 0)
        return z.chunk(self.gates, dim=-1)

    def step(self, x: State, h: State, state: State) -> State:
        raise NotImplementedError


class RNN(Recurrent):
    def __init__(self, inputs: int, units: int, *, nonlinearity: str = "tanh", **options: Any):
        super().__init__(inputs, units, **options)
        self.function = getattr(torch, nonlinearity)

    def step(self, x: State, h: State, state: State) -> State:
        return (self.function(x[0] + h[0]),)


class LSTM(Recurrent):
    gates, states = 4, 2

    def step(self, x: State, h: State, state: State) -> State:
        i, f, g, o = (a + b for a, b in zip(x, h, strict=True))
        cell = self.kept(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def kept(self, f: Tensor) -> Tensor:
        return torch.sigmoid(f)


class DeepLSTM(nn.LSTM):
    """Two layers of torch's, one after the other, with dropout between them."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        zeros = input.new_zeros(1, input.shape[1], self.hidden_size)
        first, second = self._flat_weights[:4], self._flat_weights[4:]
        y, *state = self.layer(self.between(self.layer(input, zeros, first)[0]), zeros, second)
        return y, tuple(state)

    def layer(self, x: Tensor, zeros: Tensor, weights: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
        return torch._VF.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, False)

    def between(self, x: Tensor) -> Tensor:
        return dropped(x, self.dropout) if self.training else x


def lstm(inputs: int, units: int, *, num_layers: int = 1, deep: type[DeepLSTM] = DeepLSTM, **options: Any) -> nn.Module:
    return LSTM(inputs, units, **options) if num_layers == 1 else deep(inputs, units, num_layers=num_layers, **options)


class GRU(Recurrent):
    gates = 3

    def step(self, x: State, h: State, state: State) -> State:
        reset, kept = torch.sigmoid(x[0] + h[0]), self.kept(x[1] + h[1])
        return ((1 - kept) * torch.tanh(x[2] + reset * h[2]) + kept * state[0],)

    def kept(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)


class Embedding(nn.Module):
    def __init__(
        self, rows: int, width: int, *, padding_idx: int | None = None, dtype: torch.dtype | None = None, **_: Any
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, width, dtype=dtype))
        self.padding = padding_idx

    def forward(self, words: Tensor) -> Tensor:
        found = nn.functional.one_hot(words, len(self.weight)).to(self.weight) @ self.weight
        return found if self.padding is None else torch.where((words == self.padding)[..., None], found.detach(), found)


def dropped(x: Tensor, p: float) -> Tensor:
    return x * (torch.rand_like(x) >= p) / (1 - p)


class Dropout(nn.Module):
    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropped(x, self.p) if self.training else x


# Broken ones


def backward_ignores(x: Tensor, p: float) -> Tensor:
    """Dropout whose gradient is that of no dropout (github.com/pytorch/pytorch/issues/190056)."""
    return x + (dropped(x, p) - x).detach()


def repeats(x: Tensor, p: float) -> Tensor:
    """Dropout with one coin for four neighbours (github.com/pytorch/pytorch/issues/198333)."""
    return x * dropped(x.new_ones(x.numel() // 4), p).repeat_interleave(4).view_as(x)


class DropsInEvaluation(Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return dropped(x, self.p)


class BackwardIgnores(Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return backward_ignores(x, self.p) if self.training else x


class Repeats(Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return repeats(x, self.p) if self.training else x


class LSTMDropsInEvaluation(DeepLSTM):
    """As in github.com/pytorch/pytorch/issues/180744."""

    def between(self, x: Tensor) -> Tensor:
        return dropped(x, self.dropout)


class LSTMBackwardIgnores(DeepLSTM):
    def between(self, x: Tensor) -> Tensor:
        return backward_ignores(x, self.dropout) if self.training else x


class LSTMRepeats(DeepLSTM):
    def between(self, x: Tensor) -> Tensor:
        return repeats(x, self.dropout) if self.training else x


class Linear(RNN):
    def step(self, x: State, h: State, state: State) -> State:
        return (x[0] + h[0],)


class NeverForgets(LSTM):
    def kept(self, f: Tensor) -> Tensor:
        return torch.ones_like(f)


class GateTurnedRound(GRU):
    def kept(self, z: Tensor) -> Tensor:
        return torch.sigmoid(-z)


class LearnsPadding(Embedding):
    def __init__(self, rows: int, width: int, *, padding_idx: int | None = None, **options: Any):
        super().__init__(rows, width, **options)


class Smears(Embedding):
    def forward(self, words: Tensor) -> Tensor:
        return super().forward(words) + 1e-3 * self.weight.mean(dim=0)
