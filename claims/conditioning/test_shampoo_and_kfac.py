"""Shampoo and K-FAC precondition a matrix of weights by a Kronecker product, which no rescaling of components is.

Slide: Fixing Conditioning Issues, which names both as non-diagonal and says no more. For a layer of m × n weights a
full preconditioner would be a matrix of mn × mn numbers; a Kronecker product L ⊗ R has one of m × m and one of n × n.

Shampoo adds up G Gᵀ in L and Gᵀ G in R and steps along L^(-1/4) G R^(-1/4), which is (L ⊗ R)^(-1/4) times the entries
of G in a row. At the first step, with G = U S Vᵀ, the roots are those of S² on both sides, and what is left is U Vᵀ.
(Some implementations have taken the root of the order of the tensor, which leaves U S⁻¹ Vᵀ for a matrix.) If rows and
columns of G turn, so do L, R and the step.

K-FAC is about the Fisher matrix of a layer's weights. The gradient of one sample is g aᵀ, inputs a and derivatives g
with respect to what goes into the units, so the matrix is the mean of a aᵀ ⊗ g gᵀ. K-FAC takes the product of the
means, which is the same for one sample, and where every a meets every g, but not for a batch: a ReLU decides by a which
entries of g are 0. How far off it is on digits is measured, in Frobenius norms, for an untrained net and for one that
has learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from claimlab import Certificate, Claim, Property, Rows, Seeds, draw
from claimlab.data.digits import CLASSES, digits
from claimlab.measure.draws import Draws
from claimlab.measure.fit import accuracy, cross_entropy
from claimlab.nets import MLP
from claimlab.parts import parts
from claimlab.train import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from claimlab.report.figures import Measured

CLAIM = Claim(
    id="conditioning/shampoo-and-kfac-are-not-diagonal",
    covers=("E7",),
    slide="Fixing Conditioning Issues",
    version=1,
    finding="holds",
    says="K-FAC and Shampoo precondition stochastic updates by more than a diagonal.",
    statement="Shampoo and K-FAC precondition by a Kronecker product. Shampoo's first step is U Vᵀ, of the gradient's "
    "singular vectors, and its steps turn with rows and columns. K-FAC's product is exact for one sample, or where "
    "inputs and derivatives are independent. For an untrained net on digits it misses at least a tenth of the Fisher "
    "matrix, and in squares at most half of what the diagonal misses.",
    reason="What the slide says follows from the algorithms: a diagonal would neither turn nor give U Vᵀ. That the "
    "Fisher matrix of a batch is a Kronecker product is an approximation.",
    scope="matrices of weights; Shampoo as in the paper, without momentum; the exact Fisher matrix of the first layer "
    "of a 64-32-10 net, no damping. Once the net has learned, K-FAC misses more than half of what the diagonal does",
    source="Gupta, Koren & Singer 2018 (arXiv 1802.09568), algorithm 1; Martens & Grosse 2015 (arXiv 1503.05671)",
    evidence=Property(examples=40),
)

Step = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class World:
    """The shape of a matrix, and the seed that its entries are drawn with."""

    rows: int
    columns: int
    seed: int


# -- Shampoo --------------------------------------------------------------------------------------------------------


def path(method: str, gradients: Tensor, **options: float) -> Tensor:
    """Where the optimizer goes from 0 at rate 1 by gradients `[T, m, n]`: `[T, m, n]`."""
    w = torch.zeros_like(gradients[0], requires_grad=True)
    optimizer, places = parts().named(method)([w], lr=1.0, **options), []
    for gradient in gradients:
        w.grad = gradient.clone()
        optimizer.step()
        places.append(w.detach().clone())
    return torch.stack(places)


def shampoo(gradient: Tensor, eps: float) -> Tensor:
    return -path("shampoo", gradient[None], eps=eps)[0]


def signs(gradient: Tensor, eps: float) -> Tensor:
    """The first step of Adam."""
    return -path("adam", gradient[None], eps=eps)[0]


def by_the_order(gradient: Tensor, eps: float) -> Tensor:
    """L^(-1/2) G R^(-1/2): the root of the order of the tensor, which is 2."""
    left, right = (
        (side + eps * torch.eye(len(side)).to(side)) for side in (gradient @ gradient.T, gradient.T @ gradient)
    )
    return power(left, -0.5) @ gradient @ power(right, -0.5)


def power(matrix: Tensor, exponent: float) -> Tensor:
    """Of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ (values.clamp(min=1e-300) ** exponent).diag() @ vectors.T


def first_step_is_orthogonal(world: World, *, step: Step = shampoo, eps: float = 1e-12) -> Certificate:
    """Whether the first step from a gradient with singular values of a half to two is U Vᵀ, and is so visibly.

    Epsilon takes eps / 2 s² < 1e-11 off a singular value. Where L or R has an eigenvalue of 0, rounding of 1e-15 is
    multiplied by eps^(-1/4), a thousand.
    """
    few, draws = min(world.rows, world.columns), Draws(world.seed)
    u = torch.linalg.qr(draws.normal("u", world.rows, few))[0]
    v = torch.linalg.qr(draws.normal("v", world.columns, few))[0]
    sizes = draws.uniform("s", few, low=0.5, high=2.0)
    gradient = u @ sizes.diag() @ v.T
    taken = step(gradient, eps)
    off, from_gradient = ((taken - other).abs().max() for other in (u @ v.T, gradient))
    return Certificate(bool(off <= 1e-9 and from_gradient > 1e-4), off=off)


def turns_along(world: World, *, method: str = "shampoo", steps: int = 4) -> Certificate:
    """Whether the path by the gradients P G Q is P W Q all along, for rotations P and Q of rows and columns.

    With eigenvalues of L and R no smaller than epsilon and no larger than a few hundred, rounding of 1e-14 grows to
    less than 1e-10 of a step.
    """
    draws = Draws(world.seed)
    p = torch.linalg.qr(draws.normal("p", world.rows, world.rows))[0]
    q = torch.linalg.qr(draws.normal("q", world.columns, world.columns))[0]
    gradients = draws.normal("gradients", steps, world.rows, world.columns)
    options = {} if method == "sgd" else {"eps": 0.01}
    straight, turned = path(method, gradients, **options), path(method, p @ gradients @ q, **options)
    off = (p @ straight @ q - turned).abs().max() / straight.abs().max()
    return Certificate(bool(off <= 1e-9), off=off)


def is_a_kronecker_product(
    world: World, *, method: str = "shampoo", exponent: float = -0.25, steps: int = 4
) -> Certificate:
    """Whether each step is (L ⊗ R)^exponent times the entries of the gradient, L and R added up from epsilon on."""
    eps, draws = 0.01, Draws(world.seed)
    gradients = draws.normal("gradients", steps, world.rows, world.columns)
    taken = -torch.cat([torch.zeros_like(gradients[:1]), path(method, gradients, eps=eps)]).diff(dim=0)
    left, right = (eps * torch.eye(size, dtype=torch.float64) for size in gradients[0].shape)
    off = []
    for gradient, step in zip(gradients, taken, strict=True):
        left, right = left + gradient @ gradient.T, right + gradient.T @ gradient
        derived = power(torch.kron(left, right), exponent) @ gradient.flatten()
        off.append((derived.view_as(step) - step).abs().max())
    return Certificate(bool(max(off) <= 1e-9), off=max(off))


def matrices() -> st.SearchStrategy[World]:
    """Of two to five rows and columns."""
    return st.builds(World, st.integers(2, 5), st.integers(2, 5), st.integers(0, 999))


# -- K-FAC ----------------------------------------------------------------------------------------------------------

Vectors = tuple[tuple[int, ...], ...]


def product_of_means_is_exact(pairs: tuple[Vectors, Vectors], *, every_pair: bool = False) -> Certificate:
    """Whether n Σ a aᵀ ⊗ g gᵀ is Σ a aᵀ ⊗ Σ g gᵀ, in whole numbers, over n samples with inputs a and derivatives g.

    They come in pairs, or each a with each g. `error` is the share of the Fisher matrix, and as `kfac_error` has it.
    """
    a, g = (torch.tensor(vectors, dtype=torch.float64) for vectors in pairs)
    if every_pair:
        chosen = torch.tensor(list(product(range(len(a)), range(len(g)))))
        a, g = a[chosen[:, 0]], g[chosen[:, 1]]
    outer_a, outer_g = (each[:, :, None] * each[:, None] for each in (a, g))
    fisher = len(a) * sum(torch.kron(*both) for both in zip(outer_a, outer_g, strict=True))
    difference = fisher - torch.kron(outer_a.sum(dim=0), outer_g.sum(dim=0))
    error = torch.linalg.norm(difference) / torch.linalg.norm(fisher)
    measured = kfac_errors(a[None], outer_g[None])[0][0]
    # The square of what is measured is a difference of numbers of size 1, off by some 1e-15.
    agrees = (measured**2 - error**2).abs() <= 1e-12
    return Certificate(bool((difference == 0).all() and agrees), error=error, measured=measured)


def kfac_errors(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """What K-FAC's product misses of a Fisher matrix F = mean (a aᵀ ⊗ G), and what its diagonal does, as shares of F.

    Inputs are `[S, N, d]`, second moments G of the derivatives `[S, N, k, k]`. The norms are Frobenius', for which no
    matrix of dk × dk is needed: that of F sums (a·a′)² ⟨G, G′⟩ over all pairs of samples.
    """
    n, flat = a.shape[1], g.flatten(2)
    mean_a, mean_g = a.mT @ a / n, g.mean(dim=1)
    size = ((a @ a.mT) ** 2 * (flat @ flat.mT)).mean(dim=(1, 2))
    both = (((a @ mean_a) * a).sum(dim=2) * (g * mean_g[:, None]).sum(dim=(2, 3))).mean(dim=1)
    kfac = mean_a.square().sum(dim=(1, 2)) * mean_g.square().sum(dim=(1, 2))
    diagonal = (a.square().mT @ g.diagonal(dim1=2, dim2=3) / n).square().sum(dim=(1, 2))
    missed, missed_by_diagonal = size - 2 * both + kfac, size - diagonal
    return (missed.clamp(min=0) / size).sqrt(), (missed_by_diagonal.clamp(min=0) / size).sqrt()


def off_on_digits(seeds: Seeds, *, images: int = 300, width: int = 32, epochs: int = 0, rate: float = 0.1) -> Rows:
    """K-FAC misses a tenth of the Fisher matrix at least, and in squares half of what the diagonal misses at most.

    A seed draws the images and torch's initialisation, and trains for some epochs in batches of 50 before it is looked
    at; if it does, the premise is that it has learned nine images in ten. The Fisher matrix, of the first layer, is the
    expectation over labels that the net itself gives. A tenth is no rounding; half is what two matrices in place of one
    diagonal should be worth.
    """
    world, net = digits(seeds, n=images, n_test=0), MLP((64, width, CLASSES))
    fit = train(
        seeds, net, net.init(seeds, parts().torch_init), world.x, world.y,
        loss=cross_entropy, optimizer=partial(parts().sgd, lr=rate), epochs=epochs, batch=50,
    )  # fmt: skip
    weight, bias, readout, _ = fit.parameters
    logits = net(fit.parameters, world.x)
    chances = logits.softmax(dim=2)
    back = (world.x @ weight + bias > 0)[..., None] * readout[
        :, None
    ]  # from the logits to the units, [S, N, width, 10]
    spread = torch.diag_embed(chances) - chances[..., None] * chances[..., None, :]
    kfac, diagonal = kfac_errors(world.x, back @ spread @ back.mT)
    right = accuracy(logits, world.y)
    return Rows(
        win=(kfac >= 0.1) & (2 * kfac**2 <= diagonal**2), premise=right >= (0.9 if epochs else 0),
        kfac=kfac, diagonal=diagonal, accuracy=right,
    )  # fmt: skip


def samples(least: int, most: int) -> st.SearchStrategy[tuple[Vectors, Vectors]]:
    """Inputs of three whole numbers and as many derivatives of two, none of them all 0."""
    vectors = [st.tuples(*[st.integers(-5, 5)] * size).filter(any) for size in (3, 2)]
    return st.integers(least, most).flatmap(lambda n: st.tuples(*(st.tuples(*[vector] * n) for vector in vectors)))


# -- tests ----------------------------------------------------------------------------------------------------------


ALIKE: tuple[Vectors, Vectors] = (((1, 0, 0), (0, 1, 0)), ((1, 0), (0, 1)))
"""Two samples, each with an input and a derivative of its own."""


def test_claim(judge):
    """Matrices of two to five rows and columns, singular values of a half to two: the first step is U Vᵀ to 1e-9."""
    judge(first_step_is_orthogonal, given=matrices()).supports()


@pytest.mark.parametrize("step", [signs, by_the_order], ids=["adam", "root-of-the-order"])
def test_control_first_step(judge, step):
    judge(first_step_is_orthogonal, given=matrices(), example=World(3, 4, seed=0), step=step).refutes()


def test_kronecker_product(judge):
    """Each of four steps is (L ⊗ R)^(-1/4) times the gradient, to 1e-9, with the product as one matrix of mn × mn."""
    judge(is_a_kronecker_product, given=matrices()).supports()


def test_control_kronecker_product_by_the_order(judge):
    judge(is_a_kronecker_product, given=matrices(), example=World(3, 4, seed=0), exponent=-0.5).refutes()


def test_control_adagrad_is_diagonal(judge):
    judge(is_a_kronecker_product, given=matrices(), example=World(3, 4, seed=0), method="adagrad").refutes()


def test_turns_along(judge):
    """Four gradients turned by P and Q lead Shampoo to P W Q, to 1e-9."""
    judge(turns_along, given=matrices()).supports()


def test_descent_turns_along(judge):
    """As they do gradient descent."""
    judge(turns_along, given=matrices(), method="sgd").supports()


@pytest.mark.parametrize("method", ["adam", "adagrad"], ids=["adam", "adagrad"])
def test_control_turned(judge, method):
    judge(turns_along, given=matrices(), example=World(3, 4, seed=0), method=method).refutes()


def test_kfac_of_one_sample(judge):
    """Three inputs and two derivatives, in whole numbers: the Fisher matrix of one sample is K-FAC's product."""
    judge(product_of_means_is_exact, given=samples(1, 1)).supports()


def test_kfac_of_every_pair(judge):
    """Two or three inputs, each with each of as many derivatives, so that they are independent: exact as well."""
    judge(product_of_means_is_exact, given=samples(2, 3), every_pair=True).supports()


def test_control_kfac_of_a_batch(judge):
    """Two or three samples, each input with a derivative of its own."""
    judge(product_of_means_is_exact, given=samples(2, 3), example=ALIKE).refutes()


@pytest.mark.statistical(block=11)
def test_kfac_on_digits(judge):
    """An untrained 64-32-10 ReLU net, 300 images: a tenth is missed, in squares at most half the diagonal's."""
    judge(off_on_digits).supports()


@pytest.mark.statistical(block=11)
def test_control_kfac_after_training(judge):
    """Twenty epochs later the derivatives depend so much on the images that half is out of reach."""
    judge(off_on_digits, epochs=20).refutes()


def figure(measured: Measured, ax: Axes) -> None:
    """K-FAC's product misses part of the Fisher matrix, and far less than its diagonal does; more in a trained net."""
    groups = {
        name: {"K-FAC's product": measured[test]["kfac"], "the diagonal": measured[test]["diagonal"]}
        for test, name in (("kfac_on_digits", "untrained"), ("control_kfac_after_training", "trained"))
    }
    draw.columns(ax, groups)
    ax.set(ylabel="missed, as a share of the Fisher matrix", ylim=(0, 1))
    draw.key(ax)
