"""Layer norm makes convolutional nets worse than batch norm does.

Slide: Layer Normalizations. The literature goes both ways. Wu and He find layer norm worse than other group norms in a
ResNet-50 (25.3 % error on ImageNet with one group, which is layer norm, 24.1 % with 32), and ConvNeXt, a net of
redesigned blocks, is built on layer norm. So both sides are tested, in one small net.

On digits, trained until the training set is fitted, the two norms are equivalent. The margin is three standard errors
of the difference between two nets that err independently on 5 % of 1024 images, sqrt(2 0.05 0.95 / 1024) = 0.0096
each: 0.03 to the nearest point.

Where layer norm must lose is known exactly. A convolution without bias maps c x to c times what it maps x to, and
layer norm over channels and space divides the c out again (epsilon aside). So the whole net gives a dimmed image the
same logits as the bright one. Batch norm shares its statistics among all images and keeps the contrast between them.
Label images by their contrast, and layer norm is at chance while batch norm learns the labels within one pass.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import CNN
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="normalization/layer-norm-in-cnns",
    covers=("F11",),
    slide="Layer Normalizations",
    version=1,
    finding="contested",
    says="Layer norm degrades the performance of convolutional nets.",
    statement=(
        "On digits, a small convolutional net errs about as often with layer norm as with batch norm. Where the label "
        "is the contrast of the image, layer norm over channels and space cannot see it, and stays at chance while "
        "batch norm learns in one pass."
    ),
    reason=(
        "Once both nets have fitted the training set, layer norm errs on 3.6 % of the test images and batch norm on "
        "2.9 % (33 seeds); early on it trails further, by 4.6 points after one pass. On digits that is a small loss, "
        "not a rule. What layer norm cannot represent at all is a difference in contrast."
    ),
    scope=(
        "A small plain net on 8 x 8 images, batches of 32, float32. Layer norm here is over channels, height and "
        "width, as Wu and He compare it; ConvNeXt's is over the channels of each pixel. Nothing here speaks for "
        "ImageNet."
    ),
    source="Ba, Kiros & Hinton 2016; Wu & He 2018, section 4.1; against them Liu et al. 2022 (ConvNeXt), section 2.6",
    evidence=Statistical(block=11),
)

MARGIN = 0.03
"""The difference of two test errors up to which they are equivalent; the docstring above says why."""

LEARNED = 0.1
"""The test error below which a net with batch norm has learned its task."""

Schedule = tuple[tuple[float, int], ...]
"""Learning rates, and so many passes over the data at each."""

TO_THE_END: Schedule = ((0.1, 5), (0.02, 2))
ONE_PASS: Schedule = ((0.1, 1),)

Norm = Literal["batch", "group", "none"]
Images = tuple[Tensor, Tensor, Tensor, Tensor]


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


def error_after_training(
    seeds: Seeds, images: Images, norm: Norm, schedule: Schedule, *, channels: int = 16, batch: int = 32
) -> Tensor:
    """The share of test images that the trained net gets wrong, `[S]`; group norm of one group is layer norm."""
    x, y, x_test, y_test = images
    layers = {"batch": parts().batch_norm_2d, "group": partial(parts().group_norm, 1), "none": None}
    net = CNN((1, *[channels] * 3), classes=CLASSES, strides=(2, 2), norm=layers[norm])
    parameters = net.init(seeds)
    running = net.start(parameters)
    for rate, passes in schedule:
        parameters = train(
            seeds, lambda weights, inputs: net(weights, inputs, running), parameters, x, y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=passes, batch=batch,
        ).parameters  # fmt: skip
    return 1 - accuracy(net(parameters, x_test, running, training=False), y_test)


def equivalent(
    seeds: Seeds,
    *,
    by_contrast: bool = False,
    samples: int = 768,
    test_samples: int = 1024,
    left: float = 0.25,
    schedule: Schedule = TO_THE_END,
) -> Rows:
    """A seed draws the images, the initialisation and the order of the batches, which both nets share.

    The premise is that batch norm has learned the task: two nets at chance are no news.
    """
    if by_contrast:
        images = labelled_by_contrast(seeds, samples=samples, test_samples=test_samples, left=left)
    else:
        images = images_of_digits(seeds, samples=samples, test_samples=test_samples)
    batch, layer = (error_after_training(seeds, images, norm, schedule) for norm in ("batch", "group"))
    return Rows(win=(layer - batch).abs() < MARGIN, premise=batch < LEARNED, batch_norm=batch, layer_norm=layer)


def worse_on_contrast(
    seeds: Seeds,
    *,
    instead: Norm = "group",
    samples: int = 768,
    test_samples: int = 1024,
    left: float = 0.25,
    schedule: Schedule = ONE_PASS,
) -> Rows:
    """Whether the norm taken `instead` of batch norm falls behind it when the label is the contrast."""
    images = labelled_by_contrast(seeds, samples=samples, test_samples=test_samples, left=left)
    batch, other = (error_after_training(seeds, images, norm, schedule) for norm in ("batch", instead))
    return Rows(win=other - batch > MARGIN, premise=batch < LEARNED, batch_norm=batch, other=other)


def test_claim(judge):
    """Against the deck: on digits the two norms do equally well.

    Three 3 × 3 convolutions of 16 channels (strides 2, 2, 1; He init; no biases), 768 images, SGD in batches of 32 with
    momentum 0.9, 5 passes at learning rate 0.1 and 2 at 0.02: the test errors on 1024 images differ by less than 3
    points, and batch norm's is below 10 %.
    """
    judge(equivalent).supports()


def test_worse_on_contrast(judge):
    """For the deck: layer norm cannot see what batch norm learns in one pass.

    Half of the images are dimmed to a quarter of their contrast, and the dimmed ones are to be told. After one pass at
    rate 0.1 layer norm is more than 3 points behind batch norm, in fact the whole way to chance.
    """
    judge(worse_on_contrast).supports()


def test_control_not_equivalent_on_contrast(judge):
    judge(equivalent, by_contrast=True, schedule=ONE_PASS).refutes()


def test_control_contrast_without_a_norm(judge):
    """It is layer norm that hides the contrast: a net without any norm is not behind batch norm."""
    judge(worse_on_contrast, instead="none").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """On digits the two norms err alike, seed by seed; where the label is the contrast, layer norm is at chance."""
    tasks = {"digits": ("claim", "layer_norm"), "contrast of digits": ("worse_on_contrast", "other")}
    for left, (task, (test, layer)) in zip((0, 2.5), tasks.items(), strict=True):
        pairs = 100 * np.stack([measured[test]["batch_norm"], measured[test][layer]], axis=1)
        draw.runs(ax, (left, left + 1), pairs, task)
    draw.level(ax, 50, "chance\non contrast")
    draw.names(ax.xaxis, ["batch norm", "layer norm"] * 2, at=[0, 1, 2.5, 3.5])
    ax.set(xlim=(-0.5, 4), ylim=(-2, 60), ylabel="test error (%)")
    draw.key(ax)
