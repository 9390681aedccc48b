"""Whether batch norm helps by reducing "internal covariate shift" depends on what the words mean.

Slide: Batch Normalization, which quotes the title of Ioffe & Szegedy. Internal covariate shift is, in their words, a
change of the distribution of a layer's inputs while the layers before it learn. Three measurements, all where batch
norm does accelerate training, and all over the steps until a net has learned, which is to half the loss of guessing:

- The mean and spread of what goes into the units, from step to step. Batch norm pins them to its shift and gain, which
  move slowly. In this sense the title is right. (Layer norm accelerates training too, and does not pin them.)
- How far the gradient of a layer's weights moves when the layers before it take their step, which is how Santurkar et
  al. (definition 2.1) put into a number that the layer must chase a moving target. Here batch norm reduces nothing:
  the gradient turns and moves further. Where batch norm does not accelerate training, it does not.
- Training with the shift put back, as Santurkar et al. did (whose noise differs from sample to sample besides): behind
  each batch norm every unit's input is shifted and stretched at random, anew in each step, so that it moves more than
  without batch norm. The net trains all the same, and far faster than without batch norm. So batch norm does not need
  steady inputs to be fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts, remembered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

LEARNED = math.log(CLASSES) / 2
"""Half the loss of guessing, in nats."""

CLAIM = Claim(
    id="normalization/batch-norm-and-covariate-shift",
    covers=("F4",),
    slide="Batch Normalization",
    version=3,
    finding="contested",
    says="Batch norm accelerates training by reducing internal covariate shift (a title that the deck quotes).",
    statement=(
        "A deep ReLU net that batch norm lets learn in at most half the steps has units' inputs that move at most half "
        "as far in a step. But its layers' gradients turn and move at least twice as far when the layers before them "
        "step; and with its inputs shaken at random, more than they move without batch norm, it learns as fast."
    ),
    reason=(
        "Batch norm does steady the means and variances of layer inputs, which is what the title means. But it does "
        "not steady what a layer has to learn, and it speeds training up with unsteady inputs as well, as layer norm "
        "does, so the shift is not shown to be the cause."
    ),
    scope=(
        "small nets, one data set, full batch, one learning rate for all nets, until they have learned; float32. With "
        "He's init, where batch norm saves few steps, gradients do not move further. That the named cause is not "
        "needed does not tell the true one"
    ),
    source="Ioffe & Szegedy 2015 (arXiv 1502.03167); Santurkar et al. 2018 (arXiv 1805.11604)",
    evidence=Statistical(block=11),
)

Norm = Literal["batch", "layer", "none"]


@dataclass(frozen=True)
class World:
    """ReLU nets of so many hidden layers, and full-batch gradient descent on digits."""

    scheme: str = "torch_init"
    hidden: int = 4
    width: int = 48
    samples: int = 64
    rate: float = 0.3
    steps: int = 120


WORLD = World()


# -- what is measured ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """The steps a net needs to learn, or all that it was given, and what the average one of these does, `[S]` each.

    Drift is that of the units' inputs; gradients are turned and moved.
    """

    steps: Tensor
    drift: Tensor
    turned: Tensor
    moved: Tensor


@remembered  # all tests measure the same few nets
def course(seeds: Seeds, norm: Norm, world: World, *, shaken: bool = False) -> Course:
    """Train until every seed has learned. A seed draws the images, the weights, which all nets share, and the noise."""
    data = digits(seeds, n=world.samples, n_test=1)
    layer = {"batch": parts().batch_norm_1d, "layer": parts().layer_norm, "none": None}[norm]
    net = MLP((data.x.shape[2], *[world.width] * world.hidden, CLASSES), norm=layer)
    parameters = net.init(seeds, parts().named(world.scheme))
    noise = Noise.drawn(seeds, world) if shaken else None
    steps, moments, shifts = torch.zeros(len(seeds), dtype=torch.int64, device=seeds.device), [], []
    learned = steps.bool()
    for step in range(world.steps):
        parameters = [parameter.detach().requires_grad_() for parameter in parameters]
        *into_units, logits = net.pre_activations(noise.put(net, parameters, step) if noise else parameters, data.x)
        moments.append(mean_and_deviation(torch.stack(into_units, dim=1).detach()))
        loss = cross_entropy(logits, data.y)
        learned = learned | (loss.detach() < LEARNED)
        steps += ~learned
        if learned.all():
            break
        gradients = torch.autograd.grad(loss.sum(), parameters)
        after = [old.detach() - world.rate * gradient for old, gradient in zip(parameters, gradients, strict=True)]
        if step % 2 == 0 and not shaken:
            shifts.append(gradient_shift(net, parameters, after, list(gradients), data.x, data.y))
        parameters = after
    turned, moved = until(steps, torch.stack(shifts, dim=2), every=2) if shifts else torch.zeros(2, len(seeds))
    return Course(steps, until(steps, drift(torch.stack(moments, dim=2))), turned, moved)


def until(steps: Tensor, values: Tensor, *, every: int = 1) -> Tensor:
    """The mean of `values` `[..., S, K]`, which belong to every so-manieth step, over each seed's first `steps`."""
    counted = every * torch.arange(values.shape[-1], device=steps.device) < steps[:, None]
    return (values * counted).sum(dim=-1) / counted.sum(dim=-1)


def mean_and_deviation(z: Tensor) -> Tensor:
    """Mean and standard deviation `[2, S, hidden, width]` of each unit's input `[S, hidden, N, width]`."""
    mean = z.mean(dim=2)
    return torch.stack([mean, (z - mean[:, :, None]).square().mean(dim=2).sqrt()])  # five times as fast as z.std


def drift(moments: Tensor) -> Tensor:
    """How far mean and deviation `[2, S, K, hidden, width]` of a unit's input move in each step, `[S, K - 1]`.

    In units of what the inputs of the same layer deviate, on average; the mean of all layers.
    """
    moved = moments.diff(dim=2).abs().sum(dim=0)
    return (moved.mean(dim=3) / moments[1, :, :-1].mean(dim=3)).mean(dim=2)


def gradient_shift(
    net: MLP, before: list[Tensor], after: list[Tensor], gradients: list[Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """How far a layer's gradient moves when the layers before it, and they alone, have taken the step: `[2, S]`.

    The angle, as 1 − cosine, and the distance of the two gradients of the weights, averaged over all layers but the
    first.
    """
    before_, after_, gradients_ = (net.layers(parameters) for parameters in (before, after, gradients))
    shifts = []
    for place in range(1, len(before_)):
        mixed = [parameter for layer in after_[:place] + before_[place:] for parameter in layer]
        (gradient,) = torch.autograd.grad(cross_entropy(net(mixed, x), y).sum(), before_[place][0])
        old, new = gradients_[place][0].flatten(1), gradient.flatten(1)
        shifts.append(torch.stack([1 - torch.cosine_similarity(old, new, dim=1), (old - new).norm(dim=1)]))
    return torch.stack(shifts).mean(dim=0)


@dataclass(frozen=True)
class Noise:
    """What every unit's input is stretched by and shifted by in each step, `[S, K, hidden, width]`."""

    scale: Tensor
    offset: Tensor

    @classmethod
    def drawn(cls, seeds: Seeds, world: World) -> Noise:
        """Scales from 1 to 1.25 and offsets within .5."""
        shape = (world.steps, world.hidden, world.width)
        scale = seeds.uniform("noise.scale", *shape, low=1.0, high=1.25)
        return cls(scale, seeds.uniform("noise.offset", *shape, low=-0.5, high=0.5))

    def put(self, net: MLP, parameters: list[Tensor], step: int) -> list[Tensor]:
        """The parameters with the noise in gain and shift, or in weight and bias where there is no norm."""
        *hidden, readout = net.layers(parameters)
        noisy = []
        for place, (*rest, gain, shift) in enumerate(hidden):
            scale, offset = (
                part[:, step, place].view(-1, *[1] * (shift.ndim - 2), shift.shape[-1])
                for part in (self.scale, self.offset)
            )
            noisy += [*rest, scale * gain, scale * shift + offset]
        return [*noisy, *readout]


def faster(net: Course, plain: Course) -> Tensor:
    """Whether a net learns in at most half the steps of the plain one, bool `[S]`."""
    return 2 * net.steps <= plain.steps


def rows(win: Tensor, premise: Tensor, *courses: Course) -> Rows:
    """Columns of every metric: the net and the plain net."""
    columns = {name: torch.stack([getattr(each, name) for each in courses], dim=1) for name in vars(courses[0])}
    return Rows(win=win, premise=premise, **columns)


# -- for the title: inputs of steady mean and variance ------------------------------------------------------------


def steadier(seeds: Seeds, *, norm: Norm = "batch", world: World = WORLD) -> Rows:
    """A win: the norm at least halves the drift of the units' inputs. Premise: with it the net learns faster."""
    net, plain = course(seeds, norm, world), course(seeds, "none", world)
    return rows(2 * net.drift <= plain.drift, faster(net, plain), net, plain)


def test_inputs_move_less(judge):
    """A 64-48-48-48-48-10 net, the init of torch.nn.Linear, 64 digits, full batches, rate .3, at most 120 steps.

    Batch norm at least halves both the steps to half the loss of guessing, and until then the average step's change
    of mean and deviation of a unit's input, in deviations of its layer.
    """
    judge(steadier).supports()


def test_control_layer_norm(judge):
    """Layer norm normalises every sample by itself: as fast, and the inputs move more than without a norm."""
    judge(steadier, norm="layer").refutes()


# -- against it: gradients that move further ----------------------------------------------------------------------


def moves_further(seeds: Seeds, *, world: World = WORLD) -> Rows:
    """A win: batch norm at least doubles how far gradients are turned and moved. Premise: both nets learn."""
    net, plain = course(seeds, "batch", world), course(seeds, "none", world)
    learned = (net.steps < world.steps) & (plain.steps < world.steps)
    return rows((net.turned >= 2 * plain.turned) & (net.moved >= 2 * plain.moved), learned, net, plain)


def test_gradients_move_further(judge):
    """In the same nets, in the average step until they have learned, of every other step.

    When the layers before it take their step, a layer's gradient turns (1 − cosine) and moves (the distance of
    definition 2.1 of Santurkar et al.) at least twice as far with batch norm.
    """
    judge(moves_further).supports()


def test_control_he_init(judge):
    """Where batch norm has little to accelerate, it does not unsettle the gradients either."""
    judge(moves_further, world=World(scheme="he_init")).refutes()


# -- against it: fast with unsteady inputs ------------------------------------------------------------------------


def fast_though_unsteady(seeds: Seeds, *, norm: Norm = "batch", shaken: bool = True, world: World = WORLD) -> Rows:
    """A win: the net learns in at most half the steps of the plain net. Premise: its inputs move twice as far."""
    net, plain = course(seeds, norm, world, shaken=shaken), course(seeds, "none", world)
    unsteady = (net.drift >= 2 * plain.drift) & (plain.steps < world.steps)
    return rows(faster(net, plain), unsteady, net, plain)


def test_unsteady_inputs_train_fast(judge):
    """The same nets, with a random offset (within .5) and scale (1 to 1.25) behind batch norm for each unit and step.

    With them the inputs move more than twice as far as those of the plain net, and yet the steps are halved.
    """
    judge(fast_though_unsteady).supports()


def test_layer_norm_trains_fast(judge):
    """Behind layer norm inputs move more than twice as far with no noise at all, and yet the steps are halved."""
    judge(fast_though_unsteady, norm="layer", shaken=False).supports()


def test_control_noise_without_batch_norm(judge):
    """The noise itself helps nobody."""
    judge(fast_though_unsteady, norm="none").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """With batch norm all seeds have soon learned, however unsteady its inputs; the noise by itself is no help."""
    title, unsteady = measured["inputs_move_less"]["steps"], measured["unsteady_inputs_train_fast"]["steps"]
    control = measured["control_noise_without_batch_norm"]["steps"]
    for steps, label in (
        (title[:, 0], "batch norm"),
        (unsteady[:, 0], "batch norm, inputs shaken"),
        (title[:, 1], "no norm"),
        (control[:, 0], "no norm, inputs shaken (control)"),
    ):
        draw.share(ax, steps, label, within=(0, 80))
    ax.set(
        xlabel="steps of gradient descent", ylabel="share of seeds below\nhalf the loss of guessing", ylim=(-0.03, 1.03)
    )
    draw.key(ax)
