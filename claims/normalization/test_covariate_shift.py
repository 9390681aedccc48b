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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Statistical
from claimlab.data.digits import digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import Initialise, lift, parts, remembered
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
    version=2,
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

Arm = Literal["batch", "none", "once"]
"""A net with batch norm, one without, and one that is normalised by the statistics of the first step for good."""

Inputs = Callable[[list[Tensor], int], list[Tensor]]
"""From parameters and the number of the step to what goes into the units of each layer, and the logits."""


def start(seeds: Seeds, arm: Arm, x: Tensor, *, hidden: int, scheme: Initialise) -> tuple[MLP, list[Tensor], Inputs]:
    """A ReLU net, its initial parameters (in all arms the same weights), and its inputs on `x`."""
    net = MLP((64, *[WIDTH] * hidden, 10), norm=None if arm == "none" else parts().batch_norm_1d)
    parameters = net.init(seeds, scheme)
    if arm == "once":
        return net, parameters, normalised_once(net, parameters, x)
    return net, parameters, lambda parameters, step: net.pre_activations(parameters, x)


def normalised_once(net: MLP, parameters: list[Tensor], x: Tensor) -> Inputs:
    """What the net with batch norm computes with the mean and deviation that `parameters` have on `x`."""
    plain, statistics, h = replace(net, norm=None), [], x
    for weight, *_ in net.layers(parameters)[:-1]:
        z = torch.bmm(h, weight)
        mean, std = moments(z)
        statistics.append((mean, std))
        h = lift(net.activation)([], (z - mean[:, None]) / std[:, None])

    def inputs(parameters: list[Tensor], step: int) -> list[Tensor]:
        *hidden, readout = net.layers(parameters)
        layers = [
            [weight * (gain / std)[:, None], (shift - gain * mean / std)[:, None]]
            for (weight, gain, shift), (mean, std) in zip(hidden, statistics, strict=True)
        ]
        return plain.pre_activations(flat([*layers, readout]), x)

    return inputs


def flat(layers: Iterable[list[Tensor]]) -> list[Tensor]:
    return [parameter for layer in layers for parameter in layer]


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each unit's input over the samples, the last dimension but one."""
    mean = z.mean(dim=-2)
    return mean, (z - mean.unsqueeze(-2)).square().mean(dim=-2).sqrt()  # five times as fast as z.std


@dataclass(frozen=True)
class Step:
    """One step of gradient descent: parameters before and after it, gradients, and the loss `[S]` before.

    `mean` and `std` are those of each unit's input over the samples, `[S, hidden, WIDTH]`.
    """

    before: list[Tensor]
    after: list[Tensor]
    gradients: list[Tensor]
    loss: Tensor
    mean: Tensor
    std: Tensor


def descend(inputs: Inputs, parameters: list[Tensor], y: Tensor, *, rate: float, steps: int) -> Iterator[Step]:
    """Full-batch gradient descent on the cross-entropy."""
    for step in range(steps):
        parameters = [parameter.detach().requires_grad_() for parameter in parameters]
        *into_units, logits = inputs(parameters, step)
        loss = cross_entropy(logits, y)
        gradients = list(torch.autograd.grad(loss.sum(), parameters))
        after = [old.detach() - rate * gradient for old, gradient in zip(parameters, gradients, strict=True)]
        yield Step(parameters, after, gradients, loss.detach(), *moments(torch.stack(into_units, dim=1).detach()))
        parameters = after


def drift(steps: list[Step]) -> Tensor:
    """How far mean and deviation of a unit's input move in a step: their average over layers and steps, `[S]`.

    In units of what the inputs of the same layer deviate, on average.
    """
    mean = torch.stack([step.mean for step in steps], dim=1)
    std = torch.stack([step.std for step in steps], dim=1)
    moved = mean.diff(dim=1).abs() + std.diff(dim=1).abs()
    return (moved.mean(dim=3) / std[:, :-1].mean(dim=3)).mean(dim=(1, 2))


def gradient_shift(net: MLP, inputs: Inputs, steps: list[Step], y: Tensor) -> tuple[Tensor, Tensor]:
    """How far a layer's gradient moves when the layers before it, and they alone, have taken the step.

    The angle, as 1 - cosine, and the distance of the two gradients of the weights: averaged over all layers but the
    first, and of every sixth step the median, `[S]` each.
    """
    shifts = []
    for number, step in list(enumerate(steps))[::6]:
        before, after, gradients = (net.layers(part) for part in (step.before, step.after, step.gradients))
        turned_and_moved = []
        for place in range(1, len(before)):
            *_, logits = inputs(flat(after[:place] + before[place:]), number)
            (gradient,) = torch.autograd.grad(cross_entropy(logits, y).sum(), before[place][0])
            old, new = gradients[place][0].flatten(1), gradient.flatten(1)
            turned = 1 - torch.cosine_similarity(old, new, dim=1)
            turned_and_moved.append(torch.stack([turned, (old - new).norm(dim=1)]))
        shifts.append(torch.stack(turned_and_moved).mean(dim=0))
    turned, moved = torch.stack(shifts).median(dim=0).values
    return turned, moved


class Course(NamedTuple):
    """What is measured in an arm where all arms learn, `[S]` each, or in two, `[S, 2]`."""

    drift: Tensor
    turned: Tensor
    moved: Tensor
    loss: Tensor


@remembered  # four tests measure the same two arms
def course(seeds: Seeds, arm: Arm) -> Course:
    """Six hidden layers, He's init, 64 steps at a rate of .02."""
    data = digits(seeds, n=SAMPLES, n_test=1)
    net, parameters, inputs = start(seeds, arm, data.x, hidden=6, scheme=parts().he_init)
    steps = list(descend(inputs, parameters, data.y, rate=0.02, steps=64))
    return Course(drift(steps), *gradient_shift(net, inputs, steps, data.y), steps[-1].loss)


def side_by_side(seeds: Seeds, *arms: Arm) -> Course:
    """The courses of the arms as columns."""
    return Course(*(torch.stack(column, dim=1) for column in zip(*(course(seeds, arm) for arm in arms), strict=True)))


# For the title: inputs of steady mean and variance


def steadier(seeds: Seeds, *, arm: Arm = "batch") -> Rows:
    """A win: the arm at least halves the drift of the units' inputs, and both nets learn. Columns: arm, plain net."""
    drifts, _, _, losses = side_by_side(seeds, arm, "none")
    reduced = drifts[:, 0] <= drifts[:, 1] / 2
    return Rows(win=reduced & (losses < LEARNED).all(dim=1), drift=drifts, loss=losses)


def test_inputs_move_less(judge):
    judge(steadier).supports()


def test_control_normalised_once(judge):
    """Normalised by the statistics of the first step for good, the inputs move about as without batch norm."""
    judge(steadier, arm="once").refutes()


# Against it: gradients that move as far


def moves_as_far(seeds: Seeds, *, arm: Arm = "batch", reference: Arm = "none") -> Rows:
    """A win: in the arm gradients are turned and moved at least as far as in the reference, and both nets learn."""
    _, turned, moved, losses = side_by_side(seeds, arm, reference)
    as_far = (turned[:, 0] >= turned[:, 1]) & (moved[:, 0] >= moved[:, 1])
    return Rows(win=as_far & (losses < LEARNED).all(dim=1), turned=turned, moved=moved, loss=losses)


def test_gradients_move_as_far(judge):
    judge(moves_as_far).supports()


def test_control_without_batch_norm(judge):
    """The net without batch norm, by the same measure, stays behind the one with it."""
    judge(moves_as_far, arm="none", reference="batch").refutes()


# Against it: the shift put back


def trains_with_noise(seeds: Seeds, *, arm: Arm = "batch") -> Rows:
    """A win: with unsteady inputs the net ends at less than half the loss of the plain net, whose inputs are steadier.

    Columns of `loss` (`[S, 2, 40]`) and `drift` are the net with noise and the plain net without.
    """
    data = digits(seeds, n=SAMPLES, n_test=1)
    steps, hidden = 40, 4
    scale = seeds.uniform("noise.scale", steps, hidden, WIDTH, low=1.0, high=1.25)
    offset = seeds.uniform("noise.offset", steps, hidden, WIDTH, low=-0.5, high=0.5)
    net, parameters, inputs = start(seeds, arm, data.x, hidden=hidden, scheme=parts().torch_init)
    _, plain, plain_inputs = start(seeds, "none", data.x, hidden=hidden, scheme=parts().torch_init)

    def noisy_inputs(parameters: list[Tensor], step: int) -> list[Tensor]:
        """Scale and offset go into gain and shift, or into weights and biases where there is no norm."""
        *layers, readout = net.layers(parameters)
        for own, by, plus in zip(layers, scale[:, step].unbind(1), offset[:, step].unbind(1), strict=True):
            by, plus = (by, plus) if arm == "batch" else (by[:, None], plus[:, None])
            own[-2:] = by * own[-2], by * own[-1] + plus
        return inputs(flat([*layers, readout]), step)

    shaken = list(descend(noisy_inputs, parameters, data.y, rate=0.3, steps=steps))
    steady = list(descend(plain_inputs, plain, data.y, rate=0.3, steps=steps))
    drifts = torch.stack([drift(shaken), drift(steady)], dim=1)
    losses = torch.stack([torch.stack([step.loss for step in taken], dim=1) for taken in (shaken, steady)], dim=1)
    unsteady = drifts[:, 0] > 2 * drifts[:, 1]
    faster = losses[:, 0, -1] < losses[:, 1, -1] / 2
    return Rows(win=unsteady & faster, drift=drifts, loss=losses)


def test_unsteady_inputs_train_fast(judge):
    judge(trains_with_noise).supports()


def test_control_noise_without_batch_norm(judge):
    judge(trains_with_noise, arm="none").refutes()


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
