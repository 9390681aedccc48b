"""Claimlab: the claims of a deep-learning lecture as executable, falsifiable tests.

This face is small on purpose. A claim module imports what it declares from here and the instruments it measures with
from `claimlab.data`, `claimlab.nets`, `claimlab.train` and `claimlab.measure`. Asking for `Seeds` loads torch.
"""

from typing import TYPE_CHECKING, Any

from claimlab.declare.claim import Certificate, Claim, Exact, Property, Rows, Statistical

if TYPE_CHECKING:
    from claimlab.seeds import Seeds

__version__ = "0.2.0"

__all__ = ["Certificate", "Claim", "Exact", "Property", "Rows", "Seeds", "Statistical", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Seeds":
        from claimlab.seeds import Seeds

        return Seeds
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
