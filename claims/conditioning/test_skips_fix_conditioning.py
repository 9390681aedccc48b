"""Skip connections keep a deep net well conditioned, if their branches are small.

Slide: Fixing Conditioning Issues. A residual layer x + F(x) has the Jacobian I + J: the identity keeps a direction
unless the branch takes it away. What is exact about that is the first test: where J makes no direction longer than c,
less than 1, I + J makes none shorter than 1 - c. Branches scaled by one over their number take little away together.

If branches are not small the bound says nothing, and nothing may be what is left: a branch that is -x takes all. Random
ones do not cancel their input, they drown it. With He's weights a branch is on average as large as what it is added to,
so that the squares on average at least double with every layer: that is the last test.

Two things are looked at in nets of thirty layers at the start of training. In how many of sixteen directions the output
moves with the input: those whose singular value is more than a hundredth of the largest. And how much smaller the
gradient of the first hidden weights is than the last's, with the weights and biases torch gives its layers, where it is
lost in plain nets (E1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.measure.draws import Draws
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP, ResidualMLP, residual
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/skip-connections-keep-gradients",
    covers=("E8",),
    slide="Fixing Conditioning Issues",
    version=1,
    finding="scoped",
    says="Residual connections fix the bad conditioning of deep nets.",
    statement="With skip connections and small branches, a net of thirty layers keeps its gradient and most directions "
    "of its input, where a plain net loses both. With branches as large as their input its activations explode, and "
    "few directions are left.",
    reason="A layer that adds a branch which makes nothing longer than c < 1 makes nothing shorter than 1 − c. Nothing "
    "of the kind holds for large branches: with He's weights the squares of the activations at least double with a "
    "layer, on average over layers, unless the branch is scaled down.",
    scope="at the start of training; fully connected ReLU nets, branches of one layer scaled by one over their number",
    source="He, Zhang, Ren & Sun 2016, Identity mappings in deep residual networks (arXiv 1603.05027); Hanin & Rolnick "
    "2018, How to start training (arXiv 1803.01719), for the scale",
    evidence=Property(examples=50),
)

HIDDEN, WIDTH = 30, 16


@dataclass(frozen=True)
class Branch:
    """relu(x W + b) at a point: weights `[n, n]`, bias and x `[n]`."""

    weight: Tensor
    bias: Tensor
    x: Tensor


def keeps_half(branch: Branch, *, stretch: float = 0.5) -> Certificate:
    """Whether no direction is shrunk to less than half by x + F(x), at a point, if F makes none longer than `stretch`.

    The weights are scaled so; a ReLU makes nothing longer.
    """
    weight = branch.weight * (stretch / torch.linalg.matrix_norm(branch.weight, ord=2))
    jacobian = torch.autograd.functional.jacobian(
        lambda x: residual(lambda x: torch.relu(x @ weight + branch.bias), x), branch.x
    )
    least = torch.linalg.svdvals(jacobian)[-1].item()
    return Certificate(least >= 0.5 - 1e-9, least_singular_value=least)  # 1e-9: room for rounding in float64


def branches() -> st.SearchStrategy[Branch]:
    def branch(seed: int, size: int) -> Branch:
        draws = Draws(seed)
        return Branch(draws.normal("weight", size, size), draws.normal("bias", size), draws.normal("x", size))

    return st.builds(branch, st.integers(0, 2**32 - 1), st.integers(1, 6))


def directions(seeds: Seeds, *, skips: bool = True, scale: float | None = None, few: bool = False) -> Rows:
    """He's weights in thirty layers. A win: more than half of the directions at the input, at a random point, are kept.

    If `few`, a win is that no more than a quarter of them are.
    """
    widths = (WIDTH,) * (HIDDEN + 2)
    net = ResidualMLP(widths, scale=scale) if skips else MLP(widths)
    x = seeds.normal("x", 1, WIDTH).requires_grad_()
    outputs = net(net.init(seeds), x)[:, 0]
    rows = [torch.autograd.grad(output.sum(), x, retain_graph=True)[0] for output in outputs.unbind(dim=1)]
    singular = torch.linalg.svdvals(torch.cat(rows, dim=1))
    kept = (singular > singular[:, :1] / 100).sum(dim=1)
    win = 4 * kept <= WIDTH if few else 2 * kept > WIDTH
    return Rows(win=win, kept=kept, singular=singular / singular[:, :1])


def gradients(seeds: Seeds, *, skips: bool = True) -> Rows:
    """torch's weights and biases. A win: the first hidden weights' gradient is at least a hundredth of the last's.

    They are the second layer's of both nets, for the first layer of the residual net is no residual one.
    """
    widths = (WIDTH, *[WIDTH] * HIDDEN, 10)
    net = (ResidualMLP if skips else MLP)(widths)
    parameters = [parameter.requires_grad_() for parameter in net.init(seeds, parts().torch_init)]
    x, y = seeds.normal("x", 64, WIDTH), seeds.integers("y", 64, high=10)
    weights = [weight for weight, _ in net.layers(parameters)][1:-1]
    by_layer = torch.autograd.grad(cross_entropy(net(parameters, x), y).sum(), weights)
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in by_layer], dim=1)
    return Rows(win=100 * norms[:, 0] >= norms[:, -1], premise=norms[:, -1] > 0, norms=norms)


def explodes(seeds: Seeds, *, scale: float = 1.0) -> Rows:
    """He's weights. A win: every layer has doubled the mean square on average, against a net whose branches are off."""
    widths = (WIDTH,) * (HIDDEN + 2)
    net, off = ResidualMLP(widths, scale=scale), ResidualMLP(widths, scale=0.0)
    x, parameters = seeds.normal("x", 64, WIDTH), net.init(seeds)
    growth = net(parameters, x).square().mean(dim=(1, 2)) / off(parameters, x).square().mean(dim=(1, 2))
    doublings = growth.log2() / (HIDDEN - 1)
    return Rows(win=doublings >= 1, doublings=doublings)


def test_claim(judge):
    """Branches of up to six units whose weights make nothing longer than half shrink nothing to less than half."""
    judge(keeps_half, given=branches()).supports()


@pytest.mark.statistical(dtype="float64", block=11)
def test_directions_are_kept(judge):
    """Sixteen units a layer, He's weights, zero biases, branches scaled by 1/29: at least nine directions are kept."""
    judge(directions).supports()


@pytest.mark.statistical(block=11)
def test_plain_layers_leave_few_directions(judge):
    """Without skip connections no more than four of sixteen directions are kept."""
    judge(directions, skips=False, few=True).supports()


@pytest.mark.statistical(block=11)
def test_large_branches_leave_few_directions(judge):
    """With He's weights and branches not scaled, no more than four of sixteen directions are kept."""
    judge(directions, scale=1.0, few=True).supports()


@pytest.mark.statistical(block=11)
def test_the_gradient_is_kept(judge):
    """Sixteen units a layer, torch's weights and biases, branches scaled by 1/29, 64 random points and labels."""
    judge(gradients).supports()


@pytest.mark.statistical(block=11)
def test_large_branches_explode(judge):
    """He's weights, branches not scaled: the mean square at least doubles with every layer."""
    judge(explodes).supports()


def test_control_a_branch_that_takes_all(judge):
    """The branch −x, which makes nothing longer than 1, takes every direction away."""
    unit = torch.eye(2, dtype=torch.float64)
    cancels = Branch(-unit, bias=unit.sum(dim=0), x=torch.zeros(2, dtype=torch.float64))
    judge(keeps_half, given=branches(), example=cancels, stretch=1.0).refutes()


@pytest.mark.statistical(dtype="float64", block=11)
@pytest.mark.parametrize("world", [{"skips": False}, {"scale": 1.0}], ids=["plain", "large_branches"])
def test_control_directions(judge, world):
    judge(directions, **world).refutes()


@pytest.mark.statistical(block=11)
def test_control_small_branches_do_not_leave_few(judge):
    judge(directions, few=True).refutes()


@pytest.mark.statistical(block=11)
def test_control_gradient_of_a_plain_net(judge):
    judge(gradients, skips=False).refutes()


@pytest.mark.statistical(block=11)
def test_control_scaled_branches_do_not_explode(judge):
    """Branches scaled by one over their number."""
    judge(explodes, scale=1 / (HIDDEN - 1)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Small branches keep nearly all directions of the input; plain layers and large branches, one or two."""
    arms = {
        "skip connections, small branches": "directions_are_kept",
        "plain (control)": "control_directions[plain]",
        "skip connections, large branches (control)": "control_directions[large_branches]",
    }
    ax.set(yscale="log", ylim=(1e-5, 1.6), xlabel="direction", ylabel="how much of it is left")
    for label, test in arms.items():
        draw.runs(ax, range(1, WIDTH + 1), measured[test]["singular"].clip(1e-9), label)
    draw.level(ax, 0.01, "kept: above a hundredth")
    draw.numbers(ax.xaxis, (1, 4, 8, 12, 16))
    draw.key(ax)
