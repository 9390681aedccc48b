"""What torch's kernels and ours give, by hand, and their gradients, by differences.

Elsewhere a block is compared with torch.nn, which calls the same kernels: a fault in one of them would be in both.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import gradcheck
from torch.nn import functional

from claimlab.measure.fit import cross_entropy, logistic, mean_squared_error
from claimlab.nets import (
    Running,
    batch_norm,
    encoder_layer,
    group_norm,
    gru,
    instance_norm,
    layer_norm,
    lstm,
    pack,
    recurrent_parameters,
    rnn,
    unpack,
)
from claimlab.parts import lift
from claimlab.seeds import Seeds

close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
log = math.log


def of(*numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def has_the_gradient_of_its_values(function: Callable[..., Tensor], *arguments: Tensor) -> None:
    """Every output by every argument, against differences of the outputs (to 1e-5; a step of 1e-6 errs by 1e-9)."""
    leaves = [argument.detach().clone().requires_grad_() for argument in arguments]
    assert gradcheck(function, leaves, eps=1e-6, atol=1e-6, rtol=1e-5)


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The derivative at each number of x."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


# -- norms -----------------------------------------------------------------------------------------------------------
#
# 1, 2, 3, 6 have the mean 3 and the variance 7/2, 14/3 without bias: with an eps of 1/2 the root is 2, and they become
# -1, -1/2, 0, 3/2. With gain and shift, different for each feature, nothing is symmetric.

NUMBERS, NORMED = of(1, 2, 3, 6), of(-1, -0.5, 0, 1.5)
TIMES, PLUS = of(1, 2, 3, 4), of(5, 6, 7, 8)


def check_layer_norm() -> None:
    for norm in (
        lambda x, gain, shift: layer_norm(x[None], gain[None], shift[None], eps=0.5)[0],
        lambda x, gain, shift: functional.layer_norm(x, (4,), gain, shift, 0.5),
    ):
        x = torch.stack([NUMBERS, -NUMBERS])
        close(norm(x, TIMES, PLUS), torch.stack([of(4, 5, 7, 14), of(6, 7, 7, 2)]))
        has_the_gradient_of_its_values(norm, x, TIMES, PLUS)


def check_batch_norm() -> None:
    """The running averages move by three tenths, from 0 to the mean 3 and from 1 to the variance 14/3."""
    mean, var = of(0, 0), of(1, 1)

    def ours(x: Tensor, gain: Tensor, shift: Tensor, *, training: bool = True) -> Tensor:
        running = Running(mean[None], var[None])
        return batch_norm(x[None], gain[None], shift[None], running, training=training, momentum=0.3, eps=0.5)[0]

    def torchs(x: Tensor, gain: Tensor, shift: Tensor, *, training: bool = True) -> Tensor:
        return functional.batch_norm(x, mean, var, gain, shift, training, 0.3, 0.5)

    x, gain, shift = torch.stack([NUMBERS, 10 * NUMBERS.flip(0)], dim=1), of(2, 1), of(1, 0)
    for norm in (ours, torchs):
        mean.zero_()
        var.fill_(1)
        normed = norm(x, gain, shift)
        close(normed[:, 0], 2 * NORMED + 1)
        close(normed[:, 1], NORMED.flip(0) * 20 / math.sqrt(350.5))
        close(mean, of(0.9, 9))
        close(var, of(0.7 + 1.4, 0.7 + 140))
        has_the_gradient_of_its_values(norm, x, gain, shift)
        mean.copy_(of(1, 0))
        var.copy_(of(3.5, 0.5))
        close(norm(x, gain, shift, training=False), torch.stack([of(1, 2, 3, 6), 10 * NUMBERS.flip(0)], dim=1))
        has_the_gradient_of_its_values(partial(norm, training=False), x, gain, shift)
        close(mean, of(1, 0))


def check_batch_norm_of_images() -> None:
    """Every pixel of a channel counts."""
    image = NUMBERS.view(2, 1, 2, 1).repeat(1, 2, 1, 1) * of(1, -1).view(2, 1, 1)
    gain, shift = of(1, 1), of(0, 5)
    ours = unpack(batch_norm(pack(image[None]), gain[None], shift[None], None, training=True, eps=0.5), 1)[0]
    for normed in (ours, functional.batch_norm(image, None, None, gain, shift, True, eps=0.5)):
        close(normed[:, 0].flatten(), NORMED)
        close(normed[:, 1].flatten(), 5 - NORMED)


def check_group_norm() -> None:
    """1, 3 have the mean 2 and the variance 1, and 5, 7 the mean 6: with an eps of 3 they become -1/2, 1/2."""
    for norm in (
        lambda x, gain, shift: group_norm(x[None], 2, gain[None], shift[None], eps=3.0)[0],
        lambda x, gain, shift: functional.group_norm(x, 2, gain, shift, 3.0),
    ):
        x = of([1, 3, 5, 7], [3, 1, 7, 5])
        close(norm(x, TIMES, PLUS), of([4.5, 7, 5.5, 10], [5.5, 5, 8.5, 6]))
        has_the_gradient_of_its_values(norm, x, TIMES, PLUS)


def check_instance_norm() -> None:
    """Two images of two channels of 2 x 2 pixels."""
    for norm in (
        lambda x, gain, shift: unpack(instance_norm(pack(x[None]), gain[None], shift[None], eps=0.5), 1)[0],
        lambda x, gain, shift: functional.instance_norm(x, None, None, gain, shift, eps=0.5),
    ):
        x = torch.stack([NUMBERS, -NUMBERS, NUMBERS + 7, NUMBERS.flip(0)]).view(2, 2, 2, 2)
        normed = norm(x, of(2, 1), of(0, 1)).reshape(4, 4)
        close(normed, torch.stack([2 * NORMED, 1 - NORMED, 2 * NORMED, 1 + NORMED.flip(0)]))
        has_the_gradient_of_its_values(norm, x, of(2, 1), of(0, 1))


# -- attention -------------------------------------------------------------------------------------------------------


def check_attention() -> None:
    """A query 2 ln 3 and keys 1, 0, of four features each: scores ln 3 and 0, of which 3/4 and 1/4 are made."""
    attend = functional.scaled_dot_product_attention
    query, key = of([2 * log(3), 0, 0, 0], [0, 0, 0, 0]), of([1, 0, 0, 0], [0, 1, 0, 0])
    value = of([4, 0, 0, 1], [0, 8, 0, 1])
    close(attend(query[None], key[None], value[None])[0], of([3, 2, 0, 1], [2, 4, 0, 1]))
    has_the_gradient_of_its_values(attend, *(part[None] for part in (query, key, value)))


# Two tokens of eight features, the unit vectors e1 and e2, so that the first two rows of the weights are queries, keys
# and values. The first head, features 1 to 4, mixes the values 4 and 8 with the weights 3/4 and 1/4 for the first token
# and 1/2 each for the second; the other head 8 and 16 with 1/2 each, and with 1/8 and 7/8.
TOKENS = torch.eye(8, dtype=torch.float64)[None, :2]
ATTENDED = torch.zeros(1, 2, 8, dtype=torch.float64)
ATTENDED[0, :, 1], ATTENDED[0, :, 5] = of(5, 6), of(12, 15)


def two_heads() -> Tensor:
    """Weights `[8, 24]`: queries, keys and values side by side."""
    weight = torch.zeros(8, 24, dtype=torch.float64)
    weight[0, 0], weight[1, 4] = 2 * log(3), 2 * log(7)
    weight[0, 8], weight[1, 12] = 1, 1
    weight[0, 17], weight[0, 21], weight[1, 17], weight[1, 21] = 4, 8, 8, 16
    return weight


def check_attention_of_heads() -> None:
    """Both of torch's ways, with the attention weights to see and without."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        attention.in_proj_weight.copy_(two_heads().T)
        attention.out_proj.weight.copy_(torch.eye(8))
    for parameter in attention.parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
    close(attention(TOKENS, TOKENS, TOKENS, need_weights=False)[0], ATTENDED)
    mixed, weights = attention(TOKENS, TOKENS, TOKENS, average_attn_weights=False)
    close(mixed, ATTENDED)
    close(weights[0], of([[3 / 4, 1 / 4], [1 / 2, 1 / 2]], [[1 / 2, 1 / 2], [1 / 8, 7 / 8]]))
    has_the_gradient_of_its_values(lambda x: attention(x, x, x, need_weights=False)[0], TOKENS)
    has_the_gradient_of_its_values(lambda x: attention(x, x, x)[0], TOKENS)


def check_encoder_layer() -> None:
    """Ours: attention, and a hidden unit for the second and one for the sixth feature, less 10."""
    w1, w2 = torch.zeros(8, 2, dtype=torch.float64), torch.zeros(2, 8, dtype=torch.float64)
    w1[1, 0] = w1[5, 1] = w2[0, 2] = w2[1, 6] = 1
    none = torch.zeros(1, 8, dtype=torch.float64)
    parameters = [two_heads(), none.repeat(1, 3), torch.eye(8).double(), none, w1, of([-10, -10]), w2, none]
    blocks = [parameter[None] for parameter in parameters]
    block = partial(encoder_layer, heads=2, norm=lambda own, x: x)
    expected = TOKENS + ATTENDED
    expected[0, :, 6] += of(2, 5)
    close(block(blocks, TOKENS[None])[0], expected)
    close(block(blocks, TOKENS[None], norm_first=True)[0], expected)
    norm = lift(nn.LayerNorm, 8)
    gains = [part for place in range(2) for part in norm.init(SEED, f"norm{place}")]
    has_the_gradient_of_its_values(
        lambda x, *own: encoder_layer([*own, *gains], x, heads=2, norm=norm), TOKENS[None], *blocks
    )


# -- activations and softmax -----------------------------------------------------------------------------------------


def each(name: str, module: type[nn.Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """A function by all the names that it has."""
    yield getattr(torch, name)
    yield module()
    yield lambda x: lift(module)([], x.clone())
    yield lambda x: getattr(x.clone(), f"{name}_")()


def check_tanh() -> None:
    x, y = of(-log(3), -log(2), 0, log(2), log(3)), of(-0.8, -0.6, 0, 0.6, 0.8)
    for tanh in each("tanh", nn.Tanh):
        close(tanh(x), y)
        close(slope(tanh, x), of(0.36, 0.64, 1, 0.64, 0.36))
        has_the_gradient_of_its_values(tanh, x)


def check_sigmoid() -> None:
    x, y = of(-log(3), 0, log(3), log(4)), of(0.25, 0.5, 0.75, 0.8)
    for sigmoid in each("sigmoid", nn.Sigmoid):
        close(sigmoid(x), y)
        close(slope(sigmoid, x), of(0.1875, 0.25, 0.1875, 0.16))
        has_the_gradient_of_its_values(sigmoid, x)


def check_relu() -> None:
    """Torch's slope at 0 is 0."""
    for relu in each("relu", nn.ReLU):
        close(relu(of(-2, 0, 0.5, 3)), of(0, 0, 0.5, 3))
        close(slope(relu, of(-2, 0, 0.5, 3)), of(0, 0, 1, 1))


def check_softmax() -> None:
    for softmax in (torch.softmax, functional.softmax):
        close(softmax(of(log(1), log(2), log(5)), dim=0), of(0.125, 0.25, 0.625))
        has_the_gradient_of_its_values(partial(softmax, dim=0), of(log(1), log(2), log(5)))


# -- embedding and dropout -------------------------------------------------------------------------------------------


def check_embedding() -> None:
    """A row that is taken twice has two gradients to add."""
    rows, taken = of([1, 2], [3, 4], [5, 6]), torch.tensor([2, 0, 2])

    def embed(rows: Tensor) -> Tensor:
        return functional.embedding(taken, rows)

    close(embed(rows), of([5, 6], [1, 2], [5, 6]))
    close(slope(lambda rows: embed(rows) * of([1], [10], [100]), rows), of([10, 10], [0, 0], [101, 101]))
    has_the_gradient_of_its_values(embed, rows)


def check_dropout() -> None:
    """Of 40 000 numbers a quarter is 0, and whether one is says nothing of its neighbour, the fourth or another mask.

    The share is good to five standard errors of 0.0022, that of pairs to five of 0.0032. What is kept is times 4/3.
    """
    layer, x = nn.Dropout(0.25), torch.arange(1.0, 40_001, dtype=torch.float64).requires_grad_()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        y, again = layer(x), layer(x)
    kept = y.detach() != 0
    close(y.detach(), kept * x.detach() * 4 / 3)
    close(torch.autograd.grad(y.sum(), x)[0], kept * of(4 / 3))
    assert abs(kept.double().mean() - 0.75) < 0.011
    for other in (kept.roll(1), kept.roll(4), again.detach() != 0):
        assert abs((kept & other).double().mean() - 0.75**2) < 0.016
    close(layer.eval()(x), x)
    close(slope(layer, x.detach()), torch.ones_like(x.detach()))


# -- recurrent layers ------------------------------------------------------------------------------------------------
#
# One unit and one input. Of what goes into each gate at the first step a part comes from the input 1, by `w_in`, a part
# from the state, by `w_hidden`, and the rest from the two biases.

SEED = Seeds("tests/references", 1, "pinned", (0,), dtype=torch.float64)
SHARES = (0.25, 0.5, 2.0)
"""Of the input, the state and one bias in what goes into a gate; the other bias has the rest."""


def parameters_for(into: Tensor, state: float) -> list[Tensor]:
    """`[w_in, w_hidden, b_in, b_hidden]`, `[1, 1, gates]` each, with which this goes into the gates."""
    by_input, by_state, bias = (share * into for share in SHARES)
    return [part.view(1, 1, -1) for part in (by_input, by_state / state, bias, into - by_input - by_state - bias)]


def by_torch(make: Callable[..., nn.Module], parameters: list[Tensor], x: Tensor, state: Any) -> Tensor:
    """The outputs `[1, N, T, h]` of torch's layer with these parameters."""
    layer = make(x.shape[-1], parameters[1].shape[1], batch_first=True, dtype=torch.float64)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    own = [parameter[0].T if place < 2 else parameter[0, 0] for place, parameter in enumerate(parameters)]
    return torch.func.functional_call(layer, dict(zip(names, own, strict=True)), (x[0], state))[0][None]


def check_recurrent(
    kind: str, ours: Callable[..., Any], torchs: type[nn.RNNBase], parameters: list[Tensor], state: Any, first: float
) -> None:
    """That the output after one step is `first`; and the gradients of three steps of two units."""
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for outputs in (ours(parameters, x, state)[0], by_torch(torchs, parameters, x, state)):
        close(outputs, torch.full_like(x, first))
    drawn, x = recurrent_parameters(SEED, kind, 2, 2), SEED.normal("x", 2, 3, 2)
    has_the_gradient_of_its_values(lambda x, *own: ours(list(own), x)[0], x, *drawn)
    has_the_gradient_of_its_values(lambda x, *own: by_torch(torchs, list(own), x, None), x, *drawn)


def check_rnn() -> None:
    """tanh ln 3 is 4/5."""
    check_recurrent("rnn", rnn, nn.RNN, parameters_for(of(log(3)), 2.0), of([[2.0]]), 0.8)


def check_lstm() -> None:
    """The gates i = 3/4, f = 1/2, g = 3/5, o = 1/4, and a cell that becomes ln 2: the output is 1/4 tanh ln 2."""
    cell = 2 * (log(2) - 0.75 * 0.6)
    parameters = parameters_for(of(log(3), 0.0, log(2), -log(3)), 2.0)
    check_recurrent("lstm", lstm, nn.LSTM, parameters, (of([[2.0]]), of([[cell]])), 0.15)


def check_gru() -> None:
    """r = 3/4, z = 1/4, and n = tanh(a + r b) = 3/5 with b = 2: the state 2 becomes 3/4 3/5 + 1/4 2."""
    w_in, w_hidden, b_in, b_hidden = parameters_for(of(log(3), -log(3), 0.0), 2.0)
    w_in[..., 2], b_in[..., 2] = 0.5, log(2) - 0.75 * 2 - 0.5
    w_hidden[..., 2], b_hidden[..., 2] = 0.5, 1.0
    check_recurrent("gru", gru, nn.GRU, [w_in, w_hidden, b_in, b_hidden], of([[2.0]]), 0.95)


# -- losses ----------------------------------------------------------------------------------------------------------


def check_cross_entropy() -> None:
    """The chances are 1/8, 2/8, 5/8 twice: mean of ln 8/5 and ln 8. The gradient is half of chances less labels."""
    logits, labels = of([[log(1), log(2), log(5)]] * 2), torch.tensor([[2, 0]])
    close(cross_entropy(logits, labels), of((log(8 / 5) + log(8)) / 2))
    by_hand = of([1 / 8, 1 / 4, 5 / 8 - 1], [1 / 8 - 1, 1 / 4, 5 / 8]) / 2
    close(slope(lambda logits: cross_entropy(logits, labels), logits)[0], by_hand)
    has_the_gradient_of_its_values(lambda logits: cross_entropy(logits, labels), logits)


def check_logistic() -> None:
    """A logit of ln 3 is a chance of 3/4."""
    logits, labels = of([[log(3)], [log(3)]]), torch.tensor([[1, 0]])
    close(logistic(logits, labels), of((log(4 / 3) + log(4)) / 2))
    close(slope(lambda logits: logistic(logits, labels), logits).flatten(), of(-1 / 8, 3 / 8))
    has_the_gradient_of_its_values(lambda logits: logistic(logits, labels), logits)


def check_mean_squared_error() -> None:
    outputs, targets = of([[1], [3]]), of([2, 5])
    close(mean_squared_error(outputs, targets), of(2.5))
    close(slope(lambda outputs: mean_squared_error(outputs, targets), outputs).flatten(), of(-1, -2))
    has_the_gradient_of_its_values(mean_squared_error, outputs, targets)


CHECKS = [
    check_layer_norm, check_batch_norm, check_batch_norm_of_images, check_group_norm, check_instance_norm,
    check_attention, check_attention_of_heads, check_encoder_layer,
    check_tanh, check_sigmoid, check_relu, check_softmax, check_embedding, check_dropout,
    check_rnn, check_lstm, check_gru, check_cross_entropy, check_logistic, check_mean_squared_error,
]  # fmt: skip
