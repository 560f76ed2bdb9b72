"""Explanations: each word of the directory is explained by what it looked up and asked, and nothing is changed by asking."""

import socketserver
import sqlite3
import threading
from pathlib import Path

import pytest

from appliance.config import Dns, Endpoint, Host, Settings, Smtpd
from appliance.errors import Invalid
from appliance.provision import directories
from appliance.services.explain import Explanation, explain
from mta.roles.ledger.store import Store
from mta.snapshot.records import Alias, Domain, Mailbox, Record, Relayed, Rules, Source, Tenant, pack_record
from mta.snapshot.records import Host as HostRecord
from mta.snapshot.writer import SnapshotWriter
from tests.fakes.name_server import NameServer

RECORDS: dict[bytes, Record] = {
    b"h:": HostRecord(b"mx.test", b"postmaster@mx.test", (b"s" * 32,)),
    b"t:1": Tenant(b""),
    b"t:2": Tenant(b"1", suspended=True),
    b"d:mx.test": Domain(b"1"),
    b"a:postmaster@mx.test": Mailbox(b"postmaster@mx.test", b"postmaster"),
    b"d:a.test": Domain(b"1"),
    b"a:joe@a.test": Mailbox(b"Joe@a.test", b"joe", quota_bytes=1000),
    b"a:team@a.test": Alias((b"joe@a.test", b"ann@a.test")),
    b"a:both@a.test": Alias((b"joe@a.test", b"Sue@out.test")),
    b"d:signed.test": Domain(b"3", batv=True),
    b"a:joe@signed.test": Mailbox(b"joe@signed.test", b"joe", targets=(b"joe@out.test",)),
    b"t:3": Tenant(b"1", forwards_outside=False),
    b"a:ann@a.test": Mailbox(b"ann@a.test", b"ann"),
    b"r:ann@a.test": Rules((b"deny", b".spam.test", b"allow", b"203.0.113.0/24")),
    b"d:late.test": Domain(b"1", validation=b"data"),
    b"a:joe@late.test": Mailbox(b"joe@late.test", b"joe"),
    b"d:off.test": Domain(b"1", validation=b"off"),
    b"d:grey.test": Domain(b"1", greylist=True),
    b"a:joe@grey.test": Mailbox(b"joe@grey.test", b"joe"),
    b"d:unpaid.test": Domain(b"2"),
    b"d:far.test": Domain(b"1", next_hop=b"192.0.2.9:25", source=b"list"),
    b"a:joe@far.test": Relayed(),
    b"d:ldap.test": Domain(b"1", next_hop=b"192.0.2.9:25", source=b"ldap"),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    given = Settings(host=Host(name="mx.test"), file=tmp_path / "postern.toml")
    directories.prepare(given)
    writer = SnapshotWriter(given.state / "snapshot" / "recipients")
    writer.publish_all(b"instance", 1, [(key, pack_record(record)) for key, record in RECORDS.items()])
    Store(given.state / "ledger" / "ledger.db").close()
    return given


def reply(told: Explanation) -> str:
    return told.dialog[-1].replies[-1]


def steps(told: Explanation) -> dict[str, str]:
    return {step.what: step.outcome for step in told.steps}


@pytest.mark.parametrize(
    ("to", "word", "answer"),
    [
        ("nobody@a.test", "unknown", "550 5.1.1"),
        ("joe@elsewhere.test", "foreign", "550 5.7.1"),
        ("SRS0=aaaaaaaa=bb=c.test=d@mx.test", "unknown", "550 5.1.1"),
        ("joe@unpaid.test", "suspended", "550 5.2.1"),
        ("joe@grey.test", "greylisted", "451 4.7.1"),
        ("ann@a.test", "denied", "550 5.7.1"),
        ("nobody@far.test", "unknown", "550 5.1.1"),
        ("nobody@late.test", "unknown", "550 5.1.1"),
        ("a b@a.test", "", "501 5.1.3"),
    ],
)
def test_a_refusal_is_explained(settings: Settings, to: str, word: str, answer: str) -> None:
    """By the reply that a client would hear, at the command where it would."""
    told = explain(settings, "someone@x.spam.test", to)
    assert not told.accepted
    assert told.word == word
    assert reply(told).startswith(answer)
    where = "content" if to.endswith("late.test") else f"RCPT TO:<{to}>"
    assert told.dialog[-1].command == where


@pytest.mark.parametrize(
    ("to", "recipients"),
    [
        ("JOE+tag@a.test", ["Joe@a.test"]),
        ("team@a.test", ["Joe@a.test", "ann@a.test"]),
        ("joe@late.test", ["joe@late.test"]),
        ("postmaster", ["postmaster@mx.test"]),
        ("joe@far.test", ["joe@far.test"]),
        ("both@a.test", ["Sue@out.test", "Joe@a.test"]),
        ("anybody@off.test", []),
    ],
)
def test_a_yes_says_where_it_leads(settings: Settings, to: str, recipients: list[str]) -> None:
    told = explain(settings, "", to)
    assert told.accepted
    assert told.word == "accept"
    assert told.recipients == recipients


def test_what_only_a_source_elsewhere_knows_is_undecided(settings: Settings) -> None:
    """The answer is then that of a source that is away: 451, and said to be no decision."""
    told = explain(settings, "", "joe@ldap.test")
    assert told.undecided
    assert reply(told).startswith("451 4.")
    assert not explain(settings, "", "joe@far.test").undecided


def test_each_look_up_is_a_step(settings: Settings) -> None:
    found = steps(explain(settings, "", "team+x@a.test"))
    assert found["domain a.test"].startswith("hosted, validation rcpt")
    assert found["tenant 1"] == "active"
    assert found["address team+x@a.test"] == "no such record"
    assert found["address team@a.test"] == "alias for joe@a.test ann@a.test"
    assert steps(explain(settings, "", "joe@unpaid.test"))["tenant 2"] == "suspended"


def test_rules_and_usage_are_asked_as_the_directory_asks(settings: Settings) -> None:
    """The first rule that fits decides; a full mailbox is told by the ledger's own store."""
    allowed = explain(settings, "someone@good.test", "ann@a.test", "203.0.113.7")
    assert steps(allowed)["access rules for 203.0.113.7"] == "allow"
    store = Store(settings.state / "ledger" / "ledger.db")
    store.stored(b"0" * 20, b"joe@a.test", 1000)
    store.close()
    full = explain(settings, "", "joe@a.test")
    assert reply(explain(settings, "", "joe@a.test")).startswith(("452 4.2.2", "552 5.2.2", "(the"))
    assert steps(full)["usage of joe@a.test"] == "1000 octets stored, 0 on their way"


def test_nothing_is_changed_by_asking(settings: Settings) -> None:
    """Not even the greylist: asked twice, a triplet is as new as before. And with the ledger open elsewhere too."""
    path = settings.state / "ledger" / "ledger.db"
    before = path.read_bytes()
    for _ in range(2):
        assert steps(explain(settings, "a@b.test", "joe@grey.test"))["greylist"] == "wait 60 seconds"
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["ledger.db"]
    store = Store(path)
    store.stored(b"1" * 20, b"joe@a.test", 10)
    store.commit()
    assert steps(explain(settings, "", "joe@a.test"))["usage of joe@a.test"].startswith("10 octets")
    store.close()


def test_a_ledger_that_cannot_be_read_counts_as_away(settings: Settings) -> None:
    (settings.state / "ledger" / "ledger.db").write_bytes(b"not a database" * 100)
    told = explain(settings, "", "joe@a.test")
    assert told.accepted
    assert steps(told)["ledger"] == "not there; counts as away"


def test_without_a_snapshot_nobody_knows(settings: Settings) -> None:
    (settings.state / "snapshot" / "recipients" / "current").unlink()
    told = explain(settings, "", "joe@a.test")
    assert reply(told).startswith("451 4.3.0")
    assert steps(told)["snapshot"] == "nothing published yet"


def test_dns_is_asked_only_when_told(settings: Settings) -> None:
    listed = settings.model_copy(update={"smtpd": Smtpd(dnsbl=["list.test"])})
    silent = steps(explain(listed, "", "joe@late.test", "192.0.2.7"))
    assert silent["DNS A of 7.2.0.192.list.test"] == "not asked; counts as silent"
    with NameServer() as server:
        host, _, port = server.address.rpartition(":")
        asking = listed.model_copy(update={"dns": Dns(servers=[Endpoint(host, int(port))])})
        told = explain(asking, "", "joe@late.test", "192.0.2.7", ask_dns=True)
    assert steps(told)["DNS A of 7.2.0.192.list.test"].startswith("answer ")
    assert [name.lower() for name in server.names] == ["7.2.0.192.list.test."]


@pytest.mark.parametrize(
    ("sender", "to", "client"),
    [("a\r\nb", "joe@a.test", "192.0.2.1"), ("", "joe@a.test>\r\nQUIT", "192.0.2.1"), ("", "joe@a.test", "localhost")],
)
def test_what_nobody_could_say_is_refused(settings: Settings, sender: str, to: str, client: str) -> None:
    with pytest.raises(Invalid):
        explain(settings, sender, to, client)


def test_the_store_of_the_ledger_is_what_it_was_taken_for(settings: Settings) -> None:
    """Its own code opens it: if the file moves, this fails before an explanation says less than it could."""
    with sqlite3.connect(settings.state / "ledger" / "ledger.db") as database:
        assert database.execute("SELECT count(*) FROM usage").fetchone() == (0,)
    database.close()


def test_the_way_out_is_told_and_under_which_return_path(settings: Settings) -> None:
    """By which route or domain, and that bounces come home through us."""
    told = steps(explain(settings, "a@b.test", "both@a.test"))
    assert told["to Sue@out.test"].startswith("by the MX records of out.test, with the return path <SRS0=")
    told = steps(explain(settings, "a@b.test", "joe@far.test"))
    assert told["to joe@far.test"] == "by the route of far.test, with the return path <a@b.test>"


def test_a_return_path_of_ours_is_explained(settings: Settings) -> None:
    """Whose it is; to a bounce alone."""
    path = steps(explain(settings, "Ann@b.test", "both@a.test"))["to Sue@out.test"].partition("<")[2][:-1]
    told = explain(settings, "", path)
    assert (told.word, told.recipients) == ("accept", ["Ann@b.test"])
    assert steps(told)["a return path of ours"] == "of Ann@b.test"
    assert explain(settings, "x@b.test", path).word == "unknown"


def test_a_forged_bounce_and_a_right_that_was_taken_are_told(settings: Settings) -> None:
    """Why one was refused, and why the other goes nowhere."""
    told = explain(settings, "", "joe@signed.test")
    assert (told.word, reply(told)[:9]) == ("unsigned", "550 5.7.1")
    assert "bounces need a signed return path" in steps(told)["recipient"]
    told = explain(settings, "a@b.test", "joe@signed.test")
    assert told.recipients == ["joe@signed.test"]
    assert steps(told)["tenant 3"] == "active, forwards nothing to other hosts"


def test_who_knows_a_relayed_domains_recipients_is_asked_for_real_when_that_is_wanted(settings: Settings) -> None:
    """By role source's own code; what it heard is a step, and decides. Away: as at the port, come back."""
    sources = SnapshotWriter(settings.state / "snapshot" / "sources")

    def explained(to: str, port: int, change: int, **rest: bool) -> Explanation:
        place = Source(b"hook", (b"address", b"127.0.0.1:%d" % port))
        sources.publish_all(b"instance", change, [(b"s:ldap.test", pack_record(place))])
        return explain(settings, "x@y.test", to, **rest)

    with _Hooks(("127.0.0.1", 0), _Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert explained("joe@ldap.test", port, 1).undecided
        known = explained("joe@ldap.test", port, 2, ask_source=True)
        assert known.accepted
        assert steps(known)["source of joe@ldap.test"] == "accept, for 3600 seconds"
        unknown = explained("nobody@ldap.test", port, 3, ask_source=True)
        assert reply(unknown).startswith("550 5.1.1")
        server.shutdown()
    away = explained("joe@ldap.test", port, 4, ask_source=True)
    assert reply(away).startswith("451")
    assert "event source-trouble" in steps(away)


class _Hooks(socketserver.ThreadingTCPServer):
    daemon_threads = True  # whoever asked keeps his connection


class _Hook(socketserver.BaseRequestHandler):
    """Knows joe (docs/recipient-hook.md)."""

    def handle(self) -> None:
        while asked := self.request.recv(1000):
            self.request.sendall(b"3:OK ," if b"joe@" in asked else b"9:NOTFOUND ,")
