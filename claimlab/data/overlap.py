"""Whether what a net is tested on is new to it."""

import torch
from torch import Tensor


def are_new(samples: Tensor, known: Tensor) -> Tensor:
    """Whether none of the samples `[S, M, d]` is among the known ones, `[S, N, d]`, of its seed: bool `[S]`.

    A claim about new samples takes it for granted, as a premise: with a leak of test samples into the training set it
    would hold all the same, and say nothing.
    """
    new = [
        len(torch.cat(both).unique(dim=0)) == sum(len(each.unique(dim=0)) for each in both)
        for both in zip(samples, known, strict=True)
    ]
    return torch.tensor(new, device=samples.device)
