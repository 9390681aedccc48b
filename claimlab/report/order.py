"""The order of a report: claims by the slides of the deck, tests by what they are for their claim."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from claimlab.declare.deck import Deck
from claimlab.records.record import Record
from claimlab.records.tally import newest, rank


def by_claim(judged: Iterable[Record], deck: Deck) -> list[list[Record]]:
    """The records of each claim, the tests as `rank` has them. Claims stand in the deck's order."""
    claims = [list(tests) for _, tests in groupby(sorted(judged, key=_within), key=lambda record: record.claim)]
    return sorted(claims, key=lambda tests: order(newest(tests), deck))


def _within(record: Record) -> tuple[Any, ...]:
    return (
        record.claim, rank(record), record.test,
        record.device != "cpu", record.device, record.epoch, record.when, record.seconds,
    )  # fmt: skip


def order(claim: Record, deck: Deck) -> tuple[Any, ...]:
    """Where a claim stands: by its slide, then by its first entry of the catalogue (B2 before B10)."""
    entry = claim.covers[0] if claim.covers else ""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", entry)]
    return deck.place(claim.slide), deck.titled(claim.slide), parts, claim.claim
