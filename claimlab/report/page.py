"""Records -> one self-contained HTML page.

`render` arranges the records as slides, cards (one a claim) and rows (one a test); `page.html` lays them out and
escapes every word of them. The page is a function of the records, the claim modules that draw the figures, and
nothing else: not of the order the tests ended in, nor of the time.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import jinja2
from markupsafe import Markup

from claimlab.declare.claim import FINDINGS
from claimlab.declare.deck import Deck, read
from claimlab.declare.digest import digest
from claimlab.declare.modules import FOLDER, claim_modules
from claimlab.records.history import Past
from claimlab.records.record import ERROR, Record
from claimlab.records.tally import State, role, state, unconfirmed
from claimlab.records.tally import findings as findings_of
from claimlab.report import compare, figures, order, paths, words
from claimlab.report.failure import failure
from claimlab.report.prose import prose, sources
from claimlab.report.trend import trend

_HERE = Path(__file__).parent
_SHOWN_COMPLAINTS = 20


@dataclass(frozen=True)
class Row:
    """One judged test: the words the page has for it."""

    record: Record
    role: str
    style: str
    verdict: str
    evidence: list[str]
    metrics: list[tuple[str, str]]
    world: str
    environment: str
    before: str
    failure: str


@dataclass(frozen=True)
class Card:
    """One claim: its declaration (the newest record's), its tests, its pictures, and what a reader must be told."""

    claim: Record
    anchor: str
    rows: list[Row]
    red: int
    kinds: list[str]
    verdict: str
    seconds: float
    tally: str
    figure: Markup
    caption: str
    plots: list[Markup]
    trend: Markup
    notes: list[str]


@dataclass(frozen=True)
class Change:
    """A line of what changed between two runs."""

    claim: str
    test: str
    anchor: str
    says: str
    red: bool = False


def render(
    judged: list[Record],
    *,
    root: Path,
    complaints: Sequence[str] = (),
    unjudged: Sequence[str] = (),
    base: list[Record] | None = None,
    drawn: Mapping[str, figures.Picture] = MappingProxyType({}),
    interrupted: bool = False,
    history: Sequence[Past] = (),
) -> str:
    """The page. `root` is the project's directory, where the claim modules that draw the figures lie.

    `complaints` are sentences about lines of a record file that could not be read, `unjudged` the node ids of tests
    that failed before they could be judged; the page shows both where nobody can miss them. `base` is another run to
    compare with: the page shows its verdicts beside these, and what changed. `drawn` are pictures of these records that
    are there already, by claim. A run that was `interrupted`, or judged fewer claims than the project has, says so.
    `history` are the runs so far, of which each card shows what became of its claim.
    """
    deck = read(root / FOLDER)
    claims = order.by_claim(judged, deck)
    claims_there = len(claim_modules(root / FOLDER))
    # The words of a record hold its effect sizes, whose bootstrap takes a second: time enough while figures are drawn.
    told: dict[int, list[tuple[str, str]]] = {}
    undrawn = [tests for tests in claims if tests[0].claim not in drawn]
    pictures = figures.draw_all(
        [_order_figure(tests, root) for tests in undrawn],
        meanwhile=lambda: told.update((id(record), list(words.metrics(record))) for record in judged),
    )
    by_claim = {**drawn, **{tests[0].claim: picture for tests, picture in zip(undrawn, pictures, strict=True)}}
    varying = _varying(judged, [name for name in _ENVIRONMENT if name != "version"])
    pairs = compare.matched(base, judged) if base else []
    before = {id(pair.head): pair.base for pair in pairs}
    cards = [_card(tests, by_claim[tests[0].claim], root, varying, before, told, history) for tests in claims]
    changes = compare.changes(base, judged) if base is not None else None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=words.seconds, breakable=_breakable, prose=prose, sources=sources)
    return environment.get_template("page.html").render(
        deck=deck,
        slides=[
            (slide, list(of_slide))
            for slide, of_slide in groupby(cards, key=lambda card: deck.titled(card.claim.slide))
        ],
        cards=cards,
        red=[(card, row) for card in cards for row in card.rows if row.failure],
        green=sum(record.good for record in judged if not record.declared),
        tests=sum(not record.declared for record in judged),
        findings=findings_of(claims),
        unconfirmed=dict(unconfirmed(claims)),
        of_all=f"{len(claims)} of {claims_there}" if len(claims) < claims_there else str(len(claims)),
        whole=len(claims) >= claims_there
        and not interrupted
        and all(state(tests) is not State.PART for tests in claims),
        interrupted=interrupted,
        found_false=[card for card in cards if card.claim.finding == "false"],
        meanings=FINDINGS,
        run=words.head(judged),
        base_run=words.head(base) if base else None,
        changes=changes,
        change_lists=list(_change_lists(changes, {card.claim.claim: card.anchor for card in cards})) if changes else [],
        strip=_strip(cards, deck),
        filters=[
            ("section", list(dict.fromkeys(card.claim.section for card in cards))),
            ("finding", [finding for finding in FINDINGS if any(card.claim.finding == finding for card in cards)]),
            ("evidence", sorted({kind for card in cards for kind in card.kinds})),
            ("verdict", sorted({card.verdict for card in cards})),
        ],
        complaints=complaints[:_SHOWN_COMPLAINTS],
        complaints_beyond=max(0, len(complaints) - _SHOWN_COMPLAINTS),
        unjudged=unjudged,
    )


def picture(of_claim: list[Record], root: Path) -> figures.Picture:
    """The picture on a claim's card, from all its records."""
    (tests,) = order.by_claim(of_claim, Deck())
    (picture,) = figures.draw_all([_order_figure(tests, root)])
    return picture


def _card(
    tests: list[Record],
    picture: figures.Picture,
    root: Path,
    varying: set[str],
    before: dict[int, Record | None],
    told: dict[int, list[tuple[str, str]]],
    history: Sequence[Past],
) -> Card:
    newest = order.newest(tests)
    tests = [test for test in tests if not test.declared]
    styles = paths.styles(tests)
    varying = varying | _varying(tests, ["version"])
    rows = [
        Row(
            record=test,
            role=role(test),
            style=style if paths.dissent(test) else "",
            verdict=words.verdict(test),
            evidence=list(words.evidence(test)),
            metrics=told[id(test)],
            world=", ".join(f"{name} = {words.value(entry)}" for name, entry in test.world.items()),
            environment=", ".join(
                f"{_ENVIRONMENT[name]} {getattr(test, name)}"
                for name in _ENVIRONMENT
                if name in varying and _plays(test, name)
            ),
            before=words.before(before[id(test)], test) if id(test) in before else "",
            failure=_failure(test),
        )
        for test, style in zip(tests, styles, strict=True)
    ]
    return Card(
        claim=newest,
        anchor=_anchor(newest),
        rows=rows,
        red=sum(not test.good for test in tests),
        kinds=sorted({test.kind for test in tests}) or ["none"],
        verdict="untested" if not tests else "green" if all(test.good for test in tests) else "red",
        seconds=math.fsum(test.seconds for test in tests),
        tally=_tally(tests),
        figure=Markup(picture.svg),
        caption=picture.caption,
        plots=paths.plots(tests, styles),
        trend=trend(newest.claim, version=newest.version, history=history),
        notes=[*_notes(newest, tests, root), *([picture.missing] if picture.missing and tests else [])],
    )


def _tally(tests: Sequence[Record]) -> str:
    """`3 tests, 5 controls`."""
    controls = sum(test.control for test in tests)
    of_claim = words.counted(len(tests) - controls, "test")
    return f"{of_claim}, {words.counted(controls, 'control')}" if controls else of_claim


def _failure(test: Record) -> str:
    """What the terminal says of a red test; empty for a green one."""
    if test.good:
        return ""
    if test.verdict == ERROR:
        return test.message or "The test could not be judged."
    return failure(test)


# What may differ between two records of one test, and what the page calls it.
_ENVIRONMENT = {"device": "on", "dtype": "in", "epoch": "epoch", "version": "version", "torch": "torch"}


def _varying(judged: Iterable[Record], names: Iterable[str]) -> set[str]:
    """The parts of the environment in which these records differ."""
    return {name for name in names if len({getattr(record, name) for record in judged if _plays(record, name)}) > 1}


def _plays(record: Record, name: str) -> bool:
    """Whether a part of the environment plays a role in a record: exact evidence has no device and no dtype."""
    return record.kind == "statistical" or name not in ("device", "dtype")


def _notes(newest: Record, tests: list[Record], root: Path) -> Iterator[str]:
    module = _module(newest, root)
    if module and any(digest(module) != test.digest for test in tests):
        yield "The module has changed since this was measured: numbers of the old one, a figure drawn by the new."
    if len({test.version for test in tests}) > 1:
        versions = words.listed(test.version for test in tests)
        yield f"These records come from versions {versions} of the claim; their numbers are not comparable."
    if any(test.kind == "statistical" and test.path and not test.rows for test in tests):
        yield "These records hold no rows."


def _order_figure(tests: list[Record], root: Path) -> figures.Order:
    newest = order.newest(tests)
    return figures.Order(module=_module(newest, root), name=_anchor(newest), measured=figures.measured(tests))


def _module(record: Record, root: Path) -> Path | None:
    """The claim's module, if it is one of this project's: a record from elsewhere must not name the code to run."""
    try:
        path = (root / record.module).resolve()
    except (OSError, ValueError):  # no path at all
        return None
    return path if path.is_relative_to((root / FOLDER).resolve()) and path.is_file() else None


def _anchor(record: Record) -> str:
    return re.sub(r"[^a-z0-9-]+", ".", record.claim.lower())


def _strip(cards: list[Card], deck: Deck) -> list[tuple[int, str, list[Card]]]:
    """Every slide of the deck in order, with its number and its claims; slides the deck does not know stand last."""
    by_slide: dict[str, list[Card]] = {slide: [] for slide in deck.slides}
    for card in cards:
        by_slide.setdefault(deck.titled(card.claim.slide), []).append(card)
    return [(number, slide, of_slide) for number, (slide, of_slide) in enumerate(by_slide.items(), start=1)]


def _change_lists(changes: compare.Changes, anchors: dict[str, str]) -> Iterator[tuple[str, list[Change]]]:
    def line(pair: compare.Pair, says: str) -> Change:
        claim = pair.either.claim
        return Change(claim, pair.either.test, anchors.get(claim, ""), says, red=bool(pair.head and not pair.head.good))

    yield "Verdicts", [line(pair, words.verdicts(pair.base, pair.head)) for pair in changes.verdicts]
    yield (
        "Effect sizes whose intervals do not overlap",
        [line(move.pair, words.moved(move)) for move in changes.effects],
    )
    yield "Cost", [line(pair, words.costs(pair.base, pair.head)) for pair in changes.costs]


def _breakable(code: str) -> Markup:
    """A long name or command that may break after a slash, a colon or an underscore."""
    return Markup("<wbr>").join(re.split(r"(?<=[/_:])(?![/_:])", code))
