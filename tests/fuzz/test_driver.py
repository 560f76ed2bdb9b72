"""`make fuzz` itself: it runs, it finds what is there to be found, and it says so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as driver

TREE = Path(__file__).resolve().parents[2]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_target_that_holds_is_said_to_hold() -> None:
    done = fuzz("1", "wire-netstring")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("wire-netstring: ")
    assert done.stdout.endswith("nothing found\n")


def test_a_target_that_does_not_exist_is_wrong_usage() -> None:
    assert fuzz("1", "nothing").returncode == 2


def test_a_finding_is_told_with_the_octets_that_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed that fails is a finding at once; chance need not help."""
    (tmp_path / "snapshot-files").mkdir()
    (tmp_path / "snapshot-files" / "seed").write_bytes(b"\xde\xad")
    spoiled = tmp_path / "spoiled.py"
    spoiled.write_text(
        "import tests.fuzz.targets as t\n"
        "def fail(octets):\n    assert octets != b'\\xde\\xad', 'planted'\n"
        "t.TARGETS['snapshot-files'] = fail\n"
        "import tests.fuzz.__main__ as driver\ndriver.inside('snapshot-files')\n"
    )
    monkeypatch.setattr(driver, "CORPUS", tmp_path)
    monkeypatch.setattr(driver, "COMMAND", (sys.executable, str(spoiled)))
    monkeypatch.setenv("PYTHONPATH", str(TREE))
    assert not driver.run("snapshot-files", 5)
    said = capsys.readouterr().out
    assert "FOUND something" in said
    assert "planted" in said
    folder = Path(said.split("see ", 1)[1].split("\n", 1)[0])
    assert [path.read_bytes() for path in folder.glob("crash-*")] == [b"\xde\xad"]
    shutil.rmtree(folder)
