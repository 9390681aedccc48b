"""`python -m bench compare BASE [HEAD]`: is HEAD slower than BASE? Both are checked out and timed in turn.

How a launch times them is in `bench.launch`, what the verdicts rest on in `bench.verdicts`.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import environment
from bench.environment import Say, UnfitError
from bench.launch import Launch, Quad, Revision, launch, verify
from bench.verdicts import ALL_CASES, INCONCLUSIVE, REGRESSED, Plan, Verdict, decide, estimates, settled

ROOT = Path(__file__).parents[1]
OK_STATUS, REGRESSED_STATUS, BROKEN_STATUS, INCONCLUSIVE_STATUS = 0, 1, 2, 3


@dataclass
class Comparison:
    """What was measured: the launches, the cases that could not be timed, and the verdicts."""

    base: str
    head: str
    plan: Plan
    launches: list[Launch] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def streams(self) -> dict[str, list[list[float]]]:
        """The log-ratios of each case, launch by launch; cases that no launch failed to time."""
        names = self.launches[0].quads if self.launches else ()
        return {
            name: [[quad.log_ratio for quad in launch.quads[name]] for launch in self.launches]
            for name in names
            if name not in self.left_out
        }

    @property
    def digests(self) -> dict[str, str]:
        """What each case computes, told apart from what it computed before."""
        return self.launches[0].digests if self.launches else {}

    @property
    def status(self) -> int:
        """What the command exits with: broken before regressed, regressed before inconclusive."""
        found = {verdict.verdict for verdict in self.verdicts}
        if not self.verdicts or any(words.startswith("FAILED") for words in self.left_out.values()):
            return BROKEN_STATUS
        if REGRESSED in found:
            return REGRESSED_STATUS
        return INCONCLUSIVE_STATUS if INCONCLUSIVE in found else OK_STATUS


def compare(base: Revision, head: Revision, plan: Plan, *, seconds: float, say: Say, only: str = "") -> Comparison:
    """Check every case, then time both revisions until a look of the plan decides.

    A look decides when a case has regressed, or when no case is inconclusive. The launches share what the check leaves
    of `seconds`; `only` limits the cases to names that hold it.
    """
    run = Comparison(base.name, head.name, plan)
    started = time.monotonic()
    run.left_out = verify(base, head, only=only)
    say(f"every case checked, {time.monotonic() - started:.0f} s")
    each = (seconds - (time.monotonic() - started)) / plan.looks[-1]
    for number in range(1, plan.looks[-1] + 1):
        found = launch(base, head, seed=number, seconds=each, only=only, leave_out=run.left_out)
        if not found.quads:
            break
        run.left_out |= {name: f"FAILED: {error}" for name, error in found.failed.items()}
        run.launches.append(found)
        run.seconds = time.monotonic() - started
        say(f"launch {number} of at most {plan.looks[-1]}, {run.seconds:.0f} s, load {found.load:.1f}")
        if number in plan.looks:
            run.verdicts = decide(estimates(run.streams), plan)
            if settled(run.verdicts):
                break
    return run


@contextlib.contextmanager
def checked_out(names: Sequence[str]) -> Generator[list[Revision]]:
    """Worktrees of the revisions, removed again. Raises `UnfitError` for a name git does not know."""
    with tempfile.TemporaryDirectory(prefix="claimlab-bench-") as folder:
        revisions = []
        try:
            for place, name in enumerate(names):
                commit = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", says=f"git knows no {name}.")
                path = Path(folder) / str(place)
                _git("worktree", "add", "--detach", "--quiet", str(path), commit, says=f"{name} cannot be checked out.")
                revisions.append(Revision(name, commit, path))
                if not (path / "bench" / "cases.py").exists():
                    raise UnfitError(f"{name} is older than this command: it has no bench/cases.py to be timed by.")
            yield revisions
        finally:
            for revision in revisions:
                subprocess.run(
                    ["git", "worktree", "remove", "--force", str(revision.path)], cwd=ROOT, capture_output=True
                )
            subprocess.run(["git", "worktree", "prune"], cwd=ROOT, capture_output=True)


def _git(*arguments: str, says: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise UnfitError(says)
    return result.stdout.strip()


def markdown(run: Comparison) -> str:
    """The verdicts as a table, the worst first and all cases together last, then what could not be compared."""
    order = {REGRESSED: 0, INCONCLUSIVE: 2}
    counts = {name: sum(v.verdict == name for v in run.verdicts) for name in (REGRESSED, INCONCLUSIVE)}
    headline = (
        "broken" if run.status == BROKEN_STATUS
        else f"{counts[REGRESSED]} regressed" if counts[REGRESSED]
        else f"{counts[INCONCLUSIVE]} inconclusive" if counts[INCONCLUSIVE]
        else "no regression"
    )  # fmt: skip
    lines = [
        f"### Benchmarks: {headline}",
        "",
        f"{run.head} against {run.base}: {len(run.streams)} cases, {len(run.launches)} launches, {run.seconds:.0f} s. "
        f"A change within {run.plan.margin:.0%} does not matter; the chance of any false alarm is at most "
        f"{run.plan.alpha:.0%}.",
        "",
        "| case | verdict | time, head / base | interval |",
        "|---|---|---|---|",
    ]
    for verdict in sorted(run.verdicts, key=lambda v: (v.name == ALL_CASES, order.get(v.verdict, 1), v.name)):
        said = verdict.verdict
        if said == INCONCLUSIVE:
            said += f" (within {verdict.half_width:.1%})"
        lines.append(f"| {verdict.name} | {said} | {verdict.ratio:.3f} | {verdict.low:.3f} to {verdict.high:.3f} |")
    if run.left_out:
        lines += ["", "Not compared:", ""]
        lines += [f"- {name}: {words}" for name, words in sorted(run.left_out.items())]
    if busy := _busy(run):
        lines += ["", busy]
    return "\n".join(lines) + "\n"


def _busy(run: Comparison) -> str:
    """A sentence about a machine that was not quiet, or nothing."""
    stolen = max((found.stolen for found in run.launches), default=0.0)
    slowest = min((found.speed for found in run.launches), default=1.0)
    words = []
    if stolen > 0.02:
        words.append(f"the host took up to {stolen:.0%} of the processor's time")
    if slowest < 0.8:
        words.append(f"the processor fell to {slowest:.0%} of its speed within a launch")
    return f"The machine was not quiet: {' and '.join(words)}." if words else ""


def to_json(run: Comparison) -> dict[str, Any]:
    """Everything that was measured. Each quad is a list: base's two blocks, head's two, seconds stolen, processes."""
    launches = [asdict(replace(found, quads={})) | {"quads": _flat(found.quads)} for found in run.launches]
    whole = asdict(replace(run, launches=[])) | {"launches": launches}
    return {**whole, "status": run.status, "fingerprint": environment.fingerprint()}


def _flat(quads: dict[str, list[Quad]]) -> dict[str, list[list[float]]]:
    return {
        name: [[*quad.base, *quad.head, quad.stolen, quad.running] for quad in of_case]
        for name, of_case in quads.items()
    }
