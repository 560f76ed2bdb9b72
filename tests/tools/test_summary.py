"""The end of a test run: figures are printed, skips are named, and on the build machine a skip fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
SAMPLE = """
import pytest

def test_measures(figure):
    figure("delivered/s", 950)

def test_lacks_something():
    pytest.skip("there is no gdb")
"""


def run_sample(folder: Path, workers: int, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(SAMPLE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    # A folder of its own: where all runs of one user have theirs, each start of a run shuts all others' to other uids.
    own = ("--basetemp", folder / "run", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-p", "tests.fixtures.summary")
    command = [sys.executable, "-m", "pytest", *own, "-n", str(workers), folder]
    clean = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    environment = {**clean, "PYTHONPATH": str(TREE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_figures_and_reasons_stand_at_the_end(tmp_path: Path, workers: int) -> None:
    run = run_sample(tmp_path, workers)
    assert "test_measures: delivered/s = 950" in run.stdout
    assert "1 because: there is no gdb" in run.stdout
    assert run.returncode == 0


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can install everything, so only there a skip is a failure")
def test_a_skip_fails_on_the_build_machine(tmp_path: Path, workers: int) -> None:
    run = run_sample(tmp_path, workers, CI="true")
    assert "a skipped test is a failure here" in run.stdout
    assert run.returncode == 1
