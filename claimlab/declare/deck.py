"""The deck that the claims are about: its title, its authors, and its slides in their order.

A project says so in `deck.toml` in its folder of claims. Without one its claims may name any slide, and the report has
no strip of slides.
"""

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILE = "deck.toml"


class BadDeckError(ValueError):
    """Why a deck cannot be read, in one sentence."""


@dataclass(frozen=True)
class Deck:
    """A deck: `slides` are titles in their order; `address` is where the deck can be read."""

    title: str = "Claims"
    authors: tuple[str, ...] = ()
    address: str = ""
    slides: tuple[str, ...] = ()

    def place(self, slide: str) -> int:
        """Where a slide stands in the deck; a title the deck does not know stands behind all others."""
        return self._places.get(_key(slide), len(self.slides))

    def titled(self, slide: str) -> str:
        """A slide's title as the deck has it, where the deck has it."""
        return (*self.slides, slide)[self.place(slide)]

    def lacks(self, slide: str) -> bool:
        """Whether the deck has slides, and this is none of them."""
        return bool(self.slides) and slide not in self.slides

    @cached_property
    def _places(self) -> dict[str, int]:
        return {_key(title): place for place, title in enumerate(self.slides)}


def _key(slide: str) -> str:
    return " ".join(slide.split()).casefold()


def read(root: Path) -> Deck:
    """The deck of the claims under `root`; raises `BadDeckError`."""
    path = root / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Deck()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeckError(f"{root.name}/{FILE} cannot be read: {error}.") from error
    texts = {name: values.pop(name, "") for name in ("title", "address")}
    lists = {name: values.pop(name, []) for name in ("authors", "slides")}
    if values:
        raise BadDeckError(f"{root.name}/{FILE} has title, authors, address and slides, not {', '.join(values)}.")
    if not texts["title"] or not all(isinstance(text, str) for text in texts.values()):
        raise BadDeckError(f"{root.name}/{FILE} needs a title in quotes (and may have an address).")
    for name, entries in lists.items():
        if not isinstance(entries, list) or not all(isinstance(entry, str) and entry.strip() for entry in entries):
            raise BadDeckError(f"{root.name}/{FILE}: {name} must be a list of texts.")
    twice = sorted({slide for slide in lists["slides"] if lists["slides"].count(slide) > 1})
    if twice:
        raise BadDeckError(f"{root.name}/{FILE} names the slide {twice[0]!r} twice; tell the two apart.")
    return Deck(texts["title"], tuple(lists["authors"]), texts["address"], tuple(lists["slides"]))
