"""Dropout and augmentation reduce overfitting, at the price of more steps to the same training loss.

Slide: Overfitting?. The deck says that data augmentation, dropout and the like often help, and that training is much
slower with them. Srivastava et al. put the price of dropout at two to three times as long. Here it helps if two points
fewer of new images are wrong, and training is much slower if it takes half as many steps again.

A net that is stopped early overfits less, too, and so does one that is slow. So nets are compared where they have the
same training loss, in evaluation: one with noise gets there later, and is better all the same. A smaller rate also
overfits less, so that noise must in addition beat the plain net at a smaller one. Labels of the digits are partly
guessed, because with true ones there is hardly anything to reduce.

What helps is not any noise in any dose. Dropping nineteen units in twenty, or most of the units of a net that has few,
does harm. Rolling images helps where they come at all positions; once the pixels of all images are put into one
scrambled order, the same rolls help no more. For a linear model dropout is known exactly: in expectation it is a ridge
penalty, each weight's in proportion to its feature's sum of squares.

All of that takes dropout for what it is said to be. Whether torch's own is, also that in its LSTM, is tested as well.
Real bugs were to keep it in evaluation, to leave it out backward, and to repeat masks; nets still trained with them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import product
from math import sqrt
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from torch import Tensor, nn

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, Digits, digits
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP, DropoutMLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/dropout-and-augmentation-help-and-slow-down",
    covers=("H4",),
    slide="Overfitting?",
    version=2,
    finding="scoped",
    says="Data augmentation and dropout often help against overfitting, but make training much slower.",
    statement=(
        "With guessed labels, dropping half of its units makes a net err at least two points less on new digits at the "
        "same training loss; where digits stand anywhere, rolling them makes it err ten points less. At the same rate "
        "both take at least half as many steps again. With plenty of clean labels dropout does not help that much, and "
        "with 19 units in 20 it does harm."
    ),
    reason=(
        "Noise in training helps where there is overfitting to reduce, and if the right answer does not depend on it. "
        "For a linear model dropout is a ridge penalty in expectation, and such a penalty can be too large."
    ),
    scope=(
        "one hidden layer on digits, full-batch gradient descent without momentum, steps and not seconds. At rates of "
        "their own, too, rolls and a dropout of .7 are that much slower; a dropout of one half hardly is. float32"
    ),
    source="Srivastava et al. 2014 (JMLR 15), sections 9.1 and 11; Wager, Wang & Liang 2013 (arXiv 1307.1493)",
    evidence=Statistical(block=11),
)

HELPS = 0.02
SLOWER = 1.5
COLUMNS = 8


# -- nets that train with noise ---------------------------------------------------------------------------------------


def rolled(x: Tensor, by: Tensor) -> Tensor:
    """Images `[S, N, 64]` of eight columns, each moved by so many of them `[S, N, 1]`, to come in again behind."""
    place = torch.arange(64, device=x.device)
    return x.gather(2, place // COLUMNS * COLUMNS + (place + by) % COLUMNS)


class RollingMLP(MLP):
    """An MLP that in training sees every image rolled by any number of columns, anew at every step."""

    def at_step(self, seeds: Seeds, step: int) -> Callable[[list[Tensor], Tensor], Tensor]:
        """The net of a step of training."""
        return lambda parameters, x: self(
            parameters, rolled(x, seeds.integers(f"rolls.{step}", x.shape[1], 1, high=COLUMNS))
        )


def images(
    seeds: Seeds, *, samples: int, guessed: float = 0.0, anywhere: bool = False, scrambled: bool = False
) -> Digits:
    """Digits, of which a share of the labels is guessed, and all that are left.

    They may stand at random columns; with `scrambled` the pixels of all of them are put into one random order.
    """
    data = digits(seeds, n=samples, n_test=1797 - samples)
    x, x_test, y = data.x, data.x_test, data.y.clone()
    if anywhere:
        by = seeds.integers("columns", 1797, 1, high=COLUMNS)
        x, x_test = rolled(x, by[:, :samples]), rolled(x_test, by[:, samples:])
    if scrambled:
        order = seeds.permutation("scrambled", 64)[:, None]
        x, x_test = (pixels.gather(2, order.expand_as(pixels)) for pixels in (x, x_test))
    guesses = round(guessed * samples)
    y[:, :guesses] = seeds.integers("guesses", guesses, high=CLASSES)
    return Digits(x, y, x_test, data.y_test)


def arrive(
    seeds: Seeds, net: MLP, data: Digits, *, rates: tuple[float, ...], most: int, target: float | None
) -> list[Tensor]:
    """At every rate the error on new images when the loss is at the target, or after most steps; the steps; and
    whether it is there. `[S, rates]` each.
    """
    columns = []
    for rate in rates:
        fit = train(
            seeds, net, net.init(seeds), data.x, data.y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate),
            epochs=most, check_every=2,
            goal=None if target is None else lambda logits, labels: cross_entropy(logits, labels) < target,
        )  # fmt: skip
        columns.append((1 - accuracy(net(fit.parameters, data.x_test), data.y_test), fit.epochs, fit.met))
    return [torch.stack(column, dim=1) for column in zip(*columns, strict=True)]


def trial(
    seeds: Seeds,
    *,
    dose: float | None = 0.5,
    samples: int = 400,
    guessed: float = 0.4,
    anywhere: bool = False,
    scrambled: bool = False,
    width: int = 48,
    target: float = 0.6,  # nats
    plain_rates: tuple[float, ...] = (1.0, 0.3),
    rates: tuple[float, ...] = (1.0,),
    most: int = 300,
    margin: float = HELPS,
    asked: Literal["both", "slower"] = "both",
) -> Rows:
    """A seed draws its images and the initialisation of both nets. A dose is the chance to drop a unit; None rolls.

    Noise helps if at the first rate of each, which is the same, it gains the margin in the error on new images, and if
    the plain net is not as good at the best of its rates either. It makes training slower if at each of its rates it
    takes 1.5 times the fewest steps of the plain net. Premise: both arrive at the target.
    """
    data = images(seeds, samples=samples, guessed=guessed, anywhere=anywhere, scrambled=scrambled)
    plain = MLP((64, width, CLASSES))
    noisy = RollingMLP(plain.widths) if dose is None else DropoutMLP(plain.widths, p=dose)
    others, steps, arrived = arrive(seeds, plain, data, rates=plain_rates, most=most, target=target)
    errors, longer, there = arrive(seeds, noisy, data, rates=rates, most=most, target=target)
    slowdown = longer / steps.amin(dim=1, keepdim=True)
    gain, gain_on_best = others[:, 0] - errors[:, 0], others.amin(dim=1) - errors[:, 0]
    slower, helps = (slowdown >= SLOWER).all(dim=1), (gain >= margin) & (gain_on_best > 0)
    return Rows(
        win=slower if asked == "slower" else helps & slower,
        premise=arrived.any(dim=1) & there[:, 0],
        gain=gain,
        gain_on_best=gain_on_best,
        slowdown=slowdown,
    )


def harm(
    seeds: Seeds,
    *,
    dose: float = 0.95,
    width: int = 32,
    samples: int = 100,
    rates: tuple[float, ...] = (3.0, 0.9, 0.3, 0.08, 0.02),
    plain_rate: float = 0.3,
    steps: int = 50,
) -> Rows:
    """A win: after as many steps dropout loses two points against the plain net, though it has the best of its rates.

    Premise: it has learned, and neither the first nor the last of its rates is the best by a tenth of that.
    """
    data, plain = images(seeds, samples=samples), MLP((64, width, CLASSES))
    noisy = DropoutMLP(plain.widths, p=dose)
    errors, *_ = arrive(seeds, noisy, data, rates=rates, most=steps, target=None)
    others, *_ = arrive(seeds, plain, data, rates=(plain_rate,), most=steps, target=None)
    error, inside = errors.amin(dim=1), errors[:, 1:-1].amin(dim=1)
    gain, tuned = others[:, 0] - error, inside - error < HELPS / 10
    return Rows(win=gain <= -HELPS, premise=tuned & (error < 1 - 2 / CLASSES), gain=gain, errors=errors)


def test_claim(judge):
    """64-48-10 units, He's init, 400 digits of which 40 % have guessed labels, dropout .5, full-batch gradient descent.

    At rate 1 and a training loss of .6 nats (without dropout) at least two points fewer of the 1397 other digits are
    wrong than for the plain net, and fewer than for a plain net at rate .3. It takes 1.5 times the plain net's steps.
    """
    judge(trial).supports()


ROLLS = {
    "dose": None, "samples": 200, "guessed": 0.0, "anywhere": True, "width": 64, "target": 0.2, "margin": 0.1,
    "plain_rates": (2.0, 3.0, 1.0), "most": 200,
}  # fmt: skip


def test_rolls(judge):
    """64-64-10 units, 200 digits at random columns, rolled anew at every step: ten points fewer of 1597 are wrong.

    The training loss is .2, on images as they are, and the rate 2; the plain net may also have rate 1 or 3. At none of
    the rates 1, 2, 3 and 5 do the rolls take less than 1.5 times the plain net's steps.
    """
    judge(trial, **ROLLS, rates=(2.0, 1.0, 3.0, 5.0)).supports()


def test_slower_at_the_quickest_rate(judge):
    """Dropout .7, 64 hidden units, 200 digits: 1.5 times the steps of the plain net at the better of the rates 1 and 2.

    Dropout is not quicker at any of the rates 1, 2 and 3.
    """
    world = {"samples": 200, "width": 64, "target": 0.5, "most": 80}
    judge(trial, dose=0.7, **world, plain_rates=(2.0, 1.0), rates=(2.0, 1.0, 3.0), asked="slower").supports()


def test_harm_of_a_large_dose(judge):
    """Of 32 units .95 drop; 100 digits, true labels, 50 steps, the best of the rates .02, .08, .3, .9 and 3.

    At least two points more of the other digits are wrong than for the plain net after 50 steps at .3.
    """
    judge(harm).supports()


def test_harm_to_a_narrow_net(judge):
    """The same if .8 of six units drop."""
    judge(harm, dose=0.8, width=6).supports()


def test_control_plenty_of_clean_labels(judge):
    """With their true labels the digits leave little to reduce, and both nets learn them."""
    judge(trial, guessed=0.0, target=0.1).refutes()


def test_control_rolls_of_scrambled_images(judge):
    judge(trial, **ROLLS, rates=(2.0,), scrambled=True).refutes()


def test_control_no_noise(judge):
    """Dropout with probability 0 is no slower."""
    judge(trial, dose=0.0, samples=100, asked="slower").refutes()


def test_control_no_harm_of_half(judge):
    judge(harm, dose=0.5).refutes()


# -- a linear model, in rational arithmetic ---------------------------------------------------------------------------

INPUTS = [[Fraction(entry) for entry in row] for row in ([1, 4, -2], [2, -3, 0], [-1, 1, 5], [3, 2, 1])]
TARGETS = [Fraction(entry) for entry in (3, -1, 2, 4)]


def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((left * right for left, right in zip(a, b, strict=True)), Fraction(0))


def is_ridge(*, p: Fraction = Fraction(1, 3), alike: bool = False) -> Certificate:
    """Whether the expected squared error under dropout of the inputs is that without, plus a ridge penalty.

    Every mask of every sample is gone through, with its probability; kept inputs are divided by 1 - p. The penalty is
    p / (1 - p) times the sum over features of weight squared times the feature's sum of squares, or, if all are taken
    for `alike`, times their mean sum of squares. As both sides are quadratic in the three weights, that they agree on
    the 27 corners, edges and faces of a cube is that they agree everywhere.
    """
    squares = [sum((row[j] ** 2 for row in INPUTS), Fraction(0)) for j in range(3)]
    weighing = [sum(squares, Fraction(0)) / 3] * 3 if alike else squares
    agree = 0
    for entries in product((-1, 0, 1), repeat=3):
        weights = [Fraction(entry) for entry in entries]
        expected, plain = Fraction(0), Fraction(0)
        for row, y in zip(INPUTS, TARGETS, strict=True):
            plain += (dot(row, weights) - y) ** 2
            for mask in product((0, 1), repeat=3):
                chance = (1 - p) ** sum(mask) * p ** (3 - sum(mask))
                kept = [keep * entry / (1 - p) for keep, entry in zip(mask, row, strict=True)]
                expected += chance * (dot(kept, weights) - y) ** 2
        penalty = p / (1 - p) * sum((w**2 * s for w, s in zip(weights, weighing, strict=True)), Fraction(0))
        agree += expected == plain + penalty
    return Certificate(agree == 27, agree=agree, of=27)


@pytest.mark.exact
def test_dropout_is_ridge(judge):
    """Four samples of three inputs, each dropped with probability 1/3: all eight masks of each, 27 sets of weights."""
    judge(is_ridge).supports()


@pytest.mark.exact
def test_control_all_weights_alike(judge):
    """A ridge penalty that is the same for all weights is another one: their features differ in size."""
    judge(is_ridge, alike=True).refutes()


# -- dropout as it is computed ----------------------------------------------------------------------------------------


def fair(kept: Tensor) -> bool:
    """Whether what is kept looks like coins thrown one by one, along every dimension: calls, samples, units.

    Of four neighbours each of the sixteen patterns turns up as often as any other, within eight standard deviations.
    """
    far = 0.0
    for axis in range(kept.ndim):
        fours = kept.movedim(axis, -1).reshape(-1, 4).long() @ torch.tensor([8, 4, 2, 1])
        count, expected = torch.bincount(fours, minlength=16), len(fours) / 16
        far = max(far, float((count - expected).abs().max()) / sqrt(expected * 15 / 16))
    return far < 8


def drops(*, p: float = 0.5, calls: int = 32, channels: bool = False) -> Certificate:
    """Whether a half of ones is dropped and the others doubled, forward as backward, each by a coin of its own.

    In evaluation nothing is. With `channels` it is `nn.Dropout1d`, which drops whole rows.
    """
    layer, x = (nn.Dropout1d if channels else parts().dropout)(p), torch.ones(8, 64, dtype=torch.float64)
    outputs, gradients = called(layer, x, calls)
    kept = outputs != 0
    return Certificate(
        bool((outputs == 2.0 * kept).all() and (gradients == outputs).all() and (layer.eval()(x) == x).all())
        and fair(kept),
        kept=float(kept.double().mean()),
    )  # fmt: skip


def called(layer: Callable[[Tensor], Tensor], x: Tensor, calls: int) -> tuple[Tensor, Tensor]:
    """The outputs of so many calls, and the gradients of their sums for the input."""
    outputs, gradients = [], []
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        for _ in range(calls):
            own = x.clone().requires_grad_()
            outputs.append(layer(own))
            gradients += torch.autograd.grad(outputs[-1].sum(), [own])
    return torch.stack(outputs).detach(), torch.stack(gradients)


def lstm_drops(*, p: float = 0.5, calls: int = 16) -> Certificate:
    """Whether an LSTM of two layers drops outputs of the first on their way to the second, in the same manner.

    The second's forget gate is shut, its other gates stand half open, and its cell takes in each output h of the first
    alone: so it returns tanh(tanh(2 m h) / 2) / 2 for the mask m, and h is what a single layer returns that has the
    weights of the first. The gradients for the inputs, through both layers, are compared with those of that formula:
    to 1e-10, which rounding stays far below.
    """
    make, size = partial(parts().lstm, dtype=torch.float64), 4
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(1)
        deep, first = make(3, size, num_layers=2, dropout=p), make(3, size)
        x = torch.randn(8, 4, 3, dtype=torch.float64)
    own = dict(deep.named_parameters())
    first.load_state_dict({name: value for name, value in own.items() if name.endswith("l0")})
    with torch.no_grad():
        for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            own[name].zero_()
        own["bias_ih_l1"][size : 2 * size] = -1000.0  # of which the sigmoid is 0
        own["weight_ih_l1"][2 * size : 3 * size] = torch.eye(size)

    def formula(x: Tensor, mask: Tensor | float) -> Tensor:
        return torch.tanh(torch.tanh(mask * first(x)[0]) / 2) / 2

    outputs, gradients = called(lambda x: deep(x)[0], x, calls)
    kept = outputs != 0
    right = [torch.allclose(deep.eval()(x)[0], formula(x, 1.0), rtol=0, atol=1e-10)]
    for output, gradient, mask in zip(outputs, gradients, kept, strict=True):
        leaf = x.clone().requires_grad_()
        said = formula(leaf, 2.0 * mask)
        right.append(torch.allclose(output, said, rtol=0, atol=1e-10))
        right.append(torch.allclose(gradient, torch.autograd.grad(said.sum(), leaf)[0], rtol=0, atol=1e-10))
    return Certificate(all(right) and fair(kept), kept=float(kept.double().mean()))


@pytest.mark.exact
def test_torch_drops(judge):
    """Dropout .5 of 8 x 64 ones, 32 calls, forward and backward: 0 or 2, each with a coin of its own; 1 in evaluation.

    Coins: of four neighbours (in calls, rows or units) all patterns are as frequent, within eight standard deviations.
    """
    judge(drops).supports()


@pytest.mark.exact
def test_torch_drops_in_an_lstm(judge):
    """Two layers of four units, dropout .5 between them, four sequences of eight steps, 16 calls, float64."""
    judge(lstm_drops).supports()


@pytest.mark.exact
def test_control_whole_rows_are_dropped(judge):
    """The units of a row then share a coin."""
    judge(drops, channels=True).refutes()


@pytest.mark.exact
def test_control_an_lstm_without_dropout(judge):
    judge(lstm_drops, p=0.0).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Dropout and rolls save errors and cost steps; with clean labels, or scrambled pixels, they only cost."""
    ax.set(xlabel="steps, in multiples of the plain net's", ylabel="points fewer wrong on new images")
    draw.numbers(ax.xaxis, (1, 1.5, 2, 5, 10), log=True)
    arms = {
        "dropout": "claim",
        "rolls": "rolls",
        "dropout, clean labels (control)": "control_plenty_of_clean_labels",
        "rolls, scrambled pixels (control)": "control_rolls_of_scrambled_images",
    }
    for label, test in arms.items():
        draw.dots(ax, measured[test]["slowdown"][:, 0], 100 * measured[test]["gain"], label)
    draw.level(ax, 0, "no gain")
    ax.set_xlim(left=0.95)
    draw.key(ax)
