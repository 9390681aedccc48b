"""Nets for a whole block of seeds: every parameter and activation carries the seed dimension in front."""

from claimlab.nets.mlp import MLP

__all__ = ["MLP"]
