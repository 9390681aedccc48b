"""The worlds: the geometry they are named after, the deck's own samples to the last digit, honest splits."""

import math

import numpy as np
import pytest
import torch
from mnist1d.data import get_dataset_args, make_dataset
from sklearn.datasets import load_digits, make_moons

from claimlab.data.digits import digits
from claimlab.data.mnist1d import POOL, _pool, mnist1d
from claimlab.data.moons import deck_moons, poisoned_moons, two_moons
from claimlab.data.noisy_sine import (
    BAYES_RISK,
    deck_noisy_sine,
    evaluation_grid,
    excess_risk,
    noisy_sine,
    true_function,
)
from claimlab.data.overlap import are_new
from claimlab.seeds import Seeds

SEEDS = Seeds("tests/data", 1, "pinned", tuple(range(6)), dtype=torch.float64)


# -- moons ---------------------------------------------------------------------------------------------------------


def standardised(points: np.ndarray, by: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((points - by.mean(axis=0)) / by.std(axis=0))


@pytest.mark.parametrize("n", [4, 30])
def test_moons_without_noise_are_sklearns(n):
    train, labels = make_moons(n, shuffle=False, noise=None)
    test, test_labels = make_moons(50, shuffle=False, noise=None)
    world = two_moons(SEEDS, n=n, n_test=50, noise=0.0)
    for member in range(len(SEEDS)):
        torch.testing.assert_close(world.x[member], standardised(train, train), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(world.x_test[member], standardised(test, train), rtol=1e-12, atol=1e-12)
        assert world.y[member].tolist() == labels.tolist()
        assert world.y_test[member].tolist() == test_labels.tolist()


def test_moons_are_standardised_on_the_training_points():
    world = two_moons(SEEDS)
    assert world.x.shape == (6, 30, 2)
    assert world.x_test.shape == (6, 1000, 2)
    torch.testing.assert_close(world.x.mean(dim=1), torch.zeros(6, 2).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(world.x.std(dim=1, correction=0), torch.ones(6, 2).double())
    assert world.x_test.mean(dim=1).abs().max() > 1e-3
    assert not torch.equal(world.x[0], world.x[1])


def test_moons_noise_has_the_size_asked_for():
    """Noise of two draws at the same seed is the same up to its size; 6 x 2000 numbers give its size to 5 %."""
    still, noisy = two_moons(SEEDS, n=1000, noise=0.0), two_moons(SEEDS, n=1000, noise=0.15)
    scale = torch.from_numpy(make_moons(1000, shuffle=False)[0].std(axis=0))
    recovered = noisy.x * (scale**2 + 0.15**2).sqrt() - still.x * scale
    recovered -= recovered.mean(dim=1, keepdim=True)
    assert abs(recovered.std() - 0.15) < 0.0075


def test_poison_follows_the_clean_points():
    """The clean points are those of `two_moons`; the poison is fresh, on the same scale, and labelled by a shuffle."""
    clean, poisoned = two_moons(SEEDS), poisoned_moons(SEEDS, poison=40)
    assert torch.equal(poisoned.x[:, :30], clean.x)
    assert torch.equal(poisoned.y[:, :30], clean.y)
    assert torch.equal(poisoned.x_test, clean.x_test)
    assert torch.equal(poisoned.y_test, clean.y_test)
    assert poisoned.x.shape == (6, 70, 2)
    assert are_new(poisoned.x[:, 30:], torch.cat([clean.x, clean.x_test], dim=1)).all()
    assert (poisoned.y[:, 30:].sum(dim=1) == 20).all()
    assert len(poisoned.y[:, 30:].unique(dim=0)) == 6

    still = poisoned_moons(SEEDS, poison=30, noise=0.0)
    torch.testing.assert_close(still.x[:, 30:], still.x[:, :30])


def test_half_of_the_poison_contradicts_the_moon_it_lies_on():
    """The shuffle moves labels between the moons: of 6 x 1000 it makes half wrong, give or take two hundredths."""
    poisoned = poisoned_moons(SEEDS, poison=1000)
    moon = torch.arange(1000) >= 500
    wrong = (poisoned.y[:, 30:] != moon.long()).double().mean()
    assert abs(wrong - 0.5) < 0.02


def test_flipped_poison_lies_where_the_other_moon_is_meant():
    shuffled, flipped = poisoned_moons(SEEDS, poison=20), poisoned_moons(SEEDS, poison=20, flipped=True)
    assert torch.equal(flipped.x, shuffled.x)
    assert torch.equal(flipped.y[:, :30], shuffled.y[:, :30])
    assert (flipped.y[:, 30:] == (torch.arange(20) < 10).long()).all()


def test_the_decks_moons_to_the_last_digit():
    x, y, x_test, y_test = deck_moons()
    assert (x.shape, x_test.shape) == ((30, 2), (1000, 2))
    np.testing.assert_allclose(x[0], [-0.5096828885621375, -0.15562470077763313], rtol=1e-12)
    np.testing.assert_allclose(x[1], [0.39069195048318917, -1.4659782041844283], rtol=1e-12)
    np.testing.assert_allclose(x_test[-1], [0.03227425093970544, 0.4359015033019163], rtol=1e-12)
    assert y[:6].tolist() == [1, 1, 0, 1, 0, 1]
    assert y_test[-5:].tolist() == [1, 1, 1, 0, 0]
    assert y.sum() == 15
    assert y_test.sum() == 500
    assert not np.array_equal(x, deck_moons(2)[0])


# -- noisy sine ----------------------------------------------------------------------------------------------------


def test_the_decks_noisy_sine_to_the_last_digit():
    x, y = deck_noisy_sine()
    assert (x.shape, y.shape) == ((200, 1), (200,))
    np.testing.assert_allclose(x[:3, 0], [0.31856895245132366, 0.020107546187493552, 0.6027633760716439], rtol=1e-12)
    np.testing.assert_allclose(y[:3], [0.7473480559523582, 0.8403518067326513, -0.21024755964603137], rtol=1e-12)
    np.testing.assert_allclose(y.sum(), -3.2954080271128277, rtol=1e-10)


def test_the_decks_noise_reuses_the_seed_of_its_inputs():
    """The notebook's quirk: the noise is the normal draws of a generator seeded like the one of the inputs."""
    x, y = deck_noisy_sine(n=200, seed=3)
    drawn = np.random.RandomState(3).uniform(size=180)
    noise = 0.4 * np.random.RandomState(3).randn(180)
    expected = dict(zip(drawn.tolist(), (np.sin(2 * np.pi * drawn) + noise).tolist(), strict=True))
    positive = {a: b for a, b in zip(x[:, 0].tolist(), y.tolist(), strict=True) if a > 0}
    assert positive == pytest.approx(expected)
    assert set(y[x[:, 0] <= 0].tolist()) == {0.0}


def test_noisy_sine_is_nine_tenths_sine_and_one_tenth_flat():
    x, y = noisy_sine(SEEDS, "train", 200)
    assert (x.shape, y.shape) == ((6, 200, 1), (6, 200))
    inputs = x[..., 0]
    flat = inputs < 0
    assert flat.sum(dim=1).tolist() == [20] * 6
    assert not y[flat].any()
    assert inputs.min() >= -1
    assert inputs.max() < 1
    assert not torch.equal(flat[0], flat[1])  # the order is random


def test_noisy_sine_has_the_bayes_risk_it_names():
    """The risk of the true function over 6 x 20 000 samples, to five standard errors."""
    x, y = noisy_sine(SEEDS, "test", 20_000)
    errors = (y - true_function(x[..., 0])).square()
    assert math.isclose(BAYES_RISK, 0.144)
    assert abs(errors.mean() - BAYES_RISK) < 5 * errors.std() / math.sqrt(errors.numel())
    x, y = noisy_sine(SEEDS, "test", 50, noise=0.0)
    torch.testing.assert_close(y, true_function(x[..., 0]))


def test_the_excess_risk_is_integrated_over_the_inputs():
    """By hand: the true function has none, the constant 0 has 0.9 times the mean of sin^2, which is 0.45."""
    grid = evaluation_grid(SEEDS)
    nothing = torch.zeros(len(SEEDS), dtype=torch.float64)
    torch.testing.assert_close(excess_risk(true_function(grid), grid), nothing)
    torch.testing.assert_close(excess_risk(torch.zeros_like(grid), grid), nothing + 0.45)
    shifted = torch.where(grid < 0, 1.0, true_function(grid))  # wrong on the flat tenth of the inputs alone
    torch.testing.assert_close(excess_risk(shifted, grid), nothing + 0.1)


def test_noisy_sine_draws_apart_by_name():
    assert not torch.equal(noisy_sine(SEEDS, "train", 50)[0], noisy_sine(SEEDS, "test", 50)[0])


# -- digits --------------------------------------------------------------------------------------------------------


def test_a_split_of_digits_does_not_overlap():
    """All 1797 images are used once: as many of each class as there are, whatever the split."""
    world = digits(SEEDS, n=1000, n_test=797)
    assert (world.x.shape, world.x_test.shape) == ((6, 1000, 64), (6, 797, 64))
    counts = torch.from_numpy(load_digits().target).bincount()
    for member in range(len(SEEDS)):
        assert torch.equal(torch.cat([world.y[member], world.y_test[member]]).bincount(), counts)
        both = torch.cat([world.x[member], world.x_test[member]])
        assert len(both.unique(dim=0)) == len(np.unique(load_digits().data, axis=0))
    assert not torch.equal(world.y[0], world.y[1])


def test_digits_keep_their_labels():
    """Each image of the split is, up to the standardisation, the image of its own label in scikit-learn."""
    world = digits(SEEDS.take([0]), n=200, n_test=100)
    bunch = load_digits()
    order = SEEDS.take([0]).permutation("digits.split", 1797)[0]
    assert world.y[0].tolist() == bunch.target[order[:200]].tolist()
    assert world.y_test[0].tolist() == bunch.target[order[200:300]].tolist()
    raw = torch.from_numpy(bunch.data)[order[:300]]
    ours = torch.cat([world.x[0], world.x_test[0]])
    for pixel in (10, 20, 36):
        assert torch.corrcoef(torch.stack([raw[:, pixel], ours[:, pixel]]))[0, 1] > 1 - 1e-9


def test_digits_are_centred_on_the_training_images():
    world = digits(SEEDS, n=600, n_test=300)
    torch.testing.assert_close(world.x.mean(dim=1), torch.zeros(6, 64).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(world.x.std(dim=(1, 2)), torch.ones(6).double(), rtol=1e-9, atol=0)
    assert not world.x[..., 0].any()  # the corner is always blank
    assert not world.x_test[..., 0].any()


def test_too_many_digits_are_refused_with_the_number_there_are():
    with pytest.raises(ValueError, match=r"there are 1797 digits, fewer than the 1500 \+ 298 asked for"):
        digits(SEEDS, n=1500, n_test=298)


# -- what is new ---------------------------------------------------------------------------------------------------


WORLDS = {
    "moons": lambda seeds: two_moons(seeds),
    "digits": lambda seeds: digits(seeds, n=500, n_test=1297),
    "mnist1d": lambda seeds: mnist1d(seeds, n=1500, n_test=500),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_test_sample_is_a_training_sample(name):
    world = WORLDS[name](SEEDS)
    assert are_new(world.x_test, world.x).tolist() == [True] * len(SEEDS)


def test_no_sample_of_the_sine_is_drawn_twice_nor_on_the_grid():
    train, test = (noisy_sine(SEEDS, name, 200)[0] for name in ("train", "test"))
    assert are_new(torch.cat([test, evaluation_grid(SEEDS)], dim=1), train).tolist() == [True] * len(SEEDS)


def test_no_test_point_of_the_decks_moons_is_a_training_point():
    x, _, x_test, _ = (torch.from_numpy(part)[None] for part in deck_moons())
    assert are_new(x_test, x).tolist() == [True]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_sample_that_leaked_is_noticed_in_its_seed(dtype):
    world = digits(SEEDS.to(dtype=dtype), n=500, n_test=297)
    world.x_test[2, 100] = world.x[2, 7]
    world.x_test[4, 100] = world.x[3, 7]  # another seed's, standardised in its way
    world.x_test[5, 100] = world.x_test[5, 101]  # the same twice, and new
    assert are_new(world.x_test, world.x).tolist() == [True, True, False, True, True, True]


# -- all of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_worlds_have_the_dtype_of_their_seeds(dtype):
    seeds = SEEDS.to(dtype=dtype)
    moons, images = two_moons(seeds, n=10, n_test=10), digits(seeds, n=10, n_test=10)
    x, y = noisy_sine(seeds, "train", 10)
    assert {tensor.dtype for tensor in (moons.x, moons.x_test, images.x, images.x_test, x, y)} == {dtype}
    assert {tensor.dtype for tensor in (moons.y, moons.y_test, images.y, images.y_test)} == {torch.int64}


@pytest.mark.parametrize(
    "world",
    [
        lambda seeds: two_moons(seeds, n=10, n_test=10).x,
        lambda seeds: noisy_sine(seeds, "train", 10)[1],
        lambda seeds: digits(seeds, n=10, n_test=10).x,
    ],
    ids=["moons", "noisy sine", "digits"],
)
def test_a_seeds_world_does_not_depend_on_its_block(world):
    torch.testing.assert_close(world(SEEDS)[4], world(SEEDS.take([4]))[0], rtol=1e-12, atol=1e-12)


# -- MNIST-1D ------------------------------------------------------------------------------------------------------


def test_mnist1d_is_what_its_package_makes():
    """After a new version of the package: `np.savez_compressed(path, x=x.astype(np.float32), y=y.astype(np.uint8))`."""
    arguments = get_dataset_args()
    arguments.num_samples = POOL
    made = make_dataset(arguments)
    x, y = (np.concatenate([made[name], made[f"{name}_test"]]) for name in "xy")
    kept, labels = _pool()
    torch.testing.assert_close(kept, torch.from_numpy(x).float())
    assert torch.equal(labels, torch.from_numpy(y).long())


def test_mnist1d_splits_a_pool_of_balanced_labels_and_unit_variance():
    world = mnist1d(SEEDS, n=1500, n_test=500)
    assert world.x.shape == (6, 1500, 40)
    assert world.y_test.shape == (6, 500)
    everything = torch.cat([world.x, world.x_test], dim=1)
    labels = torch.cat([world.y, world.y_test], dim=1)
    for member in range(len(SEEDS)):
        assert labels[member].bincount().tolist() == [200] * 10
        assert len(everything[member].unique(dim=0)) == 2000  # no signal is drawn twice
    torch.testing.assert_close(everything.mean(dim=(1, 2)), torch.zeros(6).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(everything.std(dim=(1, 2), correction=0), torch.ones(6).double(), rtol=0, atol=1e-4)
    assert not torch.equal(world.x[0], world.x[1])


def test_mnist1d_has_no_more_signals_than_it_has():
    with pytest.raises(ValueError, match="there are 2000 signals, fewer than the 1900 \\+ 101 asked for"):
        mnist1d(SEEDS, n=1900, n_test=101)
