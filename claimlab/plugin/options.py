"""The options of a run. All begin with `--claims-`, so that they meet no other plugin's."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from claimlab.declare import deck, excuses
from claimlab.declare.claim import KINDS
from claimlab.declare.modules import FOLDER
from claimlab.declare.rules import DTYPES
from claimlab.records.provenance import commit

PINNED, CERTIFY = "pinned", "certify"
"""The epoch that everybody runs, and what those begin with that certificates are drawn from."""

# One thread, with workers or without: nets this small gain little from a second one, and lose a factor when another
# program wants the core. Where somebody asks for more, a waiting thread sleeps instead of spinning: on a busy machine
# spinning threads slow a step down more than a hundredfold. torch and its libraries read these when they are loaded.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}

_RENAMED = (
    "--device, --dtype, --epoch, --certify and --report begin with --claims- now, and --claim-seed is --claims-seed."
)


@dataclass(frozen=True)
class Run:
    """What the options of one pytest run say, and the project's lists that go with them."""

    claims: Path
    epoch: str
    devices: tuple[str, ...]
    dtype: str
    report: Path
    certify: int | None
    seed: int | None
    deck: deck.Deck
    excuses: excuses.Excuses

    @property
    def root(self) -> Path:
        """The project's directory."""
        return self.claims.parent


RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("claimlab", "claims of a deep-learning lecture")
    group.addoption(
        "--claims-device",
        metavar="DEVICE",
        default="cpu",
        help="where statistical claims train: cpu, cuda, cuda:1, mps, ..., or all for every device here (default: cpu)",
    )
    group.addoption(
        "--claims-dtype",
        metavar="DTYPE",
        default="float32",
        help=f"what they compute in, where a claim does not say so itself: {', '.join(DTYPES)} (default: float32)",
    )
    group.addoption(
        "--claims-epoch",
        metavar="NAME",
        help="which random worlds to draw; any name gives fresh ones (default: pinned, the same for everybody)",
    )
    group.addoption(
        "--claims-seed",
        metavar="N",
        help="run seed N of one statistical claim and show its row; select the claim by path, node id or -k",
    )
    group.addoption(
        "--claims-certify",
        metavar="N",
        help="run N fixed seeds of every selected statistical test, of an epoch that its code names, and renew its "
        "certificate "
        "(in reports/reference, unless --claims-report names another directory)",
    )
    group.addoption(
        "--claims-report",
        metavar="DIR",
        help="where records and report go; records of the run before are kept beside them (default: reports/latest)",
    )
    # Shown under pytest's own sentence when a command line is wrong; the old names themselves are left to others.
    parser.extra_info["claimlab"] = _RENAMED


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: a test that judges {kind} evidence (set by the claim)")
    if runs_nothing_else(config):
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
    config.stash[RUN] = _read(config)


def certified_epoch(code: str) -> str:
    """The epoch of a certificate that vouches for code of this digest.

    Whatever a result rests on names the worlds that certify it, so that whoever changes it is judged on worlds that
    nobody has seen, whether or not a new version says that it changed.
    """
    return f"{CERTIFY}-{code}"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


def runs_claims(config: pytest.Config) -> bool:
    """Whether the command line names claims, or a folder that holds them."""
    root = (config.rootpath / FOLDER).resolve()
    return any(path.is_relative_to(root) or root.is_relative_to(path) for path in _named(config))


def runs_nothing_else(config: pytest.Config) -> bool:
    """Whether the command line names claims alone."""
    root = (config.rootpath / FOLDER).resolve()
    return bool(config.args) and all(path.is_relative_to(root) for path in _named(config))


def _named(config: pytest.Config) -> list[Path]:
    here = config.invocation_params.dir
    return [(here / argument.partition("::")[0]).resolve() for argument in config.args]


def _read(config: pytest.Config) -> Run:
    dtype = config.getoption("claims_dtype")
    if dtype not in DTYPES:
        raise pytest.UsageError(f"--claims-dtype {dtype} is unknown; choose one of {', '.join(DTYPES)}.")
    certify = _whole_number(config, "--claims-certify", least=1)
    seed = _whole_number(config, "--claims-seed", least=0)
    epoch = config.getoption("claims_epoch")
    if epoch is not None and not epoch.strip():
        raise pytest.UsageError(f"--claims-epoch needs a name; '{PINNED}' is the one everybody runs.")
    if certify is not None and epoch is not None:
        raise pytest.UsageError("--claims-certify has epochs of its own, which the code names; drop --claims-epoch.")
    if certify is not None and seed is not None:
        raise pytest.UsageError("--claims-certify runs many seeds and --claims-seed runs one; give one of them.")
    if seed is not None and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--claims-seed runs one seed in this process; drop -n.")
    claims = config.rootpath / FOLDER
    try:
        lists = {"deck": deck.read(claims), "excuses": excuses.read(claims)}
    except (deck.BadDeckError, excuses.BadExcusesError) as error:
        raise pytest.UsageError(str(error)) from None
    if certify and commit(config.rootpath).endswith("+"):
        raise pytest.UsageError(
            "--claims-certify vouches for a commit, and files differ from it; commit them first (reports may differ)."
        )
    return Run(
        claims=claims,
        epoch=CERTIFY if certify else epoch or PINNED,
        devices=_available_devices(config.getoption("claims_device")),
        dtype=dtype,
        report=_report_directory(config, "reference" if certify else "latest"),
        certify=certify,
        seed=seed,
        **lists,
    )


def _whole_number(config: pytest.Config, flag: str, *, least: int) -> int | None:
    text = config.getoption(flag)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < least:
        raise pytest.UsageError(f"{flag} {text} must be a whole number from {least}.")
    return int(text)


def _report_directory(config: pytest.Config, usual: str) -> Path:
    chosen = config.getoption("claims_report")
    if chosen is None:
        return config.rootpath / "reports" / usual
    if not chosen:
        raise pytest.UsageError("--claims-report needs the name of a directory.")
    return config.invocation_params.dir / chosen


def make_writable(report: Path) -> None:
    """Make the directory, or raise a usage error that says why it cannot be written."""
    try:
        report.mkdir(parents=True, exist_ok=True)
        probe = report / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise pytest.UsageError(
            f"--claims-report {report} cannot be written ({error.strerror}); name a directory you may write to."
        ) from None


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
        raise pytest.UsageError(f"--claims-device {name} is no device torch knows; {here}.") from None
    try:
        torch.empty(1, device=device).add_(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise pytest.UsageError(f"--claims-device {name} is not available; {here}.") from None
    return (str(device),)
