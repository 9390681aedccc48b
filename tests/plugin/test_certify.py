"""`--claims-certify`: fixed seeds of the epoch that certificates are drawn from."""

import re
import subprocess

import pytest

from claimlab import Statistical
from claimlab.declare.digest import digest
from claimlab.records.files import CERTIFICATES
from claimlab.records.provenance import commit
from tests.plugin.project import Bench, draws, exact, shown

PLACE = ("reports/reference", CERTIFICATES)


def test_certificates_of_statistical_tests_alone_are_written_to_the_reference(bench: Bench):
    module = bench.write("drawn", **draws())
    bench.write("sum", **exact())
    result = bench.run("claims", "--claims-certify", "100")
    result.assert_outcomes(passed=2, deselected=2)
    assert "false alarm" not in shown(result)
    claim, control = bench.records(*PLACE)
    assert (claim.wins, claim.n, claim.rows, claim.numbers["lost"]) == (100, 100, {}, [])
    assert claim.epoch == f"certify-{digest(module)}"
    assert claim.numbers["interval"] == pytest.approx([0.9637833073548235, 1])
    assert claim.command == "pytest claims/sec/test_drawn.py::test_claim --claims-certify 100"
    assert (control.wins, control.asks, control.passed) == (0, "refutes", True)
    assert not (bench.path / "reports/reference/records.jsonl").exists()
    assert not (bench.path / "reports/latest").exists()


def test_too_few_wins_are_refused_and_a_new_certificate_replaces_the_old(bench: Bench):
    bench.write("drawn", **draws())
    bench.write("other", **draws())
    bench.run("claims", "--claims-certify", "100", "--claims-report", "mine")
    bench.write("drawn", **draws(bound="1.0"))
    result = bench.run("claims/sec/test_drawn.py", "--claims-certify", "100", "--claims-report", "mine")
    result.assert_outcomes(passed=1, failed=1)
    claim, control, *other = bench.records("mine", CERTIFICATES)
    assert len(other) == 2
    assert claim.wins is not None
    assert claim.wins < 99
    assert not claim.passed
    assert control.passed
    assert len(claim.numbers["lost"]) == 100 - claim.wins
    assert f"100 seeds judged, {claim.wins} won, and a certificate needs at least 99." in shown(result)
    again = re.search(r"Run the first of these seeds alone: (.*)", shown(result))
    assert again
    lost = claim.numbers["lost"][0]
    assert again[1] == f"pytest claims/sec/test_drawn.py::test_claim --claims-epoch {claim.epoch} --claims-seed {lost}"
    _, *alone = again[1].split()
    bench.run(*alone).assert_outcomes(failed=1)


def test_a_changed_world_is_certified_on_worlds_that_nobody_has_seen(bench: Bench):
    """Whoever changes what a claim's results rest on, and no version, does not draw the old certificate's worlds."""
    edge = draws(bound="1.9")  # about three of a hundred draws lie beyond

    def lost() -> tuple[str, list[int]]:
        bench.run("claims", "-k", "test_claim", "--claims-certify", "400")
        (certificate,) = bench.records(*PLACE)
        return certificate.epoch, certificate.numbers["lost"]

    bench.write("drawn", **edge)
    before = lost()
    bench.write("drawn", **edge, says="It is said in other words.")
    assert lost() == before, "words change no world"
    bench.write("drawn", **draws(bound="1.9 + 0"))
    epoch, seeds = lost()
    assert epoch != before[0]
    assert seeds != before[1]


def test_many_seeds_do_not_overflow(bench: Bench):
    bench.write("drawn", **draws(bound="6.0", control="-6.0", evidence=Statistical(block=64)))
    bench.run("claims", "--claims-certify", "2000").assert_outcomes(passed=2)


def test_a_tree_that_differs_from_its_commit_is_not_certified(bench: Bench):
    """What a certificate vouches for must be there for others to look at."""
    module = bench.write("drawn", **draws())
    as_somebody = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (["init", "-q"], ["add", "."], [*as_somebody, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=bench.path, check=True)
    commit.cache_clear()
    bench.run("claims", "--claims-certify", "100").assert_outcomes(passed=2)
    module.write_text(module.read_text() + "\n# another line\n")
    commit.cache_clear()
    result = bench.run("claims", "--claims-certify", "100")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--claims-certify vouches for a commit, and files differ from it; commit them first" in shown(result)
