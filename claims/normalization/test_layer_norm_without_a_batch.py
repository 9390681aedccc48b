"""Layer norm suits recurrent nets and transformers: it asks neither for a batch nor which step it is.

Slide: Layer Normalizations. Sequences differ in length, and the longest or the newest may be the only one there is.
Batch norm fits this badly for two reasons. A step of a recurrent net has one value a feature for every sequence in the
batch, so that a batch of one leaves nothing of it. And the statistics of a state change from step to step, so that one
running average fits no step, and an average for each step ends where the longest training sequence ended.

The sequences that are learned here are digits, read two rows at a time: four steps of sixteen pixels.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from claimlab import Certificate, Claim, Rows, Statistical
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import encoder_layer, encoder_parameters, recurrent_parameters
from claimlab.parts import Layer, lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured
    from claimlab.seeds import Seeds

    Apply = Callable[[list[Tensor], Tensor], Tensor]

IMAGES = 256
STEPS, PIXELS = 4, 16
UNITS, WIDTH = 32, 16  # of the recurrent net, of the transformer
CHANCE = 1 - 1 / CLASSES

CLAIM = Claim(
    id="normalization/layer-norm-suits-sequences",
    covers=("F12",),
    slide="Layer Normalizations",
    version=1,
    finding="holds",
    says="Layer norm is suited for recurrent nets and transformers.",
    statement="From 256 digits, seen once and one at a time (Adam, learning rate .003), a recurrent net of 32 tanh "
    "units that reads two of the eight rows of pixels a step, and a transformer layer on the same four steps (width "
    "16, two heads, post-norm), get below half of the test error of chance with layer norm. With batch norm's "
    "statistics for each step neither does; from batches of 16, after as many updates, the recurrent net does. On the "
    "states of a net that counts symbols torch.nn.LayerNorm evaluates as it trains, at every step; "
    "torch.nn.BatchNorm1d with one running average for all steps does not, and with an average for each step it does.",
    reason="Layer norm computes the same for a sequence alone as in a batch, and the same at every step, with nothing "
    "to store. A feature of a single sequence is its own mean, so batch norm sends it to zero, and both nets call "
    "every image the same; and the states' variance grows with the steps, so batch norm needs statistics for each.",
    scope="what suits is what works without a batch; not that it beats batch norm where batches are large (Cooijmans "
    "et al. train recurrent nets with batch norm and statistics for each step). A transformer that pools the "
    "statistics over positions has more than one value a feature even for one sequence. float32 (exact parts float64)",
    source="Ba, Kiros and Hinton 2016 (arXiv 1607.06450); Cooijmans et al. 2016 (arXiv 1603.09025)",
    evidence=Statistical(block=12),
)


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
    tanh, state = lift(parts().tanh), x.new_zeros(*x.shape[:2], UNITS)
    for step in (x @ w_in[:, None]).unbind(2):
        state = tanh([], norm(own, torch.baddbmm(step, state, w_hidden)))
    return torch.baddbmm(bias, state, readout)


def recurrent_start(seeds: Seeds, norm: Layer) -> list[Tensor]:
    w_in, w_hidden, *_ = recurrent_parameters(seeds, "rnn", PIXELS, UNITS)
    return [w_in, w_hidden, *norm.init(seeds, "init.norm"), *readout_start(seeds, UNITS)]


def transformer(parameters: list[Tensor], x: Tensor, *, norm: Apply) -> Tensor:
    """Logits `[S, N, 10]` from all positions of an encoder layer on embedded sequences `[S, N, T, d]`."""
    embedding, position, *encoder, readout, bias = parameters
    tokens = x @ embedding[:, None] + position[:, None]
    return torch.baddbmm(bias, encoder_layer(encoder, tokens, heads=2, norm=norm).flatten(2), readout)


def transformer_start(seeds: Seeds, norm: Layer) -> list[Tensor]:
    embedding = seeds.normal("init.embedding", PIXELS, WIDTH) / math.sqrt(PIXELS)
    position = seeds.normal("init.position", STEPS, WIDTH)
    encoder = encoder_parameters(seeds, WIDTH, 2 * WIDTH, norm=norm)
    return [embedding, position, *encoder, *readout_start(seeds, STEPS * WIDTH)]


def readout_start(seeds: Seeds, inputs: int) -> list[Tensor]:
    weight = seeds.normal("init.readout", inputs, CLASSES) / math.sqrt(inputs)
    return [weight, weight.new_zeros(len(seeds), 1, CLASSES)]


NETS = {"recurrent": (recurrent, recurrent_start, UNITS), "transformer": (transformer, transformer_start, WIDTH)}


def trial(
    seeds: Seeds,
    net: Literal["recurrent", "transformer"] = "recurrent",
    norm: Literal["layer", "batch"] = "layer",
    *,
    batch: int = 1,
) -> Rows:
    """A seed draws the images, the initialisation and the order, the same for all nets and norms.

    A win is a test error below half of chance after 256 updates. Batch norm normalises the test images in batches of
    the size it was trained with.
    """
    world = digits(seeds, n=IMAGES, n_test=512)
    x, x_test = (images.unflatten(-1, (STEPS, PIXELS)) for images in (world.x, world.x_test))
    function, start, features = NETS[net]
    own = lift(parts().layer_norm if norm == "layer" else parts().batch_norm_1d, features)
    function = partial(function, norm=own if norm == "layer" else partial(over_the_batch, size=batch))
    fit = train(
        seeds, function, start(seeds, own), x, world.y,
        loss=cross_entropy, optimizer=partial(parts().adam, lr=0.003), epochs=batch, batch=batch,
    )  # fmt: skip
    with torch.no_grad():
        logits = function(fit.parameters, x_test)
    error = 1 - accuracy(logits, world.y_test)
    answers = functional.one_hot(logits.argmax(dim=-1), CLASSES).amax(dim=1).sum(dim=1)
    return Rows(win=error < CHANCE / 2, test_error=error, different_answers=answers)


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
    """A recurrent net with layer norm learns from one sequence at a time."""
    judge(trial).supports()


def test_transformer(judge):
    judge(trial, net="transformer").supports()


def test_control_batch_norm(judge):
    judge(trial, norm="batch").refutes()


def test_control_batch_norm_in_a_transformer(judge):
    judge(trial, net="transformer", norm="batch").refutes()


def test_batch_norm_learns_from_sixteen(judge):
    """It is the batch of one that stops batch norm: with sixteen sequences the same net learns."""
    judge(trial, norm="batch", batch=16).supports()


@pytest.mark.exact
def test_evaluates_as_it_trains_at_every_step(judge):
    judge(evaluates_as_it_trains, name="layer_norm").supports()


@pytest.mark.exact
def test_control_one_average_for_all_steps(judge):
    judge(evaluates_as_it_trains, name="batch_norm_1d").refutes()


@pytest.mark.exact
def test_batch_norm_with_an_average_for_each_step(judge):
    judge(evaluates_as_it_trains, name="batch_norm_1d", average_for_each_step=True).supports()


def figure(measured: Measured, ax: Axes) -> None:
    """Test errors, one dot a seed, by norm and batch."""
    arms = {
        "layer norm,\nbatch of 1": (("recurrent net", "claim", "C0o"), ("transformer", "transformer", "C0s")),
        "batch norm,\nbatch of 1 (control)": (
            ("recurrent net", "control_batch_norm", "C1o"),
            ("transformer", "control_batch_norm_in_a_transformer", "C1s"),
        ),
        "batch norm,\nbatch of 16": (("recurrent net", "batch_norm_learns_from_sixteen", "C1o"),),
    }
    for column, nets in enumerate(arms.values()):
        for (label, test, style), centre in zip(nets, (-0.15, 0.15), strict=False):
            errors = measured[test]["test_error"]
            places = [column + centre + 0.2 * (row / len(errors) - 0.5) for row in range(len(errors))]
            ax.plot(places, errors, style, alpha=0.7, label=label if column == 0 else None)
    ax.axhline(CHANCE, linestyle=":", linewidth=1, color="gray")
    ax.annotate("chance", (2.4, CHANCE), va="top", ha="right", color="gray")
    ax.set_xticks(range(len(arms)), list(arms))
    ax.set(ylabel="test error", xlim=(-0.5, 2.5), ylim=(0, 1))
    ax.legend(loc="center")
