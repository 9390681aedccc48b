"""Noise prevents learning beyond a threshold that is known exactly for a quadratic, and that moves with the rate.

Slide: Overfitting?. The deck says that too much variance in the gradients prevents learning. Much of the noise of SGD
grows with the distance from the minimum: at a weight x off it, the gradient of one sample is (l + s ξ) x, where ξ has
mean 0 and variance 1. A step of rate η multiplies x by 1 − η (l + s ξ), so the mean of x² by (1 − η l)² + η² s².
Learning, in the mean square, is what makes this less than 1, and that is a rate below 2 l / (l² + s²). Without noise
the bound would be 2 / l. So there is no variance that prevents learning at every rate: a smaller one always does it.

Two things are easily mixed up with that. Noise that does not shrink with the distance does not change the threshold of
2 / l; it leaves a rest that x² does not fall below. And the mean square may explode while most runs converge, because
few runs carry the mean: the threshold is one of means.

A net is beyond the threshold, too, with steps of one image at a rate that is fine with 32: there it knows no more
after a hundred steps, or five hundred, than a guess does. So is one that drops nineteen units in twenty. At a
tenth of the rate both learn.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from math import comb, log
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP, DropoutMLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/too-much-noise-prevents-learning",
    covers=("H5",),
    slide="Overfitting?",
    version=2,
    finding="scoped",
    says="Too much variance in the gradients prevents learning.",
    statement=(
        "On a quadratic of curvature l with gradient noise of s times the distance, descent converges in mean square "
        "exactly if its rate is below 2 l / (l² + s²). A net that 32 images a step teach the digits learns nothing "
        "from one image a step, or with 19 in 20 units dropped. At a tenth of the rate it learns from both."
    ),
    reason=(
        "A step multiplies the mean square by (1 − rate l)² + rate² s², so more variance needs a smaller rate, and no "
        "variance is too much for all of them. The bound is one of means: near it most runs may shrink while "
        "the mean explodes."
    ),
    scope="noise in proportion to the distance from the minimum; one small net on digits, rate .3, float32",
    source="derived here; Ma, Bassily & Belkin 2018 (arXiv 1712.06559) derive the best rate for every batch size",
    evidence=Statistical(block=11),
)

KNOWS_NOTHING = log(CLASSES)
"""The loss of equal chances for all digits, in nats."""

CALM_STEPS = 128


# -- a net ------------------------------------------------------------------------------------------------------------


@remembered  # the calm net is the same for many tests
def trained(
    seeds: Seeds, *, batch: int, dropped: float, rate: float, steps: int, width: int, images: int
) -> tuple[Tensor, Tensor]:
    """The loss on its images of a net that was trained on `batch` of them a step, and its accuracy."""
    data = digits(seeds, n=images, n_test=0)
    net = DropoutMLP((64, width, CLASSES), p=dropped) if dropped else MLP((64, width, CLASSES))
    fit = train(
        seeds, net, net.init(seeds), data.x, data.y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate),
        batch=batch, epochs=steps // (images // batch),
    )  # fmt: skip
    outputs = net(fit.parameters, data.x)
    return cross_entropy(outputs, data.y), accuracy(outputs, data.y)


def trial(
    seeds: Seeds,
    *,
    batch: int = 1,
    dropped: float = 0.0,
    rate: float = 0.3,
    steps: int = 128,
    calm: int = 32,
    width: int = 64,
    images: int = 128,
    asked: Literal["nothing", "digits"] = "nothing",
) -> Rows:
    """A seed draws the images, the initialisation of a net and the order of the images.

    Asked is whether the net has learned nothing, as its loss is not below that of a guess, or digits: then it is below
    half of that. The premise is that the same net learns digits in 128 steps, which are no more, of the same rate from
    `calm` images a step, and without dropout.
    """
    train_at = partial(trained, seeds, rate=rate, width=width, images=images)
    loss, right = train_at(batch=batch, dropped=dropped, steps=steps)
    of_calm, calm_right = train_at(batch=calm, dropped=0.0, steps=CALM_STEPS)
    win = ~(loss < KNOWS_NOTHING) if asked == "nothing" else loss < KNOWS_NOTHING / 2  # a loss may have overflowed
    return Rows(win=win, premise=of_calm < KNOWS_NOTHING / 2, accuracy=right, calm_accuracy=calm_right)


def test_claim(judge):
    """64-64-10 units, He's init, 128 digits, rate .3, 128 steps of one image: the loss is not below log 10.

    That is the loss of a guess. With 32 images a step it comes below half of it.
    """
    judge(trial).supports()


def test_four_times_as_many_steps(judge):
    """512 steps of one image: still nothing."""
    judge(trial, steps=512).supports()


def test_dropout(judge):
    """The same net with 32 images a step, of whose units .95 drop: nothing in 256 steps."""
    judge(trial, batch=32, dropped=0.95, steps=256).supports()


def test_smaller_rate(judge):
    """One image a step at a rate of .03: the loss comes below half of log 10 in 128 steps."""
    judge(trial, rate=0.03, asked="digits").supports()


def test_smaller_rate_with_dropout(judge):
    """Dropout .95 at a rate of .03, 32 images a step: below half of log 10 in 384 steps."""
    judge(trial, batch=32, dropped=0.95, rate=0.03, steps=384, asked="digits").supports()


def test_control_eight_images(judge):
    """A step of eight images has an eighth of the variance."""
    judge(trial, batch=8).refutes()


def test_control_half_of_the_units(judge):
    judge(trial, batch=32, dropped=0.5).refutes()


def test_control_one_image_teaches_no_digits(judge):
    judge(trial, asked="digits").refutes()


# -- a quadratic, in rational arithmetic ------------------------------------------------------------------------------

World = tuple[Fraction, Fraction, Fraction]
"""Rate, curvature, and noise for every unit of distance."""


def converges(world: World, *, steps: int = 4, shrinking: bool = True, counting: bool = True) -> Certificate:
    """Whether the mean of x² after some steps is as derived, and smaller than before if and only if the rate is below
    the threshold. All signs of noise of size s are gone through, from x = 1.

    Noise that is not `shrinking` is of size s at every distance; without `counting` it the threshold is 2 / l.
    """
    rate, curvature, noise = world
    paths = [Fraction(1)]
    for _ in range(steps):
        sizes = [noise * (x if shrinking else 1) for x in paths]
        paths = [x - rate * (curvature * x + sign * s) for x, s in zip(paths, sizes, strict=True) for sign in (1, -1)]
    mean = sum((x * x for x in paths), Fraction(0)) / len(paths)
    derived = ((1 - rate * curvature) ** 2 + (rate * noise) ** 2) ** steps
    bound = 2 * curvature / (curvature**2 + noise**2 * counting)
    return Certificate(
        mean == derived and (mean < 1) == (rate < bound), mean_square=float(mean), derived=float(derived)
    )


def worlds() -> st.SearchStrategy[World]:
    parts_of = partial(st.builds, Fraction, denominator=st.integers(1, 8))
    positive = parts_of(st.integers(1, 24))
    return st.tuples(positive, positive, parts_of(st.integers(0, 24)))


@pytest.mark.property(examples=60)
def test_threshold(judge):
    """Four steps, sixteen paths; rates, curvatures and noises are fractions of eighths and larger parts."""
    judge(converges, given=worlds()).supports()


@pytest.mark.property(examples=60)
def test_control_noise_of_one_size(judge):
    """Noise that does not shrink with the distance leaves a rest: its mean square is another one."""
    judge(converges, given=worlds(), example=(Fraction(1, 2), Fraction(1), Fraction(2)), shrinking=False).refutes()


@pytest.mark.property(examples=60)
def test_control_threshold_without_noise(judge):
    """Rate and curvature 1 would be at the minimum in a step, if it were not for the noise of 2."""
    judge(converges, given=worlds(), example=(Fraction(1), Fraction(1), Fraction(2)), counting=False).refutes()


def explodes(*, rate: float = 0.3, batch: int = 1, steps: int = 5) -> Certificate:
    """Whether SGD drives up the mean square of a weight that fits two samples exactly: inputs 1 and 3, outputs 0.

    A step draws `batch` of them with replacement. Every sequence of draws has a weight of its own, from 1, all trained
    at once by the part. Curvatures are 1 and 9: l = 5 and s² = 16 / batch. Float64, to one in 1e9: with fewer than a
    hundred roundings a weight.
    """
    draws = torch.tensor(list(product((1.0, 9.0), repeat=batch * steps)), dtype=torch.float64)
    weights = torch.ones(len(draws), dtype=torch.float64, requires_grad=True)
    optimizer = parts().sgd([weights], lr=rate)
    for curvature in draws.view(-1, steps, batch).mean(dim=2).T:
        optimizer.zero_grad()
        (curvature * weights.square() / 2).sum().backward()
        optimizer.step()
    mean = float(weights.detach().square().mean())
    derived = ((1 - 5 * rate) ** 2 + rate**2 * 16 / batch) ** steps
    return Certificate(abs(mean - derived) < 1e-9 * derived and mean > 1, mean_square=mean, derived=derived)


@pytest.mark.exact
def test_one_sample_a_step(judge):
    """At rate .3 all 32 sequences of five draws: the mean square grows, by 1.69 a step."""
    judge(explodes).supports()


@pytest.mark.exact
def test_control_two_samples_a_step(judge):
    """Half the variance at the same rate: below the threshold."""
    judge(explodes, batch=2).refutes()


@pytest.mark.exact
def test_control_a_smaller_rate(judge):
    judge(explodes, rate=0.2).refutes()


def few_runs_carry_the_mean(*, rate: Fraction = Fraction(1, 4), steps: int = 101) -> Certificate:
    """Whether the mean square of the same weight has grown, and yet most runs of one sample a step have shrunk.

    The two samples multiply a weight by 1 − rate and by 1 − 9 rate; how often each was drawn is all that counts.
    """
    factors = [(1 - rate) ** 2, (1 - 9 * rate) ** 2]
    shrunk = sum(comb(steps, k) for k in range(steps + 1) if factors[0] ** (steps - k) * factors[1] ** k < 1)
    share, mean = Fraction(shrunk, 2**steps), (sum(factors) / 2) ** steps
    return Certificate(
        mean > 1 and share > Fraction(1, 2), mean_square=float(mean), share_of_runs_that_shrank=float(share)
    )


@pytest.mark.exact
def test_nearly_all_runs_shrink_where_the_mean_explodes(judge):
    """At rate 1/4, between the bound of the mean and that of a typical run, after 101 steps."""
    judge(few_runs_carry_the_mean).supports()


@pytest.mark.exact
def test_control_beyond_both_bounds(judge):
    judge(few_runs_carry_the_mean, rate=Fraction(3, 10)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """A net learns from 32 images a step; with too much noise, nothing; and at a tenth of the rate in spite of it."""
    right = {test: 100 * measured[test]["accuracy"] for test in measured if "accuracy" in measured[test]}
    columns = {
        "32 images,\nrate .3": 100 * measured["claim"]["calm_accuracy"],
        "1 image,\nrate .3": right["claim"],
        "1 image,\nrate .03": right["smaller_rate"],
        "dropout\n.95,\nrate .3": right["dropout"],
        "dropout\n.95,\nrate .03": right["smaller_rate_with_dropout"],
        "dropout .5,\nrate .3\n(control)": right["control_half_of_the_units"],
    }
    draw.columns(ax, columns)
    draw.level(ax, 100 / CLASSES, "chance")
    ax.set(ylabel="training images that are right (%)", ylim=(0, 103))
