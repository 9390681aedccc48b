"""A block of independent random worlds, drawn alike on every device.

Each draw of each seed has a stream of its own, keyed by (claim id, version, epoch, seed index, name). So a seed's
draws depend neither on the block it is trained in, nor on the order of the calls, nor on the worker or the device:
they are drawn on the CPU in float64 and then moved. Asking twice for one name gives the same numbers twice.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Seeds:
    """S seeds of one claim: `indices` of an `epoch`, and where (`device`) and how finely (`dtype`) to compute."""

    claim: str
    version: int
    epoch: str
    indices: tuple[int, ...]
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.indices)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal draws, `[S, *shape]`."""
        return self._floats(name, lambda rng: rng.standard_normal(shape))

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform draws from `[low, high)`, `[S, *shape]`; rounding to a coarse dtype may reach `high`."""
        return self._floats(name, lambda rng: rng.uniform(low, high, shape))

    def integers(self, name: str, *shape: int, high: int) -> Tensor:
        """Uniform integers from 0 to `high - 1`, int64 `[S, *shape]`."""
        return self._stack(name, lambda rng: rng.integers(high, size=shape))

    def permutation(self, name: str, n: int) -> Tensor:
        """A random order of `n` things, int64 `[S, n]`."""
        return self._stack(name, lambda rng: rng.permutation(n))

    def generators(self, name: str) -> list[np.random.Generator]:
        """One numpy generator a seed, for libraries that draw for themselves."""
        return [self._generator(name, index) for index in self.indices]

    def take(self, members: Tensor | list[int]) -> "Seeds":
        """The sub-block of the given positions (not indices)."""
        positions = members.tolist() if isinstance(members, Tensor) else members
        return replace(self, indices=tuple(self.indices[position] for position in positions))

    def to(self, *, dtype: torch.dtype) -> "Seeds":
        """The same worlds, computed in another precision."""
        return replace(self, dtype=dtype)

    def _generator(self, name: str, index: int) -> np.random.Generator:
        key = "\x1f".join((self.claim, str(self.version), self.epoch, str(index), name))
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest)))

    def _stack(self, name: str, draw) -> Tensor:
        block = np.stack([np.asarray(draw(rng)) for rng in self.generators(name)])
        return torch.from_numpy(block).to(self.device)

    def _floats(self, name: str, draw) -> Tensor:
        block = np.stack([np.asarray(draw(rng)) for rng in self.generators(name)])
        other = next((row for row, index in enumerate(self.indices) if index != self.indices[0]), None)
        if other is not None and block[0].size and np.array_equal(block[0], block[other]):
            raise AssertionError(f"seeds {self.indices[0]} and {self.indices[other]} drew the same {name!r}")
        return torch.from_numpy(block).to(self.dtype).to(self.device)
