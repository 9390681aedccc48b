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

from claimlab import Claim, Rows, Statistical
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import CNN
from claimlab.parts import parts
from claimlab.seeds import Seeds
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

SAMPLES, TEST_SAMPLES, BATCH = 768, 1024, 32
SCHEDULE = ((0.1, 5), (0.02, 2))  # learning rate and passes over the data
ONE_PASS = ((0.1, 1),)
MARGIN = 0.03
DIMMED = 0.25
LEARNED = 0.1
"""The test error below which a net with batch norm has learned its task."""

CLAIM = Claim(
    id="normalization/layer-norm-in-cnns",
    covers=("F11",),
    slide="Layer Normalizations",
    version=1,
    finding="contested",
    says="Layer norm degrades the performance of convolutional nets.",
    statement=(
        "A net of three 3 x 3 convolutions with 16 channels (strides 2, 2, 1; He init; no biases) is trained on 768 "
        "digits by SGD (batches of 32, momentum 0.9, 5 passes at learning rate 0.1 and 2 at 0.02), once with batch "
        "norm and once with layer norm over channels and space. Their test errors differ by less than 3 points. With "
        "half of the images dimmed to a quarter and the dimmed ones to be told, one pass leaves layer norm more than "
        "3 points, in fact the whole way to chance, behind batch norm."
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

Norm = Literal["batch", "group", "none"]
Images = tuple[Tensor, Tensor, Tensor, Tensor]


def images_of_digits(seeds: Seeds) -> Images:
    """Training images `[S, N, 1, 8, 8]` and their classes `[S, N]`, then the same for testing."""
    data = digits(seeds, n=SAMPLES, n_test=TEST_SAMPLES)
    return data.x.unflatten(2, (1, 8, 8)), data.y, data.x_test.unflatten(2, (1, 8, 8)), data.y_test


def labelled_by_contrast(seeds: Seeds) -> Images:
    """The same images, half of them dimmed at random; the label says which."""
    x, _, x_test, _ = images_of_digits(seeds)
    y = seeds.integers("dimmed", SAMPLES, high=2)
    y_test = seeds.integers("dimmed.test", TEST_SAMPLES, high=2)
    return dimmed(x, y), y, dimmed(x_test, y_test), y_test


def dimmed(x: Tensor, which: Tensor) -> Tensor:
    """The images with those at `which` (0 or 1, `[S, N]`) multiplied by the contrast that is left."""
    return torch.where(which[..., None, None, None] == 1, DIMMED * x, x)


def error_after_training(seeds: Seeds, images: Images, norm: Norm, schedule: tuple[tuple[float, int], ...]) -> Tensor:
    """The share of test images that the trained net gets wrong, `[S]`; group norm of one group is layer norm."""
    x, y, x_test, y_test = images
    layers = {"batch": parts().batch_norm_2d, "group": partial(parts().group_norm, 1), "none": None}
    net = CNN((1, 16, 16, 16), classes=CLASSES, strides=(2, 2), norm=layers[norm])
    parameters = net.init(seeds)
    running = net.start(parameters)
    for rate, passes in schedule:
        parameters = train(
            seeds, lambda weights, inputs: net(weights, inputs, running), parameters, x, y,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=passes, batch=BATCH,
        ).parameters  # fmt: skip
    return 1 - accuracy(net(parameters, x_test, running, training=False), y_test)


def equivalent(seeds: Seeds, *, by_contrast: bool = False) -> Rows:
    """A seed draws the images, the initialisation and the order of the batches, which both nets share.

    A win asks that batch norm has learned the task, so that two nets at chance are no news.
    """
    images = labelled_by_contrast(seeds) if by_contrast else images_of_digits(seeds)
    schedule = ONE_PASS if by_contrast else SCHEDULE
    batch, layer = (error_after_training(seeds, images, norm, schedule) for norm in ("batch", "group"))
    return Rows(win=((layer - batch).abs() < MARGIN) & (batch < LEARNED), batch_norm=batch, layer_norm=layer)


def worse_on_contrast(seeds: Seeds, instead: Norm = "group") -> Rows:
    """Whether the norm taken `instead` of batch norm falls behind it when the label is the contrast."""
    images = labelled_by_contrast(seeds)
    batch, other = (error_after_training(seeds, images, norm, ONE_PASS) for norm in ("batch", instead))
    return Rows(win=(other - batch > MARGIN) & (batch < LEARNED), batch_norm=batch, other=other)


def test_claim(judge):
    """Against the deck: on digits the two norms do equally well."""
    judge(equivalent).supports()


def test_worse_on_contrast(judge):
    """For the deck: layer norm cannot see what batch norm learns in one pass."""
    judge(worse_on_contrast).supports()


def test_control_not_equivalent_on_contrast(judge):
    judge(equivalent, by_contrast=True).refutes()


def test_control_contrast_without_a_norm(judge):
    """It is layer norm that hides the contrast: a net without any norm is not behind batch norm."""
    judge(worse_on_contrast, instead="none").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Test errors of both norms, one line a seed, on both tasks."""
    tasks = {"digits": ("claim", "layer_norm"), "contrast of digits": ("worse_on_contrast", "other")}
    for left, (test, layer) in zip((0, 2.5), tasks.values(), strict=True):
        pairs = np.stack([measured[test]["batch_norm"], measured[test][layer]])
        ax.plot([left, left + 1], 100 * pairs, "o-", color="C0" if left == 0 else "C1", alpha=0.5, linewidth=1)
    ax.axhline(50, linestyle=":", linewidth=1, color="gray")
    ax.annotate("chance on contrast", (1.75, 50), va="bottom", ha="center", color="gray")
    ax.set_xticks([0, 1, 2.5, 3.5], ["batch norm", "layer norm"] * 2)
    for centre, task in zip((0.5, 2.5), tasks, strict=True):
        ax.annotate(task, (centre, 12), ha="center")
    ax.set(xlim=(-0.5, 4), ylim=(-2, 60), ylabel="test error in %")
