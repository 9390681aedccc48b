"""What can be swapped: the norms, activations, initialisers and optimizers that claims are about.

A part has the face that torch gives it. A layer is a factory of ordinary modules (`nn.BatchNorm1d`, `nn.ReLU`), an
optimizer is made as `torch.optim.SGD` is, and an initialiser fills a tensor as `torch.nn.init` does. Nets and the
training loop compute a block of seeds with them: torch's own by operators for whole blocks, all others by lifting.

A claim takes the part that it is about from `parts()`, and from nowhere else: `parts().layer_norm(64, eps=0.1)` is a
layer, `MLP(widths, norm=parts().batch_norm_1d)` a net with the norm, `partial(parts().sgd, lr=0.1)` an optimizer for
`train`. Within `with swapped(batch_norm_1d=MyNorm):` another one stands in its place.
"""

from claimlab.parts.chosen import Parts, found, in_force, parts, remembered, swapped
from claimlab.parts.initialisers import Initialise, Initialiser, Normal, Uniform, initialiser
from claimlab.parts.layers import Activation, Layer, Norm
from claimlab.parts.lifting import RandomLayer, SeedBySeed, lift, lift_optimizer, lift_weights

__all__ = [
    "Activation",
    "Initialise",
    "Initialiser",
    "Layer",
    "Norm",
    "Normal",
    "Parts",
    "RandomLayer",
    "SeedBySeed",
    "Uniform",
    "found",
    "in_force",
    "initialiser",
    "lift",
    "lift_optimizer",
    "lift_weights",
    "parts",
    "remembered",
    "swapped",
]
