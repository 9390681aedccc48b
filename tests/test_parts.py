"""The registry of the layers under test."""

import pytest
import torch
from torch import nn

from claimlab.parts.modules import PARTS, part


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("batch_norm_1d", (3,), nn.BatchNorm1d),
        ("layer_norm", (3,), nn.LayerNorm),
        ("group_norm", (2, 4), nn.GroupNorm),
        ("gru", (2, 3), nn.GRU),
    ],
)
def test_a_part_is_torchs_own(name, arguments, kind):
    assert type(part(name, *arguments)) is kind


def test_options_reach_the_layer():
    assert part("batch_norm_1d", 3, eps=0.0).eps == 0


def test_weight_norm_wraps_a_module():
    layer = part("weight_norm", nn.Linear(3, 2))
    assert layer(torch.ones(1, 3)).shape == (1, 2)


def test_an_unknown_part_is_one_sentence():
    with pytest.raises(ValueError, match="unknown part 'batchnorm': choose one of batch_norm_1d"):
        part("batchnorm")


def test_the_registry_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        PARTS["layer_norm"] = nn.Identity  # ty: ignore[invalid-assignment]
