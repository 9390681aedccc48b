"""Training a block of seeds as one net."""

from claimlab.train.loop import Fit, NoisyNet, train
from claimlab.train.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from claimlab.train.shampoo import Shampoo

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Fit", "NoisyNet", "RMSprop", "Shampoo", "train"]
