"""How pairs are counted, and what the nets are fitted to."""

import torch

from claimlab import Seeds
from claimlab.measure.capacity import concordance, fit_moons, pairs_of

SEEDS = Seeds("measure/capacity", 1, "tests", (3, 8))


def test_concordance_of_pairs():
    """Two sets of two: within, both pairs agree; across, the third lies above the first and below the second."""
    told, seen = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[1.0, 4.0, 2.0, 3.0]])
    sets, all_count = torch.tensor([0, 0, 1, 1]), torch.ones(1, 4, dtype=torch.bool)
    assert concordance(told, seen, pairs_of(sets, all_count, within=True)).tolist() == [1.0]
    assert concordance(told, seen, pairs_of(sets, all_count, within=False)).tolist() == [0.5]
    but_first = torch.tensor([[False, True, True, True]])
    assert concordance(told, seen, pairs_of(sets, but_first, within=False)).tolist() == [0.0]
    assert concordance(torch.ones(1, 4), seen, pairs_of(sets, all_count, within=True)).tolist() == [0.5], "ties"
    assert concordance(told, seen, pairs_of(sets, ~all_count, within=True)).tolist() == [0.5], "no pair"


def test_labels_of_the_sets_are_nested():
    """Each draw has its own points; its sets share them and the initial weights, and wrong labels stay wrong."""
    fits = fit_moons(SEEDS, wrong=(0, 2, 5), draws=3, epochs=1)
    x, y = fits.x.reshape(2, 3, 3, 30, 2), fits.y.reshape(2, 3, 3, 30)
    assert (x[:, :, 0] == x[:, :, 2]).all()
    assert len(x[:, :, 0].flatten(0, 1).unique(dim=0)) == 6
    wrong = y != y[:, :, :1]
    assert (wrong.sum(dim=3) == torch.tensor([0, 2, 5])).all()
    assert (wrong[:, :, 1] <= wrong[:, :, 2]).all()
    assert fits.excess.shape == fits.product.shape == fits.margin.shape == (2, 3, 3)
