"""Finding and loading claim modules. Nothing here knows pytest."""

import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

FOLDER = "claims"
"""The folder of a project that holds its claims, a section a folder."""

_CLAIMLAB = str(Path(__file__).parents[1])


def claim_modules(root: Path) -> list[Path]:
    """The claim modules under `root`, a project's folder of claims, in order."""
    return sorted(root.glob("*/test_*.py"))


def names(root: Path) -> set[str]:
    """What claims can be called by: file, id, entries of the catalogue. Read from their text, without an import."""
    found = set()
    for path in claim_modules(root):
        text = path.read_text(encoding="utf-8", errors="replace")
        found.add(path.stem.removeprefix("test_"))
        found.update(re.findall(r'\bid="[\w-]+/([\w-]+)"', text)[:1])
        for covers in re.findall(r"\bcovers=\(([^)]*)\)", text)[:1]:
            found.update(re.findall(r'"(\w+)"', covers))
    return found


def load(path: Path) -> ModuleType:
    """Import a claim module by its path, outside `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"claim_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass whose annotations are strings looks its module up by name while it is made.
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[module.__name__]
    return module


def traceback_of(error: BaseException) -> str:
    """Where an error came up, from a claim's code on; frames of claimlab and of pytest's import are left out."""
    ours = (_CLAIMLAB, "<frozen importlib")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return "".join(traceback.format_list(frame for frame in frames if "_pytest" not in Path(frame.filename).parts))
