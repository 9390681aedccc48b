"""Forty layers train with skip connections and batch norm together, and with neither nor with one of them alone.

Slide: Practical Takeaways, which advises both. That skip connections repair conditioning (E8) and let depth be used
(E9), that batch norm alone leaves deep plain nets behind (D9) and makes training care less about the scale of the
initial weights (F3), stand elsewhere. What is asked here is the whole table: skips or none, norm or none, two layers
or forty.

A branch that is added without a factor doubles what it is added to, more or less, so that a signal grows like a power
of the depth. Batch norm in the branch makes every branch as large as the first, so that the k-th adds but a k-th: the
sum grows like the depth, and each branch is small beside what it is added to (De & Smith 2020). A constant factor of
one over the number of branches does that too. Without skips batch norm does harm in depth: gradients grow from layer
to layer towards the input (Yang et al. 2019).

Every cell of the table has the best of its rates. For a cell that fails they must span what can be tried: at the
smallest the net has hardly moved, and the largest is no better than those between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import log
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.fit import cross_entropy
from claimlab.nets import MLP
from claimlab.nets.dense import affine
from claimlab.parts import Layer, lift, parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/skips-and-norms-together",
    covers=("P2",),
    slide="Practical Takeaways",
    version=2,
    finding="holds",
    says="Skip connections and normalisation make deep nets easier to optimise.",
    statement="Forty layers with skip connections and batch norm in the branches learn 32 digits within 40 steps. With "
    "skip connections alone they start from a loss that explodes, with batch norm alone or with neither they hardly "
    "learn, at any of six rates. Branches scaled by one over their number need no norm, and two layers need nothing.",
    reason="In a branch that is added, batch norm keeps the signal from growing like a power of the depth; without "
    "skip connections it makes the gradient do that. The conditioning that skips repair is tested in E8 and E9, depth "
    "with batch norm alone in D9, scales of the initial weights in F3.",
    scope="training loss after 40 full-batch steps of SGD with momentum, not at the end of training; fully connected "
    "nets of 16 units a layer, He's initialisation, 32 images, float32",
    source="De & Smith 2020 (arXiv 2002.10444) on batch norm in residual branches; Yang et al. 2019 (arXiv "
    "1902.08129) on gradients that explode with batch norm",
    evidence=Statistical(block=11),
)

FEW, MANY = 2, 40

# A quarter of what knowing nothing costs, which is log 10 nats (as in D9).
LEARNED = log(CLASSES) / 4


@dataclass(frozen=True)
class Net:
    """A linear layer, then `hidden` layers relu(norm(x W)) or x + scale relu(norm(x W)), and a linear layer."""

    hidden: int
    skips: bool
    norm: bool
    scale: float = 1.0
    width: int = 16

    def init(self, seeds: Seeds) -> list[Tensor]:
        """He's initialisation and zero biases; a layer with a norm has the norm's parameters for its bias."""
        return self._plain.init(seeds)

    def __call__(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        first, *hidden, readout = self._plain.layers(parameters)
        relu, norm = lift(parts().relu), lift(parts().batch_norm_1d, self.width) if self.norm else None
        x = self._into(norm, x, first)
        for own in hidden:
            branch = relu([], self._into(norm, x, own))
            x = torch.add(x, branch, alpha=self.scale) if self.skips else branch
        return affine(x, *readout)

    def _into(self, norm: Layer | None, x: Tensor, own: list[Tensor]) -> Tensor:
        weight, *rest = own
        return affine(x, weight, *rest) if norm is None else norm(rest, affine(x, weight))

    @property
    def _plain(self) -> MLP:
        widths = (64, *[self.width] * (1 + self.hidden), CLASSES)
        return MLP(widths, norm=parts().batch_norm_1d if self.norm else None)


def losses(seeds: Seeds, net: Net, x: Tensor, y: Tensor, *, rates: tuple[float, ...], steps: int) -> Tensor:
    """The training loss at the end at every rate, `[S, rates]`; one that is no number counts as infinite."""

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(len(rates), dim=0)

    weights = torch.tensor(rates, dtype=seeds.dtype, device=seeds.device).repeat(len(seeds))
    x, y = repeated(x), repeated(y)
    parameters = train(
        seeds.take(repeated(torch.arange(len(seeds)))), net, [repeated(start) for start in net.init(seeds)], x, y,
        loss=lambda logits, labels: weights * cross_entropy(logits, labels),
        optimizer=partial(parts().sgd, lr=1.0, momentum=0.9), epochs=steps,
    ).parameters  # fmt: skip
    with torch.no_grad():
        end = cross_entropy(net(parameters, x), y)
    return end.nan_to_num(nan=torch.inf).reshape(len(seeds), len(rates))


def trial(
    seeds: Seeds,
    *,
    skips: bool = True,
    norm: bool = True,
    scale: float = 1.0,
    hidden: int = MANY,
    images: int = 32,
    steps: int = 40,
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1),
) -> Rows:
    """A seed draws the images and the initialisation. A win: at the best rate the net learns.

    Premise, where it does not: at the smallest rate the loss is within a tenth of the start's, and at the largest it is
    above the least of those between, or below by no more than a tenth of what is asked for.
    """
    data = digits(seeds, n=images, n_test=0)
    net = Net(hidden, skips=skips, norm=norm, scale=scale)
    start = cross_entropy(net(net.init(seeds), data.x), data.y)
    ends = losses(seeds, net, data.x, data.y, rates=rates, steps=steps)
    least = ends.amin(dim=1)
    spanned = ((ends[:, 0] / start - 1).abs() < 0.1) & (ends[:, 1:-1].amin(dim=1) - ends[:, -1] < LEARNED / 10)
    learns = least < LEARNED
    return Rows(win=learns, premise=learns | spanned, loss=least, start=start)


def shallow(seeds: Seeds, *, rates: tuple[float, ...] = (0.03, 0.1), images: int = 32, steps: int = 40) -> Rows:
    """The four nets of two layers. A win: all of them learn."""
    data = digits(seeds, n=images, n_test=0)
    cells = [Net(FEW, skips=skips, norm=norm) for skips in (False, True) for norm in (False, True)]
    least = [losses(seeds, cell, data.x, data.y, rates=rates, steps=steps).amin(dim=1) for cell in cells]
    loss = torch.stack(least, dim=1)
    return Rows(win=(loss < LEARNED).all(dim=1), loss=loss)


def test_claim(judge):
    """A linear layer of 16 units, forty of x + relu(norm(x W)), 32 digits, 40 full-batch steps, momentum .9.

    At the best of the rates .003, .01, .03 and .1 the loss is below a quarter of log 10.
    """
    judge(trial).supports()


def test_scaled_branches(judge):
    """The same without norm, each branch times 1/40, at the rates .003, .01, .03 and .1."""
    judge(trial, norm=False, scale=1 / MANY).supports()


def test_two_layers(judge):
    """With two layers instead of forty every cell of the table learns, at the better of the rates .03 and .1."""
    judge(shallow).supports()


ALONE: dict[str, dict[str, Any]] = {
    "neither": {"skips": False, "norm": False, "rates": (1e-9, 0.003, 0.01, 0.03, 0.1, 100.0)},
    "norm-alone": {"skips": False, "rates": (1e-16, 0.03, 0.1, 0.3, 1.0, 1000.0)},
    "skips-alone": {"norm": False, "rates": (1e-20, 1e-14, 1e-12, 1e-10, 1e-8, 1e-3)},
}


@pytest.mark.parametrize("world", ALONE.values(), ids=list(ALONE))
def test_control_of(judge, world):
    judge(trial, **world).refutes()


def test_control_rate_too_small(judge):
    judge(shallow, rates=(1e-9,)).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Of forty layers, only those with skip connections and a norm learn, unless the branches are scaled down."""
    tests = {
        "neither\n(control)": "control_of[neither]",
        "norm alone\n(control)": "control_of[norm-alone]",
        "skips alone\n(control)": "control_of[skips-alone]",
        "skips\nand norm": "claim",
        "scaled skips,\nno norm": "scaled_branches",
    }
    ax.set(yscale="log", ylabel="training loss (nats)")
    draw.columns(ax, {name: measured[test]["loss"].clip(1e-6) for name, test in tests.items()})
    draw.level(ax, log(CLASSES), "guessing", where="right")
