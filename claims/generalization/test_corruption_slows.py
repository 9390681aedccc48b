"""Random labels take a few times as long to learn as true ones, and the factor grows with the number of images.

Slide: Deep Nets Generalize Better than They Should. That a net fits random labels (H15) might have been a matter of
patience. Zhang et al. found that it is not: with random labels training takes longer by a small constant factor only.

The factor is of epochs until every training label is right, for the same images, initial weights and order of batches,
each at the best of the same rates. It is constant in no other sense than that it is a number. Images with true labels
say the same again: more of them need few more epochs, as one image helps the others. Random labels are learned one
by one, and each of more of them takes room from the rest. Arpit et al. saw that time to convergence grows with the
number of samples for noise more than for real data; they made noise of the inputs.

Other labels than the true ones do not take time as such: if classes pass their names round, which makes labels as wrong
as noise does, little is slower. And what cannot be learned takes for ever: a control has every image twice, with a
random label for each. Pixels in another order, the same for all images, are a corruption that costs an MLP nothing at
all: its initialisation has no order either.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from torch import Tensor

from claimlab import Certificate, Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy, interpolates
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/random-labels-slow-training",
    covers=("H16",),
    slide="Deep Nets Generalize Better than They Should",
    version=1,
    finding="scoped",
    says="Random labels slow the training down only by a small constant factor.",
    statement=(
        "To learn random labels for 256 digit images a small net takes at least twice and at most ten times as many "
        "epochs of SGD as for the true ones, each at its best learning rate. The factor is no constant: it is at least "
        "half as large again as with 16 images."
    ),
    reason=(
        "True labels of more images say the same again and take few more epochs. Random labels have nothing in common, "
        "and the more there are, the longer they take. Names that classes pass round, as wrong as noise, cost far less."
    ),
    scope="a small net, 16 and 256 images of 8 x 8 pixels, batches of 16, epochs until no label is missed; float32",
    source=(
        "Zhang, Bengio, Hardt, Recht & Vinyals 2017 (arXiv 1611.03530), section 1.1 and figure 1b; Arpit et al. 2017, "
        "A closer look at memorization in deep networks (arXiv 1706.05394), section 3.3.2"
    ),
    evidence=Statistical(block=11),
)


def trial(
    seeds: Seeds,
    *,
    by_rule: bool = False,
    copies: int = 1,
    many: int = 256,
    few: int = 16,
    nets: tuple[int, int] = (2, 8),
    rates: tuple[float, ...] = (0.03, 0.01, 0.1),  # the first one spares the others epochs
    rates_of_few: tuple[float, ...] = (0.3, 0.1, 1.0),
    limit: int = 60,
    least: float = 2,
    most: float = 10,
    grows: float = 1.5,
) -> Rows:
    """A seed draws images, other labels than the true ones, the net, and the order of the batches.

    A win: many images take `least` to `most` times the epochs that they take with their true labels, and this factor is
    at least `grows` times that of few. The other labels are random or, `by_rule`, those of classes that pass their
    names round. With `copies` an image comes more than once.

    Premise: true labels are learned soon enough for the limit of epochs to tell what takes `most` times as long, and
    the two arms that make one factor larger than the other, the slow one of many images and the fast one of few, are
    no sooner there at an end of their rates than between.
    """
    images, labels = many * nets[0], "by rule" if by_rule else "random"
    (of_many, tuned), (of_few, tuned_few) = (
        epochs_at_best(seeds, labels, copies=copies, images=images, size=size, nets=count, rates=tried, limit=limit)
        for size, count, tried in ((many, nets[0], rates), (few, nets[1], rates_of_few))
    )
    factor, factor_of_few = (epochs[:, 1] / epochs[:, 0] for epochs in (of_many, of_few))
    return Rows(
        win=(factor >= least) & (factor <= most) & (factor >= grows * factor_of_few),
        premise=(of_many[:, 0] * most < limit) & tuned[:, 1] & tuned_few[:, 0],
        epochs=of_many, epochs_of_few=of_few, factor=factor, factor_of_few=factor_of_few,
    )  # fmt: skip


@remembered
def epochs_at_best(
    seeds: Seeds, others: Literal["random", "by rule"], *, copies: int, images: int, size: int, nets: int,
    rates: tuple[float, ...], limit: int, width: int = 64, batch: int = 16,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Epochs until no label is missed, true ones and `others`, at the best rate for either: `[S, 2]`.

    They are the mean of some nets with the same initial weights, each of which learns `size` images of its own. All
    arms of a seed train in one block. At each further rate a net has as long as the slowest one took before; one that
    does not get there counts as one that took more than the limit. Says, too, whether neither the smallest nor the
    largest rate is better than those between.
    """
    data = digits(seeds, n=images // copies, n_test=0)
    x, y = data.x.repeat(1, copies, 1), data.y.repeat(1, copies)
    told = torch.stack(
        [y, exchanged(seeds, y) if others == "by rule" else seeds.integers("labels", images, high=CLASSES)], dim=1
    )
    members = torch.arange(len(seeds), device=x.device).repeat_interleave(told.shape[1] * nets)
    inputs = x[:, None, : size * nets].expand(-1, told.shape[1], -1, -1).reshape(-1, size, x.shape[2])
    labels = told[:, :, : size * nets].reshape(-1, size)
    net = MLP((x.shape[2], width, CLASSES))
    start = [parameter[members] for parameter in net.init(seeds)]
    at, epochs = [], limit  # of each rate in turn
    for rate in rates:
        fit = train(
            seeds.take(members), net, start, inputs, labels,
            loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate, momentum=0.9),
            epochs=epochs, batch=batch, goal=interpolates,
        )  # fmt: skip
        took = torch.where(fit.met, fit.epochs, limit + 1).to(seeds.dtype)
        at.append(took.view(len(seeds), -1, nets).mean(dim=2))
        epochs = min(epochs, int(fit.epochs.max()))
    every = torch.stack(at, dim=2)
    best, ends = every.amin(dim=2), every[:, :, [rates.index(min(rates)), rates.index(max(rates))]]
    return best, (ends >= best[:, :, None]).all(dim=2)


def exchanged(seeds: Seeds, y: Tensor) -> Tensor:
    """The labels `[S, N]` when the classes pass their names round in an order that the seed draws."""
    order = seeds.permutation("classes", CLASSES)
    return torch.empty_like(order).scatter(1, order, order.roll(1, dims=1)).gather(1, y)


def shuffled_pixels(*, images: int = 64, epochs: int = 10, each_its_own: bool = False) -> Certificate:
    """Pixels in another order are learned as the usual ones are, from weights whose rows are in that order as well.

    Such weights are as likely as the others where an initialiser draws all weights of a layer alike, so that shuffling
    changes nothing in the law of an MLP's training. In float64 the two nets' losses after every epoch differ by
    rounding, which ten epochs do not amplify to a billionth. With `each_its_own` the order differs from image to image.
    """
    seeds = Seeds(CLAIM.id, CLAIM.version, "pixels", (0,), dtype=torch.float64)
    data = digits(seeds, n=images, n_test=0)
    pixels = data.x.shape[2]
    order = seeds.permutation("order", pixels)
    orders = torch.stack([seeds.permutation(f"order.{image}", pixels)[0] for image in range(images)])
    shuffled = data.x.gather(2, (orders if each_its_own else order.expand(images, -1))[None])
    net = MLP((pixels, 64, CLASSES))
    first, *others = net.init(seeds)
    losses = []
    for x, weights in ((data.x, [first, *others]), (shuffled, [first[:, order[0]], *others])):
        of_epochs = []
        for _ in range(epochs):
            weights = train(
                seeds, net, weights, x, data.y, loss=cross_entropy, optimizer=partial(parts().sgd, lr=0.1), epochs=1,
                batch=16,
            ).parameters  # fmt: skip
            of_epochs.append(float(cross_entropy(net(weights, x), data.y)))
        losses.append(of_epochs)
    largest = max(abs(a - b) for a, b in zip(*losses, strict=True))
    first_loss, *_, last_loss = losses[0]
    learned = last_loss <= first_loss / 2  # two nets that never move are equal, too
    return Certificate(
        learned and largest <= 1e-9, largest_difference=largest, first_loss=first_loss, last_loss=last_loss
    )


def test_claim(judge):
    """64-64-10 units, He's init, SGD with momentum .9 and batches of 16 until no training label is missed.

    The rates are .01, .03 and .1 for 256 digits, and .1, .3 and 1 for 16. Epochs are the mean of two nets on images of
    their own, and of eight. Random labels take 2 to 10 times those of true ones, and that factor is at least 1.5 times
    as large with 256 digits as with 16.
    """
    judge(trial).supports()


def test_control_labels_exchanged_by_a_rule(judge):
    """The ten classes pass their names round, so that every label is wrong, and nothing is slower."""
    judge(trial, by_rule=True).refutes()


def test_labels_by_a_rule_cost_little(judge):
    """Labels that are all wrong, as the ten classes pass their names round, take at most twice the epochs.

    Random ones take at least that.
    """
    judge(trial, by_rule=True, least=0.0, most=2.0, grows=0.0).supports()


def test_control_random_labels_cost_more(judge):
    judge(trial, least=0.0, most=2.0, grows=0.0).refutes()


def test_control_every_image_twice(judge):
    """Of 32 images there are two copies, which random labels call by two names: no net ever learns them.

    So few images need not take twice as long, and it is asked only that they take at most ten times as long.
    """
    judge(trial, copies=2, many=64, nets=(1, 4), rates=(0.1, 0.03, 0.3), least=0.0, grows=0.0).refutes()


@pytest.mark.exact
def test_a_fixed_order_of_the_pixels_costs_an_mlp_nothing(judge):
    """64 digits, 64-64-10 units, ten epochs: the same losses to 1e-9 from first weights with their rows in that order.

    What shuffling costs a net that knows of neighbours is one of H19's questions.
    """
    judge(shuffled_pixels).supports()


@pytest.mark.exact
def test_control_an_order_for_each_image(judge):
    judge(shuffled_pixels, each_its_own=True).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Random labels take a few times the epochs of true ones, and more images make the factor larger (a dot a seed)."""
    claim = measured["claim"]
    draw.columns(
        ax,
        {
            "16 images": {"random labels": claim["factor_of_few"]},
            "256 images": {"random labels": claim["factor"]},
            "256 images,\nclasses renamed\n(control)": {
                "by a rule (control)": measured["control_labels_exchanged_by_a_rule"]["factor"]
            },
        },
    )
    draw.level(ax, 1, "as fast as true labels")
    ax.set(ylabel="times the epochs of true labels", ylim=(0, None))
    draw.key(ax)
