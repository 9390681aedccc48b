"""Training a block of seeds as one net."""

from claimlab.train.loop import Fit, train
from claimlab.train.optimizers import SGD, Adam

__all__ = ["SGD", "Adam", "Fit", "train"]
