"""The state folder is put into the form that the roster tells, at every start."""

import os
import stat

import pytest

from appliance.config import Database, Host, Settings
from appliance.errors import Unable
from appliance.provision import directories, keys, os_users
from appliance.services.passwords import PRIVATE_KEY, PUBLIC_KEY
from mta import roster

BASE = 500_000


@pytest.fixture
def settings(tmp_path):
    return Settings(
        host=Host(name="mx.example.test", uid_base=BASE), database=Database(), file=tmp_path / "postern.toml"
    )


def test_every_folder_of_the_roster_is_there_and_right(settings):
    """With its mode; as root with its owner and group too."""
    directories.prepare(settings)
    for folder in roster.FOLDERS:
        info = (settings.state / folder.path).stat()
        if os_users.is_root():
            owner, group = (os_users.uid_of(name, BASE) for name in (folder.owner, folder.group))
            assert (info.st_uid, info.st_gid) == (owner, group), folder
            assert stat.S_IMODE(info.st_mode) == folder.mode, folder
        else:
            assert stat.S_IMODE(info.st_mode) & 0o077 == 0, folder
    assert directories.problems(settings) == []


def test_an_ordinary_user_keeps_everything_to_himself(settings, monkeypatch):
    """All roles share his uid, so nobody else needs a way in."""
    monkeypatch.setattr(directories, "is_root", lambda: False)
    directories.prepare(settings)
    for folder in roster.FOLDERS:
        info = (settings.state / folder.path).stat()
        assert info.st_uid == os.geteuid(), folder
        assert stat.S_IMODE(info.st_mode) & 0o777 == 0o700, folder
    assert directories.problems(settings) == []


def test_preparing_twice_mends_nothing(settings):
    """What is said to be mended was wrong."""
    directories.prepare(settings)
    assert directories.prepare(settings) == []


def test_what_was_changed_is_told_and_mended(settings):
    """A folder opened to everybody, one that went missing."""
    directories.prepare(settings)
    (settings.state / "spool").chmod(0o777)
    (settings.state / "run/empty").rmdir()
    told = directories.problems(settings)
    assert len(told) == 2
    assert "777" in told[0]
    assert directories.prepare(settings) == told
    assert directories.problems(settings) == []


def test_a_regular_database_is_moved_and_linked(settings):
    """A restored copy beside the folders: the logs of the one before it must not be played into it."""
    directories.prepare(settings)
    real = settings.state / "db/postern.db"
    (settings.state / "postern.db").unlink()
    real.write_bytes(b"old")
    real.with_name("postern.db-wal").write_bytes(b"old log")
    (settings.state / "postern.db").write_bytes(b"restored")
    assert any("moved" in line for line in directories.prepare(settings))
    assert real.read_bytes() == b"restored"
    assert not real.with_name("postern.db-wal").exists()
    assert (settings.state / "postern.db").read_bytes() == b"restored"


def test_a_link_to_elsewhere_is_not_followed(settings, tmp_path):
    """One clear line instead of a database in a place that the roles cannot reach."""
    directories.prepare(settings)
    (settings.state / "postern.db").unlink()
    (settings.state / "postern.db").symlink_to(tmp_path / "other.db")
    with pytest.raises(Unable, match="symlink to somewhere else"):
        directories.prepare(settings)


def test_a_file_in_a_folders_place_is_one_clear_line(settings):
    """Not a traceback."""
    settings.state.mkdir()
    (settings.state / "spool").write_bytes(b"")
    with pytest.raises(Unable) as caught:
        directories.prepare(settings)
    assert caught.value.code == "state_folder"
    assert "spool" in caught.value.sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other uids: needs root")
def test_root_gives_back_only_plain_files_with_one_link(settings, tmp_path):
    """A role that may write in db/ could plant a link to any file of this host; root must not give that away."""
    directories.prepare(settings)
    victim = tmp_path / "shadow"
    victim.write_bytes(b"root's")
    victim.chmod(0o600)
    folder = settings.state / "db"
    (folder / "soft").symlink_to(victim)
    os.link(victim, folder / "hard")
    left = folder / "postern.db-wal"
    left.write_bytes(b"left by a command of root's")
    os.chown(left, 0, 0)
    told = directories.prepare(settings)
    assert [line for line in told if "postern.db-wal" in line]
    info = victim.stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o600)
    assert left.stat().st_uid == os_users.uid_of("web", BASE)
    assert left.stat().st_gid == os_users.uid_of("compiler", BASE)


def test_keys_are_made_once(settings):
    """A second pair would make every sealed hash useless."""
    directories.prepare(settings)
    assert keys.make_keys(settings.state)
    first = (settings.state / PRIVATE_KEY).read_bytes(), (settings.state / PUBLIC_KEY).read_bytes()
    assert [len(half) for half in first] == [32, 32]
    assert not keys.make_keys(settings.state)
    assert ((settings.state / PRIVATE_KEY).read_bytes(), (settings.state / PUBLIC_KEY).read_bytes()) == first
    assert stat.S_IMODE((settings.state / PRIVATE_KEY).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("uid_map", "base"),
    [
        ("0 0 4294967295", 1_900_000_000),
        ("0 100000 1900000000", 1_898_900_000),
        ("0 1000 1\n1 100000 1300000", 200_000),
        ("0 1000 200000\n500000 700000 4000000000", 99_000),
    ],
)
def test_the_uids_fit_into_what_the_container_maps(tmp_path, uid_map, base):
    """The documented base where there is room; else the highest that leaves it; a gap ends what counts."""
    path = tmp_path / "uid_map"
    path.write_text(uid_map, encoding="ascii")
    found = os_users.choose_uid_base(path)
    assert found == base
