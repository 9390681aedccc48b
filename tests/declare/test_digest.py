"""What makes a certificate stale, and what does not: a claim and the instruments of a small claimlab of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from claimlab.declare import digest as digests

CLAIM = '''"""A claim."""
from __future__ import annotations
import math
from typing import TYPE_CHECKING
import torch
from claimlab import Claim, Rows, Statistical, draw
from claimlab.nets import MLP
from claimlab.train.loop import train
if TYPE_CHECKING:
    from claimlab.seeds import Seeds
CLAIM = Claim(id="a/b", version=1, finding="holds", says="It is.", statement="It is so.", evidence=Statistical())
WIDTH = 8
"""How wide it is."""
def trial(seeds: Seeds, *, width: int = WIDTH) -> Rows:
    """A trial."""
    loss = train(MLP(width))  # it is small
    return Rows(win=loss < 0.5)
def test_claim(judge):
    """It says."""
    judge(trial).supports()
def figure(measured, ax):
    """A line."""
    draw.dots(ax, measured["claim"]["loss"])
'''

PACKAGE = {
    "__init__.py": "",
    "draw.py": "def dots(ax, values): ...",
    "seeds.py": "class Seeds: size = 1",
    "nets/__init__.py": "from claimlab.nets.mlp import MLP\nfrom claimlab.nets.conv import Conv",
    "nets/mlp.py": "from claimlab.parts import norms\nclass MLP:\n    def __init__(self, width): self.width = width",
    "nets/conv.py": "class Conv: ...",
    "parts/__init__.py": "",
    "parts/norms.py": "EPSILON = 1e-5",
    "train/__init__.py": "",
    "train/loop.py": "import claimlab.measure.count\ndef train(net): return 0.1",
    "measure/__init__.py": "",
    "measure/count.py": "def count(net): return 1",
    "measure/fit.py": "def fit(net): return 1",
    "judge/__init__.py": "VERDICT = 1",
}

Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """`digest(place, old, new)`: the digest of the claim when one file differs, by default none does."""
    package = tmp_path / "claimlab"
    monkeypatch.setattr(digests, "_PACKAGE", package)

    def of(place: str = "", old: str = "", new: str = "") -> str:
        for name, text in (PACKAGE | {"../test_it.py": CLAIM}).items():
            if name == place:
                assert text.count(old) == 1
                text = text.replace(old, new)
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        digests._digest.cache_clear()
        digests._face.cache_clear()
        return digests.digest(tmp_path / "test_it.py")

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A trial."""', '"""A trial in other words."""'),
        ('    """A trial."""\n', ""),
        ('"""How wide it is."""\n', ""),
        ("  # it is small", ""),
        ("loss < 0.5)\n", "\n        loss < 0.5\n    )\n\n\n"),
        ("draw.dots(ax, ", "draw.line(ax, 2 * "),
        ("Statistical, draw", "Statistical"),
        ("from __future__ import annotations\n", ""),
        ("    from claimlab.seeds import Seeds", "    from claimlab.report.figures import Measured"),
        ('finding="holds", says="It is."', 'finding="scoped", says="It was.", reason="It was seen."'),
    ],
)
def test_words_layout_and_drawing_change_nothing(digest: Digest, old: str, new: str):
    assert digest("../test_it.py", old, new) == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("loss < 0.5", "loss < 0.4"),
        ("width: int = WIDTH", "width: int = 9"),
        ("version=1", "version=2"),
        ("Statistical()", "Statistical(block=8)"),
        ("judge(trial).supports()", "judge(trial, width=2).supports()"),
        ("def test_claim", "@pytest.mark.exact\ndef test_claim"),
        ("import MLP", "import Conv as MLP"),
    ],
)
def test_code_changes_it(digest: Digest, old: str, new: str):
    assert digest("../test_it.py", old, new) != digest()


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("nets/mlp.py", "self.width = width", "self.width = 2 * width"),  # through the package's face
        ("train/loop.py", "return 0.1", "return 0.2"),  # by its own name
        ("parts/norms.py", "1e-5", "1e-6"),  # what an instrument imports
        ("measure/count.py", "return 1", "return 2"),  # by `import`
        ("nets/__init__.py", "from claimlab.nets.mlp import MLP", "from claimlab.nets.conv import MLP"),
    ],
)
def test_an_instrument_it_computes_with_changes_it(digest: Digest, place: str, old: str, new: str):
    assert digest(place, old, new) != digest()


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("nets/conv.py", "...", "depth = 2"),  # of the same package
        ("measure/fit.py", "return 1", "return 2"),
        ("seeds.py", "size = 1", "size = 2"),  # for the type checker alone
        ("draw.py", "...", "ax.plot(values)"),
        ("judge/__init__.py", "VERDICT = 1", "VERDICT = 2"),  # no instrument
        ("nets/mlp.py", "class MLP:\n", 'class MLP:\n    """A net."""\n'),
    ],
)
def test_what_it_does_not_compute_with_changes_nothing(digest: Digest, place: str, old: str, new: str):
    assert digest(place, old, new) == digest()


def test_a_digest_is_sixteen_digits_and_the_same_wherever_the_project_lies(digest: Digest, tmp_path: Path):
    here = digest()
    moved = (tmp_path / "test_it.py").rename(tmp_path / "test_moved.py")
    assert digests.digest(moved) == here
    assert int(here, 16) >= 0
    assert len(here) == 16
