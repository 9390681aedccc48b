"""Claimlab: the claims of a deep-learning lecture as executable, falsifiable tests.

This face is small on purpose and loads no torch. A claim module imports what it declares from here and the
instruments it measures with from `claimlab.data`, `claimlab.nets`, `claimlab.train` and `claimlab.measure`.
"""

from claimlab.declare.claim import Certificate, Claim, Exact, Property, Rows, Statistical

__version__ = "0.1.0"

__all__ = ["Certificate", "Claim", "Exact", "Property", "Rows", "Statistical", "__version__"]
