"""From nothing to something that can be served."""

import os
import stat
from pathlib import Path

import pytest

from appliance.config import load_settings
from tests.appliance.cli.conftest import run


def snapshot_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_init_makes_everything_and_prints_the_operator(tmp_path):
    """Settings, folders, keys, database; a one-time password that is kept nowhere in the clear."""
    made = run(tmp_path, "init", "--hostname", "MX.Example.test", "--json")
    assert made.code == 0, made.err
    assert made.data["operator"] == "operator"
    settings = load_settings(tmp_path / "postern.toml")
    assert settings.host.name == "mx.example.test"
    assert (tmp_path / "var/postern.db").is_file()
    assert os.readlink(tmp_path / "var/postern.db") == "db/postern.db"
    assert stat.S_IMODE((tmp_path / "var/keys/authenticator.key").stat().st_mode) == 0o600
    password = made.data["password"].encode()
    assert not [path for path, octets in snapshot_of(tmp_path).items() if password in octets]
    assert run(tmp_path, "mailbox", "show", "postmaster@mx.example.test").code == 0


def test_init_refuses_a_second_time_and_changes_nothing(tmp_path):
    """In one clear line, also when postern.toml was moved away."""
    assert run(tmp_path, "init", "--hostname", "mx.example.test").code == 0
    before = snapshot_of(tmp_path)
    again = run(tmp_path, "init")
    assert (again.code, again.out) == (1, "")
    assert again.err.count("\n") == 1
    assert "initialised already" in again.err
    assert snapshot_of(tmp_path) == before
    (tmp_path / "postern.toml").unlink()
    assert "initialised already" in run(tmp_path, "init", "--hostname", "mx.example.test").err
    assert not (tmp_path / "postern.toml").exists()


def test_init_goes_on_where_it_broke_off(tmp_path):
    """Settings and keys are there, the database is not: the keys stay."""
    assert run(tmp_path, "init", "--hostname", "mx.example.test").code == 0
    key = (tmp_path / "var/keys/authenticator.key").read_bytes()
    for path in (tmp_path / "var/db").iterdir():
        path.unlink()
    assert run(tmp_path, "init").code == 0
    assert (tmp_path / "var/keys/authenticator.key").read_bytes() == key
    assert run(tmp_path, "domain", "list").out.startswith("mx.example.test\t")


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("--operator-password-stdin",), "short\n", "a password has at least 8"),
        (("--hostname", "not a name"), "", "not a full host name"),
        (("--hostname", "single"), "", "not a full host name"),
    ],
)
def test_a_refused_init_leaves_nothing_behind(tmp_path, arguments, stdin, told):
    """The next one starts from nothing."""
    refused = run(tmp_path, "init", *arguments, stdin=stdin)
    assert refused.code == 1
    assert told in refused.err
    assert list(tmp_path.iterdir()) == []


def test_state_and_settings_may_lie_elsewhere(tmp_path):
    """An absolute folder, and a file named by --config."""
    config, state = tmp_path / "etc/house.toml", tmp_path / "srv mail"
    config.parent.mkdir()
    made = run(tmp_path, "init", "--config", str(config), "--state", str(state), "--hostname", "mx.example.test")
    assert made.code == 0, made.err
    assert (state / "postern.db").is_file()
    assert run(tmp_path, f"--config={config}", "domain", "list").code == 0
    assert not (tmp_path / "postern.toml").exists()


def test_an_unwritable_place_is_one_clear_line(tmp_path):
    """A file where the state folder should be."""
    (tmp_path / "var").write_bytes(b"")
    refused = run(tmp_path, "init", "--hostname", "mx.example.test")
    assert refused.code == 1
    assert refused.err.count("\n") == 1
    assert "state folder" in refused.err
