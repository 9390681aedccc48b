"""Whether batch norm helps by reducing "internal covariate shift" depends on what the words mean.

Slide: Batch Normalization, which quotes the title of Ioffe & Szegedy. Internal covariate shift is, in their words, a
change of the distribution of a layer's inputs while the layers before it learn. Three measurements:

- The mean and spread of what goes into the units, from step to step. Batch norm pins them to its shift and gain, which
  move slowly. In this sense the title is right.
- How far the gradient of a layer's weights moves when the layers before it take their step, which is how Santurkar et
  al. (definition 2.1) put into a number that the layer must chase a moving target. Here batch norm reduces nothing:
  the gradient turns further.
- Training with the shift put back, as Santurkar et al. did (whose noise differs from sample to sample besides): behind
  each batch norm every unit's input is shifted and stretched at random, anew in each step, so that it moves more than
  without batch norm. The net trains all the same, and far faster than without batch norm. So batch norm does not need
  steady inputs to be fast.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Statistical
from claimlab.data.digits import digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, Running, batch_norm
from claimlab.seeds import Seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

SAMPLES, WIDTH = 64, 48

LEARNED = math.log(10) / 2
"""Half the loss of guessing among ten classes."""

CLAIM = Claim(
    id="normalization/batch-norm-and-covariate-shift",
    covers=("F4",),
    slide="Batch Normalization",
    version=1,
    finding="contested",
    says="Batch norm accelerates training by reducing internal covariate shift (a title that the deck quotes).",
    statement=(
        "ReLU nets of width 48 on 64 digits, full-batch gradient descent. With six hidden layers, He's init, 64 steps "
        "at learning rate .02, where nets with and without batch norm both learn, batch norm at least halves how far "
        "means and deviations of the units' inputs move in a step; but by the step of the layers before, a layer's "
        "gradient is turned (1 - cosine) and moved (distance, definition 2.1 of Santurkar et al.) at least as far, in "
        "the median step. With four, the init of torch.nn.Linear, 40 steps at rate .3, batch norm with a random offset "
        "(within .5) and scale (1 to 1.25) for each unit and step ends below half the loss of the net without either, "
        "although its units' inputs move more than twice as far in a step."
    ),
    reason=(
        "Batch norm does steady the means and variances of layer inputs, which is what the title means. But it does "
        "not steady what a layer has to learn, and it speeds training up with unsteady inputs as well, so the "
        "shift is not shown to be the cause."
    ),
    scope=(
        "Small nets, one data set, full batch, each comparison at one learning rate for both nets, float32. At larger "
        "rates the angle stays larger with batch norm, but not the distance (five layers, rate .3, eight seeds: about "
        ".09 against .24). That the named cause is not needed does not tell the true one"
    ),
    source="Ioffe & Szegedy 2015 (arXiv 1502.03167); Santurkar et al. 2018 (arXiv 1805.11604)",
    evidence=Statistical(block=11),
)

Layers = list[list[Tensor]]
"""Weight, shift and (with a norm) gain of each hidden layer, then weight and bias of the readout."""


@dataclass(frozen=True)
class Net:
    """A ReLU net whose hidden pre-activations are normalised by the "batch", for good by the first batch ("start") or
    not ("none").

    `noise` is a scale and an offset for each step, hidden layer and unit, `[S, steps, hidden, 1, WIDTH]` each, applied
    to what goes into the units. `running` keeps the statistics of the batch last normalised by.
    """

    norm: str
    hidden: int = 6
    noise: tuple[Tensor, Tensor] | None = None
    running: list[Running] = field(default_factory=list)

    def init(self, seeds: Seeds, scheme: str) -> Layers:
        """The same weights whatever the norm; the norm replaces biases by gain 1 and shift 0."""
        *hidden, readout, bias = MLP((64, *[WIDTH] * self.hidden, 10)).init(seeds, scheme)
        layers = [[weight, shift[:, 0]] for weight, shift in zip(hidden[::2], hidden[1::2], strict=True)]
        if self.norm != "none":
            layers = [[weight, torch.zeros_like(shift), torch.ones_like(shift)] for weight, shift in layers]
            self.running.extend(Running.start(gain) for _, _, gain in layers)
        return [*layers, [readout, bias]]

    def __call__(self, layers: Layers, x: Tensor, step: int) -> tuple[list[Tensor], Tensor]:
        """What goes into the units of each hidden layer, `[S, N, WIDTH]` each, and the logits."""
        inputs = []
        for place, (weight, shift, *gain) in enumerate(layers[:-1]):
            z = torch.bmm(x, weight)
            if gain:
                by_batch = self.norm == "batch" or step == 0
                z = batch_norm(z, *gain, shift, self.running[place], training=by_batch, momentum=1.0)
            else:
                z = z + shift[:, None]
            if self.noise:
                scale, offset = self.noise
                z = scale[:, step, place] * z + offset[:, step, place]
            inputs.append(z)
            x = z.relu()
        readout, bias = layers[-1]
        return inputs, torch.baddbmm(bias, x, readout)


@dataclass(frozen=True)
class Step:
    """One step of gradient descent: layers before and after it, gradients, and the loss `[S]` before.

    `mean` and `std` are those of each unit's input over the samples, `[S, hidden, WIDTH]`.
    """

    before: Layers
    after: Layers
    gradients: Layers
    loss: Tensor
    mean: Tensor
    std: Tensor


def descend(net: Net, layers: Layers, x: Tensor, y: Tensor, *, rate: float, steps: int) -> Iterator[Step]:
    """Full-batch gradient descent on the cross-entropy."""
    for step in range(steps):
        layers = [[parameter.detach().requires_grad_() for parameter in layer] for layer in layers]
        inputs, logits = net(layers, x, step)
        loss = cross_entropy(logits, y)
        flat = iter(torch.autograd.grad(loss.sum(), [parameter for layer in layers for parameter in layer]))
        gradients = [[next(flat) for _ in layer] for layer in layers]
        after = [
            [parameter.detach() - rate * gradient for parameter, gradient in zip(*pair, strict=True)]
            for pair in zip(layers, gradients, strict=True)
        ]
        z = torch.stack(inputs, dim=1).detach()
        mean = z.mean(dim=2)
        std = (z - mean[:, :, None]).square().mean(dim=2).sqrt()  # five times as fast as z.std over this dimension
        yield Step(layers, after, gradients, loss.detach(), mean, std)
        layers = after


def drift(steps: list[Step]) -> Tensor:
    """How far mean and deviation of a unit's input move in a step: their average over layers and steps, `[S]`.

    In units of what the inputs of the same layer deviate, on average.
    """
    mean = torch.stack([step.mean for step in steps], dim=1)
    std = torch.stack([step.std for step in steps], dim=1)
    moved = mean.diff(dim=1).abs() + std.diff(dim=1).abs()
    return (moved.mean(dim=3) / std[:, :-1].mean(dim=3)).mean(dim=(1, 2))


def gradient_shift(net: Net, steps: list[Step], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """How far a layer's gradient moves when the layers before it, and they alone, have taken the step.

    The angle, as 1 - cosine, and the distance of the two gradients of the weights: averaged over all layers but the
    first, and of every sixth step the median, `[S]` each.
    """
    shifts = []
    for number, step in list(enumerate(steps))[::6]:
        turned_and_moved = []
        for place in range(1, len(step.before)):
            _, logits = net(step.after[:place] + step.before[place:], x, number)
            (gradient,) = torch.autograd.grad(cross_entropy(logits, y).sum(), step.before[place][0])
            old, new = step.gradients[place][0].flatten(1), gradient.flatten(1)
            turned = 1 - torch.cosine_similarity(old, new, dim=1)
            turned_and_moved.append(torch.stack([turned, (old - new).norm(dim=1)]))
        shifts.append(torch.stack(turned_and_moved).mean(dim=0))
    turned, moved = torch.stack(shifts).median(dim=0).values
    return turned, moved


# For the title: inputs of steady mean and variance


def steadier(seeds: Seeds, *, norm: str = "batch") -> Rows:
    """A win: the norm at least halves the drift of the units' inputs, and both nets learn. Columns: with, without."""
    data = digits(seeds, n=SAMPLES, n_test=1)
    drifts, losses = [], []
    for net in (Net(norm), Net("none")):
        steps = list(descend(net, net.init(seeds, "he"), data.x, data.y, rate=0.02, steps=64))
        drifts.append(drift(steps))
        losses.append(steps[-1].loss)
    drifts, losses = torch.stack(drifts, dim=1), torch.stack(losses, dim=1)
    reduced = drifts[:, 0] <= drifts[:, 1] / 2
    return Rows(win=reduced & (losses < LEARNED).all(dim=1), drift=drifts, loss=losses)


def test_inputs_move_less(judge):
    judge(steadier).supports()


def test_control_normalised_once(judge):
    """Normalised by the statistics of the first step for good, the inputs move about as without batch norm."""
    judge(steadier, norm="start").refutes()


# Against it: gradients that move as far


def moves_as_far(seeds: Seeds, *, norm: str = "batch", reference: str = "none") -> Rows:
    """A win: with the norm, gradients are turned and moved at least as far as in the reference net, and both learn."""
    data = digits(seeds, n=SAMPLES, n_test=1)
    turned, moved, losses = [], [], []
    for net in (Net(norm), Net(reference)):
        steps = list(descend(net, net.init(seeds, "he"), data.x, data.y, rate=0.02, steps=64))
        angle, distance = gradient_shift(net, steps, data.x, data.y)
        turned.append(angle)
        moved.append(distance)
        losses.append(steps[-1].loss)
    turned, moved, losses = (torch.stack(column, dim=1) for column in (turned, moved, losses))
    as_far = (turned[:, 0] >= turned[:, 1]) & (moved[:, 0] >= moved[:, 1])
    return Rows(win=as_far & (losses < LEARNED).all(dim=1), turned=turned, moved=moved, loss=losses)


def test_gradients_move_as_far(judge):
    judge(moves_as_far).supports()


def test_control_without_batch_norm(judge):
    """The net without batch norm, by the same measure, stays behind the one with it."""
    judge(moves_as_far, norm="none", reference="batch").refutes()


# Against it: the shift put back


def trains_with_noise(seeds: Seeds, *, norm: str = "batch") -> Rows:
    """A win: with unsteady inputs the net ends at less than half the loss of the plain net, whose inputs are steadier.

    Columns of `loss` (`[S, 2, 40]`) and `drift` are the net with noise and the plain net without.
    """
    data = digits(seeds, n=SAMPLES, n_test=1)
    steps, hidden = 40, 4
    scale = seeds.uniform("noise.scale", steps, hidden, 1, WIDTH, low=1.0, high=1.25)
    offset = seeds.uniform("noise.offset", steps, hidden, 1, WIDTH, low=-0.5, high=0.5)
    drifts, losses = [], []
    for net in (Net(norm, hidden, noise=(scale, offset)), Net("none", hidden)):
        taken = list(descend(net, net.init(seeds, "torch"), data.x, data.y, rate=0.3, steps=steps))
        drifts.append(drift(taken))
        losses.append(torch.stack([step.loss for step in taken], dim=1))
    drifts, losses = torch.stack(drifts, dim=1), torch.stack(losses, dim=1)
    unsteady = drifts[:, 0] > 2 * drifts[:, 1]
    faster = losses[:, 0, -1] < losses[:, 1, -1] / 2
    return Rows(win=unsteady & faster, drift=drifts, loss=losses)


def test_unsteady_inputs_train_fast(judge):
    judge(trains_with_noise).supports()


def test_control_noise_without_batch_norm(judge):
    judge(trains_with_noise, norm="none").refutes()


def figure(measured: "Measured", ax: "Axes") -> None:
    """The loss with unsteady inputs behind batch norm, and without batch norm: the median seed and the range."""
    with_norm, without = (
        measured[test]["loss"] for test in ("unsteady_inputs_train_fast", "control_noise_without_batch_norm")
    )
    arms = (
        ("batch norm, inputs shaken", "C0", "-", with_norm[:, 0]),
        ("no batch norm", "C1", "-", with_norm[:, 1]),
        ("no batch norm, inputs shaken (control)", "C1", ":", without[:, 0]),
    )
    for name, colour, style, losses in arms:
        ax.plot(np.median(losses, axis=0), style, color=colour, label=name)
        ax.fill_between(range(losses.shape[1]), losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15)
    ax.set(yscale="log", xlabel="steps of gradient descent", ylabel="training loss (nats)")
    ax.legend()
