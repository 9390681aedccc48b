"""How well outputs fit targets, seed by seed: everything here maps `[S, N, ...]` to `[S]`."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean softmax cross-entropy in nats, `[S]`, of logits `[S, N, k]` against labels int64 `[S, N]`."""
    samples = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")  # the classes stay innermost
    return samples.unflatten(0, labels.shape).mean(dim=1)


def logistic(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean logistic loss in nats, `[S]`, of one logit `[S, N, 1]` against labels 0 and 1, int64 `[S, N]`."""
    return F.binary_cross_entropy_with_logits(logits[..., 0], labels.to(logits.dtype), reduction="none").mean(dim=1)


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error, `[S]`, of outputs `[S, N, 1]` against targets `[S, N]`."""
    return (outputs[..., 0] - targets).square().mean(dim=1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Top-1 accuracy, `[S]`, of logits `[S, N, k]`, or of one logit `[S, N, 1]` that is positive for label 1."""
    predicted = (logits[..., 0] > 0).long() if logits.shape[-1] == 1 else logits.argmax(dim=-1)
    return (predicted == labels).to(logits.dtype).mean(dim=1)


def interpolates(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether every one of N labels is predicted, bool `[S]`."""
    return accuracy(logits, labels) == 1
