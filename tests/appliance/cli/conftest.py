"""A founded appliance of its own for a test, and `postern` run as a program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        assert self.out, f"nothing on standard output, exit code {self.code}: {self.err}"
        return json.loads(self.out)


Postern = Callable[..., Ran]


def run(folder: Path, *arguments: str, stdin: str = "") -> Ran:
    environment = {key: value for key, value in os.environ.items() if key != "POSTERN_CONFIG"}
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
def postern(founded_house: Path, tmp_path: Path) -> Postern:
    """`postern(...)` in a folder with postern.toml and var/."""
    subprocess.run(["cp", "-a", f"{founded_house}/.", str(tmp_path)], check=True)

    def command(*arguments: str, stdin: str = "") -> Ran:
        return run(tmp_path, *arguments, stdin=stdin)

    return command
