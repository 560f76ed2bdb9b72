"""The comparison itself: it must not be able to flatter."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare, inbound
from benchmarks.inbound import Figures, Load

TREE = Path(__file__).resolve().parents[2]


def figures(delivered_per_second: float) -> Figures:
    return Figures(100, 1.0, delivered_per_second, 1.0, 1.0, 0.1, 0.0)


def test_a_wave_never_counts_past_the_last_mailbox() -> None:
    """smtp-source numbers its recipients from 1; past the last mailbox it would measure refusals."""
    assert list(Load(messages=25_000, mailboxes=10_000).waves()) == [10_000, 10_000, 5000]
    assert list(Load(messages=500, mailboxes=10_000).waves()) == [500]


def test_the_ratio_is_of_medians_and_one_lucky_run_does_not_move_it() -> None:
    ours = [figures(value) for value in (100, 100, 10_000)]
    theirs = [figures(value) for value in (200, 200, 200)]
    result = compare.Comparison(compare.WAYS[0], ours=ours, theirs=theirs)

    assert result.ratio("delivered_per_second") == 0.5
    assert not result.is_met
    assert "NOT MET" in compare.summary(result)[0]


def test_the_moment_of_delivery_is_the_rename_not_the_look(tmp_path: Path) -> None:
    """The driver may look seconds later; the figure stays the same."""
    for part in ("tmp", "new"):
        (tmp_path / "mailbox/Maildir" / part).mkdir(parents=True)
    written = tmp_path / "mailbox/Maildir/tmp/1"
    written.write_text("x")
    assert inbound.delivered(tmp_path) == []

    delivered = written.rename(tmp_path / "mailbox/Maildir/new/1")

    assert inbound.delivered(tmp_path) == [pytest.approx(delivered.stat().st_ctime, abs=0.001)]


def test_a_run_whose_mail_does_not_arrive_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(inbound.BenchmarkError, match="3 of 3 messages never arrived"):
        inbound.wait_for_delivery(tmp_path, 3, patience_seconds=0)


@pytest.mark.must_show
@pytest.mark.timeout(7200)
def test_postern_delivers_at_least_as_fast_as_postfix(tmp_path: Path, figure, full_size: bool) -> None:
    """In full size the promised ratios are demanded; in small it is shown that both deliver everything and what came out."""
    missing = [program for program in compare.NEEDED if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"the comparison needs root and {', '.join(missing) or 'nothing else'}")
    small = ["--quick", "--pairs", "1", "--messages", "80", "--mailboxes", "40", "--ways", "STARTTLS"]
    size = [] if full_size else small
    command = [sys.executable, "-m", "benchmarks.compare", "--json", str(tmp_path / "runs.json"), *size]

    run = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    told = json.loads((tmp_path / "runs.json").read_text())
    for way in told["runs"]:
        ours, theirs = (sorted(each["delivered_per_second"] for each in way[name]) for name in ("postern", "postfix"))
        figure(f"{way['way']}, Postern to Postfix", round(ours[len(ours) // 2] / theirs[len(theirs) // 2], 2))
    for name, counts in told["syncs_per_message"].items():
        figure(f"syncs a message, {name}", counts)
        assert sum(counts.values()) > 0, "a server that syncs nothing keeps no promise"
