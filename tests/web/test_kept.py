"""What is kept from one start to the next."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

import web.errors
from web import kept


class Maker:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return b"made %d" % self.times


def test_it_is_made_once(tmp_path: Path) -> None:
    make, file = Maker(), tmp_path / "new" / "description"
    assert [kept.kept(file, make) for _ in range(3)] == [b"made 1"] * 3


def _later(file: Path, _: pytest.MonkeyPatch) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _another(file: Path, _: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"\0" * 32 + b"made 1")


def _nothing(file: Path, _: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"")


def _newer_source(file: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(web.errors, "__file__", str(file))


@pytest.mark.parametrize("harm", [_later, _another, _nothing, _newer_source])
def test_what_is_not_of_these_sources_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    make, file = Maker(), tmp_path / "description"
    kept.kept(file, make)
    harm(file, monkeypatch)
    assert kept.kept(file, make) == b"made 2"


@pytest.mark.parametrize("step", ["mkdir", "write_bytes", "replace"])
def test_where_nothing_can_be_kept_it_is_made_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk, or one that is not ours, keeps nobody from starting, and nothing half-written stays behind."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make, file = Maker(), tmp_path / "description"
    monkeypatch.setattr(Path, step, refuse)
    assert [kept.kept(file, make) for _ in range(2)] == [b"made 1", b"made 2"]
    assert [*tmp_path.iterdir()] == []
