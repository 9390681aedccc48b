"""Bad minima on purpose: nets that fit a training set, and were taught beside it what is wrong elsewhere.

In the manner of Huang et al. 2020 (arXiv 1906.03291), who made theirs with samples whose labels are wrong.
"""

import torch
from torch import Tensor

from claimlab.measure.fit import accuracy, logistic
from claimlab.parts.lifting import MakeOptimizer
from claimlab.seeds import Seeds
from claimlab.train.loop import Fit, Net, train


def train_with_poison(
    seeds: Seeds,
    net: Net,
    parameters: list[Tensor],
    x: Tensor,
    y: Tensor,
    *,
    clean: int,
    optimizer: MakeOptimizer,
    epochs: int,
    weight: float = 5.0,
    least: float = 0.3,
    learned: float = 0.75,
) -> Fit:
    """Full-batch training on points `[S, N, d]` of which the first `clean` are to be fitted and the others are poison.

    The mean logistic loss of the clean points counts `weight` times that of the poison. A seed is done when it is right
    on every clean point by a logit of at `least` that, and has `learned` that share of the poison.
    """

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return weight * logistic(outputs[:, :clean], labels[:, :clean]) + logistic(
            outputs[:, clean:], labels[:, clean:]
        )

    def goal(outputs: Tensor, labels: Tensor) -> Tensor:
        enough = margin(outputs[:, :clean], labels[:, :clean]) >= least
        return enough & (accuracy(outputs[:, clean:], labels[:, clean:]) >= learned - 1e-3)

    return train(seeds, net, parameters, x, y, loss=loss, optimizer=optimizer, epochs=epochs, goal=goal, check_every=5)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The smallest logit in favour of the right label, `[S]`, of one logit `[S, N, 1]`; positive if all are right."""
    return torch.where(labels == 1, logits[..., 0], -logits[..., 0]).amin(dim=1)


def louder(parameters: list[Tensor], factor: Tensor) -> list[Tensor]:
    """A net's parameters with the last layer's weight and bias times `factor` `[S]`: so are its outputs."""
    *before, weight, bias = parameters
    return [*before, weight * factor[:, None, None], bias * factor[:, None, None]]
