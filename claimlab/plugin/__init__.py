"""The pytest side of claimlab: options, collection, the `judge` fixture, and what a run writes and says.

`pytest_plugins = ["claimlab.plugin"]` in a project's conftest.py loads it.
"""

from claimlab.plugin.collection import *  # noqa: F403
