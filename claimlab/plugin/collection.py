"""The pytest side: options, the rules of collection, and the `judge` fixture.

Everything here applies to modules under `claims/` alone; other tests in the repository are left as they are.
"""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from claimlab.declare import modules as discover
from claimlab.declare.claim import KINDS, Claim, Statistical
from claimlab.plugin.fixture import Judge, Run, make_declaration
from claimlab.plugin.recorder import Recorder
from claimlab.records import record as records

DTYPES = ("float64", "float32", "bfloat16", "float16")

RUN = pytest.StashKey[Run]()
IDS = pytest.StashKey[dict[str, Path]]()


# -- options ------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("claimlab", "claims of a deep-learning lecture")
    group.addoption(
        "--device",
        default="cpu",
        help="where statistical claims train: cpu, cuda, cuda:1, mps, ..., or all for every device here (default: cpu)",
    )
    group.addoption("--dtype", default="float32", help=f"what they compute in: {', '.join(DTYPES)} (default: float32)")
    group.addoption(
        "--epoch",
        metavar="NAME",
        help="which random worlds to draw; any name gives fresh ones (default: pinned, the same for everybody)",
    )
    group.addoption(
        "--claim-seed",
        metavar="N",
        help="run seed N of one statistical claim and show its row; select the claim by path, node id or -k",
    )
    group.addoption(
        "--certify",
        metavar="N",
        help="run N fixed seeds of the epoch 'certify' for every statistical test and write certificates.jsonl",
    )
    group.addoption(
        "--report",
        metavar="DIR",
        help="where records and report go; records of the run before are kept beside them (default: reports/latest)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: a test that judges {kind} evidence (set by the claim)")
    # One thread, with workers or without: nets this small gain little from a second one, and lose a factor when
    # another program wants the core. torch and its libraries read these when they are first loaded.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    config.stash[RUN] = run = _read_options(config)
    config.stash[IDS] = {}
    if not _is_worker(config) and _runs_claims(config) and not config.option.collectonly:
        _make_writable(run.report)
        config.pluginmanager.register(Recorder(config, run), "claimlab-recorder")


def _read_options(config: pytest.Config) -> Run:
    dtype = config.getoption("dtype")
    if dtype not in DTYPES:
        raise pytest.UsageError(f"--dtype {dtype} is unknown; choose one of {', '.join(DTYPES)}.")
    certify = _whole_number(config, "certify", least=1)
    claim_seed = _whole_number(config, "claim_seed", least=0)
    epoch = config.getoption("epoch")
    if epoch is not None and not epoch.strip():
        raise pytest.UsageError("--epoch needs a name; 'pinned' is the one everybody runs.")
    if certify is not None and epoch is not None:
        raise pytest.UsageError("--certify has an epoch of its own ('certify'); drop --epoch.")
    if certify is not None and claim_seed is not None:
        raise pytest.UsageError("--certify runs many seeds and --claim-seed runs one; give one of them.")
    if claim_seed is not None and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--claim-seed runs one seed in this process; drop -n.")
    return Run(
        epoch="certify" if certify else epoch or "pinned",
        devices=_available_devices(config.getoption("device")),
        dtype=dtype,
        report=_report_directory(config),
        certify=certify,
        claim_seed=claim_seed,
    )


def _whole_number(config: pytest.Config, option: str, *, least: int) -> int | None:
    text = config.getoption(option)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < least:
        flag = "--" + option.replace("_", "-")
        raise pytest.UsageError(f"{flag} {text} must be a whole number from {least}.")
    return int(text)


def _report_directory(config: pytest.Config) -> Path:
    chosen = config.getoption("report")
    if chosen is None:
        return config.rootpath / "reports" / "latest"
    if not chosen:
        raise pytest.UsageError("--report needs the name of a directory.")
    return config.invocation_params.dir / chosen


def _available_devices(name: str) -> tuple[str, ...]:
    if name == "cpu":
        return ("cpu",)  # without loading torch
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "all":
        return ("cpu", accelerator.type) if accelerator else ("cpu",)
    here = f"this machine has {'cpu and ' + accelerator.type if accelerator else 'cpu alone'}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise pytest.UsageError(f"--device {name} is no device torch knows; {here}.") from None
    try:
        torch.empty(1, device=device).add_(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise pytest.UsageError(f"--device {name} is not available; {here}.") from None
    return (str(device),)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _runs_claims(config: pytest.Config) -> bool:
    root = (config.rootpath / "claims").resolve()
    for argument in config.args:
        path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        if path.is_relative_to(root) or root.is_relative_to(path):
            return True
    return False


def _make_writable(report: Path) -> None:
    try:
        report.mkdir(parents=True, exist_ok=True)
        probe = report / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise pytest.UsageError(
            f"--report {report} cannot be written ({error.strerror}); name a directory you may write to."
        ) from None


# -- collection ---------------------------------------------------------------------------------------------------


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.is_relative_to(parent.config.rootpath / "claims"):
        return ClaimModule.from_parent(parent, path=module_path)
    return None


class ClaimModule(pytest.Module):
    """A module of `claims/`. One that breaks the rules is collected as a single failing item that says why."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        try:
            module = self.obj
        except Exception as error:
            # pytest wraps some errors of an import, with a traceback of its own in the words.
            cause = (error.__cause__ if isinstance(error, pytest.Collector.CollectError) else None) or error
            complaint = f"The module raised {type(cause).__name__} on import: {cause}\n{discover.traceback_of(cause)}"
            yield BrokenClaim.from_parent(self, name="declaration", complaint=complaint)
            return
        complaints = list(discover.complaints(module, self.path, self.config.rootpath / "claims"))
        if not complaints:
            first = self.config.stash[IDS].setdefault(module.CLAIM.id, self.path)
            if first != self.path:
                complaints = [f"CLAIM.id {module.CLAIM.id!r} is taken by {first.relative_to(self.config.rootpath)}."]
        if complaints:
            yield BrokenClaim.from_parent(self, name="declaration", complaint="\n".join(complaints))
            return
        if module.CLAIM.finding == "untestable":
            yield Declaration.from_parent(self, name="declaration", claim=module.CLAIM)
            return
        for item in super().collect():
            if isinstance(item, pytest.Function):
                item.add_marker(discover.evidence_of(item.function, module.CLAIM).kind)
            yield item


class BrokenClaim(pytest.Item):
    """Stands in for a claim module that cannot be judged."""

    def __init__(self, *, complaint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.complaint = complaint
        for kind in KINDS:
            self.add_marker(kind)  # so that -m shows it, whatever its evidence was to be

    def runtest(self) -> None:
        pytest.fail(self.complaint, pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.path.relative_to(self.config.rootpath).as_posix()


class Declaration(pytest.Item):
    """Stands for a claim that nobody can test: it judges nothing, and leaves a record that says why."""

    def __init__(self, *, claim: Claim, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim = claim

    def runtest(self) -> None:
        """Nothing to run; pytest_runtest_makereport leaves the record."""

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.claim.id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    claim = getattr(metafunc.module, "CLAIM", None)
    devices = metafunc.config.stash[RUN].devices
    if "judge" in metafunc.fixturenames and isinstance(claim, Claim) and len(devices) > 1:
        # Exact and property evidence does not depend on the device: it is gathered once.
        statistical = isinstance(discover.evidence_of(metafunc.function, claim), Statistical)
        metafunc.parametrize("judge", devices if statistical else devices[:1], indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash[RUN]
    if run.certify is None and run.claim_seed is None:
        return
    kept = [item for item in items if _claim_of(item) and item.get_closest_marker("statistical")]
    kept += [item for item in items if isinstance(item, BrokenClaim)]
    dropped = [item for item in items if item not in kept]
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept
    if run.claim_seed is not None:
        chosen = {claim.id for item in items if (claim := _claim_of(item))}
        if len(chosen) > 1 or not items:  # a broken module, chosen alone, says for itself what is wrong
            several = f"the selection holds {len(chosen)}" if chosen else "the selection holds none"
            raise pytest.UsageError(
                f"--claim-seed {run.claim_seed} needs exactly one statistical claim, and {several}; "
                "name its module, like pytest claims/optimization/test_wide_nets.py --claim-seed 3."
            )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """`--collect-only -q` lists the claims by id instead of their tests."""
    config = session.config
    _keep_for_good(config)
    if config.option.collectonly and config.option.verbose == -1:
        by_claim: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            if claim := _claim_of(item):
                by_claim.setdefault(claim.id, []).append(item)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if by_claim and reporter:
            for id in sorted(by_claim):
                claim = _claim_of(by_claim[id][0])
                assert claim is not None
                module = by_claim[id][0].path.relative_to(config.rootpath)
                kind = claim.evidence.kind if claim.evidence else "none"
                tests = len(by_claim[id]) if claim.evidence else 0
                reporter.write_line(f"{id}  {' '.join(claim.covers)}  {claim.finding}  {kind}  {tests} tests  {module}")
            session.items = [item for item in session.items if not _claim_of(item)]


def pytest_unconfigure(config: pytest.Config) -> None:
    _keep_for_good(config)


def _keep_for_good(config: pytest.Config) -> None:
    """Have the garbage collector pass over what torch and the claims brought: that took a tenth of a run."""
    if _runs_claims(config):
        gc.freeze()


def _claim_of(item: pytest.Item) -> Claim | None:
    if isinstance(item, pytest.Function) and isinstance(item.parent, ClaimModule):
        return item.module.CLAIM
    return item.claim if isinstance(item, Declaration) else None


# -- judging ------------------------------------------------------------------------------------------------------


@pytest.fixture(name="judge")
def judge_fixture(request: pytest.FixtureRequest) -> Judge:
    """Judges a claim's check: judge(trial, width=2).refutes()."""
    claim = _claim_of(request.node)
    if claim is None:
        pytest.fail("The judge fixture belongs to the modules under claims/.", pytrace=False)
    run = request.config.stash[RUN]
    return Judge(request.node, claim, run, getattr(request, "param", run.devices[0]))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    result = yield
    sitting = pyfuncitem.funcargs.get("judge")
    if isinstance(sitting, Judge):
        if sitting.outcome is None:
            pytest.fail("The test judged nothing: call judge(check) and then .supports() or .refutes().", pytrace=False)
        if not sitting.asks:
            pytest.fail("The test asserts nothing: end judge(...) with .supports() or .refutes().", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    report = yield
    sitting = item.funcargs.get("judge") if isinstance(item, pytest.Function) else None
    if call.when == "call" and isinstance(sitting, Judge):
        if report.failed and sitting.passed is not False:
            assert call.excinfo is not None
            sitting.failed(call.excinfo.exconly())
        # Attributes of a report travel from an xdist worker to the controller, where `Recorder` finds them.
        report.claimlab_record = sitting.record
        report.claimlab_shown = sitting.shown
    elif call.when == "call" and isinstance(item, Declaration):
        report.claimlab_record = records.encode(make_declaration(item.claim, item, item.config.stash[RUN]))
    return report
