"""Nets fitted to two moons of which some labels are wrong: how much they overfit, and what is said to foretell it.

The deck's experiment on Lipschitz constants, with fresh data for every seed. Points are drawn, the order in which
labels are turned wrong, and initial weights. Each set of labels is of the same points, and the wrong ones of a set are
among those of the next; the same initial weights are fitted to all. A seed makes a few such draws, as one alone leaves
much to chance.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from claimlab.data.moons import two_moons
from claimlab.measure.fit import accuracy, interpolates, logistic
from claimlab.measure.lipschitz import lipschitz_on_the_plane, spectral_product
from claimlab.nets import MLP
from claimlab.parts import parts, remembered
from claimlab.seeds import Seeds
from claimlab.train import train
from claimlab.train.lbfgs import lbfgs

Method = Literal["sgd", "adam", "lbfgs"]


@dataclass(frozen=True)
class Fits:
    """Nets, one a row for each seed, draw and set of labels, and what each was trained and tested on.

    What is said of each net is `[S, draws, sets]`.
    """

    net: MLP
    parameters: list[Tensor]
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    shape: tuple[int, int, int]

    def of_each(self, values: Tensor) -> Tensor:
        """What has one row a net, in its shape."""
        return values.reshape(self.shape)

    @cached_property
    def logits(self) -> Tensor:
        """Of the training points, `[nets, N, 1]`."""
        return self.net(self.parameters, self.x)

    @property
    def fitted(self) -> Tensor:
        """Whether nine training labels in ten are right, or more: of such nets the deck's figures are."""
        return self.train_accuracy >= 0.9

    @cached_property
    def train_accuracy(self) -> Tensor:
        return self.of_each(accuracy(self.logits, self.y))

    @cached_property
    def excess(self) -> Tensor:
        """Accuracy on the labels that were told, wrong ones included, less that on the true labels of new points."""
        right = accuracy(self.net(self.parameters, self.x_test), self.y_test)
        return self.train_accuracy - self.of_each(right)

    @cached_property
    def product(self) -> Tensor:
        """Of the spectral norms of the weights, which the deck calls the Lipschitz constant and is an upper bound."""
        return self.of_each(spectral_product(weight for weight, *_ in self.net.layers(self.parameters)))

    @cached_property
    def lipschitz(self) -> Tensor:
        """The Lipschitz constant itself, of nets with one hidden layer."""
        (weight, bias), (readout, _) = self.net.layers(self.parameters)
        return self.of_each(lipschitz_on_the_plane(weight, bias, readout))

    @cached_property
    def margin(self) -> Tensor:
        """The mean distance of a training point's logit from zero, on whichever side."""
        return self.of_each(self.logits.abs().mean(dim=(1, 2)))


@remembered
def fit_moons(
    seeds: Seeds,
    *,
    wrong: tuple[int, ...],
    hidden: tuple[int, ...] = (32,),
    activation: str = "relu",
    method: Method = "adam",
    rate: float = 0.05,
    target: float = 0.1,
    epochs: int = 400,
    draws: int = 6,
    points: int = 30,
    fresh: int = 1000,
) -> Fits:
    """Nets from Glorot's weights, trained full batch until all labels are fitted and the logistic loss is below the
    target, in nats, or the epochs are over. SGD has momentum .9, and L-BFGS no rate. `wrong` says of each set of labels
    how many are.
    """
    indices = tuple(draws * index + draw for index in seeds.indices for draw in range(draws))
    worlds, shape = replace(seeds, indices=indices), (len(seeds), draws, len(wrong))
    world, order = two_moons(worlds, n=points, n_test=fresh), worlds.permutation("wrong", points)
    labels = [world.y.scatter(1, order[:, :count], 1 - world.y.gather(1, order[:, :count])) for count in wrong]

    def for_each(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(len(wrong), dim=0)

    x, y = for_each(world.x), torch.stack(labels, dim=1).flatten(0, 1)
    net = MLP((2, *hidden, 1), activation=parts().named(activation))
    start = [for_each(part) for part in net.init(worlds, parts().glorot_init)]

    def arrived(logits: Tensor, labels: Tensor) -> Tensor:
        return interpolates(logits, labels) & (logistic(logits, labels) < target)

    if method == "lbfgs":
        fit = lbfgs(net, start, x, y, loss=logistic, epochs=epochs, goal=arrived)
    else:
        optimizer = partial(parts().sgd, lr=rate, momentum=0.9) if method == "sgd" else partial(parts().adam, lr=rate)
        members = worlds.take(for_each(torch.arange(len(worlds))))
        fit = train(
            members, net, start, x, y, loss=logistic, optimizer=optimizer, epochs=epochs, goal=arrived, check_every=5
        )
    return Fits(net, fit.parameters, x, y, for_each(world.x_test), for_each(world.y_test), shape)


def concordance(foretold: Tensor, seen: Tensor, pairs: Tensor) -> Tensor:
    """Of those pairs, bool `[S, n, n]`, the share that two measures `[S, n]` put in the same order.

    Ties and NaN are a half. It is one half where the one says nothing of the other, and where there is no pair.
    """
    signs = [(values[:, :, None] - values[:, None, :]).double().sign().nan_to_num() for values in (foretold, seen)]
    agree = (signs[0] * signs[1] * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)
    return (1 + agree) / 2


def pairs_of(sets: Tensor, counted: Tensor, *, within: bool) -> Tensor:
    """The pairs of counted things, bool `[S, n, n]`, that are of the same set or, unless `within`, of different ones.

    `sets` `[n]` says of which set each of the n things is, and `counted` `[S, n]` which of them count.
    """
    same = sets[:, None] == sets
    off_diagonal = ~torch.eye(len(sets), dtype=torch.bool, device=sets.device)
    return (same if within else ~same) & off_diagonal & counted[:, :, None] & counted[:, None, :]
