"""Loads the pytest side of claimlab for every test below this folder."""

pytest_plugins = ["claimlab.plugin"]
