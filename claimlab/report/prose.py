"""A claim's own words as HTML: escaped, with powers raised and papers linked."""

import re

from markupsafe import Markup, escape

_POWER = re.compile(r"\^(?:\(([^()]+)\)|([-\N{MINUS SIGN}]?\w+))")
_PAPER = re.compile(r"(?:arXiv[ :])?\b(\d{4}\.\d{4,5})\b|doi[ :](10\.\d{4,9}/[^\s;,)]+)", re.IGNORECASE)


def prose(text: str) -> Markup:
    """Words with `2^k` and `2^(k-1)` as print has them."""
    return Markup(_POWER.sub(lambda power: f"<sup>{power[1] or power[2]}</sup>", str(escape(text))))


def sources(text: str) -> Markup:
    """A source with a link for every paper that it names by its arXiv number or its DOI."""
    return Markup(_PAPER.sub(_link, str(escape(text))))


def _link(paper: re.Match[str]) -> str:
    address = f"https://arxiv.org/abs/{paper[1]}" if paper[1] else f"https://doi.org/{paper[2]}"
    return f'<a href="{address}" rel="noreferrer">{paper[0]}</a>'
