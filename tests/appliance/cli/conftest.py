"""A founded appliance of its own for a test, and `postern` in it.

A reader would otherwise get wrong: `run` calls the command line's entry in this process, where a command costs a tenth of what
a process costs. `run_program` starts a process, for what only one shows: its exit code, its streams, that it ends by itself.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from appliance.config import VARIABLE
from tests.fixtures.command import Ran, run

ROOT = Path(__file__).resolve().parents[3]


Postern = Callable[..., Ran]


def run_program(folder: Path, *arguments: str, stdin: str = "") -> Ran:
    """The same as a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def founded_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, copied for each test."""
    folder = tmp_path_factory.mktemp("house")
    made = run(folder, "init", "--hostname", "mx.example.test", "--operator-password-stdin", stdin="operator's own\n")
    assert made.code == 0, made.err
    return folder


@pytest.fixture
def house(founded_house: Path, tmp_path: Path) -> Path:
    """A folder with postern.toml and var/, of this test alone."""
    subprocess.run(["cp", "-a", f"{founded_house}/.", str(tmp_path)], check=True)
    return tmp_path


@pytest.fixture
def postern(house: Path) -> Postern:
    """`postern(...)` in the house, in this process."""
    return partial(run, house)


@pytest.fixture
def program(house: Path) -> Postern:
    """`postern(...)` in the house, each a process of its own."""
    return partial(run_program, house)
