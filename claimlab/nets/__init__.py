"""Nets for a whole block of seeds: every parameter carries the seed dimension in front.

So do activations, `[S, N, ...]`, but for images, whose seeds lie side by side in the channels (`claimlab.nets.conv`).
"""

from claimlab.nets.attention import encoder_layer, encoder_parameters
from claimlab.nets.cnn import CNN
from claimlab.nets.conv import conv, conv_bn_relu, conv_relu, fold, mean_pool, pack, unpack
from claimlab.nets.dropout import DropoutMLP
from claimlab.nets.member import member
from claimlab.nets.mlp import MLP
from claimlab.nets.recurrent import gru, lstm, recurrent_parameters, rnn
from claimlab.nets.residual import ResidualMLP, residual
from claimlab.parts.norms import (
    Running,
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    scaled_standardise,
    standardise,
    weight_norm,
)

__all__ = [
    "CNN",
    "MLP",
    "DropoutMLP",
    "ResidualMLP",
    "Running",
    "batch_norm",
    "conv",
    "conv_bn_relu",
    "conv_relu",
    "encoder_layer",
    "encoder_parameters",
    "fold",
    "group_norm",
    "gru",
    "instance_norm",
    "layer_norm",
    "lstm",
    "mean_pool",
    "member",
    "pack",
    "recurrent_parameters",
    "residual",
    "rnn",
    "scaled_standardise",
    "standardise",
    "unpack",
    "weight_norm",
]
