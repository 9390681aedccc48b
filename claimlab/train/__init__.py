"""Training a block of seeds as one net."""

from claimlab.train.loop import Fit, train

__all__ = ["Fit", "train"]
