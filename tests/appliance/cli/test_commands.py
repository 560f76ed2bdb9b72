"""The verbs of the contract, as a script uses them: exit codes, one line on stderr, JSON on request."""

import json
import os
import socket
import sqlite3
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from appliance.cli import VERBS
from appliance.cli.doctor import lacks_journal
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.services import jobs
from appliance.services.actor import Actor
from appliance.services.certificates import make_self_signed

PHC = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")


def test_a_domain_lives_and_dies(postern):
    """add, list, show, set, suspend, resume, remove."""
    assert postern("domain", "add", "example.org").out == "added example.org\n"
    assert "example.org\thosted\toperator\trcpt\tno" in postern("domain", "list").out
    assert postern("domain", "set", "example.org", "--validation", "rcpt", "--json").data["validation"] == "rcpt"
    unserved = postern("domain", "set", "example.org", "--validation", "sometimes")
    assert (unserved.code, unserved.err) == (1, "postern: validation is one of rcpt, data, off\n")
    changed = postern("domain", "set", "example.org", "--validation", "data", "--greylist", "--no-dnsbl", "--json").data
    assert (changed["validation"], changed["greylist"], changed["dnsbl"]) == ("data", True, False)
    assert (changed["batv"], changed["language"]) == (False, "en")
    changed = postern("domain", "set", "example.org", "--batv", "--language", "de", "--json").data
    assert (changed["batv"], changed["language"], changed["greylist"]) == (True, "de", True)
    assert postern("domain", "set", "example.org", "--language", "xx").err == "postern: language is one of en, de\n"
    assert postern("domain", "suspend", "example.org", "--json").data["suspended"] is True
    assert postern("domain", "resume", "example.org", "--json").data["suspended"] is False
    assert postern("domain", "show", "example.org", "--json").data["mailboxes"] == 0
    assert postern("domain", "remove", "example.org").code == 0
    gone = postern("domain", "show", "example.org")
    assert (gone.code, gone.out, gone.err) == (1, "", "postern: there is no domain example.org\n")


def test_patterns_groups_and_domains_whose_mail_stays(postern):
    """What is nobody's may be somebody's by a pattern; who may write, and how far it goes, is said and taken back."""
    postern("domain", "add", "example.org", "--tag-separator", "none", "--local-only", "tenant")
    postern("mailbox", "add", "ann@example.org")
    assert postern("pattern", "add", "ann@example.org", "ann-*@example.org", "x.*@example.org").out == (
        "ann@example.org has ann-*@example.org, x.*@example.org\n"
    )
    assert (
        postern("pattern", "remove", "ann@example.org", "X.*@example.org").out
        == "ann@example.org has ann-*@example.org\n"
    )
    assert postern("pattern", "list", "ann@example.org", "--json").data == [{"pattern": "ann-*@example.org"}]
    wrong = postern("pattern", "add", "ann@example.org", "ann*@example.org")
    assert (wrong.code, wrong.err) == (1, "postern: before the star stand a name and one of + - . _\n")
    postern("alias", "add", "all@example.org", "ann@example.org", "--open-to", "members")
    changed = postern(
        "alias", "set", "all@example.org", "--open-to", "listed", "--listed", "a.test", "--listed", "b@c.test"
    )
    assert changed.out == "changed all@example.org\n"
    (alias,) = postern("alias", "list", "all@example.org", "--json").data
    assert (alias["open_to"], alias["listed"], alias["targets"]) == (
        "listed",
        ["a.test", "b@c.test"],
        ["ann@example.org"],
    )
    changed = postern("domain", "set", "example.org", "--tag-separator", "-", "--local-only", "off", "--json").data
    assert (changed["tag_separator"], changed["local_only"]) == ("-", None)


def test_a_relayed_domain_its_recipients_and_its_source(postern, tmp_path):
    """A list from a file and from standard input, tried without doing it; a directory whose password is never shown."""
    postern("domain", "add", "away.test", "--relay-to", "mail.away.test", "--source", "list")
    (tmp_path / "list.txt").write_text("ann@away.test\nBob\n", encoding="utf-8")
    assert postern("domain", "recipients", "away.test", "--replace", "list.txt").out == (
        "2 added, 0 removed: 2 recipients\n"
    )
    tried = postern("domain", "recipients", "away.test", "--remove", "-", "--dry-run", "--json", stdin="bob\n").data
    assert tried == {"added": 0, "removed": 1, "total": 1, "dry_run": True}
    assert postern("domain", "recipients", "away.test").out == "ann@away.test\nbob@away.test\n"
    wrong = postern("domain", "recipients", "away.test", "--add", "-", stdin="carl\nx@other.test\n")
    assert (wrong.code, wrong.err) == (1, "postern: line 2: 'x@other.test' is not an address of away.test\n")
    missing = postern("domain", "recipients", "away.test", "--add", "nowhere.txt")
    assert (missing.code, missing.err) == (1, "postern: nowhere.txt: No such file or directory\n")
    directory = ("--source", "ldap", "--ldap-url", "ldaps://l.test", "--ldap-base", "dc=x", "--source-password-stdin")
    changed = postern("domain", "set", "away.test", *directory, "--json", stdin="hush hush\n")
    assert changed.data["has_source_password"] is True
    assert changed.data["source_settings"] == {"url": "ldaps://l.test", "base": "dc=x", "filter": "(mail=%s)"}
    assert "hush" not in changed.out + postern("domain", "show", "away.test").out


def test_rules_of_host_domain_and_mailbox(postern):
    """Each in its own list; a rule is removed from the list it is in."""
    postern("domain", "add", "example.org")
    assert postern("rule", "add", "deny", "192.0.2.9/24", "--note", "noise").out == (
        "added rule 1: deny 192.0.2.0/24, position 1\n"
    )
    postern("rule", "add", "allow", ".example.com", "--domain", "example.org", "--expires", "2100-01-01")
    postern("rule", "add", "deny", "X@example.com", "--mailbox", "postmaster@mx.example.test")
    assert postern("rule", "list").out == "1\t1\tdeny\t192.0.2.0/24\t-\tnoise\n"
    (rule,) = postern("rule", "list", "--domain", "example.org", "--json").data
    assert (rule["pattern"], rule["expires_at"], rule["domain"]) == (
        ".example.com", "2100-01-01T00:00:00+00:00", "example.org",
    )  # fmt: skip
    assert (
        postern("rule", "list", "--mailbox", "postmaster@mx.example.test", "--json").data[0]["pattern"]
        == "x@example.com"
    )
    assert postern("rule", "remove", "2").code == 1
    assert postern("rule", "remove", "2", "--domain", "example.org").out == "removed rule 2\n"
    wrong = postern("rule", "add", "deny", "example.com", "--expires", "soon")
    assert (wrong.code, wrong.err) == (
        1, "postern: 'soon' is neither a day such as 2030-12-31 nor a moment of ISO 8601\n",
    )  # fmt: skip


def test_certificates_from_init_on(postern, tmp_path):
    """The host's own is there; another is installed from files and shown; what was uploaded is not renewed by us."""
    (own,) = postern("tls", "list", "--json").data
    assert (own["names"], own["origin"]) == (["mx.example.test"], "self-signed")
    renewed = postern("tls", "renew", "--json").data
    assert renewed["fingerprint"] != own["fingerprint"]
    offered = make_self_signed("mail.example.org")
    (tmp_path / "chain.pem").write_text(offered.chain, encoding="ascii")
    (tmp_path / "key.pem").write_bytes(offered.key)
    made = postern("tls", "install", "chain.pem", "key.pem")
    assert made.out.startswith("installed certificate 3 for mail.example.org, good until ")
    assert postern("tls", "show", "mail.example.org", "--json").data["fingerprint"] == offered.fingerprint
    assert postern("tls", "renew", "mail.example.org").code == 1
    other = make_self_signed("mail.example.org").key
    (tmp_path / "key.pem").write_bytes(other)
    assert (
        postern("tls", "install", "chain.pem", "key.pem").err
        == "postern: this key does not belong to this certificate\n"
    )
    assert postern("tls", "show", "nowhere.test").err == "postern: there is no certificate for nowhere.test\n"


def test_a_mailbox_lives_and_dies(postern):
    """With a password, a hash, a quota; nothing of the password is ever shown."""
    postern("domain", "add", "example.org")
    made = postern(
        "mailbox", "add", "Jo@example.org", "--password-stdin", "--quota", "1GiB", "--json", stdin="long enough\n"
    )
    assert made.data["address"] == "Jo@example.org"
    assert (made.data["quota_bytes"], made.data["has_password"]) == (1 << 30, True)
    assert "hash" not in made.out
    assert postern("mailbox", "add", "mo@example.org", "--password-hash", PHC, "--json").data["has_password"] is True
    assert postern("mailbox", "add", "no@example.org", "--json").data["has_password"] is False
    changed = postern("mailbox", "set", "jo@example.org", "--quota", "none", "--name", "Jo Doe", "--json").data
    assert (changed["quota_bytes"], changed["display_name"]) == (0, "Jo Doe")
    set_ = postern("mailbox", "set", "no@example.org", "--password-stdin", "--json", stdin="long enough\n")
    assert set_.data["has_password"] is True
    assert postern("mailbox", "suspend", "jo@example.org").out == "suspended Jo@example.org\n"
    assert postern("mailbox", "show", "jo@example.org", "--json").data["suspended"] is True
    assert postern("mailbox", "resume", "jo@example.org").code == 0
    listed = postern("mailbox", "list", "--domain", "example.org", "--json").data
    assert [row["address"] for row in listed] == ["Jo@example.org", "mo@example.org", "no@example.org"]
    assert postern("mailbox", "remove", "jo@example.org").code == 0
    assert postern("mailbox", "show", "jo@example.org").code == 1


def test_what_a_mailbox_answers_and_which_mail_goes_on(postern):
    """Moments with their zone; conditions one by one, told in words."""
    postern("domain", "add", "example.org")
    for name in "ab":
        postern("mailbox", "add", f"{name}@example.org")
    made = postern("autoreply", "set", "a@example.org", "I am away.", "--ends", "2030-12-31T18:00+01:00")
    assert (made.code, made.out) == (0, "a@example.org answers its mail by itself\n")
    shown = postern("autoreply", "show", "a@example.org", "--json").data
    assert shown == {
        "address": "a@example.org", "enabled": True, "subject": "", "text": "I am away.", "ends_at": "2030-12-31T17:00:00+00:00",
    }  # fmt: skip
    wrong = postern("autoreply", "set", "a@example.org", "x", "--starts", "2030-01-02", "--ends", "2030-01-01")
    assert (wrong.code, wrong.err) == (1, "postern: an autoreply ends after it begins\n")
    assert postern("autoreply", "clear", "a@example.org").code == 0
    assert postern("autoreply", "show", "a@example.org").code == 1
    made = postern(
        "forward", "set", "a@example.org", "b@example.org", "--subject", "invoice", "--larger-than", "1KiB", "--no-spam"
    )
    assert made.out == (
        'a@example.org is forwarded to b@example.org and kept; only mail whose subject contains "invoice", '
        "larger than 1024 octets, not marked as spam\n"
    )
    shown = postern("forward", "show", "a@example.org", "--json").data
    assert shown["conditions"] == {"subjects": ["invoice"], "larger_than": 1024, "spam": False}


def test_aliases_and_forwardings(postern):
    """Several targets; who still forwards to a removed mailbox is said."""
    postern("domain", "add", "example.org")
    for name in "ab":
        postern("mailbox", "add", f"{name}@example.org")
    assert postern("alias", "add", "all@example.org", "a@example.org", "b@example.org").code == 0
    assert postern("alias", "list", "--json").data[0]["targets"] == ["a@example.org", "b@example.org"]
    assert postern("forward", "set", "a@example.org", "b@example.org", "--no-keep-copy").code == 0
    shown = postern("forward", "show", "a@example.org", "--json").data
    assert (shown["targets"], shown["keep_copy"]) == (["b@example.org"], False)
    ring = postern("forward", "set", "b@example.org", "all@example.org")
    assert (ring.code, ring.err.count("\n")) == (1, 1)
    assert "ring" in ring.err
    removed = postern("mailbox", "remove", "b@example.org")
    assert "all@example.org still forwards to it" in removed.out
    assert "a@example.org still forwards to it" in removed.out
    assert postern("forward", "clear", "a@example.org").code == 0
    assert postern("forward", "show", "a@example.org").code == 1
    assert postern("alias", "remove", "all@example.org").code == 0
    assert postern("alias", "list").out == ""


def test_tenants_and_their_keys(postern):
    """By name or id; the secret once, in JSON as the contract says."""
    made = postern("tenant", "add", "Acme", "--max-domains", "1", "--json").data
    assert made["kind"] == "customer"
    assert postern("domain", "add", "a.example", "--tenant", "Acme").code == 0
    assert "limit" in postern("domain", "add", "b.example", "--tenant", str(made["id"])).err
    assert postern("tenant", "set", "Acme", "--max-domains", "none", "--json").data["max_domains"] is None
    key = postern("key", "create", "--tenant", "Acme", "--name", "billing", "--json").data
    assert key["secret"].startswith(f"pk_{key['id']}_")
    listed = postern("key", "list", "--json")
    assert [row["id"] for row in listed.data] == [key["id"]]
    assert key["secret"].rpartition("_")[2] not in listed.out
    assert postern("key", "revoke", key["id"]).code == 0
    assert postern("key", "list", "--json").data[0]["revoked_at"] is not None
    assert postern("key", "create", "--json").data["tenant"] == "operator"
    assert postern("tenant", "suspend", "Acme").code == 0
    assert postern("tenant", "show", "Acme", "--json").data["suspended"] is True
    assert postern("tenant", "resume", "Acme").code == 0
    assert postern("tenant", "remove", "Acme").code == 1
    postern("domain", "remove", "a.example")
    assert postern("tenant", "remove", "Acme").code == 0


def test_a_key_is_limited_as_its_maker_says(postern):
    """By what it may do, what it may touch, from where and until when."""
    scope = ("--action", "mailbox.*", "--action", "domain.see", "--address", "own.test", "--network", "192.0.2.0/24")
    made = postern("key", "create", *scope, "--expires", "2099-12-31", "--json").data
    (listed,) = postern("key", "list", "--json").data
    for key in (made, listed):
        assert key["actions"] == ["domain.see", "mailbox.*"]
        assert (key["addresses"], key["networks"]) == (["own.test"], ["192.0.2.0/24"])
        assert key["expires_at"] == "2099-12-31T00:00:00+00:00"
    refused = postern("key", "create", "--action", "mailbox.fly")
    assert (refused.code, "mailbox.fly" in refused.err) == (1, True)


def test_a_lost_operators_password_is_replaced(postern):
    """By a one-time one, printed."""
    found = postern("operator", "reset-password", "operator", "--json").data
    assert found["name"] == "operator"
    assert len(found["password"]) == 23
    assert postern("operator", "reset-password", "nobody").code == 1


def test_as_a_program(program):
    """What a script sees: exit codes 0, 1 and 2, one value or one line, standard input; an argument that is no text."""
    made = program("mailbox", "add", "jo@mx.example.test", "--password-stdin", "--json", stdin="long enough\n")
    assert (made.code, made.err, made.data["has_password"]) == (0, "", True)
    refused = program("tenant", "show", "\udcff", "--json")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    wrong = program("domain", "bogus")
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("domain", "bogus"),
        ("domain", "add"),
        ("mailbox", "add", "a@example.org", "--bogus"),
        ("tenant", "add", "x", "--kind"),
        ("domain", "list", "--config"),
        ("publish", "--full=perhaps"),
        ("publish", "--no-full"),
        ("domain", "set", "mx.example.test", "--no-no-catch-all"),
        ("domain", "recipients", "mx.example.test", "--add", "-", "--remove", "-"),
        ("trace",),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(postern, arguments):
    """Nothing on standard output, so that a script cannot take it for an answer."""
    wrong = postern(*arguments)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("postern: ")
    assert wrong.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("domain", "add", "no domain"), "not a domain name"),
        (("domain", "add", "mx.example.test"), "already served"),
        (("mailbox", "add", "a@elsewhere.test"), "there is no domain elsewhere.test"),
        (("mailbox", "add", "postmaster@mx.example.test"), "already a mailbox"),
        (("mailbox", "add", "a@mx.example.test", "--quota", "much"), "not a size"),
        (("mailbox", "add", "a@mx.example.test", "--password-hash", "$1$x"), "$argon2id$"),
        (("alias", "add", "a@mx.example.test"), "at least one target"),
        (("alias", "add", "a@mx.example.test", "b@mx.example.test"), "nobody here answers for"),
        (("mailbox", "remove", "postmaster@mx.example.test"), "postmaster"),
        (("domain", "remove", "mx.example.test"), "host's own"),
        (("tenant", "show", "\udcff"), "could be stored"),
        (("reload",), "does not run"),
        (("status",), "does not run"),
        (("--config", "/nowhere.toml", "domain", "list"), "/nowhere.toml: cannot be read"),
    ],
)
def test_a_refusal_is_exit_code_1_and_one_line(postern, arguments, told):
    """The sentence says what is wrong."""
    refused = postern(*arguments)
    assert refused.code == 1
    assert refused.err.startswith("postern: ")
    assert refused.err.count("\n") == 1
    assert told in refused.err


def test_a_password_too_short_is_refused_and_nothing_made(postern):
    """Before the database is opened."""
    refused = postern("mailbox", "add", "a@mx.example.test", "--password-stdin", stdin="short\n")
    assert refused.code == 1
    assert "at least 8" in refused.err
    assert postern("mailbox", "show", "a@mx.example.test").code == 1


def test_status_tells_a_script_that_it_is_down(postern):
    """As data too, with exit code 1."""
    down = postern("status", "--json")
    assert down.code == 1
    assert (down.data["running"], down.data["ready"], down.data["queue"]) == (False, False, 0)


def test_a_stale_status_file_is_not_believed(postern, tmp_path):
    """The supervisor was killed, and its pid is another process's now."""
    stale = {"supervisor": {"pid": 1}, "ready": True, "roles": [], "ports": {}}
    (tmp_path / "var/run/status.json").write_text(json.dumps(stale), encoding="utf-8")
    (tmp_path / "var/run/supervisor.pid").write_text("1\n", encoding="ascii")
    assert postern("status", "--json").data["running"] is False
    assert postern("reload").code == 1


def test_the_doctor_names_what_is_wrong_with_its_mend(postern, tmp_path):
    """A folder open to all, a taken port, no snapshot, a host that was renamed."""
    (tmp_path / "var/spool").chmod(0o777)
    config = tmp_path / "postern.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = config.read_text(encoding="utf-8").replace('"127.0.0.1:2525"', f'"127.0.0.1:{port}"')
        config.write_text(text.replace('"mx.example.test"', '"new.example.test"'), encoding="utf-8")
        ill = postern("check", "--json")
    assert ill.code == 1
    found = {finding["what"]: finding["mend"] for finding in ill.data["findings"] if not finding["note"]}
    assert any("spool has mode 777" in what for what in found)
    assert any("snapshot for recipients" in what for what in found)
    assert any(f"127.0.0.1:{port}: Address already in use" in what for what in found)
    assert found[next(what for what in found if "postmaster@" in what)] == "`postern domain add new.example.test`"
    assert all(found.values())
    text = postern("check")
    assert "mend: " in text.out
    assert text.err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "options", "lacks"),
    [("ext4", "rw\ndelalloc\n", True), ("ext4", "rw\ndata=ordered\n", False), ("xfs", "rw\n", False)],
)
def test_the_doctor_knows_an_ext4_without_a_journal(tmp_path, kind, options, lacks):
    """As the kernel tells it: what it cannot tell is no finding."""
    number = os.stat(tmp_path).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    name = Path("/sys/dev/block", device).resolve().name
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(f"29 1 {device} / / rw,relatime shared:1 - {kind} /dev/x rw\n")
    assert not lacks_journal(tmp_path, tmp_path)
    (tmp_path / "fs/ext4" / name).mkdir(parents=True)
    (tmp_path / "fs/ext4" / name / "options").write_text(options)
    assert lacks_journal(tmp_path, tmp_path) is lacks


def test_a_published_house_is_well(postern, tmp_path):
    """Without the appliance, `publish` compiles by itself; then the doctor has nothing to mend."""
    config = tmp_path / "postern.toml"
    text = config.read_text(encoding="utf-8")
    # Ports that nobody has: others may serve on this machine.
    config.write_text(text.replace(':2525"', ':1"').replace("127.0.0.1:8080", "127.0.0.1:2"), encoding="utf-8")
    before = postern("publish", "--json").data["change"]
    postern("domain", "add", "example.org")
    assert postern("publish", "--full", "--json").data == {"change": before + 1, "full": True}
    well = postern("check", "--json")
    wrong = [finding["what"] for finding in well.data["findings"] if not finding["note"]]
    # An ordinary user may not bind ports below 1024, which is not what this is about.
    assert [what for what in wrong if not what.startswith("listen.")] == []


def test_the_doctor_knows_that_programs_of_users_look_at_certificates(postern, tmp_path):
    """One that is signed by itself is a note, where users come from elsewhere; and their ports are looked at like others."""
    config = tmp_path / "postern.toml"
    text = config.read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(text.replace("127.0.0.1:2465", f"127.0.0.1:{port}"), encoding="utf-8")
        here = [finding["what"] for finding in postern("check", "--json").data["findings"]]
    assert f"listen.submissions 127.0.0.1:{port}: Address already in use" in here
    assert not any("signed by itself" in what for what in here)
    config.write_text(text.replace("127.0.0.1:2465", "0.0.0.0:2465"), encoding="utf-8")
    notes = [
        finding for finding in postern("check", "--json").data["findings"] if "signed by itself" in finding["what"]
    ]
    assert [(note["note"], note["mend"]) for note in notes] == [(True, "`postern tls install`")]


def test_the_doctor_notices_a_database_of_a_newer_program(postern, program, tmp_path):
    """And so does every command, in one line."""
    with sqlite3.connect(tmp_path / "var/postern.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0999'")
    database.close()
    assert any("0999" in finding["what"] for finding in postern("check", "--json").data["findings"])
    for run, command in (
        (postern, ("domain", "list")), (postern, ("migrate",)), (program, ("up",)), (postern, ("publish",)),
    ):  # fmt: skip
        refused = run(*command)
        assert refused.code == 1, command
        assert "0999" in refused.err
        assert refused.err.count("\n") == 1


def test_a_wrong_setting_stops_up_with_one_line(program, tmp_path):
    """It names the file, the key and what it takes."""
    with (tmp_path / "postern.toml").open("a", encoding="utf-8") as file:
        file.write("surprise = 1\n")
    refused = program("up")
    assert refused.code == 1
    assert refused.err == f"postern: {tmp_path}/postern.toml: limits.surprise: there is no such setting\n"


def test_migrate_says_where_the_schema_is(postern):
    """And is idle when it is the newest."""
    assert "is the newest" in postern("migrate").out


def test_help_names_every_verb(postern):
    """And what may stand with each of them."""
    text = postern("--help").out
    for word in (*VERBS, "--config", "--json"):
        assert word in text


def test_a_fresh_secret_is_made_and_the_old_ones_kept(postern):
    """The answer says how many a bounce may show."""
    assert postern("secret", "rotate", "--json").data == {"believed": 2}
    assert postern("secret", "rotate").out == "a fresh secret makes return paths; 3 are believed\n"


def test_the_right_to_forward_outside_is_given_and_taken(postern):
    """With a sentence for whoever tries without."""
    assert postern("tenant", "add", "shop", "--no-forwards-outside", "--json").data["forwards_outside"] is False
    postern("domain", "add", "shop.example", "--tenant", "shop")
    refused = postern("alias", "add", "ann@shop.example", "Ann@else.example")
    assert refused.err == (
        "postern: Ann@else.example is at another host, and mail for shop.example may not be forwarded to others\n"
    )
    assert postern("tenant", "set", "shop", "--forwards-outside", "--json").data["forwards_outside"] is True
    assert postern("alias", "add", "ann@shop.example", "Ann@else.example").code == 0


def test_the_audit_log_is_listed_exported_and_verified(postern, house):
    """And who changes it behind our backs is found out, by `check` too."""
    postern("domain", "add", "example.org")
    assert "domain.created\texample.org" in postern("audit", "list", "--action", "domain.", "--since", "1h").out
    assert postern("audit", "list", "--most", "1", "--json").data[0]["subject"] == "example.org"
    exported = [json.loads(line) for line in postern("audit", "export").out.splitlines()]
    assert exported[-1]["action"] == "domain.created"
    assert postern("audit", "verify").out == f"{len(exported)} entries, each tied to the one before it\n"
    with sqlite3.connect(house / "var" / "postern.db") as database:
        database.execute("DROP TRIGGER audit_entry_unchanged")
        database.execute("UPDATE audit_entry SET subject = 'example.net' WHERE id = ?", (exported[-1]["id"],))
    broken = postern("audit", "verify", "--json")
    assert (broken.code, broken.data["whole"], broken.data["entries"]) == (1, False, len(exported) - 1)
    assert "the audit log was tampered with" in postern("check").out


def test_what_was_removed_is_listed_previewed_and_had_back(postern):
    """By its name, or by the number of the removal; and anew only when what was there may go."""
    postern("domain", "add", "example.org")
    postern("mailbox", "add", "a@example.org")
    tried = postern("mailbox", "remove", "a@example.org", "--dry-run")
    assert tried.out.startswith("would remove a@example.org; until ")
    removed = postern("mailbox", "remove", "a@example.org", "--json").data
    assert (removed["kind"], removed["name"], removed["mailboxes"]) == ("mailbox", "a@example.org", 1)
    assert (
        postern("removal", "list").out == f"{removed['removal']}\tmailbox\ta@example.org\t1\t{removed['removed_by']}\n"
    )
    again = postern("mailbox", "add", "a@example.org")
    assert (again.code, "can be had back" in again.err) == (1, True)
    assert postern("mailbox", "restore", "a@example.org", "--dry-run").out == "would restore a@example.org\n"
    assert postern("mailbox", "restore", "a@example.org").out == "restored a@example.org\n"
    number = str(postern("domain", "remove", "example.org", "--json").data["removal"])
    assert postern("removal", "show", number, "--json").data["mailboxes"] == 1
    assert postern("removal", "undo", number).code == 0
    postern("mailbox", "remove", "a@example.org")
    assert postern("mailbox", "add", "a@example.org", "--discard").code == 0
    assert postern("mailbox", "restore", "a@example.org").err == (
        "postern: there is no removal of the mailbox a@example.org\n"
    )


def test_sheets_limits_zone_and_appointments(postern, tmp_path):
    """A sheet is previewed and taken in; a domain has limits of its own; somebody is appointed and dismissed."""
    postern("domain", "add", "example.org")
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "kind,address,targets\nalias,all@example.org,a@example.org\nmailbox,a@example.org,\nmailbox,b@x.test,\n"
    )
    for option, words in (("--dry-run", "would take 2 lines in"), (None, "took 2 lines in")):
        told = postern("import", "csv", str(sheet), *([option] if option else []))
        assert told.out.splitlines()[0] == words
        assert told.out.splitlines()[1].startswith("refused: line 4, b@x.test: ")
    assert "mailbox,a@example.org," in postern("export", "--csv").out
    assert postern("domain", "set", "example.org", "--max-mailboxes", "1", "--json").data["max_mailboxes"] == 1
    assert "limit of mailboxes" in postern("mailbox", "add", "c@example.org").err
    assert postern("domain", "set", "example.org", "--max-mailboxes", "none", "--json").data["max_mailboxes"] is None
    assert "example.org. IN MX 10 " in postern("domain", "dns", "example.org").out
    made = postern(
        "appointment", "add", "a@example.org", "--domain", "example.org", "--right", "aliases", "--json"
    ).data
    assert (made["kind"], made["rights"]) == ("domain", ["aliases"])
    assert "a@example.org\tdomain" in postern("appointment", "list").out
    assert postern("appointment", "end", str(made["id"])).code == 0
    assert postern("appointment", "list").out == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("domain list foo bar", "`domain list` takes nothing more: foo bar (see: postern domain list --help)"),
        (
            "removal end 1 2 3 4 5 6 7",
            "`removal end` takes nothing more: 2 3 4 5 6 … (see: postern removal end --help)",
        ),
        ("domain list --foo", "`domain list` has no option --foo (see: postern domain list --help)"),
        ("domain show", "`domain show` wants DOMAIN (see: postern domain show --help)"),
        ("domain list --search", "`domain list` wants a value behind --search (see: postern domain list --help)"),
        ("removal end x", "`removal end`: REMOVAL is a whole number, not 'x' (see: postern removal end --help)"),
        (
            "domain add a.test --greylist=maybe",
            "`domain add`: --greylist is yes or no, not 'maybe' (see: postern domain add --help)",
        ),
        ("domain bogus", "there is no command `domain bogus` (see: postern domain --help)"),
        ("bogus", "there is no command `bogus` (see: postern --help)"),
    ],
)
def test_what_is_written_wrong_is_said_in_one_sentence(postern, line, sentence):
    wrong = postern(*line.split())
    assert (wrong.code, wrong.out, wrong.err) == (2, "", f"postern: {sentence}\n")


def test_jobs_are_listed_shown_and_ended(postern, house):
    """Those that the API and the panel made; nobody works them off here."""
    postern("domain", "add", "example.org")
    assert postern("job", "list", "--json").data == []
    engine = open_engine(f"sqlite:///{house}/var/postern.db")
    somebody = Actor("system", "test")
    with unit_of_work(engine) as session:
        wanted = [{"method": "DELETE", "path": f"/domains/{name}.test"} for name in ("a", "b")]
        job = jobs.create(session, "batch", wanted, actor=somebody)
        number = job.public_id
        jobs.note(session, job, [(404, {"code": "not_found", "detail": "there is no domain a.test"})])
    engine.dispose()
    assert postern("job", "list").out.startswith(f"{number}\tbatch\trunning\t1\t2\t1\t")
    shown = postern("job", "show", number, "--json").data
    assert {name: shown[name] for name in ("state", "total", "done", "failed", "failure")} == {
        "state": "running", "total": 2, "done": 1, "failed": 1, "failure": None,
    }  # fmt: skip
    assert postern("job", "refusals", number).out == "0\t404\t-\tnot_found\tthere is no domain a.test\n"
    assert postern("job", "end", number).out == f"ended job {number}: 1 of 2 were done\n"
    assert postern("job", "show", number, "--json").data["state"] == "failed"
    gone = postern("job", "show", "0123")
    assert (gone.code, gone.err) == (1, "postern: there is no job 0123\n")
