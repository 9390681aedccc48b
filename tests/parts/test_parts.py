"""The parts in force, and putting others in their place."""

from functools import partial

import pytest
import torch
from torch import nn

from claimlab.nets import MLP
from claimlab.parts import found, in_force, parts, remembered, swapped
from claimlab.train import SGD


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("batch_norm_1d", (3,), nn.BatchNorm1d),
        ("layer_norm", (3,), nn.LayerNorm),
        ("group_norm", (2, 4), nn.GroupNorm),
        ("gru", (2, 3), nn.GRU),
        ("relu", (), nn.ReLU),
    ],
)
def test_a_part_is_torchs_own(name, arguments, kind):
    assert type(parts().named(name)(*arguments)) is kind


def test_options_reach_the_layer():
    assert parts().batch_norm_1d(3, eps=0.0).eps == 0


def test_weight_norm_wraps_a_module():
    layer = parts().weight_norm(nn.Linear(3, 2))
    assert layer(torch.ones(1, 3)).shape == (1, 2)


def test_an_unknown_part_is_one_sentence():
    with pytest.raises(ValueError, match="unknown part 'batchnorm': choose one of batch_norm_1d"):
        parts().named("batchnorm")
    with pytest.raises(ValueError, match="unknown part 'named'"), swapped(named=nn.Identity):
        pass


def test_another_part_is_in_force_for_a_while_and_only_there():
    with swapped(layer_norm=nn.Identity):
        with swapped(sgd=torch.optim.SGD):
            assert (parts().layer_norm, parts().sgd) == (nn.Identity, torch.optim.SGD)
        assert (parts().layer_norm, parts().sgd) == (nn.Identity, SGD)
        with pytest.raises(RuntimeError), swapped(layer_norm=nn.ReLU):
            raise RuntimeError
        assert parts().layer_norm is nn.Identity
    assert parts().layer_norm is nn.LayerNorm


def test_a_net_is_made_of_the_parts_in_force():
    with swapped(relu=nn.Tanh):
        inside = MLP((1, 2, 1))
    assert inside.activation is nn.Tanh
    assert MLP((1, 2, 1)).activation is nn.ReLU


def test_what_is_remembered_is_computed_anew_with_other_parts():
    calls = []

    @remembered
    def count(of: int) -> int:
        calls.append(of)
        return len(calls)

    assert [count(1), count(1), count(2)] == [1, 1, 2]
    with swapped(relu=nn.Tanh):
        assert [count(1), count(1)] == [3, 3]
    assert count(1) == 1


def test_what_is_swapped_can_be_told_and_found_again():
    assert in_force() == {}
    with swapped(layer_norm=nn.Identity, sgd=partial(torch.optim.SGD, lr=1.0)):
        told = in_force()
        assert told == {"layer_norm": "torch.nn.modules.linear:Identity", "sgd": "torch.optim.sgd:SGD"}
    assert found(told["layer_norm"]) is nn.Identity
    for nonsense in ("torch.nn", "torch.nn:Nothing", "no.such.module:It", ":It"):
        with pytest.raises(ValueError, match="is no part: write module:object"):
            found(nonsense)
