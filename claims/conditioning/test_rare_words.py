"""A row of an embedding has a gradient in the batches where its word occurs, so that rare words have one rarely.

Slide: Conditioning Issues. An embedding is a linear layer of one-hot inputs. The deck speaks of columns; torch keeps
them as rows. The gradient of a row is the sum of what comes back at its word's occurrences: none, no gradient.
A word that makes up a share p of independent words is missing from n of them with chance (1 − p)ⁿ. Real text is
bursty, which makes gradients of rare words rarer still: of n words that come in pairs only n / 2 are independent.

Two things are left out. If the embedding is the output layer as well, as in many language models, the softmax gives
every word a share of every prediction, and so every row a gradient. And no gradient does not mean no movement: Adam
remembers the last gradient for as many steps as its averages take to forget, and AdamW's decay asks for none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.measure.draws import Draws
from claimlab.parts import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/rare-words-have-rare-gradients",
    covers=("E3",),
    slide="Conditioning Issues",
    version=1,
    finding="scoped",
    says="Rare words rarely have a gradient in the embedding layer.",
    statement=(
        "A row of an embedding has a gradient in just those batches in which its word occurs: with a share p, in "
        "1 − (1 − p)ⁿ of the batches of n independent words. If tied to a softmax output, every row has one in every "
        "batch. A row without a gradient may still move: Adam goes most of its way for a word after "
        "the word has passed."
    ),
    reason=(
        "Looking up a row is multiplying by a one-hot vector, whose zeros leave no gradient to the other rows. A "
        "softmax has no zeros. Optimizers with a memory or with decay move a row whether it has a gradient or not."
    ),
    scope="words drawn independently; torch.nn.Embedding, with dense or sparse gradients; float64",
    source="derived in the module",
    evidence=Property(examples=40),
)

WORDS = 7


@dataclass(frozen=True)
class World:
    """A batch of words, each a number below 7, and what is random in the net."""

    words: tuple[int, ...]
    seed: int


def gradient(
    world: World,
    *,
    layer: Literal["embedding", "one_hot", "tied"] = "embedding",
    width: int = 3,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """The gradient by an embedding's rows `[7, width]`, and what comes back to each occurrence `[N, width]`.

    What comes back are whole numbers from 1 to 5, so that nothing is rounded and no sum is zero by accident; if the
    embedding is `tied` to the output, it is what predicting the next word makes it.
    """
    draws, words = Draws(world.seed), torch.tensor(world.words)
    embedding = parts().embedding(WORDS, width, dtype=torch.float64, **options)
    rows = embedding.get_parameter("weight")
    back = draws.uniform("back", len(words), width, low=1, high=6).floor()
    looked_up = one_hot(words, WORDS).to(rows) @ rows if layer == "one_hot" else embedding(words)
    loss = cross_entropy(looked_up @ rows.T, words.roll(-1)) if layer == "tied" else (looked_up * back).sum()
    found = torch.autograd.grad(loss, rows)[0]
    return found.to_dense() if found.is_sparse else found, back


def rows_with_a_gradient(
    world: World,
    *,
    which: Literal["occurring", "all", "occurring but for padding"] = "occurring",
    layer: Literal["embedding", "one_hot", "tied"] = "embedding",
    padding_idx: int | None = None,
    sparse: bool = False,
) -> Certificate:
    """Whether a row's gradient is other than zero in just these rows."""
    found, _ = gradient(world, layer=layer, padding_idx=padding_idx, sparse=sparse)
    has = [bool(row.any()) for row in found]
    expected = [
        which == "all" or (word in world.words and not (which == "occurring but for padding" and word == 0))
        for word in range(WORDS)
    ]
    return Certificate(has == expected, rows_with_a_gradient=has, occurs=[w in world.words for w in range(WORDS)])


def sums_over_occurrences(world: World, *, scale_grad_by_freq: bool = False) -> Certificate:
    """Whether a row's gradient is the sum of what comes back at its occurrences, in whole numbers: exactly."""
    found, back = gradient(world, scale_grad_by_freq=scale_grad_by_freq)
    sums = torch.zeros_like(found).index_add(0, torch.tensor(world.words), back)
    return Certificate(torch.equal(found, sums), gradient=found, sums=sums)


# -- how often ----------------------------------------------------------------------------------------------------


def in_that_share_of_batches(
    *, shares: tuple[Fraction, ...] = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)), n: int = 4, copies: int = 1
) -> Certificate:
    """Whether a row has a gradient in 1 − (1 − p)ⁿ of all batches of n words, each batch weighted by its chance.

    A batch is n / `copies` independent words, each `copies` times.
    """
    chance = [Fraction(0)] * len(shares)
    for drawn in product(range(len(shares)), repeat=n // copies):
        found, _ = gradient(World(drawn * copies, seed=0))
        for word in range(len(shares)):
            chance[word] += prod(shares[each] for each in drawn) * bool(found[word].any())
    derived = [1 - (1 - share) ** n for share in shares]
    return Certificate(chance == derived, chance=chance, derived=derived)


RANKS = (1, 3, 10, 30, 100, 300, 1000)


def zipf(words: int, exponent: float) -> Tensor:
    """The words' shares, commonest first: proportional to 1 / rank^exponent."""
    shares = torch.arange(1, words + 1, dtype=torch.float64) ** -exponent
    return shares / shares.sum()


def rare_words_rarely(
    seeds: Seeds, *, words: int = 1000, n: int = 256, batches: int = 100, exponent: float = 1.0, rarest: int = 100
) -> Rows:
    """A seed draws batches of independent words with Zipf's frequencies.

    A win: the commonest word's row has a gradient in every batch, the rarest hundredth's to tenth's in a tenth of the
    batches at most, on average. The rows of all batches are looked up at once, each in an embedding of its own.
    """
    edges = zipf(words, exponent).cumsum(0).to(seeds.device)
    drawn = torch.searchsorted(edges, seeds.uniform("words", batches * n).double()).clamp(max=words - 1)
    places = drawn + words * torch.arange(batches, device=seeds.device).repeat_interleave(n)
    embedding = parts().embedding(batches * words, 1).to(seeds.device)
    rows = embedding.get_parameter("weight")
    shares = torch.stack(
        [
            torch.autograd.grad(embedding(own).sum(), rows)[0].view(batches, words).ne(0).double().mean(dim=0)
            for own in places
        ]
    )
    win = (shares[:, 0] == 1) & (shares[:, -rarest:].mean(dim=1) <= 0.1)
    return Rows(win=win, shares=shares[:, [rank - 1 for rank in RANKS]], rarest=shares[:, -rarest:].mean(dim=1))


# -- what an optimizer does to a row without a gradient -----------------------------------------------------------


def optimizer(name: str, **options: float) -> Callable[[list[Tensor]], Any]:
    return partial(getattr(parts(), name), lr=0.01, **options)


def ways(name: str, *, seen: int, steps: int, max_norm: float | None, **options: float) -> tuple[list[float], float]:
    """How far each step moves the row of a word that occurs in batch `seen` alone, and all steps that of one in none.

    The other five words occur in every batch. Of all rows, the squared distance to a target is descended.
    """
    draws = Draws(0)
    layer = parts().embedding(WORDS, 3, dtype=torch.float64, max_norm=max_norm)
    rows = layer.get_parameter("weight")
    with torch.no_grad():
        rows.copy_(2 + draws.uniform("rows", WORDS, 3))
    targets, first = draws.normal("targets", WORDS, 3), rows.detach().clone()
    moves, optim = [], optimizer(name, **options)([rows])
    for step in range(steps):
        words = torch.tensor([0, 1, 2, 3, 4] + [5] * (step == seen))
        before = rows.detach().clone()
        optim.zero_grad()
        (layer(words) - targets[words]).square().sum().backward()
        optim.step()
        moves.append(float(torch.linalg.vector_norm((rows.detach() - before)[5])))
    return moves, float(torch.linalg.vector_norm((rows.detach() - first)[6]))


def never_seen_rests(
    *, name: str = "adam", steps: int = 20, max_norm: float | None = None, **options: float
) -> Certificate:
    """Whether the row of a word that never occurs is where it was, bit by bit, and that of one that occurs is not."""
    moves, never = ways(name, seen=0, steps=steps, max_norm=max_norm, **options)
    return Certificate(never == 0 < moves[0], moved_if_never_seen=never, moved_if_seen=moves[0])


def goes_most_of_the_way_after(
    *, name: str = "adam", seen: int = 50, steps: int = 150, **options: float
) -> Certificate:
    """Whether a row moves further after its word's only batch than in it."""
    moves, _ = ways(name, seen=seen, steps=steps, max_norm=None, **options)
    after = sum(moves[seen + 1 :])
    return Certificate(after > moves[seen] > 0, in_the_batch=moves[seen], after_it=after, moves=moves)


# -- tests --------------------------------------------------------------------------------------------------------


SOME = World((0, 2, 2, 5), seed=0)


def worlds() -> st.SearchStrategy[World]:
    """One to eight of seven words."""
    return st.builds(World, st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=8).map(tuple), st.integers(0, 999))


def test_claim(judge):
    """torch.nn.Embedding of 7 rows, one to eight words: the rows with a gradient are just those of the words."""
    judge(rows_with_a_gradient, given=worlds()).supports()


def test_sparse_gradients(judge):
    """The same with sparse=True."""
    judge(rows_with_a_gradient, given=worlds(), sparse=True).supports()


def test_one_hot_inputs(judge):
    """The same for a linear layer of one-hot inputs."""
    judge(rows_with_a_gradient, given=worlds(), layer="one_hot").supports()


def test_tied_to_a_softmax(judge):
    """Predicting each next word with the embedding as output layer: all seven rows have a gradient."""
    judge(rows_with_a_gradient, given=worlds(), layer="tied", which="all").supports()


def test_padding(judge):
    """With padding_idx=0 the row of word 0 has none either where it occurs."""
    judge(rows_with_a_gradient, given=worlds(), padding_idx=0, which="occurring but for padding").supports()


@pytest.mark.parametrize(
    ("layer", "padding_idx"), [("tied", None), ("embedding", 0)], ids=["tied_to_a_softmax", "padding"]
)
def test_control(judge, layer, padding_idx):
    judge(rows_with_a_gradient, given=worlds(), example=SOME, layer=layer, padding_idx=padding_idx).refutes()


def test_sums_over_occurrences(judge):
    """A word that occurs twice gets what comes back to both, in whole numbers."""
    judge(sums_over_occurrences, given=worlds()).supports()


def test_control_means_over_occurrences(judge):
    """scale_grad_by_freq=True divides by the count."""
    judge(sums_over_occurrences, given=worlds(), example=SOME, scale_grad_by_freq=True).refutes()


@pytest.mark.exact
def test_share_of_batches(judge):
    """Words of shares 1/2, 1/3 and 1/6, all 81 batches of four: exactly 1 − (1 − p)⁴ of them, by their chances."""
    judge(in_that_share_of_batches).supports()


@pytest.mark.exact
def test_control_words_in_pairs(judge):
    """Bursts: two words, each twice."""
    judge(in_that_share_of_batches, copies=2).refutes()


@pytest.mark.statistical(block=11, dtype="float64")
def test_zipf(judge):
    """1000 words of frequencies 1 / rank, 100 batches of 256: the commonest in all, the rarest hundred in 10 % at most.

    1 − (1 − p)²⁵⁶ is 4 % for those hundred, on average.
    """
    judge(rare_words_rarely).supports()


@pytest.mark.statistical(block=11, dtype="float64")
def test_control_equal_frequencies(judge):
    judge(rare_words_rarely, exponent=0.0).refutes()


@pytest.mark.exact
def test_row_never_seen_rests(judge):
    """Twenty steps of Adam: the row of a word that never occurs does not move."""
    judge(never_seen_rests).supports()


@pytest.mark.exact
def test_row_never_seen_rests_with_max_norm(judge):
    """With max_norm=1, which shortens rows when they are looked up, and only then."""
    judge(never_seen_rests, max_norm=1.0).supports()


@pytest.mark.exact
def test_control_row_never_seen_with_decay(judge):
    """AdamW's decay shrinks every row."""
    judge(never_seen_rests, name="adamw", weight_decay=0.01).refutes()


@pytest.mark.exact
def test_adam_goes_most_of_the_way_after(judge):
    """The word occurs in batch 51 of 150: Adam moves its row further in the 99 batches after it than in that batch."""
    judge(goes_most_of_the_way_after).supports()


@pytest.mark.exact
@pytest.mark.parametrize("name", ["sgd", "adagrad"], ids=["sgd", "adagrad"])
def test_control_goes_most_of_the_way_after(judge, name):
    """Plain SGD remembers no gradient, and AdaGrad none but to divide by."""
    judge(goes_most_of_the_way_after, name=name).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """The rarer a word, the rarer a gradient of its row; with the embedding tied to a softmax, all have one always."""
    share = zipf(1000, 1.0)
    places = [float(share[rank - 1]) for rank in RANKS]
    ax.set(xscale="log")
    fine = torch.logspace(-4, -0.7, 100, dtype=torch.float64).tolist()
    draw.reference(ax, fine, lambda p: 1 - (1 - p) ** 256, "1 − (1 − p)ⁿ")
    draw.spread(
        ax, places, measured["zipf"]["shares"], "word of a share p of the text, n = 256", style="C0o", whiskers=True
    )
    draw.level(ax, 1, "every row, if\ntied to a softmax")
    ax.set(xlabel="share p of the word", ylabel="batches with a gradient", ylim=(0, 1.05))
    draw.key(ax)
