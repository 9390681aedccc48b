"""A small project to report on, and its page as the tests see it."""

from html.parser import HTMLParser
from pathlib import Path

from tests.made import SAMPLED_MODULE, control, exact, sampled

SLIDES = ("The Beginning", "Non-convex Optimization", "Depth and Parametric Cost", "Practical Takeaways")
DECK = f'title = "A deck"\nauthors = ["One", "Two"]\naddress = "https://example.org"\nslides = {list(SLIDES)}\n'

MODULE = """
def test_claim(): ...
def test_control_narrow(): ...
def figure(measured, ax):
    ax.plot(measured["claim"]["error"], label="wide & <free>")
    ax.plot(measured["control_narrow"]["error"], "s--", color="C1", label="narrow")
    ax.fill_between([0, 8], 0, 1, color="0.5", alpha=0.2)
    ax.imshow([[0, 1]], extent=(0, 1, 0, 1), aspect="auto")
    ax.set_yscale("log")
    ax.legend()
"""

TWIN = {"claim": "optimization/twin", "covers": ["D7"]}
JUDGED = [exact(source="https://example.org/paper"), sampled(), control(), sampled(**TWIN), control(**TWIN)]


def project(root: Path, *, module: str) -> Path:
    """A project with a deck and one claim module."""
    (root / SAMPLED_MODULE).parent.mkdir(parents=True)
    (root / SAMPLED_MODULE).write_text(module)
    (root / "claims" / "deck.toml").write_text(DECK)
    return root


def keyed(text: str) -> str:
    """Text with a keyboard's minus, times and space in place of the page's."""
    signs = {"\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x", "\N{NARROW NO-BREAK SPACE}": " "}
    return text.translate(str.maketrans(signs))


class Page(HTMLParser):
    """What the tests ask of a page: its elements, its text, and where it links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]
