"""The pytest side of claimlab: options, collection, the `judge` fixture, and what a run writes and says.

`pytest_plugins = ["claimlab.plugin"]` in a project's conftest.py loads it. Everything here applies to modules in the
folder of claims alone; other tests of the project are left as they are.
"""

pytest_plugins = (
    "claimlab.plugin.options",
    "claimlab.plugin.collection",
    "claimlab.plugin.fixture",
    "claimlab.plugin.recorder",
)
