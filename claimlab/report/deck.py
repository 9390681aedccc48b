"""The slides of the deck, in their order: the order of the report."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from claimlab.records.record import Record

DECK = "Learning with Deep Networks: Expressivity, Optimization & Generalization"
AUTHORS = "Charles Ollion and Olivier Grisel"

SLIDES = (
    "Decomposition of the Error",
    "Decomposition of the Error (the trends of the three terms)",
    "Universal Function Approximation",
    "Problem solved?",
    "Approximation with ReLU nets",
    "Efficient Oscillations with Composition",
    "Depth and Parametric Cost",
    "For a fixed param budget, deeper is better",
    "MLP Loss",
    "Stochastic MLP Loss",
    "Non-convex Optimization",
    "Training Deeper ConvNets",
    "Conditioning Issues",
    "Fixing Conditioning Issues",
    "Residual Networks",
    "Batch Normalization",
    "Layer Normalizations",
    "Weight Normalization",
    "Reparametrizations and Normalizations",
    "BTW: why minibatch SGD?",
    "Overfitting?",
    "Experiment: regression on 1D data with heteroschedastic noise",
    "Single Decision Tree",
    "Polynomial regression",
    "1-hidden layer MLP, no regularization",
    "Non-intuitive behavior of MLP",
    "Deep Nets Generalize Better than They Should",
    "The Mystery of Generalization",
    "Small Batch vs Large Batch",
    "Good and bad global minima",
    "Geometry of the loss",
    "Lipschitz constant as a measure of capacity",
    "Generalization bounds",
    "Conclusions",
    "Practical Takeaways",
)

_PLACES = {title.casefold(): place for place, title in enumerate(SLIDES)}


def place(slide: str) -> int:
    """Where a slide stands in the deck; a title the deck does not know stands behind all others."""
    return _PLACES.get(" ".join(slide.split()).casefold(), len(SLIDES))


def title(slide: str) -> str:
    """A slide's title as the deck has it, where the deck has it."""
    return (*SLIDES, slide)[place(slide)]


def by_claim(judged: Iterable[Record]) -> list[list[Record]]:
    """The records of each claim: its own test, its other tests, its controls. Claims stand in the deck's order."""
    claims = [list(tests) for _, tests in groupby(sorted(judged, key=_within), key=lambda record: record.claim)]
    return sorted(claims, key=lambda tests: order(newest(tests)))


def newest(tests: Iterable[Record]) -> Record:
    """The record measured last: what a claim declares is read from it."""
    return max(tests, key=lambda record: record.when)


def _within(record: Record) -> tuple[Any, ...]:
    return (
        record.claim, record.control, record.test != "test_claim", record.test,
        record.device != "cpu", record.device, record.epoch, record.when, record.seconds,
    )  # fmt: skip


def order(claim: Record) -> tuple[Any, ...]:
    """Where a claim stands: by its slide, then by its first entry of the catalogue (B2 before B10)."""
    entry = claim.covers[0] if claim.covers else ""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", entry)]
    return place(claim.slide), title(claim.slide), parts, claim.claim
