"""Where a record comes from: the commit, the versions, the machine."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from claimlab import __version__


def provenance(root: Path) -> dict[str, Any]:
    """The fields of a record that say where and when it was made; `root` is the project's directory."""
    return {
        "commit": commit(root),
        "threads": threads(),
        "torch": metadata.version("torch"),
        "claimlab": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def commit(root: Path) -> str:
    """The project's commit, marked when its files differ from it; the reports, which a run writes, are none of them."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def threads() -> int:
    """How many threads torch computes in; a check that never loaded it computes in one."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 1
