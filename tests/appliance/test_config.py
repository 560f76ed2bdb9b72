"""The settings file: what it says, and what is said about one that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import (
    Database,
    Endpoint,
    Host,
    Limits,
    Settings,
    find_settings,
    load_settings,
    parse_size,
    render_settings,
    render_size,
    write_settings,
)
from appliance.errors import SettingsError

LEAST = '[host]\nname = "mx.example.test"\n'


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "postern.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def test_only_the_host_name_must_be_given(tmp_path):
    """Everything else has the documented default."""
    settings = load(tmp_path, LEAST)
    assert settings.listen.smtp == [Endpoint("127.0.0.1", 2525)]
    assert settings.smtpd.max_message_size == 50 << 20
    assert settings.limits.queue_lifetime_days == 5
    assert settings.host.uid_base == 1_900_000_000


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    """Where a command was started does not matter."""
    monkeypatch.chdir("/")
    settings = load(tmp_path, LEAST)
    assert settings.state == tmp_path / "var"
    assert settings.database_url == f"sqlite:///{tmp_path}/var/postern.db"
    assert settings.database_file == tmp_path / "var/postern.db"


def test_absolute_paths_stay(tmp_path):
    """Four slashes are an absolute file, and a server's address is left alone."""
    text = '[host]\nname = "mx.example.test"\nstate = "/srv/mail"\n[database]\nurl = "sqlite:////srv/db/x.db"\n'
    settings = load(tmp_path, text)
    assert (settings.state, settings.database_file) == (Path("/srv/mail"), Path("/srv/db/x.db"))
    server = load(tmp_path, LEAST + '[database]\nurl = "postgresql://u@h/d"\n')
    assert server.database_url == "postgresql://u@h/d"
    assert server.database_file is None


def test_the_written_file_says_the_defaults(tmp_path):
    """What `init` writes and what is left out mean the same, so the comments in it are true."""
    path = tmp_path / "postern.toml"
    written = write_settings(path, Host(name="mx.example.test"), Database())
    path.write_text(LEAST, encoding="utf-8")
    assert written == load_settings(path)


def test_every_setting_is_documented():
    """Each has a comment in the written file and says what it takes: a setting without them is unfinished."""
    text = render_settings(Host(name="mx.example.test"), Database())
    for name, section in Settings.model_fields.items():
        if name == "file":
            continue
        for key, field in section.annotation.model_fields.items():
            assert field.title, f"{name}.{key} has no comment"
            assert field.description, f"{name}.{key} does not say what it takes"
            assert f"\n{key} = " in text, f"{name}.{key} is not in the written file"


def test_the_file_is_never_overwritten(tmp_path):
    """A second `init` must not undo what an administrator wrote."""
    path = tmp_path / "postern.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError):
        write_settings(path, Host(name="mx.example.test"), Database())
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("text", "key", "takes"),
    [
        (LEAST + '[smtpd]\nworkers = "two"\n', "smtpd.workers", "a whole number from 1 to 64, not 'two'"),
        (LEAST + "[smtpd]\nworkers = 65\n", "smtpd.workers", "from 1 to 64, not '65'"),
        (LEAST + "[smtpd]\nworkers = true\n", "smtpd.workers", "a whole number"),
        (LEAST + "[smtpd]\nisolation = 'none'\n", "smtpd.isolation", '"worker" or "connection"'),
        (LEAST + '[smtpd]\nmax_message_size = "5 furlongs"\n', "smtpd.max_message_size", "a size"),
        (LEAST + '[smtpd]\nmax_message_size = "3 GiB"\n', "smtpd.max_message_size", "from 64 KiB to 2 GiB"),
        (LEAST + '[smtpd]\nrelay_clients = ["10.0.0.1/8"]\n', "smtpd.relay_clients.0", "a list of networks"),
        (LEAST + '[listen]\nsmtp = ["localhost:25"]\n', "listen.smtp.0", "a list of"),
        (LEAST + '[listen]\nsmtp = "127.0.0.1:25"\n', "listen.smtp", "a list of"),
        (LEAST + '[listen]\nsmtp = ["127.0.0.1:0"]\n', "listen.smtp.0", "a list of"),
        (LEAST + '[database]\nurl = "mysql://x"\n', "database.url", "sqlite"),
        (LEAST + '[outbound]\nroutes = { "a.test" = "b" }\n', "outbound.routes", "a table"),
        (LEAST + "[dns]\nservers = []\n", "dns.servers", "at least one"),
        ('smtpd = 3\n[host]\nname = "mx.example.test"\n', "smtpd", "a table of settings"),
        ('[host]\nname = "mx"\n', "host.name", "a full host name"),
        ("", "host", "missing"),
        (LEAST + "[smtp]\n", "smtp", "no such setting"),
        (LEAST + "[submission]\nmechanisms = []\n", "submission.mechanisms", "at least one"),
        (LEAST + '[submission]\nmechanisms = ["NTLM"]\n', "submission.mechanisms.0", '"PLAIN", "LOGIN"'),
        (LEAST + "[smtpd]\nworker = 2\n", "smtpd.worker", "no such setting"),
        ('file = "x"\n' + LEAST, "file", "no such setting"),
        (LEAST + "[limits]\nqueue_lifetime_days = 1.5\n", "limits.queue_lifetime_days", "a whole number"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path, text, key, takes):
    """The line names the file, the key and what it takes."""
    sentence = refusal(tmp_path, text)
    assert sentence.startswith(f"{tmp_path}/postern.toml: {key}")
    assert takes in sentence


def test_what_is_not_toml_is_said_in_one_line(tmp_path):
    """Also bytes that are not text."""
    assert "not TOML" in refusal(tmp_path, "[host")
    (tmp_path / "postern.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        load_settings(tmp_path / "postern.toml")


def test_the_file_is_looked_for_where_the_manual_says(tmp_path, monkeypatch):
    """What was named first wins; then the environment, then this folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTERN_CONFIG", raising=False)
    (tmp_path / "postern.toml").write_text(LEAST, encoding="utf-8")
    assert find_settings() == tmp_path / "postern.toml"
    monkeypatch.setenv("POSTERN_CONFIG", "other.toml")
    assert find_settings() == tmp_path / "other.toml"
    assert find_settings("given.toml") == tmp_path / "given.toml"


@given(st.integers(0, 1 << 49))
def test_a_size_reads_back_as_it_was_written(octets):
    """Nothing is lost in the larger units."""
    assert parse_size(render_size(octets)) == octets


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5 GiB", "1 PiB", "1e3", "١ KiB"])
def test_what_is_not_a_size_is_refused(text):
    """Better than a wrong guess."""
    with pytest.raises(ValueError):
        parse_size(text)


def test_every_limit_of_the_file_is_read_by_somebody():
    """A number that nobody looks at is a promise that nobody keeps."""
    tree = Path(__file__).resolve().parents[2]
    sources = [
        path.read_text()
        for package in ("appliance", "mta", "web")
        for path in (tree / package).rglob("*.py")
        if path != tree / "appliance" / "config.py"
    ]
    assert [name for name in Limits.model_fields if not any(name in source for source in sources)] == []
