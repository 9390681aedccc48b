"""The seed-batched regression trees against scikit-learn's, seed by seed."""

import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

from claimlab.seeds import Seeds
from claimlab.train.trees import regression_trees

SEEDS = Seeds("tests/trees", 1, "pinned", tuple(range(8)), dtype=torch.float64)


@pytest.mark.parametrize(
    ("n", "places", "leaves"),
    [(2, 2**20, 2), (9, 2**20, 9), (50, 2**20, 16), (700, 2**20, 16), (300, 2**20, 2), (300, 64, 16), (700, 8, 4)],
)
def test_answers_are_those_of_scikit_learn(n, places, leaves):
    # Multiples of 1 / places are float32, which scikit-learn keeps inputs in; with few places many inputs coincide.
    x = (SEEDS.uniform("x", n) * places).floor() / places
    y = torch.sin(7 * x) + SEEDS.normal("y", n)
    points = torch.cat([x, SEEDS.uniform("points", 100, low=-0.2, high=1.2)], dim=1)
    answers = regression_trees(x, y, points, leaves=leaves)
    for seed in range(len(SEEDS)):
        twin = DecisionTreeRegressor(max_leaf_nodes=leaves).fit(x[seed, :, None].numpy(), y[seed].numpy())
        expected = twin.predict(points[seed, :, None].numpy())
        torch.testing.assert_close(answers[seed], torch.from_numpy(expected), rtol=0, atol=1e-12)
