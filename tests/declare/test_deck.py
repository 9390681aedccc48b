"""The deck: its slides and their order, and what is said of a file that cannot be used."""

from pathlib import Path

import pytest

from claimlab.declare.deck import BadDeckError, Deck, read

DECK = Deck("A deck", ("One",), "https://example.org", ("First Things", "The  Middle", "Last"))


def written(root: Path, text: str) -> Path:
    (root / "deck.toml").write_text(text, encoding="utf-8")
    return root


def test_a_deck_is_read(tmp_path: Path):
    text = """
    title = "A deck"
    authors = ["One"]
    address = "https://example.org"
    slides = ["First Things", "The  Middle", "Last"]
    """
    assert read(written(tmp_path, text)) == DECK


def test_without_a_file_any_slide_will_do(tmp_path: Path):
    deck = read(tmp_path)
    assert deck == Deck()
    assert not deck.lacks("Anything")
    assert deck.place("Anything") == 0


def test_slides_are_found_whatever_their_case_and_spaces_but_a_claim_names_them_exactly():
    assert [DECK.place(slide) for slide in ("first things", "the middle", "Last", "Another")] == [0, 1, 2, 3]
    assert DECK.titled(" the MIDDLE") == "The  Middle"
    assert DECK.titled("Another") == "Another"
    assert not DECK.lacks("Last")
    assert DECK.lacks("last")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("title = ", r"claims/deck\.toml cannot be read: .*\."),
        ("", r"claims/deck\.toml needs a title in quotes \(and may have an address\)\."),
        ("title = 3", r"claims/deck\.toml needs a title in quotes \(and may have an address\)\."),
        ('title = "A"\naddress = 3', r"claims/deck\.toml needs a title in quotes \(and may have an address\)\."),
        ('title = "A"\nauthor = "One"', r"claims/deck\.toml has title, authors, address and slides, not author\."),
        ('title = "A"\nauthors = "One"', r"claims/deck\.toml: authors must be a list of texts\."),
        ('title = "A"\nslides = [" "]', r"claims/deck\.toml: slides must be a list of texts\."),
        ('title = "A"\nslides = [1]', r"claims/deck\.toml: slides must be a list of texts\."),
        (
            'title = "A"\nslides = ["S", "T", "S"]',
            r"claims/deck\.toml names the slide 'S' twice; tell the two apart\.",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, sentence: str):
    root = tmp_path / "claims"
    root.mkdir()
    with pytest.raises(BadDeckError, match=f"^{sentence}$"):
        read(written(root, text))


def test_a_file_that_is_no_text_says_so(tmp_path: Path):
    (tmp_path / "deck.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadDeckError, match="cannot be read: "):
        read(tmp_path)
