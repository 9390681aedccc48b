"""Tasks: plain data that any process measures alike; what a row counts for; and when enough seeds are measured."""

import pickle
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from claimlab import Statistical
from claimlab.declare.digest import digest
from claimlab.judge.task import (
    BadCheckError,
    Columns,
    Fixed,
    One,
    Sequential,
    Stopping,
    Task,
    measure,
    precision,
    speaks,
)

PLAN = Statistical()

MODULE = """
from claimlab import Claim, Rows, Statistical

CLAIM = Claim(
    id="sec/it", covers=("T1",), slide="A slide", version=1, finding="holds", says="It is said.", statement="It is so.",
    reason="It was seen.", scope="here", source="nobody", evidence=Statistical(),
)

def trial(seeds, *, bound=0.0, premise=-9.0):
    draw = seeds.normal("draw")
    bits = [str(draw.dtype)] * len(seeds)
    return Rows(win=draw < bound, premise=draw > premise, draw=draw, loss=1 / (draw > -1), bits=bits)

def test_claim(judge):
    '''Draws are small.'''
    judge(trial).supports()

def test_control(judge):
    judge(trial, premise=0.5).refutes()
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A block of six seeds of a claim of its own."""
    module = tmp_path / "test_it.py"
    module.write_text(MODULE, encoding="utf-8")
    return Task(str(module), digest(module), "test_claim", "pinned", tuple(range(3, 9)))


def test_a_task_can_be_pickled_and_another_process_measures_the_same(task: Task):
    sent = pickle.loads(pickle.dumps(task))
    assert sent == task
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(measure, (sent,)) == measure(task)


def test_a_block_is_measured_as_asked(task: Task):
    rows = measure(task)
    assert list(rows) == ["win", "premise", "draw", "loss", "bits"]
    assert {len(column) for column in rows.values()} == {6}
    assert rows["bits"] == ["torch.float32"] * 6
    one = measure(replace(task, seeds=(5,), dtype="float64"))
    assert one["bits"] == ["torch.float64"]
    assert one["draw"][0] == pytest.approx(rows["draw"][2]), "a seed's draws are the same in any block"
    assert measure(replace(task, epoch="another"))["draw"] != rows["draw"]


def test_a_task_says_which_parts_to_use(tmp_path: Path, task: Task):
    module = tmp_path / "test_shifted.py"
    module.write_text(Path(task.module).read_text() + """
from claimlab.parts import parts

def shifted(seeds):
    draw = seeds.normal("draw", 4)
    return Rows(win=parts().relu()(draw).min(dim=1).values >= 0, least=parts().relu()(draw).min(dim=1).values)

def test_relu(judge):
    "What a ReLU lets through is not negative."
    judge(shifted).supports()
""")  # fmt: skip
    usual = replace(task, module=str(module), digest=digest(module), test="test_relu")
    assert all(measure(usual)["win"])
    assert not all(measure(replace(usual, parts=(("relu", "torch.nn:Identity"),)))["win"])
    assert all(measure(usual)["win"]), "the parts are back"


def test_code_that_is_not_the_one_meant_is_refused(task: Task):
    with pytest.raises(BadCheckError, match=r"^test_it\.py is not the module that was asked about: its code differs"):
        measure(replace(task, digest="0" * 16))


def test_a_row_without_its_premise_or_a_finite_number_counts_against_what_is_asked(task: Task):
    block = replace(task, seeds=tuple(range(64)))
    claim, control = measure(block), measure(replace(block, test="test_control"))
    assert claim["draw"] == control["draw"]
    kinds = set()
    for draw, won, premise, shown in zip(claim["draw"], claim["win"], control["premise"], control["win"], strict=True):
        finite = draw > -1  # else the loss is infinite
        assert won is (finite and draw < 0)
        assert premise is (draw > 0.5)
        assert shown is (True if not (premise and finite) else draw < 0)
        kinds.add((finite, premise))
    assert kinds == {(False, False), (True, False), (True, True)}, "the block has seeds of every kind"


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"win": [True, False]}, [True, True]),
        ({"win": [True, True], "premise": [False, True]}, [False, True]),
        ({"win": [True] * 3, "loss": ["nan", 1.0, "-inf"]}, [False, True, False]),
        ({"win": [True] * 2, "curve": [[1.0, ["inf"]], [1.0, [2.0]]]}, [False, True]),
        ({"win": [True] * 2, "name": ["a word", "nancy"]}, [True, True]),
    ],
)
def test_rows_that_say_something(columns: Columns, says: list[bool]):
    assert list(speaks(columns)) == says


def test_a_plan_that_demands_a_precision_has_it():
    assert precision(PLAN, "bfloat16") == "bfloat16"
    assert precision(Statistical(dtype="float64"), "bfloat16") == "float64"


# -- when to stop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stopping", "first", "short", "enough", "kept"),
    [
        (Sequential(PLAN), 0, [True] * 10, [True] * 11, slice(None)),
        (Sequential(PLAN), 0, [False] * 6, [False] * 7, slice(None)),
        (Sequential(Statistical(max_seeds=20)), 0, [True, False] * 9, [True, False] * 10, slice(None)),
        (Fixed(100), 0, [False] * 99, [False] * 100, slice(100)),
        (One(5, block=16), 0, [], [True], slice(5, 6)),
        (One(1000003, block=16), 1000000 - 1000000 % 16, [], [True], slice(3, 4)),
    ],
)
def test_seeds_are_measured_until_there_are_enough(
    stopping: Stopping, first: int, short: list[bool], enough: list[bool], kept: slice
):
    assert stopping.first == first
    assert not stopping.enough(short)
    assert stopping.enough(enough)
    assert stopping.kept() == kept
