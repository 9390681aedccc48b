"""Layer norm makes convolutional nets worse than batch norm does, where batch norm has a batch.

Slide: Layer Normalizations. The literature goes both ways. Wu and He find layer norm worse than other group norms in a
ResNet-50 (25.3 % error on ImageNet with one group, which is layer norm, 24.1 % with 32), and ConvNeXt, a net of
redesigned blocks, is built on layer norm. So both sides are tested, in one small net.

The two nets of a pair share images, initial weights and the order of the batches, and a seed is the mean of two pairs:
one alone leaves nearly as much to chance as there is to see. The smallest difference of interest is a quarter of a
point, a twentieth of batch norm's error, in either direction. The learning rate is the same for both norms, and has to
suit the one that loses: at a far smaller and at a far larger one that net errs more, or the seed does not count.

Where layer norm must lose is known exactly. A convolution without bias maps c x to c times what it maps x to, and
layer norm over channels and space divides the c out again (epsilon aside). So the whole net gives a dimmed image the
same logits as the bright one. Batch norm shares its statistics among all images and keeps the contrast between them.
Label images by their contrast, and layer norm is at chance while batch norm learns the labels within one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import CNN
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/layer-norm-in-cnns",
    covers=("F11",),
    slide="Layer Normalizations",
    version=2,
    finding="contested",
    says="Layer norm degrades the performance of convolutional nets.",
    statement=(
        "On digits, a small convolutional net errs at least a quarter of a point more with layer norm than with batch "
        "norm from batches of 32, and less from batches of two. Where the label is the contrast of the image, layer "
        "norm over channels and space cannot see it, and stays at chance while batch norm learns in one pass."
    ),
    reason=(
        "It depends on the batch. The statistics of 32 images serve batch norm well, and those of two are noise; layer "
        "norm has none to lose. What it cannot represent at all is a difference in contrast."
    ),
    scope=(
        "on nine splits of ten; a small plain net on 8 x 8 images after five passes, each norm at one learning rate "
        "that suits the worse of the two, float32. Layer norm here is over channels, height and width, as Wu and He "
        "compare it; ConvNeXt's is over the channels of each pixel. Nothing here speaks for ImageNet."
    ),
    source="Ba, Kiros & Hinton 2016; Wu & He 2018, section 4.1; against them Liu et al. 2022 (ConvNeXt), section 2.6",
    evidence=Statistical(holds=0.9, block=12, max_seeds=256),
)

MARGIN = 0.0025
"""The smallest difference of two test errors that is of interest; the docstring above says why."""

BEHIND = 0.25
"""What a net must be behind where the label is the contrast: half the way to chance."""

LEARNED = 0.1
"""The test error below which a net with batch norm has learned the contrast."""

Norm = Literal["batch", "group", "none"]
Images = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class World:
    """The net, the images and how it is trained: `passes` at the learning rate, and one at a fifth of it.

    Of the three `rates` the second is the learning rate, and the others are there to show that it suits. `fitted` is
    the training error up to which a net has fitted the training set, or learned from it.
    """

    layers: int = 4
    channels: int = 16
    samples: int = 512
    test_samples: int = 1280
    batch: int = 32
    rates: tuple[float, float, float] = (0.02, 0.1, 0.7)
    passes: int = 4
    fitted: float = 0.05


IN_32S = World()
IN_TWOS = World(layers=2, samples=48, test_samples=512, batch=2, rates=(0.005, 0.04, 0.3), fitted=0.4)
ON_CONTRAST = World(layers=3)


def images_of_digits(seeds: Seeds, *, samples: int, test_samples: int) -> Images:
    """Training images `[S, N, 1, 8, 8]` and their classes `[S, N]`, then the same for testing."""
    data = digits(seeds, n=samples, n_test=test_samples)
    return data.x.unflatten(2, (1, 8, 8)), data.y, data.x_test.unflatten(2, (1, 8, 8)), data.y_test


def labelled_by_contrast(seeds: Seeds, *, samples: int, test_samples: int, left: float) -> Images:
    """The same images, half of them dimmed at random to the contrast that is `left`; the label says which."""
    x, _, x_test, _ = images_of_digits(seeds, samples=samples, test_samples=test_samples)
    y = seeds.integers("dimmed", samples, high=2)
    y_test = seeds.integers("dimmed.test", test_samples, high=2)
    return dimmed(x, y, left), y, dimmed(x_test, y_test, left), y_test


def dimmed(x: Tensor, which: Tensor, left: float) -> Tensor:
    """The images with those at `which` (0 or 1, `[S, N]`) multiplied by the contrast that is left."""
    return torch.where(which[..., None, None, None] == 1, left * x, x)


def errors(seeds: Seeds, images: Images, norm: Norm, world: World, schedule: tuple[tuple[float, int], ...]) -> Tensor:
    """The shares of test and of training images that the trained net gets wrong, `[2, S]`.

    `schedule` has learning rates, and so many passes at each. Group norm of one group is layer norm.
    """
    x, y, x_test, y_test = images
    layers = {"batch": parts().batch_norm_2d, "group": partial(parts().group_norm, 1), "none": None}
    net = CNN((1, *[world.channels] * world.layers), classes=CLASSES, strides=(2, 2), norm=layers[norm])
    parameters = net.init(seeds)
    running = net.start(parameters)
    for rate, passes in schedule:
        parameters = train(
            seeds, partial(net, running=running), parameters, x, y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=passes, batch=world.batch,
        ).parameters  # fmt: skip
    right = [accuracy(net(parameters, of, running, training=False), to) for of, to in ((x_test, y_test), (x, y))]
    return 1 - torch.stack(right)


@remembered
def on_digits(seeds: Seeds, norm: Norm, world: World, *, rate: float, nets: int = 2) -> Tensor:
    """The test and training errors `[2, S, nets]` on digits.

    Each net of a seed has images, a start and an order of its own. One net is the first of two.
    """
    members = replace(seeds, indices=tuple(2 * seed + net for seed in seeds.indices for net in range(nets)))
    images = images_of_digits(members, samples=world.samples, test_samples=world.test_samples)
    return errors(members, images, norm, world, ((rate, world.passes), (rate / 5, 1))).unflatten(1, (-1, nets))


def worse(seeds: Seeds, *, norm: Norm = "group", than: Norm = "batch", world: World = IN_32S) -> Rows:
    """Whether the `norm` errs more than another on new images, on the mean of two pairs of nets.

    The premise: both have learned, as well as the world asks, and err more on new images than on those they were
    trained on; and the rate suits the `norm`: its first net errs more at the smaller and at the larger one.
    """
    below, rate, above = world.rates
    nets, others = (on_digits(seeds, each, world, rate=rate) for each in (norm, than))
    elsewhere = torch.cat([on_digits(seeds, norm, world, rate=rate, nets=1)[0] for rate in (below, above)], dim=1)
    (error, of_training), (other, other_of_training) = nets.mean(dim=2), others.mean(dim=2)
    learned = torch.maximum(of_training, other_of_training) <= world.fitted
    new = (error > of_training) & (other > other_of_training)
    return Rows(
        win=error - other >= MARGIN,
        premise=learned & new & (elsewhere > nets[0, :, :1]).all(dim=1),
        error=error,
        other=other,
        difference=error - other,
        training_error=of_training,
        other_training_error=other_of_training,
        at_other_rates=elsewhere,
    )


def worse_on_contrast(
    seeds: Seeds,
    *,
    instead: Norm = "group",
    samples: int = 768,
    test_samples: int = 512,
    left: float = 0.25,
    rate: float = 0.06,
    world: World = ON_CONTRAST,
) -> Rows:
    """Whether the norm taken `instead` of batch norm falls behind it, after a pass, when the label is the contrast."""
    images = labelled_by_contrast(seeds, samples=samples, test_samples=test_samples, left=left)
    batch, other = (errors(seeds, images, norm, world, ((rate, 1),))[0] for norm in ("batch", instead))
    return Rows(win=other - batch > BEHIND, premise=batch < LEARNED, batch_norm=batch, other=other)


def test_claim(judge):
    """For the deck: on digits, from batches of 32, layer norm is worse.

    Four 3 × 3 convolutions of 16 channels (strides 2, 2, then 1; He init; no biases), 512 images, SGD with momentum
    0.9, 4 passes at learning rate 0.1 and 1 at 0.02. Then both have fitted all but 5 % of the training set, and layer
    norm errs on at least a quarter of a point more of 1280 new images. At the rates 0.02 and 0.7 it errs more still.
    """
    judge(worse).supports()


def test_better_in_batches_of_two(judge):
    """Against the deck: from batches of two it is batch norm that is worse, by at least a quarter of a point.

    Two convolutions, 48 images, the same passes at the rates 0.04 and 0.008; batch norm errs more at 0.005 and at 0.3.
    """
    judge(worse, norm="batch", than="group", world=IN_TWOS).supports()


def test_control_batches_of_two(judge):
    judge(worse, world=IN_TWOS).refutes()


@pytest.mark.statistical(holds=0.95, block=11, max_seeds=128)
def test_worse_on_contrast(judge):
    """For the deck: layer norm cannot see what batch norm learns in one pass.

    Three convolutions, and 768 images of which half are dimmed to a quarter of their contrast; the dimmed ones are to
    be told. After one pass at rate 0.06 layer norm is more than 25 points behind batch norm, in fact the whole way to
    chance.
    """
    judge(worse_on_contrast).supports()


@pytest.mark.statistical(holds=0.95, block=11, max_seeds=128)
def test_control_contrast_without_a_norm(judge):
    """It is layer norm that hides the contrast: a net without any norm is not behind batch norm."""
    judge(worse_on_contrast, instead="none").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """From batches of 32 layer norm errs more, from batches of two less; contrast it cannot see at all."""
    tasks = {
        "batches of 32": ("claim", "other", "error"),
        "batches of two": ("better_in_batches_of_two", "error", "other"),
        "contrast": ("worse_on_contrast", "batch_norm", "other"),
    }
    for place, (task, (test, batch, layer)) in enumerate(tasks.items()):
        pairs = 100 * np.stack([measured[test][batch], measured[test][layer]], axis=1)
        draw.runs(ax, (2.5 * place, 2.5 * place + 1), pairs, task)
    draw.level(ax, 50, "chance\non contrast")
    draw.names(ax.xaxis, ["batch", "layer"] * 3, at=[0, 1, 2.5, 3.5, 5, 6])
    ax.set(xlim=(-0.5, 6.5), ylim=(-2, 60), xlabel="norm", ylabel="test error (%)")
    draw.key(ax)
