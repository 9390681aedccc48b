"""Layer norm suits recurrent nets and transformers: it asks neither for a batch nor which step it is.

Slide: Layer Normalizations. Sequences differ in length, and the longest or the newest may be the only one there is.
Batch norm fits this badly for two reasons. A step of a recurrent net has one value a feature for every sequence in the
batch, so that a batch of one leaves nothing of it. And the statistics of a state change from step to step, so that one
running average fits no step, and an average for each step ends where the longest training sequence ended.

No norm at all asks for no batch either. What layer norm gains over none is independence of the scale of the weights: a
state is brought to size before the tanh, whatever the weights made of it. A net that starts with weights eight times
too large saturates without it, and with it learns nearly as well as from the usual start, where no such gain is found.

The sequences that are learned are digits: four steps of two rows, and for the gain eight steps of one row. Attention is
of no use for them, so that the transformer layer is compared with its formulas, too, derivatives included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import encoder_layer, encoder_parameters, recurrent_parameters
from claimlab.parts import Layer, lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/layer-norm-suits-sequences",
    covers=("F12",),
    slide="Layer Normalizations",
    version=2,
    finding="scoped",
    says="Layer norm is suited for recurrent nets and transformers.",
    statement=(
        "Layer norm lets a recurrent net and a transformer layer learn from one sequence at a time, where batch norm "
        "has nothing left, and evaluates as it trains at every step. A recurrent net whose weights start eight times "
        "too large errs at most three fifths as often with layer norm as without a norm, each at its best learning "
        "rate; from the usual start there is no such gain."
    ),
    reason="Layer norm computes the same for a sequence alone as in a batch, and the same at every step, with nothing "
    "to store. A feature of a single sequence is its own mean, so batch norm sends it to zero, and both nets call "
    "every image the same; and the states' variance grows with the steps, so batch norm needs statistics for each. "
    "Over no norm the gain is that the scale of the weights cancels before the tanh.",
    scope="what suits is what works without a batch; the gain over no norm is a recurrent net's, and one of where it "
    "starts. Nothing says that layer norm beats batch norm where batches are large (Cooijmans et al. train recurrent "
    "nets with batch norm and statistics for each step), or where the statistics are pooled over positions. float32 "
    "(exact parts float64)",
    source="Ba, Kiros and Hinton 2016 (arXiv 1607.06450); Cooijmans et al. 2016 (arXiv 1603.09025)",
    evidence=Statistical(block=11),
)


CHANCE = 1 - 1 / CLASSES
STEPS, PIXELS = 4, 16
"""An image of 64 pixels as a sequence."""

Apply = Callable[[list[Tensor], Tensor], Tensor]
"""A norm as a function of its parameters and of activations."""


def over_the_batch(affine: list[Tensor], z: Tensor, *, size: int, eps: float = 1e-5) -> Tensor:
    """Batch norm in training mode of activations `[S, N, ..., F]`, in batches of `size`, each step by itself.

    Torch's own refuses a batch of one; this is its formula, with which a batch of one comes out as the shift.
    """
    batches = z.unflatten(1, (-1, size))
    centred = batches - batches.mean(dim=2, keepdim=True)
    standardised = centred * torch.rsqrt(centred.square().mean(dim=2, keepdim=True) + eps)
    gain, shift = (part.view(len(part), *[1] * (z.ndim - 2), -1) for part in affine)
    return standardised.flatten(1, 2) * gain + shift


def recurrent(parameters: list[Tensor], x: Tensor, *, norm: Apply) -> Tensor:
    """Logits `[S, N, 10]` from the last state h' = tanh(norm(x w_in + h w_hidden)) of sequences `[S, N, T, d]`."""
    w_in, w_hidden, *own, readout, bias = parameters
    tanh, state = lift(parts().tanh), x.new_zeros(*x.shape[:2], w_hidden.shape[1])
    for step in (x @ w_in[:, None]).unbind(2):
        state = tanh([], norm(own, torch.baddbmm(step, state, w_hidden)))
    return torch.baddbmm(bias, state, readout)


def recurrent_start(seeds: Seeds, norm: Layer, units: int, *, pixels: int = PIXELS) -> list[Tensor]:
    w_in, w_hidden, *_ = recurrent_parameters(seeds, "rnn", pixels, units)
    return [w_in, w_hidden, *norm.init(seeds, "init.norm"), *readout_start(seeds, units)]


def transformer(parameters: list[Tensor], x: Tensor, *, norm: Apply) -> Tensor:
    """Logits `[S, N, 10]` from all positions of an encoder layer on embedded sequences `[S, N, T, d]`."""
    embedding, position, *encoder, readout, bias = parameters
    tokens = x @ embedding[:, None] + position[:, None]
    return torch.baddbmm(bias, encoder_layer(encoder, tokens, heads=2, norm=norm).flatten(2), readout)


def transformer_start(seeds: Seeds, norm: Layer, width: int) -> list[Tensor]:
    embedding = seeds.normal("init.embedding", PIXELS, width) / math.sqrt(PIXELS)
    position = seeds.normal("init.position", STEPS, width)
    encoder = encoder_parameters(seeds, width, 2 * width, norm=norm)
    return [embedding, position, *encoder, *readout_start(seeds, STEPS * width)]


def readout_start(seeds: Seeds, inputs: int) -> list[Tensor]:
    weight = seeds.normal("init.readout", inputs, CLASSES) / math.sqrt(inputs)
    return [weight, weight.new_zeros(len(seeds), 1, CLASSES)]


NETS = {"recurrent": (recurrent, recurrent_start, 32), "transformer": (transformer, transformer_start, 16)}
"""What each computes, how it starts, and its width."""


def trial(
    seeds: Seeds,
    *,
    net: Literal["recurrent", "transformer"] = "recurrent",
    norm: Literal["layer", "batch"] = "layer",
    batch: int = 1,
    images: int = 256,
    rate: float = 0.003,
) -> Rows:
    """A seed draws the images, the initialisation and the order, the same for all nets and norms.

    A win is a test error below half of chance, after as many updates as there are images. Batch norm normalises the
    test images in batches of the size it was trained with.
    """
    world = digits(seeds, n=images, n_test=512)
    x, x_test = (pixels.unflatten(-1, (STEPS, PIXELS)) for pixels in (world.x, world.x_test))
    function, start, width = NETS[net]
    own = lift(parts().layer_norm if norm == "layer" else parts().batch_norm_1d, width)
    function = partial(function, norm=own if norm == "layer" else partial(over_the_batch, size=batch))
    fit = train(
        seeds, function, start(seeds, own, width), x, world.y,
        loss=cross_entropy, optimizer=partial(parts().adam, lr=rate), epochs=batch, batch=batch,
    )  # fmt: skip
    with torch.no_grad():
        logits = function(fit.parameters, x_test)
    error = 1 - accuracy(logits, world.y_test)
    answers = functional.one_hot(logits.argmax(dim=-1), CLASSES).amax(dim=1).sum(dim=1)
    return Rows(win=error < CHANCE / 2, test_error=error, different_answers=answers)


def gains(
    seeds: Seeds,
    *,
    scale: float = 8.0,
    rates: tuple[float, ...] = (0.003, 0.03, 0.1, 0.3),
    steps: int = 8,
    units: int = 32,
    images: int = 240,
    batch: int = 16,
    passes: int = 4,
) -> Rows:
    """A seed draws the images, the initialisation and the order; the recurrent and input weights start times `scale`.

    A win: layer norm errs on at most three fifths as many test images as no norm, which has biases instead. The premise
    is that both were tuned, the best rate of each lying inside the grid, and that layer norm has learned.
    """
    world = digits(seeds, n=images, n_test=768)
    x, x_test = (pixels.unflatten(-1, (steps, -1)) for pixels in (world.x, world.x_test))
    layer = lift(parts().layer_norm, units)
    w_in, w_hidden, *own, readout, bias = recurrent_start(seeds, layer, units, pixels=x.shape[-1])

    def at_best(norm: Apply, own: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The test error of every seed at its best rate, and whether that rate lies inside the grid."""
        function, errors = partial(recurrent, norm=norm), []
        for rate in rates:
            fit = train(
                seeds, function, [scale * w_in, scale * w_hidden, *own, readout, bias], x, world.y,
                loss=cross_entropy, optimizer=partial(parts().adam, lr=rate), epochs=passes, batch=batch,
            )  # fmt: skip
            with torch.no_grad():
                errors.append(1 - accuracy(function(fit.parameters, x_test), world.y_test))
        error, place = torch.stack(errors).min(dim=0)
        return error, (place > 0) & (place < len(rates) - 1)

    normed, normed_tuned = at_best(layer, own)
    plain, plain_tuned = at_best(lambda own, z: z + own[0], [w_in.new_zeros(len(seeds), 1, units)])
    premise = normed_tuned & plain_tuned & (normed < CHANCE / 2)
    return Rows(win=5 * normed <= 3 * plain, premise=premise, layer_norm=normed, no_norm=plain)


def by_hand(parameters: list[np.ndarray], x: np.ndarray, *, heads: int, sharpness: float) -> np.ndarray:
    """The logits of one sequence `[T, d]` by the formulas of the transformer, in numbers that may be complex.

    The softmax is taken of a query's products with the keys, times `sharpness`.
    """

    def normed(z: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
        centred = z - z.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * gain + shift

    embedding, position, w_qkv, b_qkv, w_out, b_out, w1, b1, w2, b2, *norms, readout, bias = parameters
    tokens, mixed = x @ embedding + position, []
    of_heads = (np.split(part, heads, axis=1) for part in np.split(tokens @ w_qkv + b_qkv, 3, axis=1))
    for query, key, value in zip(*of_heads, strict=True):
        attention = np.exp(sharpness * query @ key.T / math.sqrt(key.shape[1]))
        mixed.append(attention / attention.sum(axis=1, keepdims=True) @ value)
    tokens = normed(tokens + np.concatenate(mixed, axis=1) @ w_out + b_out, *norms[:2])
    hidden = tokens @ w1 + b1
    tokens = normed(tokens + np.where(hidden.real > 0, hidden, 0) @ w2 + b2, *norms[2:])
    return tokens.flatten() @ readout + bias[0]


def computes_each_alone(*, norm: Literal["layer", "batch"] = "layer", sharpness: float = 1.0) -> Certificate:
    """Whether the transformer gives each of three sequences in a batch the logits that it has by itself, by hand.

    Derivatives are compared, too: of the logits' sum with random weights, along a random direction of parameters and
    pixels. By hand it is the imaginary part after a step of 1e-30 i, which cancels no digits. All are sums of fewer
    than 1e4 terms below 1e3, so that they are rounded by less than 1e4 1e3 2^-53, about 1e-9.
    """
    seeds = Seeds(CLAIM.id, CLAIM.version, "exact", (0,), dtype=torch.float64)
    function, start, width = NETS["transformer"]
    own = lift(parts().layer_norm, width)

    def like(name: str, tensors: list[Tensor]) -> list[Tensor]:
        return [seeds.normal(f"{name}.{place}", *tensor.shape[1:]) for place, tensor in enumerate(tensors)]

    drawn = start(seeds, own, width)
    drawn = [part + 0.3 * noise for part, noise in zip(drawn, like("moved", drawn), strict=True)]
    inputs = [part.requires_grad_() for part in (*drawn, seeds.normal("x", 3, STEPS, PIXELS))]
    logits = function(inputs[:-1], inputs[-1], norm=own if norm == "layer" else partial(over_the_batch, size=3))
    (weights,), along = like("weights", [logits]), like("along", inputs)
    gradients = torch.autograd.grad((weights * logits).sum(), inputs, materialize_grads=True)
    derivative = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, along, strict=True))

    *moved, x = (part[0].detach().numpy() + 1e-30j * way[0].numpy() for part, way in zip(inputs, along, strict=True))
    alone = np.stack([by_hand(moved, sequence, heads=2, sharpness=sharpness) for sequence in x])
    off = float(abs(logits[0].detach().numpy() - alone.real).max())
    derivative_off = abs(derivative - float((weights[0].numpy() * alone.imag).sum() * 1e30))
    return Certificate(max(off, derivative_off) < 1e-9, logits_off_by=off, derivative_off_by=derivative_off)


def evaluates_as_it_trains(name: str, *, average_for_each_step: bool = False) -> Certificate:
    """Whether the layer returns for every state in evaluation what it returned in training, up to 1 part in N.

    The states are those of a net that counts four symbols, h' = h + (the symbol, one-hot), for all N = 4^6 sequences
    of six steps: a count at step t has mean t / 4 and variance 3 t / 16. Training sees all sequences at once, step by
    step; batch norm averages the statistics it saw, over all steps or for each step by itself. Its stored variance is
    the unbiased one, N / (N - 1) of the one it trained with, which shrinks an output y by half of |y| / N; rounding is
    far below the other half.
    """
    sequences = torch.tensor(list(product(range(4), repeat=6)))  # [N, T]
    states = functional.one_hot(sequences, 4).cumsum(dim=1).double().unbind(1)
    averages = {} if name == "layer_norm" else {"momentum": None}  # the plain mean of the statistics seen
    layers = [parts().named(name)(4, dtype=torch.float64, **averages) for _ in states]
    if not average_for_each_step:
        layers = layers[:1] * len(states)
    with torch.no_grad():
        trained = [layer(state) for layer, state in zip(layers, states, strict=True)]
        evaluated = [layer.eval()(state) for layer, state in zip(layers, states, strict=True)]
    off = [((e - t).abs() - t.abs() / len(sequences)).max() for e, t in zip(evaluated, trained, strict=True)]
    variances = [float(state.var(dim=0, correction=0).mean()) for state in states]
    return Certificate(max(off) <= 0, beyond_one_in_n=[float(step) for step in off], variance_of_a_count=variances)


def test_claim(judge):
    """A recurrent net of 32 tanh units with layer norm, 256 digits of four steps, seen once and one at a time.

    Adam at learning rate 0.003: the error on 512 other digits is below half of chance.
    """
    judge(trial).supports()


def test_transformer(judge):
    """The same for a transformer layer of width 16 with two heads, its norms behind the sums (post-norm)."""
    judge(trial, net="transformer").supports()


def test_control_batch_norm(judge):
    judge(trial, norm="batch").refutes()


def test_control_batch_norm_in_a_transformer(judge):
    judge(trial, net="transformer", norm="batch").refutes()


def test_batch_norm_learns_from_sixteen(judge):
    """It is the batch of one that stops batch norm: from batches of 16, after as many updates, the same net learns."""
    judge(trial, norm="batch", batch=16).supports()


def test_gains_where_weights_start_too_large(judge):
    """A recurrent net of 32 tanh units, 240 digits of eight steps, torch's weights times 8, 4 passes in batches of 16.

    Both nets at their best Adam rate of 0.003, 0.03, 0.1 and 0.3: layer norm errs on at most three fifths as
    many of 768 other digits as no norm.
    """
    judge(gains).supports()


def test_control_no_gain_from_the_usual_start(judge):
    judge(gains, scale=1.0, rates=(0.001, 0.007, 0.02, 0.2)).refutes()


@pytest.mark.exact
def test_transformer_computes_each_sequence_alone(judge):
    """Three sequences in a batch get the logits, and derivatives, that the formulas give each by itself, to 1e-9."""
    judge(computes_each_alone).supports()


@pytest.mark.exact
def test_control_batch_norm_mixes_sequences(judge):
    judge(computes_each_alone, norm="batch").refutes()


@pytest.mark.exact
@pytest.mark.parametrize("sharpness", [0.0, 0.5], ids=["uniform", "twice_as_warm"])
def test_control_other_attention(judge, sharpness):
    judge(computes_each_alone, sharpness=sharpness).refutes()


@pytest.mark.exact
def test_evaluates_as_it_trains_at_every_step(judge):
    """On the states of a net that counts four symbols for six steps, all 4096 sequences, float64."""
    judge(evaluates_as_it_trains, name="layer_norm").supports()


@pytest.mark.exact
def test_control_one_average_for_all_steps(judge):
    judge(evaluates_as_it_trains, name="batch_norm_1d").refutes()


@pytest.mark.exact
def test_batch_norm_with_an_average_for_each_step(judge):
    """Batch norm, too, evaluates as it trains once every step has statistics of its own."""
    judge(evaluates_as_it_trains, name="batch_norm_1d", average_for_each_step=True).supports()


def figure(measured: Measured, ax: Axes) -> None:
    """From single sequences layer norm learns, and batch norm does not; from weights too large, no norm errs more."""
    error = {test: rows.get("test_error") for test, rows in measured.items()}
    recurrent, encoder, alone = "recurrent net", "transformer", " (control)"
    large = measured["gains_where_weights_start_too_large"]
    draw.columns(
        ax,
        {
            "layer norm,\nbatch of 1": {recurrent: error["claim"], encoder: error["transformer"]},
            "batch norm,\nbatch of 1": {
                recurrent + alone: error["control_batch_norm"],
                encoder + alone: error["control_batch_norm_in_a_transformer"],
            },
            "batch norm,\nbatch of 16": {recurrent: error["batch_norm_learns_from_sixteen"]},
            "layer norm,\nweights × 8": {recurrent: large["layer_norm"]},
            "no norm,\nweights × 8": {recurrent: large["no_norm"]},
        },
    )
    draw.level(ax, CHANCE, "chance")
    ax.set(ylabel="test error", ylim=(0, 1))
    draw.key(ax)
