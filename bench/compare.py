"""`python -m bench compare BASE [HEAD]`: is HEAD slower than BASE? Both are checked out and timed in turn.

Each launch starts a fresh process for either revision, pinned to the same core, and times every case that both have in
quads of short blocks, ABBA or BAAB as a coin falls. What the verdicts rest on is in `bench.verdicts`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import environment
from bench.environment import Meter, UnfitError
from bench.verdicts import INCONCLUSIVE, REGRESSED, Plan, Verdict, decide, settled

ROOT = Path(__file__).parents[1]
OK_STATUS, REGRESSED_STATUS, BROKEN_STATUS, INCONCLUSIVE_STATUS = 0, 1, 2, 3
BLOCK_SECONDS = 0.012
_ANSWER_SECONDS = 120


@dataclass(frozen=True)
class Revision:
    """A checkout to time: what it is called, its commit, and where it lies."""

    name: str
    commit: str
    path: Path


@dataclass
class Comparison:
    """What was measured: quads by case and launch, cases that could not be timed, and the machine meanwhile."""

    base: str
    head: str
    plan: Plan
    quads: dict[str, list[list[float]]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    machine: list[dict[str, float]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def status(self) -> int:
        """What the command exits with: broken before regressed, regressed before inconclusive."""
        found = {verdict.verdict for verdict in self.verdicts}
        failed = any(words.startswith("FAILED") for words in self.left_out.values())
        if not self.quads or failed:
            return BROKEN_STATUS
        if REGRESSED in found:
            return REGRESSED_STATUS
        return INCONCLUSIVE_STATUS if INCONCLUSIVE in found else OK_STATUS


class Worker:
    """A revision's process. Raises `UnfitError` where it does not answer."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"], cwd=revision.path, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | environment.THREADS | {"PYTHONPATH": str(revision.path)},
        )  # fmt: skip

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            assert self.process.stderr
            said = self.process.stderr.read().strip().splitlines()
            reason = said[-1] if said else f"it ended with status {self.process.wait()}"
            raise UnfitError(f"{self.revision.name} cannot be timed: {reason}.")
        return json.loads(line)

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process.terminate()
        self.process.wait()


Say = Callable[[str], None]


def compare(
    base: Revision,
    head: Revision,
    plan: Plan,
    *,
    seconds: float,
    say: Say,
    only: str = "",
    factor: float = 1.0,
) -> Comparison:
    """Time both revisions until every case is settled, or until the last look.

    A launch is given `seconds / looks[-1]` seconds. `only` limits the cases to names that hold it. `factor` is for
    measuring the sensitivity: head's blocks run so many times as many calls as are recorded.
    """
    run = Comparison(base.name, head.name, plan)
    started = time.monotonic()
    for launch in range(1, plan.looks[-1] + 1):
        before, speed = Meter.read(), environment.spin()
        one_launch(run, base, head, launch, seconds=seconds / plan.looks[-1], only=only, factor=factor)
        after = Meter.read()
        slowed = environment.spin() / speed
        run.machine.append({"stolen": after.stolen_since(before), "load": after.load, "speed": slowed})
        run.seconds = time.monotonic() - started
        say(f"launch {launch} of {plan.looks[-1]}, {run.seconds:.0f} s, load {after.load:.1f}")
        if launch in plan.looks:
            complete = {name: quads for name, quads in run.quads.items() if len(quads) == launch}
            run.quads = complete
            run.verdicts = decide(complete, plan)
            if settled(run.verdicts):
                break
        if not run.quads:
            break
    return run


def one_launch(
    run: Comparison, base: Revision, head: Revision, launch: int, *, seconds: float, only: str = "", factor: float = 1.0
) -> None:
    """A fresh process for either revision; adds a list of quads to each case."""
    shuffle = random.Random(launch)
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        workers = [Worker(base), Worker(head)]
        for worker in workers:
            stack.callback(worker.close)
        names = _shared(run, *(worker.ask(do="list")["cases"] for worker in workers), only=only)
        shuffle.shuffle(names)
        calls = {}
        for name in names:
            answers = [worker.ask(do="prepare", case=name, check=launch == 1) for worker in workers]
            if failed := [answer["error"] for answer in answers if "error" in answer]:
                run.left_out[name] = f"FAILED: {failed[0]}"
                run.quads.pop(name, None)
            else:
                calls[name] = max(1, round(BLOCK_SECONDS / answers[0]["seconds"]))
        left = seconds - (time.monotonic() - started)
        for place, name in enumerate(calls):
            share = max(left, 0.2) / (len(calls) - place)
            begun = time.monotonic()
            run.quads.setdefault(name, []).append(
                list(_quads(workers, name, calls[name], shuffle, seconds=share, factor=factor))
            )
            left -= time.monotonic() - begun


def _quads(
    workers: Sequence[Worker], name: str, calls: int, shuffle: random.Random, *, seconds: float, factor: float
) -> Iterator[float]:
    ends = time.monotonic() + seconds
    done = 0
    while done < 3 or time.monotonic() < ends:
        first = shuffle.randrange(2)
        log = [0.0, 0.0]
        for which in (first, 1 - first, 1 - first, first):
            really = round(calls * factor) if which else calls
            # What an injected slowdown asks for and whole calls cannot give is made up in the time.
            missing = calls * factor / really if which else 1.0
            log[which] += math.log(workers[which].ask(do="time", case=name, calls=really)["seconds"] * missing)
        yield (log[1] - log[0]) / 2
        done += 1


def _shared(run: Comparison, base: dict[str, str], head: dict[str, str], *, only: str) -> list[str]:
    """The cases both have alike; what else there is gets a word each."""
    names = []
    for name in dict.fromkeys([*base, *head]):
        if only not in name:
            continue
        if name not in base:
            run.left_out[name] = "NEW: only head has it"
        elif name not in head:
            run.left_out[name] = "MISSING: only base has it"
        elif base[name] != head[name]:
            run.left_out[name] = "CHANGED: the case itself differs, so its times say nothing about the library"
        elif name not in run.left_out:
            names.append(name)
            run.digests[name] = head[name]
    return names


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
                if not (path / "bench" / "worker.py").exists():
                    raise UnfitError(f"{name} is older than this command: it has no bench/worker.py to be timed by.")
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
    """The verdicts as a table, the worst first, then what could not be compared."""
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
        f"{run.head} against {run.base}: {len(run.quads)} cases, {len(run.machine)} launches, {run.seconds:.0f} s. "
        f"A change within {run.plan.margin:.0%} does not matter; the chance of any false alarm is at most "
        f"{run.plan.alpha:.0%}.",
        "",
        "| case | verdict | time, head / base | interval |",
        "|---|---|---|---|",
    ]
    for verdict in sorted(run.verdicts, key=lambda v: (order.get(v.verdict, 1), v.name)):
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
    stolen = max((launch["stolen"] for launch in run.machine), default=0.0)
    slowest = min((launch["speed"] for launch in run.machine), default=1.0)
    words = []
    if stolen > 0.02:
        words.append(f"the host took up to {stolen:.0%} of the processor's time")
    if slowest < 0.8:
        words.append(f"the processor fell to {slowest:.0%} of its speed within a launch")
    return f"The machine was not quiet: {' and '.join(words)}." if words else ""


def to_json(run: Comparison) -> dict[str, Any]:
    """Everything that was measured."""
    return {**asdict(run), "status": run.status, "fingerprint": environment.fingerprint()}
