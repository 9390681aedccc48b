"""L-BFGS's nets have far larger Lipschitz constants than SGD's and Adam's, and overfit hardly more.

Slide: Lipschitz constant as a measure of capacity. The deck has three figures side by side, of nets trained by SGD, by
Adam and by L-BFGS, and both the constants and the excess risks grow from one to the next. Its figures hold the nets
that fit nine labels in ten. An optimizer that has not the time to fit many wrong labels is shown with few of them: so
what is compared are also different data sets, which makes a gap of its own (`test_selection_makes_a_gap`).

Here the optimizers get the same points, labels and initial weights, and go on until all labels are fitted. SGD and
Adam then stop at a loss of .1 nats, and L-BFGS goes further down, to .001, as it does if it is let. The difference in
the constants is then large, and that in the risk small beside what wrong labels do: given true labels, L-BFGS's nets
still have larger constants than those of Adam with a fifth of the labels wrong, and overfit far less. Between SGD and
Adam, at one rate each, there is next to no difference in either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.measure.capacity import Fits, Method, fit_moons

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="generalization/lipschitz-across-optimizers",
    covers=("H30",),
    slide="Lipschitz constant as a measure of capacity",
    version=1,
    finding="scoped",
    says="From SGD to Adam to L-BFGS, nets have larger Lipschitz constants and overfit more.",
    statement=(
        "On the same points, labels and initial weights, L-BFGS's nets have more than five times the Lipschitz "
        "constants of Adam's. That costs less than half of what six wrong labels in thirty cost. With true labels they "
        "have larger constants than Adam's with those six, and overfit less. SGD and Adam hardly differ."
    ),
    reason=(
        "How far down the loss a net is taken scales its logits, and with them the constant; answers need not change. "
        "Where each optimizer's figure has other data sets, as the deck's do, it also shows how many labels are wrong "
        "in those."
    ),
    scope=(
        "products of spectral norms, as in the deck; thirty points of two moons, ReLU nets of 32 units from Glorot's "
        "weights, full batch, all labels fitted, means over six data sets; float32"
    ),
    source="the deck's experiment, generalization_grid.py",
    evidence=Statistical(block=11),
)

SETS = (0, 6)
"""Wrong labels among the thirty."""

APART = 1 / 30
"""Of the excess risk: one of the thirty training points."""

OPTIONS: dict[Method, dict[str, Any]] = {
    "adam": {"rate": 0.05, "target": 0.1, "epochs": 400},
    "sgd": {"rate": 0.5, "target": 0.1, "epochs": 400},
    "lbfgs": {"target": 0.001, "epochs": 120},
}


def compared(seeds: Seeds, *methods: Method) -> tuple[Tensor, Tensor, Tensor]:
    """Constants, as geometric means over the draws, and excess risks, `[S, 2, sets]` each; and which seeds fit."""
    fits: list[Fits] = [fit_moons(seeds, wrong=SETS, method=method, **OPTIONS[method]) for method in methods]
    constants = torch.stack([fit.product.log().mean(dim=1).exp() for fit in fits], dim=1)
    excess = torch.stack([fit.excess.mean(dim=1) for fit in fits], dim=1)
    fitted = torch.stack([fit.fitted.double().mean(dim=(1, 2)) for fit in fits], dim=1)
    return constants, excess, (fitted >= 0.8).all(dim=1)


def trial(
    seeds: Seeds, *, strong: Method = "lbfgs", weak: Method = "adam", asked: Literal["costs", "order"] = "costs",
    labels: tuple[int, int] = (0, 1), factor: float = 5.0,
) -> Rows:  # fmt: skip
    """A seed draws six sets of points, wrong labels, and initial weights. Premise: four nets in five are fitted.

    A win, if what it `costs` is asked: on the same labels, the strong optimizer's constants are so many times as large,
    and its excess risk is within half of what wrong labels add to the weak one's. If the `order` is: with the first
    set of labels, the strong one has the larger constants and less excess risk than the weak one with the second.
    """
    constants, excess, fitted = compared(seeds, strong, weak)
    ratio = (constants[:, 0] / constants[:, 1]).log().mean(dim=1).exp()
    gap = (excess[:, 0] - excess[:, 1]).mean(dim=1)
    costs = excess[:, 1, 1] - excess[:, 1, 0]
    first, second = labels
    if asked == "costs":
        win = (ratio > factor) & (gap.abs() < costs / 2)
    else:
        win = (constants[:, 0, first] > constants[:, 1, second]) & (excess[:, 0, first] <= excess[:, 1, second] - APART)
    return Rows(
        win=win, premise=fitted, ratio=ratio, gap=gap, costs=costs,
        constants=constants.flatten(1), excess=excess.flatten(1),
    )  # fmt: skip


def alike(seeds: Seeds, *, one: Method = "adam", other: Method = "sgd", factor: float = 2.0) -> Rows:
    """A win: on the same labels their constants are within a factor, and their risks within two points of thirty.

    Premise: four nets in five are fitted.
    """
    constants, excess, fitted = compared(seeds, one, other)
    ratio = (constants[:, 0] / constants[:, 1]).log().mean(dim=1).exp()
    gap = (excess[:, 0] - excess[:, 1]).mean(dim=1)
    within = (ratio < factor) & (ratio > 1 / factor)
    return Rows(win=within & (gap.abs() < 2 * APART), premise=fitted, ratio=ratio, gap=gap)


def selection_makes_a_gap(seeds: Seeds, *, wrong: tuple[int, ...] = (0, 8), epochs: int = 60) -> Rows:
    """A win: among the nets that fit all labels the gap between the excess risks of L-BFGS and of SGD is larger than
    where both fit the same labels, by a point of thirty. Premise: SGD fits the true labels of two draws.
    """
    strong = fit_moons(seeds, wrong=wrong, method="lbfgs", **OPTIONS["lbfgs"])
    weak = fit_moons(seeds, wrong=wrong, method="sgd", rate=0.5, target=0.1, epochs=epochs)
    fitted, learned = strong.train_accuracy == 1, weak.train_accuracy == 1
    selected = mean_of(strong.excess, fitted) - mean_of(weak.excess, learned)
    paired = mean_of(strong.excess - weak.excess, fitted & learned)
    return Rows(
        win=selected - paired >= APART,
        premise=learned[:, :, 0].sum(dim=1) >= 2,
        selected=selected, paired=paired, more=selected - paired,
    )  # fmt: skip


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Over the nets that count, `[S]`; 0 where none does."""
    return (values * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)


def test_claim(judge):
    """32 units; Adam (rate .05, 400 steps at most) to a loss of .1 nats, L-BFGS (120 passes at most) to .001; true
    labels and six wrong ones in thirty.

    L-BFGS's constants are more than five times as large on the same labels; the excess risks differ by less than half
    of what the six wrong labels add to Adam's.
    """
    judge(trial).supports()


def test_larger_constants_and_less_excess(judge):
    """L-BFGS with true labels, Adam with six wrong: the larger constants, and at least 1/30 less excess risk."""
    judge(trial, asked="order").supports()


def test_sgd_and_adam_are_alike(judge):
    """SGD (rate .5, momentum .9) and Adam to the same loss: constants within a factor of two, risks within 1/15."""
    judge(alike).supports()


def test_selection_makes_a_gap(judge):
    """True labels and eight wrong ones in thirty, which SGD does not fit in 60 steps. Of the nets that fit
    all labels, L-BFGS's have more excess risk, by at least 1/30 more than where both fit the same labels.
    """
    judge(selection_makes_a_gap).supports()


def test_control_nothing_to_select_by(judge):
    """True labels in both sets: to fit them in 60 steps selects hardly anything."""
    judge(selection_makes_a_gap, wrong=(0, 0)).refutes()


def test_control_costs_of_sgd(judge):
    """SGD in the place of L-BFGS has constants like Adam's."""
    judge(trial, strong="sgd").refutes()


def test_control_order_on_the_same_labels(judge):
    """With the six labels wrong for both, L-BFGS has the larger constants and nothing to show for it."""
    judge(trial, asked="order", labels=(1, 1)).refutes()


def test_control_order_of_sgd(judge):
    """SGD with true labels has not the larger constants."""
    judge(trial, strong="sgd", asked="order").refutes()


def test_control_lbfgs_and_adam_are_not_alike(judge):
    judge(alike, other="lbfgs").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """L-BFGS's nets are far to the right of Adam's, with the same labels, and hardly higher."""
    rows = measured["claim"]
    constants, excess = rows["constants"], rows["excess"]
    ax.set(xscale="log", xlabel="product of the spectral norms", ylabel="training less test accuracy")
    series = ("L-BFGS, true labels", "L-BFGS, a fifth wrong", "Adam, true labels", "Adam, a fifth wrong")
    for place, style in zip((2, 3, 0, 1), ("C0o", "C0^", "C1o", "C1^"), strict=True):
        draw.dots(ax, constants[:, place], excess[:, place], series[place], style=style)
    draw.key(ax)
