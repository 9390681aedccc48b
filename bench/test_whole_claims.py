"""How much faster a claim's block of seeds trains as one net than one by one.

The one-by-one loop is what everybody writes: for each seed an `nn.Sequential`, a `torch.optim` optimizer and a Python
loop over steps. Both train the same worlds from the same parameters in the same batch order, and both are checked to
agree before they are timed in turn. The budgets are cut short; the block, the net and the recipe are the claim's.

A whole question is timed as well: the claim's own trial, as the suite asks it, on its block of seeds and on one seed
alone. Any statistical question can stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.timing import alternate
from claimlab.data.digits import CLASSES, digits
from claimlab.data.moons import two_moons
from claimlab.declare.claim import Statistical
from claimlab.declare.digest import digest
from claimlab.declare.modules import FOLDER, load
from claimlab.declare.questions import questions
from claimlab.judge.task import Task, measure, precision
from claimlab.measure.fit import cross_entropy, logistic
from claimlab.nets import CNN, MLP, member
from claimlab.seeds import Seeds
from claimlab.train import SGD, train

CLAIMS = Path(__file__).parents[1] / FOLDER


@dataclass(frozen=True)
class Workload:
    """One block of a claim: net, data, recipe, and a budget short enough to time."""

    name: str
    net: MLP | CNN
    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    lr: float
    epochs: int
    batch: int | None
    seeds: Seeds

    def optimizer(self, parameters: list[Tensor]) -> SGD:
        return SGD(parameters, lr=self.lr, momentum=0.9)


def random_labels(seeds: Seeds) -> Workload:
    """generalization/random-labels-are-memorised."""
    world = digits(seeds, n=512, n_test=1)
    labels = seeds.integers("labels", 512, high=CLASSES)
    return Workload("H15", MLP((64, 64, 64, CLASSES)), world.x, labels, cross_entropy, 0.03, 4, 32, seeds)


def wide_nets(seeds: Seeds) -> Workload:
    """optimization/wide-nets-reach-zero-training-error."""
    world = two_moons(seeds, n=30, n_test=2)
    return Workload("D6", MLP((2, 256, 1)), world.x, world.y, logistic, 0.5, 100, None, seeds)


def batches_of_four(seeds: Seeds) -> Workload:
    """normalization/batch-norm-needs-large-batches."""
    world = digits(seeds, n=384, n_test=1)
    net = CNN((1, 8, 16, 32), CLASSES, strides=(2, 2, 2), norm=nn.BatchNorm2d)
    return Workload("F6", net, world.x.unflatten(2, (1, 8, 8)), world.y, cross_entropy, 0.0075, 1, 4, seeds)


def in_one_block(work: Workload) -> list[Tensor]:
    """All seeds at once; returns the trained parameters, `[S, ...]` each."""
    fit = train(
        work.seeds, work.net, work.net.init(work.seeds), work.x, work.y,
        loss=work.loss, optimizer=work.optimizer, epochs=work.epochs, batch=work.batch,
    )  # fmt: skip
    return fit.parameters


def one_by_one(work: Workload) -> list[nn.Sequential]:
    """The plain loop over seeds; returns the trained modules."""
    stacked = work.net.init(work.seeds)
    trained = []
    for index in range(len(work.seeds)):
        model = member(work.net, stacked, index)
        loss_function = nn.CrossEntropyLoss() if work.loss is cross_entropy else nn.BCEWithLogitsLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=work.lr, momentum=0.9)
        x, y = work.x[index], work.y[index]
        for epoch in range(1, work.epochs + 1):
            batches: tuple[Tensor | slice, ...] = (slice(None),)
            if work.batch:
                order = work.seeds.take([index]).permutation(f"order.{epoch}", len(x))[0]
                batches = tuple(order.split(work.batch))
            for chosen in batches:
                optimizer.zero_grad()
                outputs = model(x[chosen])
                targets = y[chosen] if outputs.shape[-1] > 1 else y[chosen, None].to(outputs.dtype)
                loss_function(outputs, targets).backward()
                optimizer.step()
        trained.append(model)
    return trained


def check(work: Workload) -> None:
    """The two loops agree in float64 to rounding: the trained nets give the same outputs."""
    trained = in_one_block(work)
    together = work.net(trained, work.x)
    for index, model in enumerate(one_by_one(work)):
        torch.testing.assert_close(together[index], model(work.x[index]), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("make", [random_labels, wide_nets, batches_of_four], ids=["H15", "D6", "F6"])
def test_block(benchmark, make: Callable[[Seeds], Workload], device: torch.device):
    seeds = Seeds("bench/whole-claims", 1, "bench", tuple(range(16)), device=device)
    check(replace(make(seeds.take([0, 1, 2]).to(dtype=torch.float64)), epochs=1))
    work = make(seeds)
    steps = {"one by one": lambda: one_by_one(work), "block": lambda: in_one_block(work)}
    timed = alternate(steps, device=device, seconds=15.0)
    benchmark.group = "a claim's block"
    benchmark.extra_info.update(
        kind="claim",
        name=work.name,
        says=(make.__doc__ or "").strip(),
        seeds=len(seeds),
        seconds={arm: timed.median(arm) for arm in steps},
        over_one_by_one=timed.ratio("one by one", to="block"),
    )
    benchmark.pedantic(steps["block"], rounds=3)


def task(module: str, test: str, plan: Statistical, device: torch.device) -> Task:
    """A test's first block, on worlds of the benchmark's own."""
    path = CLAIMS / module
    return Task(
        module=str(path), digest=digest(path), test=test, epoch="bench", seeds=tuple(range(plan.block)),
        device=str(device), dtype=precision(plan, "float32"),
    )  # fmt: skip


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the suite runs its claims."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("generalization/test_random_labels.py", "test_claim"),
        ("optimization/test_wide_nets.py", "test_claim"),
        ("normalization/test_batch_size.py", "test_claim"),
    ],
    ids=["H15", "D6", "F6"],
)
def test_question(benchmark, module: str, test: str, device: torch.device):
    (question,) = (asked for asked in questions(load(CLAIMS / module)) if asked.test == test)
    plan = question.plan
    assert isinstance(plan, Statistical)
    block = task(module, test, plan, device)
    steps = {
        "one seed": lambda: measure(replace(block, seeds=block.seeds[:1]), question),
        "block": lambda: measure(block, question),
    }
    timed = alternate(steps, device=device, seconds=10.0, rounds=5)
    benchmark.group = "a whole question"
    benchmark.extra_info.update(
        kind="question",
        name=f"{' '.join(question.claim.covers)}, {question.test}",
        says=question.claim.id,
        seeds=len(block.seeds),
        seconds={"one by one": len(block.seeds) * timed.median("one seed"), "block": timed.median("block")},
        over_one_by_one=len(block.seeds) * timed.ratio("one seed", to="block"),
    )
    benchmark.pedantic(steps["block"], rounds=1)
