"""What checks return as plain Python: what a record can hold and another process can be sent."""

import math
from functools import partial
from typing import Any

# What stands for the numbers that JSON has no word for.
NOT_FINITE = ("nan", "inf", "-inf")


def plain(value: Any) -> Any:
    """Plain Python all the way down: tensors and arrays to lists, floats at nine digits, nan and inf to words."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return str(value)


def numbers(value: Any) -> Any:
    """The inverse for numbers: nan and inf turned back into floats."""
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    if isinstance(value, dict):
        return {name: numbers(entry) for name, entry in value.items()}
    return float(value) if isinstance(value, str) and value in NOT_FINITE else value


def finite(value: Any) -> bool:
    """Whether a plain value, or every entry of a list, is no nan or inf."""
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, str) or value not in NOT_FINITE


def described(world: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a world for a record: numbers and texts as they are, functions and objects by name."""
    return {name: _named(value) for name, value in world.items()}


def _named(value: Any) -> Any:
    if isinstance(value, bool | int | float | str) or value is None:
        return plain(value)
    if isinstance(value, list | tuple):
        return [_named(entry) for entry in value]
    if isinstance(value, dict):
        return {str(name): _named(entry) for name, entry in value.items()}
    if isinstance(value, partial):
        inside = [str(_named(entry)) for entry in value.args]
        inside += [f"{name}={_named(entry)}" for name, entry in value.keywords.items()]
        return f"{_named(value.func)}({', '.join(inside)})"
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return "a function" if "<lambda>" in name else name.rpartition(".<locals>.")[2]
    return str(value)
