"""What a claim module's results rest on, as one short hash: it changes when, and only when, they may have changed.

It is taken over the syntax trees of the module and of the instruments it imports (`claimlab.nets`, `train`, ...),
transitively. Comments, docstrings and layout are no part of a syntax tree; left out besides are `figure` and what only
draws, imports for type checkers, and the words of `CLAIM`.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSTRUMENTS = ("data", "measure", "nets", "parts", "seeds", "train")
_WORDS = {"slide", "covers", "says", "statement", "reason", "scope", "source", "finding"}


def digest(module: Path) -> str:
    """The hash of a claim module and its instruments, 16 hexadecimal digits."""
    return _digest(module, module.stat().st_mtime_ns)


@cache
def _digest(module: Path, changed: int) -> str:
    own = _read(module, changed)
    told: dict[Path, str] = {}
    waiting = [*own.instruments]
    while waiting:
        path = waiting.pop()
        if path not in told:
            instrument = _read(path, path.stat().st_mtime_ns)
            told[path] = instrument.told
            waiting += instrument.instruments
    texts = [own.told, *(f"{path.relative_to(_PACKAGE).as_posix()}\n{told[path]}" for path in sorted(told))]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Source:
    """A file as text without what no result depends on, and the files of the instruments that it imports."""

    told: str
    instruments: tuple[Path, ...]


@cache
def _read(path: Path, changed: int) -> _Source:
    tree = _Bare().visit(ast.parse(path.read_bytes(), filename=str(path)))
    return _Source(_told(tree), tuple(_instruments(tree)))


class _Bare(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None  # a docstring, of a module, a class, a function or a name
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        return None if node.name == "figure" else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.module == "__future__" or node.module == "claimlab.draw":
            return None
        if node.module in ("claimlab", "typing"):
            node.names = [name for name in node.names if name.name not in ("draw", "TYPE_CHECKING")]
        return node if node.names else None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Claim":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _WORDS]
        return self.generic_visit(node)


def _instruments(tree: ast.Module) -> Iterator[Path]:
    """The files of claimlab's instruments that a module takes something from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for name in node.names:
                yield from _source(node.module, name.name)
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _source(name.name, None)


def _source(module: str, name: str | None) -> Iterator[Path]:
    """Where a name that is imported from a module of claimlab is defined: a package's face hands it on."""
    claimlab, *parts = module.split(".")
    if claimlab != _PACKAGE.name:
        return
    if not parts and name:
        handed_on = _face(_PACKAGE / "__init__.py")
        yield from _source(handed_on.get(name, f"{claimlab}.{name}"), name if name in handed_on else None)
        return
    if not parts or parts[0] not in _INSTRUMENTS:
        return
    place = _PACKAGE.joinpath(*parts)
    if not place.is_dir():
        yield place.with_suffix(".py")
        return
    if name and (place / f"{name}.py").is_file():
        yield place / f"{name}.py"
        return
    handed_on = _face(place / "__init__.py")
    if name in handed_on:
        yield from _source(handed_on[name], name)
    else:  # the package itself, and so all that its face hands on
        yield place / "__init__.py"
        for each, module in handed_on.items():
            yield from _source(module, each)


@cache
def _face(init: Path) -> dict[str, str]:
    """The module that each name of a package's face comes from."""
    return {
        name.asname or name.name: node.module
        for node in ast.walk(ast.parse(init.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }


def _told(node: object) -> str:
    """A syntax tree as text that is alike in every version of Python: fields that hold nothing are left out."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__} {node.value!r}"
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        inside = ", ".join(f"{name}={_told(value)}" for name, value in fields if value is not None and value != [])
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return f"[{', '.join(map(_told, node))}]"
    return repr(node)
