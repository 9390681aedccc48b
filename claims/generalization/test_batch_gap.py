"""A large batch generalises worse than a small one in as many passes, and as well in as many updates.

Slide: Small Batch vs Large Batch, a figure of Keskar et al., who find that large batches generalise worse although they
fit the training set as well, and put it down to sharp minima. Hoffer et al. put it down to too few updates, and close
the gap with more of them; Shallue et al., who tune every batch size, find no evidence that large batches do harm.

The recipe that Keskar et al. released leaves both open. Batches of 256 and of 5000 get twenty passes each, at Adam's
default rate, so the large ones make a twentieth of the updates. (Its batch norm normalises by the batch in evaluation
as well, so not even there is the net a function of the image alone.) Here the batches differ by a factor of twenty too,
passes and updates are told apart, there is no norm, all nets fit their training set, and each gets the best of its
learning rates, seed by seed. The smallest difference of interest is one point, an eighth of what the small batch gets
wrong. What a gap has to do with sharpness is another claim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
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
    id="generalization/small-batch-vs-large-batch",
    covers=("H20",),
    slide="Small Batch vs Large Batch",
    version=1,
    finding="contested",
    says="Nets trained with small batches generalise better than nets trained with large ones.",
    statement=(
        "A net that sees 200 digits ten times fits them, in batches of 10 or in a single batch; but the single "
        "batch, which makes 10 updates and not 200, gets at least a point fewer of the other digits right. Given 200 "
        "updates too, it is not a point behind. Given 10 updates each, the batches of 10 are. None is behind for "
        "want of a better rate."
    ),
    reason=(
        "In equally many passes the gap is there, in equally many updates it is gone. Keskar et al. compare in equally "
        "many passes, so that their gap is confounded with updates: 20 passes in batches of 256 and of 5000, in the "
        "code that they released."
    ),
    scope=(
        "one hidden layer, few images, no norm and no decay, SGD with momentum; the large batch is all images there "
        "are; float32. Who pays by the pass has the gap for real; with more passes it shrinks. Nothing here speaks for "
        "millions of images."
    ),
    source=(
        "Keskar et al. 2017 (arXiv 1609.04836), with its code (keskarnitish/large-batch-training); against it Hoffer, "
        "Hubara & Soudry 2017 (arXiv 1705.08741) and Shallue et al. 2019 (JMLR 20)"
    ),
    evidence=Statistical(block=11),
)

MARGIN = 0.01
"""The smallest difference of two test accuracies that is of interest; the docstring above says why."""

FITTED = 0.95
"""The share of its training set that a net gets right which has fitted it."""


@dataclass(frozen=True)
class World:
    """The net and the images; a seed is the mean of so many `nets`, each with images and a start of its own."""

    images: int = 200
    test_images: int = 1597
    width: int = 32
    nets: int = 3


@dataclass(frozen=True)
class Recipe:
    """How many images a batch has, how many updates there are, and the learning rates from which to take the best."""

    batch: int
    updates: int
    rates: tuple[float, ...]


SMALL = Recipe(batch=10, updates=200, rates=(0.006, 0.025, 0.1))
LARGE_WITH_AS_MANY_PASSES = Recipe(batch=200, updates=10, rates=(0.05, 0.3, 0.5, 0.8, 2.0))
LARGE_WITH_AS_MANY_UPDATES = Recipe(batch=200, updates=200, rates=(0.05,))
SMALL_WITH_FEW_UPDATES = Recipe(batch=10, updates=10, rates=(0.01, 0.06, 0.15, 0.7))


@remembered
def accuracies(seeds: Seeds, recipe: Recipe, world: World) -> Tensor:
    """The accuracy on new and on training images at every rate, `[2, S, rates]`: the mean of a seed's nets.

    All rates train at once. Updates for less than a pass are one pass over the first images, which are random ones.
    """
    nets, rates = world.nets, len(recipe.rates)
    members = replace(seeds, indices=tuple(nets * seed + net for seed in seeds.indices for net in range(nets)))

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(rates, dim=0)

    data = digits(members, n=world.images, n_test=world.test_images)
    net = MLP((data.x.shape[2], world.width, CLASSES))
    weights = torch.tensor(recipe.rates, dtype=seeds.dtype, device=seeds.device).repeat(len(members))
    seen = min(recipe.updates * recipe.batch, world.images)
    parameters = train(
        members.take(repeated(torch.arange(len(members)))), net, [repeated(start) for start in net.init(members)],
        repeated(data.x[:, :seen]), repeated(data.y[:, :seen]),
        loss=lambda logits, labels: weights * cross_entropy(logits, labels),
        optimizer=partial(parts().sgd, lr=1.0, momentum=0.9), epochs=recipe.updates * recipe.batch // seen,
        batch=None if recipe.batch == seen else recipe.batch,
    ).parameters  # fmt: skip
    of = ((data.x_test, data.y_test), (data.x, data.y))
    at = [[part[rate::rates] for part in parameters] for rate in range(rates)]
    right = torch.stack([torch.stack([accuracy(net(own, x), y) for own in at], dim=1) for x, y in of])
    return right.unflatten(1, (len(seeds), nets)).mean(dim=2)


@dataclass(frozen=True)
class Arm:
    """A recipe at its best rate: accuracy on new images and on those of training, and whether it is tuned, `[S]` each.

    It is if neither the smallest nor the largest rate gains a tenth of the margin on those between. One rate alone is
    no tuning, and is for an arm that has to keep up all the same.
    """

    new: Tensor
    of_training: Tensor
    tuned: Tensor


def arm(seeds: Seeds, recipe: Recipe, world: World) -> Arm:
    """What comes of a recipe."""
    new, of_training = accuracies(seeds, recipe, world)
    best, at = new.max(dim=1, keepdim=True)
    between = new[:, 1:-1] if len(recipe.rates) > 2 else new
    return Arm(best[:, 0], of_training.gather(1, at)[:, 0], best[:, 0] - between.amax(dim=1) < MARGIN / 10)


def behind(
    seeds: Seeds,
    *,
    recipe: Recipe = LARGE_WITH_AS_MANY_PASSES,
    other: Recipe = SMALL,
    fits: float = FITTED,
    world: World = World(),
) -> Rows:
    """Whether a recipe gets fewer new images right than the other, by the margin.

    Premise: it is tuned, and both have fitted their images; or what the one behind has got right of them is `fits`.
    """
    net, ahead = arm(seeds, recipe, world), arm(seeds, other, world)
    return Rows(
        win=ahead.new - net.new >= MARGIN,
        premise=net.tuned & (net.of_training >= fits) & (ahead.of_training >= FITTED),
        accuracy=net.new, other=ahead.new, gap=ahead.new - net.new,
        training_accuracy=net.of_training, other_training_accuracy=ahead.of_training,
    )  # fmt: skip


def keeps_up(
    seeds: Seeds, *, recipe: Recipe = LARGE_WITH_AS_MANY_UPDATES, other: Recipe = SMALL, world: World = World()
) -> Rows:
    """Whether a recipe is not behind the other by the margin. Premise: the other is tuned, and both have fitted."""
    net, ahead = arm(seeds, recipe, world), arm(seeds, other, world)
    return Rows(
        win=ahead.new - net.new < MARGIN,
        premise=ahead.tuned & (net.of_training >= FITTED) & (ahead.of_training >= FITTED),
        accuracy=net.new, other=ahead.new, gap=ahead.new - net.new,
        training_accuracy=net.of_training, other_training_accuracy=ahead.of_training,
    )  # fmt: skip


def test_claim(judge):
    """For the deck: in ten passes over 200 digits a single batch gets a point fewer of the 1597 others right.

    64-32-10 units, He's init, SGD with momentum .9, the mean of three nets a seed. Batches of 10 have the best of the
    rates .006, .025 and .1, the single batch that of .05, .3, .5, .8 and 2; both fit 95 % of their training set.
    """
    judge(behind).supports()


def test_equally_many_updates(judge):
    """Against the deck: with 200 updates too, at rate .05 alone, the single batch is less than a point behind."""
    judge(keeps_up).supports()


def test_equally_few_updates(judge):
    """Against the deck: given 10 updates, it is batches of 10 that get a point fewer right than the single batch.

    So few batches hold half of the 200 images, once each. At the best of the rates .01, .06, .15 and .7, they get more
    than 20 % of the training set right.
    """
    judge(behind, recipe=SMALL_WITH_FEW_UPDATES, other=LARGE_WITH_AS_MANY_PASSES, fits=2 / CLASSES).supports()


def test_control_equally_many_updates(judge):
    """It is no property of the batch: with more updates the same batch is not behind."""
    judge(behind, recipe=LARGE_WITH_AS_MANY_UPDATES).refutes()


def test_control_equally_many_passes(judge):
    """It is the updates that let it keep up: with the passes alone it does not."""
    judge(keeps_up, recipe=LARGE_WITH_AS_MANY_PASSES).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """In as many passes the single batch falls behind, and in as many updates it does not. A line is a seed."""
    budgets = {
        "10 passes each\n(200 and 10 updates)": "claim",
        "200 updates each\n(10 and 200 passes)": "equally_many_updates",
    }
    for place, test in enumerate(budgets.values()):
        small, large = 100 * measured[test]["other"], 100 * measured[test]["accuracy"]
        draw.runs(ax, (place - 0.2, place + 0.2), np.stack([small, large], axis=1), style="0.6-")
        draw.dots(ax, place - 0.2, small, "batches of 10", width=0)
        draw.dots(ax, place + 0.2, large, "a single batch of 200", style="C1s", width=0)
    draw.names(ax.xaxis, budgets)
    ax.set(xlim=(-0.5, 1.5), ylabel="new digits that are right (%)")
    draw.key(ax)
