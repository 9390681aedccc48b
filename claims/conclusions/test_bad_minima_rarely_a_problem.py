"""Nets of ordinary width fit two small tasks from nearly every start; narrow ones fail from many.

Slide: Conclusions. The deck says that bad local minima and saddle structures are rarely a problem on common tasks. That
both exist is judged elsewhere: half of all weight pairs of a tiny net are bad minima (D2), whole starts are never left
(D4), students as narrow as their teacher get stuck (D7), and a saddle holds descent without noise (D8). Rarely is a
share of runs, so runs are counted: each data set is learned from twenty-four starts, and a run has failed if it still
gets a training label wrong when the budget is over, whatever held it up.

Rare is at most one run in twenty. The net is of a width that people would choose. With four units, where the task can
be learned but only just, more than one run in twenty fails; and so it is a matter of width that this is no problem.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from claimlab import Claim, Rows, Seeds, Statistical, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.data.moons import two_moons
from claimlab.measure.fit import cross_entropy, interpolates, logistic
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conclusions/bad-minima-are-rarely-a-problem",
    covers=("I1",),
    slide="Conclusions",
    version=1,
    finding="scoped",
    says="Bad local minima and saddle structures are rarely a problem on common tasks.",
    statement="Of twenty-four starts of a net of ordinary width at most one in twenty fails to label every training "
    "sample right, on two moons and on digits. With four hidden units more than one in twenty fails on the moons, "
    "although other starts of the same nets succeed.",
    reason="Bad minima exist, and a narrow net ends in them often. Width makes them rare: among many units some are "
    "where they are needed from the start.",
    scope="two small tasks with clean labels, one hidden layer, He's initialisation, a rate that suits (at a lower one "
    "a run may just not be done), float32. Bad minima are common for narrow and badly started nets (D2, D4, D5, D7)",
    source="Dauphin et al. 2014 (arXiv 1406.2572) on saddles; Choromanska et al. 2015 (arXiv 1412.0233) on small nets",
    evidence=Statistical(block=11),
)

RARE = 1 / 20


def trial(
    seeds: Seeds,
    *,
    task: Literal["moons", "digits"] = "moons",
    width: int = 64,
    runs: int = 24,
    rate: float = 0.5,
    steps: int = 300,
    asked: Literal["rare", "common"] = "rare",
) -> Rows:
    """A seed draws a data set, and learns it from `runs` starts. A win: the share of failed runs is rare, or is not.

    The premise is that some run succeeds, so that the data can be fitted.
    """
    if task == "moons":
        data, loss, outputs = two_moons(seeds, n=30, n_test=2, noise=0.1), logistic, 1
    else:
        data, loss, outputs = digits(seeds, n=50, n_test=1), cross_entropy, CLASSES
    each = replace(seeds, indices=tuple(runs * index + run for index in seeds.indices for run in range(runs)))

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(runs, dim=0)

    net = MLP((data.x.shape[2], width, outputs))
    fit = train(
        each, net, net.init(each), repeated(data.x), repeated(data.y), loss=loss,
        optimizer=partial(parts().sgd, lr=rate, momentum=0.9), epochs=steps, goal=interpolates, check_every=5,
    )  # fmt: skip
    failed = 1 - fit.met.unflatten(0, (-1, runs)).to(seeds.dtype).mean(dim=1)
    return Rows(win=failed <= RARE if asked == "rare" else failed > RARE, premise=failed < 1, failed=failed)


def test_claim(judge):
    """64 hidden units on thirty points of two moons, full-batch steps at rate .5 and momentum .9, at most 300.

    Of 24 starts at most one fails, which is the most that one in twenty allows.
    """
    judge(trial).supports()


def test_digits(judge):
    """32 hidden units on fifty digits, full-batch steps at rate .1 and momentum .9, at most 100: at most one of 24."""
    judge(trial, task="digits", width=32, rate=0.1, steps=100).supports()


def test_narrow_nets_fail_often(judge):
    """Four hidden units on the moons, twice as many steps: two or more of 24 starts fail, and some succeed."""
    judge(trial, width=4, steps=600, asked="common").supports()


def test_control_narrow_nets(judge):
    judge(trial, width=4).refutes()


def test_control_failures_of_wide_nets_are_not_common(judge):
    judge(trial, asked="common").refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """Nets of ordinary width fail from hardly any start, nets of four units from many. A dot is a data set."""
    tests = {
        "moons,\n64 units": "claim",
        "digits,\n32 units": "digits",
        "moons,\n4 units (control)": "control_narrow_nets",
    }
    draw.columns(ax, {name: 100 * measured[test]["failed"] for name, test in tests.items()})
    draw.level(ax, 100 * RARE, "rare")
    ax.set(ylabel="starts that fail (%)", ylim=(-3, 103))
