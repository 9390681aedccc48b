"""Batch size and learning rate are one choice: what counts in so many passes is their ratio, up to a limit.

Slide: Practical Takeaways, which advises small batches and large rates. It rests on other entries: noise can help to
generalise and keeps descent from arriving (I6), too much of it prevents learning (H5), and in as many passes a large
batch is behind a small one for want of updates (H20). What they leave out is that both pieces of advice turn the same
knob. In a given number of passes over N images, both the noise of SGD, which has the scale rate x N / batch (Smith & Le
2018), and the sum of the rates of all steps depend on rate and batch by their ratio alone. So a large rate wants a
batch that is not small, and a small batch a rate that is not large, which is the rule of linear scaling (Goyal et al.
2017); taken to the end, the two pieces of advice contradict each other. The rule ends where the rate is too large for
a batch of any size.

One net, four passes over the same digits, all batches and rates. No rate is tuned: the rates are what is asked about.
By hand, in forty passes at rate .32 all images at once catch up with batches of 16; single images still teach nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/batch-and-rate-are-one-choice",
    covers=("P4",),
    slide="Practical Takeaways",
    version=1,
    finding="scoped",
    says="Use small batches and large learning rates.",
    statement="Of single images, batches of 16 and all 128 digits at once, in four passes, single images teach most at "
    "rate .02, batches of 16 at .32, all at once at 1.28, by at least ten points. Raised together, from .02 and one "
    "to .32 and 16, rate and batch change accuracy by at most three points; from .08 and one to 1.28 and 16, they cost "
    "ten or more.",
    reason="In so many passes, rate over batch sets the noise and the sum of the steps. Too much of it is noise that "
    "prevents learning (H5), too little is too few updates (H20); what noise is good for besides is I6. A large rate "
    "has a limit of its own, whatever the batch.",
    scope="equally many passes; one small net on digits, plain SGD at a constant rate, He's initialisation, float32. "
    "Large batches catch up in more passes (H20), single images at a large rate do not (H5)",
    source="Smith & Le 2018 (arXiv 1710.06451) on the best batch at a fixed rate and the scale of the noise; Goyal et "
    "al. 2017 (arXiv 1706.02677) on linear scaling",
    evidence=Statistical(block=11),
)

Choice = tuple[float, int]
"""A learning rate and how many images a batch has."""

RATES, BATCHES = (0.02, 0.08, 0.32, 1.28), (1, 4, 16, 64, 128)

LEARNED = 0.5
"""The accuracy on new digits of a net that has learned them, if not well."""


@remembered  # all tests look at the same nets
def accuracies(seeds: Seeds, *, images: int, held_out: int, width: int, epochs: int, nets: int) -> Tensor:
    """The share of new digits that are right at every batch and rate, `[S, batches, rates]`: the mean of several nets.

    All rates train at once: that of the optimizer is 1, and the losses are weighted.
    """
    members = replace(seeds, indices=tuple(nets * seed + net for seed in seeds.indices for net in range(nets)))

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(len(RATES), dim=0)

    data = digits(members, n=images, n_test=held_out)
    net = MLP((data.x.shape[2], width, CLASSES))
    start = [repeated(part) for part in net.init(members)]
    weights = torch.tensor(RATES, dtype=seeds.dtype, device=seeds.device).repeat(len(members))
    right = []
    for batch in BATCHES:
        parameters = train(
            members.take(repeated(torch.arange(len(members)))), net, start, repeated(data.x), repeated(data.y),
            loss=lambda logits, labels: weights * cross_entropy(logits, labels),
            optimizer=partial(parts().sgd, lr=1.0), epochs=epochs, batch=None if batch == images else batch,
        ).parameters  # fmt: skip
        own = ([part[rate :: len(RATES)] for part in parameters] for rate in range(len(RATES)))
        right.append(torch.stack([accuracy(net(each, data.x_test), data.y_test) for each in own], dim=1))
    return torch.stack(right, dim=1).unflatten(0, (len(seeds), nets)).mean(dim=1)


def after(
    seeds: Seeds,
    choices: tuple[Choice, ...],
    *,
    images: int = 128,
    held_out: int = 500,
    width: int = 32,
    epochs: int = 4,
    nets: int = 2,
) -> Tensor:
    """The accuracy that each choice leads to, `[S, choices]`."""
    right = accuracies(seeds, images=images, held_out=held_out, width=width, epochs=epochs, nets=nets)
    return torch.stack([right[:, BATCHES.index(batch), RATES.index(rate)] for rate, batch in choices], dim=1)


def ahead(
    seeds: Seeds,
    *,
    choice: Choice = (0.32, 16),
    others: tuple[Choice, ...] = ((0.32, 1), (0.32, 128)),
    margin: float = 0.1,
) -> Rows:
    """Whether a choice is ahead of all others by the margin. The premise is that one of them all has learned."""
    own, rest = after(seeds, (choice,)), after(seeds, others)
    of_batches = after(seeds, tuple((choice[0], batch) for batch in BATCHES))
    return Rows(
        win=(own - rest >= margin).all(dim=1), premise=torch.maximum(own, rest).amax(dim=1) >= LEARNED,
        own=own[:, 0], others=rest, of_batches=of_batches,
    )  # fmt: skip


def alike(
    seeds: Seeds,
    *,
    choices: tuple[Choice, ...] = ((0.02, 1), (0.08, 4), (0.32, 16)),
    within: float = 0.03,
) -> Rows:
    """Whether no two of the choices differ by more. The premise is that the first has learned."""
    right = after(seeds, choices)
    apart = right.amax(dim=1) - right.amin(dim=1)
    return Rows(win=apart <= within, premise=right[:, 0] >= LEARNED, accuracy=right, apart=apart)


def test_claim(judge):
    """A 64-32-10 net, rate .32: batches of 16 get ten points more of 500 new digits right than of 1 and of 128.

    The mean of two nets a seed; four passes over 128 images, so 32 updates against 512 and 4.
    """
    judge(ahead).supports()


def test_smaller_rate(judge):
    """Rate .02: single images are ten points ahead of batches of 16 and of 128."""
    judge(ahead, choice=(0.02, 1), others=((0.02, 16), (0.02, 128))).supports()


def test_larger_rate(judge):
    """Rate 1.28: all 128 images at once are ten points ahead of batches of 16 and of single images."""
    judge(ahead, choice=(1.28, 128), others=((1.28, 1), (1.28, 16))).supports()


def test_raised_together(judge):
    """Rate .02 and one image, and four and 16 times both: no two accuracies differ by more than three points."""
    judge(alike).supports()


def test_raised_together_half_way(judge):
    """It is not that all have learned what there is: from .02 and four images, which learn less, the same is true."""
    judge(alike, choices=((0.02, 4), (0.08, 16), (0.32, 64))).supports()


def test_limit(judge):
    """Rate .08 and one image are ten points ahead of 16 times both."""
    judge(ahead, choice=(0.08, 1), others=((1.28, 16),)).supports()


def test_control_smaller_rate(judge):
    judge(ahead, choice=(0.02, 16), others=((0.02, 1), (0.02, 128))).refutes()


def test_control_larger_rate(judge):
    judge(ahead, choice=(1.28, 16), others=((1.28, 1), (1.28, 128))).refutes()


def test_control_batch_alone(judge):
    judge(alike, choices=((0.02, 1), (0.02, 4), (0.02, 16))).refutes()


def test_control_rate_alone(judge):
    judge(alike, choices=((0.02, 1), (0.08, 1), (0.32, 1))).refutes()


def test_control_beyond_the_limit(judge):
    judge(alike, choices=((0.08, 1), (0.32, 4), (1.28, 16))).refutes()


def test_control_within_the_limit(judge):
    """A quarter of the rates: they can be raised as many times."""
    judge(ahead, choice=(0.02, 1), others=((0.32, 16),)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The larger the rate, the larger the best batch; in four passes no batch is best for all rates."""
    draw.numbers(ax.xaxis, BATCHES, log=True)
    for rate, test in ((".02", "smaller_rate"), (".32", "claim"), ("1.28", "larger_rate")):
        draw.spread(ax, BATCHES, 100 * measured[test]["of_batches"], f"rate {rate}")
    draw.level(ax, 100 / CLASSES, "chance")
    ax.set(xlabel="images in a batch", ylabel="new digits that are right (%)", ylim=(0, 100))
    draw.key(ax)
