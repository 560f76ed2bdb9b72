"""The log is bounded, whole lines only, and a full disk costs lines, not the journal."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.roles.journal.files import OLDER, Files


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_it_never_grows_past_its_bound(tmp_path: Path, folder: int) -> None:
    """The newest file turns into the next older one; the oldest vanishes; nothing in between is lost."""
    files = Files(folder, max_octets=1000)
    for number in range(400):
        files.write([b"%09d\n" % number] * 5)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(["events.log", *(f"events.{number}.log" for number in range(1, OLDER + 1))])
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    ordered = [f"events.{number}.log" for number in range(OLDER, 0, -1)] + ["events.log"]
    numbers = [int(line) for name in ordered for line in (tmp_path / name).read_text().split()]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 399


def test_a_restart_goes_on_where_it_was(tmp_path: Path, folder: int) -> None:
    """Appending, and counting what is there already."""
    Files(folder, max_octets=100).write([b"x" * 59 + b"\n"])
    Files(folder, max_octets=100).write([b"y" * 59 + b"\n"])
    assert (tmp_path / "events.1.log").read_bytes() == b"x" * 59 + b"\n"
    assert (tmp_path / "events.log").read_bytes() == b"y" * 59 + b"\n"


def test_a_full_disk_costs_lines_and_tears_none(tmp_path: Path, folder: int) -> None:
    """What does not fit is counted; when there is room again, whole lines follow whole lines."""
    files = Files(folder)
    files.write([b"first\n"])
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, former[1]))
    try:
        files.write([b"second, which does not fit\n"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert files.dropped == 1
    files.write([b"third\n"])
    assert (tmp_path / "events.log").read_bytes() == b"first\nthird\n"
