"""What is published is what the database says, at the cost of what changed - and never what does not continue it."""

import base64
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from appliance.compile import publish as publishing
from appliance.compile.check import NotPublished
from appliance.compile.publish import Locked, Publisher, publish_once
from appliance.compile.source import DatabaseAway, SqliteSource, open_source
from appliance.compile.standing import AUDIENCES
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.errors import DatabaseUnavailable, Refused, Unable
from appliance.models import AccessRule, Mailbox, Tenant
from appliance.models.base import now
from appliance.services import (
    access_rules,
    accounts,
    aliases,
    autoreplies,
    certificates,
    dkim,
    domains,
    forwardings,
    keys,
    mailboxes,
    recipients,
    routes,
    srs_secrets,
    tenants,
)
from appliance.services.relays import Route
from appliance.services.routes import Wanted
from appliance.signing_keys import NewKey
from mta.roles.directory.resolve import Resolver
from mta.snapshot import records
from mta.snapshot.cdb import Cdb
from mta.snapshot.format import FORMAT_VERSION
from mta.snapshot.reader import Snapshot
from mta.vocabulary import Word
from tests.fixtures.bulk import fill
from tests.fixtures.database import HOST, OPERATOR

SELDOM = ("certificates", "sources", "routes", "signing")
SEALED = base64.b64encode(b"\x01sealed").decode()


class Place:
    """A state folder with a database, and whatever reads and writes it."""

    def __init__(self, folder, url):
        self.state, self.database_url, self.fixed_routes = folder, url, {}
        self.file = Path(url.removeprefix("sqlite:///"))  # where it is one
        self.snapshot = folder / "snapshot"
        for audience in AUDIENCES:
            (self.snapshot / audience).mkdir(parents=True)
        self.engine = open_engine(self.database_url)
        self.source = open_source(self.database_url)
        self.publisher = Publisher(self.source, self.snapshot)

    def do(self, act, *args, **rest):
        with unit_of_work(self.engine) as session:
            found = act(session, *args, actor=OPERATOR, **rest)
            session.flush()
            return found

    def alter(self, statement):
        """What no service would do."""
        with unit_of_work(self.engine) as session:
            session.execute(text(statement))

    def step(self, **rest):
        return self.publisher.step(**rest)

    def contents(self, audience="recipients", but=(publishing.LAST_CHANGE_KEY, publishing.FIXED_KEY)):
        """Everything that a reader could find there."""
        reader = Snapshot.open(self.snapshot / audience)
        names = set(reader._generation._changed) | {key for key, _ in reader._generation._cdb}
        found = {name: reader.get(name) for name in names if name and name not in but}
        reader.close()
        return {name: records.unpack_record(value) for name, value in found.items() if value is not None}

    def close(self):
        self.publisher.close()
        self.source.close()
        self.engine.dispose()


@pytest.fixture
def place(founded_url, tmp_path):
    place = Place(tmp_path, founded_url)
    yield place
    place.close()


def test_the_first_publication_has_everything(place):
    """The host, its domain and postmaster, the operator's tenant - and each part only what its reader needs."""
    published = place.step()
    assert published.full
    recipients, credentials = place.contents(), place.contents("credentials")
    host = recipients[b"h:"]
    assert (host.name, host.postmaster) == (HOST.encode(), b"postmaster@" + HOST.encode())
    assert [len(secret) for secret in host.srs_secrets] == [32]
    assert isinstance(recipients[b"a:postmaster@" + HOST.encode()], records.Mailbox)
    assert {key[:2] for key in recipients} == {b"h:", b"a:", b"d:", b"t:"}
    assert {key[:2] for key in credentials} <= {b"u:", b"m:", b"k:", b"d:", b"t:"}
    assert place.step() is None


def test_a_change_costs_what_changed(place):
    """One mailbox made: one address record, whatever else exists."""
    place.step()
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "Bob@one.test", sealed_hash=SEALED, quota_bytes=5000)
    published = place.step()
    assert not published.full
    assert published.records <= 5
    expected = records.Mailbox(b"Bob@one.test", b"bob", quota_bytes=5000)
    assert place.contents()[b"a:bob@one.test"] == expected
    login = place.contents("credentials")[b"m:bob@one.test"]
    assert login == records.Login(b"\x01sealed", suspended=False, domain=b"one.test", tenant=b"")


def test_every_kind_of_change_reaches_its_records(place):
    """Alias, forwarding, catch-all, alias domain with letters beyond ASCII, account, key; then all of it removed."""
    place.step()
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "bob@one.test", sealed_hash=SEALED)
    place.do(mailboxes.create, "ann@one.test")
    place.do(aliases.create, "info@one.test", ["bob@one.test", "ann@one.test"])
    place.do(forwardings.put, "bob@one.test", ["ann@one.test"], keep_copy=False)
    place.do(domains.update, "one.test", catch_all="ann@one.test")
    place.do(domains.create, "bücher.test", alias_of="one.test")
    place.do(accounts.create, "smith", sealed_hash=SEALED)
    key = place.do(keys.create)
    assert not place.step().full
    found, logins = place.contents(), place.contents("credentials")
    assert found[b"a:info@one.test"] == records.Alias((b"bob@one.test", b"ann@one.test"))
    assert found[b"a:bob@one.test"].targets == (b"ann@one.test",)
    assert not found[b"a:bob@one.test"].keep_copy
    assert found[b"d:one.test"].catch_all == b"ann@one.test"
    assert found[b"d:xn--bcher-kva.test"].alias_of == b"one.test"
    assert found["d:bücher.test".encode()].alias_of == b"xn--bcher-kva.test"
    assert logins[b"u:smith"].sealed == b"\x01sealed"
    (key_record,) = [record for record in logins.values() if isinstance(record, records.ApiKey)]
    assert len(key_record.sha256) == 32
    assert key is not None
    place.do(domains.remove, "bücher.test")
    place.do(domains.update, "one.test", catch_all=None)
    place.do(aliases.remove, "info@one.test")
    place.do(forwardings.clear, "bob@one.test")
    place.do(domains.remove, "one.test")
    place.do(accounts.remove, "smith")
    place.step()
    assert not [key for key in place.contents() if b"one.test" in key or b"cher" in key]
    assert not [key for key in place.contents("credentials") if b"one.test" in key or b"smith" in key]


def test_a_name_with_a_sharp_s_stands_nowhere_but_at_its_own(place):
    """Another owner's name is spelled so without it; mail, log-ins and signatures of that one are not for this one."""
    place.do(domains.create, "strasse.test")
    place.do(domains.create, "straße.test")
    place.step()
    found, own = place.contents(), b"xn--strae-oqa.test"
    assert found[b"d:strasse.test"].alias_of == b""
    assert found["d:straße.test".encode()].alias_of == own
    assert {key for key in found if key.startswith(b"d:")} >= {b"d:" + own, b"d:strasse.test"}


def test_a_forwarding_that_is_switched_off_forwards_nothing_and_keeps_the_copy(place):
    """Its targets stay in the database for another day."""
    place.do(domains.create, "one.test")
    for name in ("bob", "ann"):
        place.do(mailboxes.create, f"{name}@one.test")
    place.do(forwardings.put, "bob@one.test", ["ann@one.test"], keep_copy=False, enabled=False)
    place.step()
    assert place.contents()[b"a:bob@one.test"] == records.Mailbox(b"bob@one.test", b"bob")


def test_suspending_a_tenant_costs_one_record(place):
    """However many mailboxes are below it."""
    reseller = place.do(tenants.create, "shop", "reseller")
    customer = place.do(tenants.create, "guest", parent_id=reseller.id)
    place.do(domains.create, "one.test", tenant_id=customer.id)
    for number in range(30):
        place.do(mailboxes.create, f"u{number}@one.test")
    place.step()
    place.do(tenants.suspend, reseller.id)
    published = place.step()
    assert published.records <= 3
    reader = Snapshot.open(place.snapshot / "recipients")
    assert Resolver(reader.get).judge(b"u7@one.test").word is Word.SUSPENDED


# --- any history -----------------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "a+b"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["mailbox", "alias", "forward", "remove", "suspend", "resume", "password", "catch", "publish"]),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
    ),
    max_size=25,
)


def act(place, what, name, other):
    address, target = f"{name}@one.test", f"{other}@one.test"
    match what:
        case "mailbox":
            place.do(mailboxes.create, address)
        case "alias":
            place.do(aliases.create, address, [target])
        case "forward":
            place.do(forwardings.put, address, [target], keep_copy=name < other)
        case "remove":
            place.do(mailboxes.remove, address)
        case "suspend":
            place.do(mailboxes.suspend, address)
        case "resume":
            place.do(mailboxes.resume, address)
        case "password":
            place.do(mailboxes.set_password, address, SEALED)
        case "catch":
            place.do(domains.update, "one.test", catch_all=address)
        case "publish":
            place.step()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_changes_one_by_one_come_to_the_same_as_everything_anew(founded_file, tmp_path_factory, steps):
    """Whatever happened, published in whatever pieces: the same records, and the same answers."""
    folder = tmp_path_factory.mktemp("place", numbered=True)
    place = Place(folder, f"sqlite:///{shutil.copy(founded_file, folder / 'postern.db')}")
    place.do(domains.create, "one.test")
    place.step()
    for what, name, other in steps:
        try:
            act(place, what, name, other)
        except Refused:
            continue  # The services' rules are not what is tested here.
    place.step()
    little_by_little = [place.contents(audience) for audience in AUDIENCES]
    place.step(full=True)
    assert [place.contents(audience) for audience in AUDIENCES] == little_by_little
    place.close()
    shutil.rmtree(folder)


# --- protections, rules, relayed domains, certificates ---------------------------------------------------------------


def test_a_domains_protections_reach_the_directory(place):
    """Mode, greylisting, DNS lists; and nothing of it is written for the roles that it does not concern."""
    place.step()
    place.do(domains.create, "one.test", validation="data", greylist=True, dnsbl=False)
    sizes = [sum(path.stat().st_size for path in (place.snapshot / part).iterdir()) for part in SELDOM]
    assert not place.step().full
    record = place.contents()[b"d:one.test"]
    assert (record.validation, record.greylist, record.dnsbl, record.next_hop) == (b"data", True, False, b"")
    after = [sum(path.stat().st_size for path in (place.snapshot / part).iterdir()) for part in SELDOM]
    assert after == sizes


@pytest.mark.parametrize("full", [False, True])
def test_a_relayed_domain_reaches_directory_and_source(place, full):
    """Its next hop and list the one, whom to ask the other; with the password sealed as it came. Gone, nothing is left."""
    place.step()
    settings = {"url": "ldaps://l.test", "base": "dc=x", "bind_dn": "cn=reader"}
    place.do(domains.create, "l.test", route=Route("mail.l.test", "ldap", settings, SEALED))
    place.do(domains.create, "c.test", route=Route("[2001:db8::1]:2525", "call-ahead"))
    place.do(domains.create, "u.test", route=Route("mail.u.test", "list"))
    place.do(recipients.apply, "u.test", ["ann", "bob"], "replace")
    place.step(full=full)
    found = place.contents()
    assert (found[b"d:l.test"].next_hop, found[b"d:l.test"].source) == (b"mail.l.test:25", b"ldap")
    assert found[b"a:ann@u.test"] == found[b"a:bob@u.test"] == records.Relayed()
    pairs = (
        b"base", b"dc=x", b"bind_dn", b"cn=reader", b"filter", b"(mail=%s)", b"url", b"ldaps://l.test",
        b"sealed_password", b"\x01sealed",
    )  # fmt: skip
    assert place.contents("sources") == {
        b"s:l.test": records.Source(b"ldap", pairs),
        b"s:c.test": records.Source(b"call-ahead", (b"next_hop", b"[2001:db8::1]:2525")),
    }
    assert place.contents("routes")[b"n:c.test"] == records.Route(b"[2001:db8::1]:2525")
    place.do(recipients.apply, "u.test", ["ann"], "remove")
    place.do(domains.update, "c.test", route=Route(source="list"))
    place.do(domains.remove, "l.test")
    place.step()
    assert b"a:ann@u.test" not in place.contents()
    assert b"a:bob@u.test" in place.contents()
    assert place.contents("sources") == {}
    assert set(place.contents("routes")) == {b"n:c.test", b"n:u.test"}


@pytest.mark.parametrize("full", [False, True])
def test_keys_that_sign_stand_under_both_names_of_their_domain(place, full):
    """Neither those that wait for their records nor those that sign no more; a domain that goes takes them along."""
    place.step()
    place.do(domains.create, "bücher.test")
    new = [NewKey(algorithm, "p", SEALED) for algorithm in ("rsa-sha256", "ed25519-sha256")]
    made = [key.selector.encode() for key in place.do(dkim.rotate, "bücher.test", new=new)]
    place.step(full=full)
    parts = (made[0], b"rsa-sha256", b"\x01sealed", made[1], b"ed25519-sha256", b"\x01sealed")
    record = records.SigningKeys(b"xn--bcher-kva.test", parts)
    assert place.contents("signing") == {b"g:xn--bcher-kva.test": record, "g:bücher.test".encode(): record}
    assert all(not key.startswith(b"g:") for audience in AUDIENCES[-2:] for key in place.contents(audience))
    later = [key.selector.encode() for key in place.do(dkim.rotate, "bücher.test", new=new)]
    place.step(full=full)
    assert place.contents("signing")[b"g:xn--bcher-kva.test"] == record
    place.do(dkim.finish, "bücher.test")
    place.step(full=full)
    assert place.contents("signing")[b"g:xn--bcher-kva.test"].triples[::3] == tuple(later[2:])
    place.do(domains.remove, "bücher.test")
    place.step(full=full)
    assert place.contents("signing") == {}


@pytest.mark.parametrize("full", [False, True])
def test_routes_reach_remotespawn_and_that_there_are_some_the_directory(place, full):
    """Of senders, of relayed domains, of others, of all; what a relayed domain's says nothing of comes from the domain."""
    place.do(domains.create, "one.test")
    place.do(domains.create, "relayed.test", route=Route("mail.relayed.test", ""))
    place.step()
    place.do(routes.put, "*", Wanted("smart.test:587", "verify", login="us", sealed_password=SEALED))
    place.do(routes.put, "@one.test", Wanted(source_address="192.0.2.1"))
    place.do(routes.put, "relayed.test", Wanted(tls="dane", lmtp=True))
    place.do(routes.put, "partner.test", Wanted("partner.test:26"))
    place.step(full=full)
    assert place.contents("routes") == {
        b"n:*": records.Route(b"smart.test:587", b"verify", login=b"us", sealed_password=b"\x01sealed"),
        b"n:@one.test": records.Route(source_address=b"192.0.2.1"),
        b"n:relayed.test": records.Route(b"mail.relayed.test:25", b"dane", lmtp=True),
        b"n:partner.test": records.Route(b"partner.test:26"),
    }
    keys = {b"*", b"@one.test", b"relayed.test", b"partner.test"}
    assert {key[2:] for key in place.contents() if key.startswith(b"o:")} == keys
    place.do(domains.update, "relayed.test", route=Route("other.test"))
    place.do(routes.remove, "*")
    place.do(domains.remove, "one.test")
    place.step(full=full)
    assert place.contents("routes")[b"n:relayed.test"].next_hop == b"other.test:25"
    assert {key[2:] for key in place.contents("routes")} == {b"relayed.test", b"partner.test"}
    assert {key[2:] for key in place.contents() if key.startswith(b"o:")} == {b"relayed.test", b"partner.test"}


def test_next_hops_of_the_settings_file_count_before_all_others(place):
    """And when the file no longer names them, what they hid is there again; each time only what changed is written."""
    place.do(domains.create, "relayed.test", route=Route("mail.relayed.test", ""))
    place.do(routes.put, "partner.test", Wanted("partner.test:26"))
    place.step()
    place.publisher.fixed = {"relayed.test": "192.0.2.1:25", "remote.test": "127.0.0.1:2526", "*": "[::1]:25"}
    published = place.step()
    assert (published.full, place.step()) == (False, None)
    found = place.contents("routes")
    assert {key: found[key].next_hop for key in found} == {
        b"n:relayed.test": b"192.0.2.1:25", b"n:remote.test": b"127.0.0.1:2526", b"n:*": b"[::1]:25",
        b"n:partner.test": b"partner.test:26",
    }  # fmt: skip
    place.do(domains.update, "relayed.test", route=Route("other.test"))
    place.step()
    assert place.contents("routes")[b"n:relayed.test"].next_hop == b"192.0.2.1:25"
    place.publisher.fixed = {}
    place.step(full=False)
    found = place.contents("routes")
    assert {key: found[key].next_hop for key in found} == {
        b"n:relayed.test": b"other.test:25", b"n:partner.test": b"partner.test:26",
    }  # fmt: skip
    assert {key for key in place.contents() if key.startswith(b"o:")} == {b"o:relayed.test", b"o:partner.test"}


@pytest.mark.parametrize("full", [False, True])
def test_rules_of_host_domain_and_mailbox_stand_each_under_its_scope(place, full):
    """In the order in which they are read, without what has expired; and go with what they were of."""
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "bob@one.test")
    place.step()
    place.do(access_rules.add, "deny", "192.0.2.0/24")
    place.do(access_rules.add, "deny", "evil.test", domain="one.test")
    place.do(access_rules.add, "allow", ".good.test", domain="one.test", position=1)
    place.do(access_rules.add, "deny", "x@y.test", mailbox="bob@one.test")
    old = place.do(access_rules.add, "allow", "z.test", mailbox="bob@one.test", expires_at=now() + 60)
    with unit_of_work(place.engine) as session:
        session.get(AccessRule, old.id).expires_at = 1
    place.step(full=full)
    found = {key: record.entries for key, record in place.contents().items() if key.startswith(b"r:")}
    assert found == {
        b"r:": (b"deny", b"192.0.2.0/24"),
        b"r:one.test": (b"allow", b".good.test", b"deny", b"evil.test"),
        b"r:bob@one.test": (b"deny", b"x@y.test"),
    }
    place.do(domains.remove, "one.test")
    place.step()
    assert [key for key in place.contents() if key.startswith(b"r:")] == [b"r:"]


@pytest.mark.parametrize("full", [False, True])
def test_a_certificate_stands_under_each_name_and_the_hosts_for_all_others(place, full):
    """The newest that is good; when it goes, the one before is not brought back, for it was removed."""
    place.step()
    first, second = certificates.make_self_signed(HOST), certificates.make_self_signed(HOST)
    place.do(certificates.install, first, SEALED)
    place.do(certificates.install, certificates.make_self_signed("mail.one.test"), SEALED)
    place.do(certificates.install, second, SEALED)
    place.step(full=full)
    found = place.contents("certificates", but=())
    assert set(found) == {b"c:", b"c:" + HOST.encode(), b"c:mail.one.test"}
    assert found[b"c:"] == found[b"c:" + HOST.encode()] == records.Certificate(second.chain.encode(), b"\x01sealed")
    for one in place.do(lambda s, actor: certificates.list_certificates(s, actor=actor).items):
        place.do(certificates.remove, one.id)
    place.step()
    assert place.contents("certificates", but=()) == {}


def test_a_long_publication_says_how_far_it_is(place, monkeypatch):
    """To whoever called, and in a file that is gone afterwards; one that somebody else left is no hindrance."""
    monkeypatch.setattr(publishing, "PROGRESS_SECONDS", 0.0)
    fill(place.engine, ["big.test"], 5000)
    (place.snapshot / "progress").write_text("left", encoding="ascii")
    told = []

    def report(done, total):
        told.append((done, total, (place.snapshot / "progress").read_text(encoding="ascii")))

    assert place.step(full=True, report=report).full
    assert len(told) >= 3
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] <= told[-1][1] < 6000
    assert told[0][2] == f"{told[0][0]} {told[0][1]}\n"
    assert not (place.snapshot / "progress").exists()


# --- what must not be published --------------------------------------------------------------------------------------


@pytest.fixture
def published(place):
    """A domain, a mailbox, published; and what a directory would say of it."""
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "bob@one.test")
    place.step()
    place.before = [place.contents(audience) for audience in AUDIENCES]
    yield place
    assert [place.contents(audience) for audience in AUDIENCES] == place.before


def replace_database(place, path):
    """As an administrator would: the service's connections know nothing of it."""
    place.engine.dispose()
    for suffix in ("-wal", "-shm"):
        Path(f"{place.file}{suffix}").unlink(missing_ok=True)
    shutil.copy(path, place.state / "other.db")
    (place.state / "other.db").replace(place.file)


def backup(place, path):
    with sqlite3.connect(place.file) as source, sqlite3.connect(path) as target:
        source.backup(target)
    source.close()
    target.close()


@pytest.mark.of_a_file
def test_a_missing_database_publishes_nothing_and_is_not_made(published):
    """An empty file in its place would be taken for a new installation by the next who comes."""
    published.engine.dispose()
    published.file.unlink()
    with pytest.raises(DatabaseAway):
        published.step()
    assert not published.file.exists()


@pytest.mark.of_a_file
@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, bytes(8192)])
def test_an_emptied_or_garbled_file_publishes_nothing(published, content):
    """Truncated to nothing, overwritten, zeroed - while it is open, and when it is opened anew."""
    published.engine.dispose()
    published.file.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        Path(f"{published.file}{suffix}").unlink(missing_ok=True)
    for _ in range(2):
        with pytest.raises((DatabaseAway, NotPublished)):
            published.step()


@pytest.mark.of_a_file
@pytest.mark.parametrize("statement", ["DELETE FROM instance", "DELETE FROM change", "DROP TABLE mailbox"])
def test_a_database_with_its_tables_emptied_publishes_nothing(published, statement):
    """No installation, no history, or no table to read."""
    published.alter(statement)
    with pytest.raises((DatabaseAway, NotPublished)):
        published.step(full="mailbox" in statement)


@pytest.mark.of_a_file
def test_a_database_without_domains_or_tenants_is_not_compiled_anew(published):
    """`postern publish --full` on it would refuse everybody's mail."""
    with sqlite3.connect(published.file) as database:
        database.executescript("DELETE FROM mailbox; DELETE FROM account; DELETE FROM domain;")
    database.close()
    with pytest.raises(NotPublished, match="emptied"):
        published.step(full=True)


@pytest.mark.of_a_file
def test_an_older_copy_publishes_nothing_and_the_real_one_goes_on(published, tmp_path):
    """Also with --full, and also when the copy was changed so often since that its numbers passed the published one."""
    backup(published, tmp_path / "older.db")
    published.do(mailboxes.create, "ann@one.test")
    published.do(mailboxes.create, "cat@one.test")
    published.step()
    published.before = [published.contents(audience) for audience in AUDIENCES]
    backup(published, tmp_path / "real.db")
    replace_database(published, tmp_path / "older.db")
    for full in (False, True):
        with pytest.raises(NotPublished, match="older copy"):
            published.step(full=full)
    for name in ("dan", "eve", "fay"):
        published.do(mailboxes.create, f"{name}@one.test")
    with pytest.raises(NotPublished, match="another history"):
        published.step()
    replace_database(published, tmp_path / "real.db")
    assert published.step() is None
    published.do(mailboxes.create, "gus@one.test")
    assert published.step().records
    assert b"a:gus@one.test" in published.contents()
    published.before = [published.contents(audience) for audience in AUDIENCES]


def test_another_installations_database_publishes_nothing(published):
    """Its numbers may even be larger."""
    published.alter("UPDATE instance SET instance_id = 'ffffffff-ffff-4fff-8fff-ffffffffffff'")
    for full in (False, True):
        with pytest.raises(NotPublished, match="another installation"):
            published.step(full=full)


@pytest.mark.of_a_file
def test_a_locked_database_is_away_for_as_long_as_it_is_locked(published, monkeypatch):
    """Somebody holds it exclusively; when he lets go, what changed is published."""
    published.do(mailboxes.create, "ann@one.test")
    published.engine.dispose()
    published.publisher.close()
    published.source.close()
    holder = sqlite3.connect(published.file, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    source = SqliteSource(published.file, busy_seconds=0.05)
    publisher = Publisher(source, published.snapshot)
    with pytest.raises(DatabaseAway, match="locked"):
        publisher.step()
    holder.execute("ROLLBACK")
    holder.close()
    assert publisher.step().records
    publisher.close()
    source.close()
    published.before = [published.contents(audience) for audience in AUDIENCES]


def test_changes_that_were_forgotten_mean_everything_anew(published):
    """A snapshot older than the oldest entry that is kept cannot be continued entry by entry."""
    published.do(mailboxes.create, "ann@one.test")
    published.do(mailboxes.create, "cat@one.test")
    published.alter("DELETE FROM change WHERE id < (SELECT max(id) FROM change)")
    assert published.step().full
    assert {b"a:ann@one.test", b"a:cat@one.test"} <= set(published.contents())
    published.before = [published.contents(audience) for audience in AUDIENCES]


# --- the snapshot's side ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", AUDIENCES)
def test_a_part_that_was_lost_or_damaged_is_made_anew(place, audience):
    """And the other part with it: both are of one age again."""
    place.step()
    (place.snapshot / audience / "current").write_bytes(b"nonsense")
    assert place.step().full
    assert place.contents(audience) or audience in SELDOM  # of which there are none yet


def test_a_crash_between_the_two_parts_is_mended_by_the_next_step(place, monkeypatch):
    """What one part already has is told it again; the other catches up. Nobody is known at the port who cannot log in yet."""
    place.step()
    before = place.contents("recipients")
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "bob@one.test", sealed_hash=SEALED)
    second = place.publisher._writers["recipients"]
    monkeypatch.setattr(second, "publish_changes", crash)
    with pytest.raises(KeyboardInterrupt):
        place.step()
    monkeypatch.undo()
    assert b"m:bob@one.test" in place.contents("credentials")
    assert place.contents("recipients") == before
    assert place.step().records
    assert b"m:bob@one.test" in place.contents("credentials")
    assert place.contents("recipients") != before
    assert place.step() is None


def crash(*_):
    raise KeyboardInterrupt


def test_a_later_versions_snapshot_is_not_touched(place, monkeypatch):
    """After a rollback: clear words, and the readers keep what they can or cannot read."""
    place.step()
    current = place.snapshot / "recipients" / "current"
    octets = current.read_bytes().replace(b"16:postern snapshot,1:%d," % FORMAT_VERSION, b"16:postern snapshot,1:9,")
    current.write_bytes(octets)
    with pytest.raises(NotPublished, match="version 9"):
        place.step()
    assert current.read_bytes() == octets


def test_two_publishers_take_turns(place):
    """The command waits for the compiler; the compiler does not wait for the command."""
    with place.publisher._lock(0.0):
        with pytest.raises(Locked):
            Publisher(place.source, place.snapshot).step()
        with pytest.raises(Locked):
            Publisher(place.source, place.snapshot).step(lock_seconds=0.1)
    other = Publisher(place.source, place.snapshot)
    other.step()
    place.do(domains.create, "one.test")
    place.step()
    place.do(domains.create, "two.test")
    other.step()
    assert {b"d:one.test", b"d:two.test"} <= set(place.contents())
    other.close()


def test_a_change_of_the_hosts_name_is_published_without_any_other_change(place):
    """Its postmaster is asked for with every unanswered abuse@."""
    place.step()
    place.alter("UPDATE instance SET host_name = 'new.example.test'")
    place.step()
    host = place.contents()[b"h:"]
    assert (host.name, host.postmaster) == (b"new.example.test", b"postmaster@new.example.test")
    assert place.step() is None


def test_a_fresh_secret_of_return_paths_is_published_and_the_old_one_still_believed(place):
    """Mail that was sent yesterday may still bounce."""
    place.step()
    (old,) = place.contents()[b"h:"].srs_secrets
    place.do(srs_secrets.rotate)
    assert place.step() is not None
    fresh, kept = place.contents()[b"h:"].srs_secrets
    assert kept == old != fresh


@pytest.mark.of_a_file
def test_publishing_once_says_in_the_appliances_words_what_is_wrong(place, monkeypatch):
    """Missing database, older copy, somebody else at it: one clear error each."""
    assert publish_once(place).full
    assert publish_once(place) is None
    monkeypatch.setattr(publishing, "LOCK_SECONDS", 0.05)
    with place.publisher._lock(0.0), pytest.raises(Unable, match="somebody else"):
        publish_once(place)
    place.alter("DELETE FROM change WHERE id > 1")
    with pytest.raises(Unable, match="older copy"):
        publish_once(place)
    place.engine.dispose()
    place.file.unlink()
    with pytest.raises(DatabaseUnavailable):
        publish_once(place)


@pytest.mark.of_a_file
@pytest.mark.alone
def test_with_a_hundred_thousand_mailboxes_a_new_one_is_known_within_a_second(place, figure, full_size):
    """Made, published, and accepted by a resolver over an open reader; removed, and refused. In small with a fifth of them."""
    domains_filled = 100 if full_size else 20
    fill(place.engine, [f"d{number}.test" for number in range(domains_filled)], 1000)
    began = time.monotonic()
    place.step()
    figure(f"{domains_filled},000 mailboxes compiled, seconds", round(time.monotonic() - began, 1))
    reader = Snapshot.open(place.snapshot / "recipients")
    resolver = Resolver(reader.get)
    assert resolver.judge(b"new@d7.test").word is Word.UNKNOWN
    for act_, word in ((mailboxes.create, Word.ACCEPT), (mailboxes.remove, Word.UNKNOWN)):
        place.do(act_, "new@d7.test")
        began, cpu = time.monotonic(), time.process_time()
        assert not place.step().full
        cpu = time.process_time() - cpu
        assert reader.refresh()
        resolver.forget()
        assert resolver.judge(b"new@d7.test").word is word
        took = time.monotonic() - began
        figure(f"{word.value.decode()}: published and known, milliseconds", round(took * 1000, 1))
        figure(f"{word.value.decode()}: work, milliseconds", round(cpu * 1000, 1))
        assert took < 0.5
        assert cpu < 0.02
    reader.close()


def test_the_constant_part_is_a_constant_database(place):
    """With our header under the empty key."""
    place.step()
    (path,) = (place.snapshot / "recipients").glob("*.cdb")
    descriptor = os.open(path, os.O_RDONLY)
    cdb = Cdb(descriptor, path.stat().st_size)
    os.close(descriptor)
    assert cdb.get(b"")
    cdb.close()


def test_an_older_copy_is_refused_also_where_a_part_must_be_made_anew(published):
    """What is left of the snapshot still knows whose it is and how old."""
    published.do(mailboxes.create, "later@one.test")
    published.step()
    published.before = [published.contents(audience) for audience in AUDIENCES]
    current = published.snapshot / "certificates" / "current"
    octets = current.read_bytes()
    current.write_bytes(b"nonsense")
    published.alter("DELETE FROM change WHERE id = (SELECT max(id) FROM change)")
    with pytest.raises(NotPublished, match="older copy"):
        published.step()
    current.write_bytes(octets)


def test_rows_that_no_service_would_write_do_not_stop_the_compiler(place):
    """A password that is no seal, a negative quota: nobody can log in with it, there is no limit; the rest is published."""
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "bob@one.test", sealed_hash="not base64!")
    with unit_of_work(place.engine) as session:
        session.query(Mailbox).update({"quota_bytes": -5})
        assert session.query(Tenant).count() == 1
    place.step()
    assert place.contents()[b"a:bob@one.test"].quota_bytes == 0
    assert b"m:bob@one.test" not in place.contents("credentials")


def test_a_delta_that_outgrew_its_generation_is_compacted_between_two_looks(place, monkeypatch):
    """A little at a time; what is published meanwhile is not lost; afterwards there is nothing to do."""
    monkeypatch.setattr("mta.snapshot.format.MIN_COMPACTION", 1000)
    place.step()
    place.do(domains.create, "one.test")
    for number in range(40):
        place.do(mailboxes.create, f"u{number}@one.test")
        place.step()
    (delta,) = (place.snapshot / "recipients").glob("*.delta")
    long = delta.stat().st_size
    assert place.publisher.compact_a_little(0.0)
    place.do(mailboxes.create, "meanwhile@one.test")
    place.step()
    while place.publisher.compact_a_little(0.01):
        continue
    (delta,) = (place.snapshot / "recipients").glob("*.delta")
    assert delta.stat().st_size < long / 4
    assert {b"a:u0@one.test", b"a:u39@one.test", b"a:meanwhile@one.test"} <= set(place.contents())
    assert not place.publisher.compact_a_little(0.01)


def test_what_a_mailbox_answers_comes_and_goes_with_its_own_change(place):
    """Also when only its name changed, and when all is written anew; one that is switched off is not there."""
    place.do(domains.create, "one.test")
    place.do(mailboxes.create, "joe@one.test", display_name="Joe")
    place.step()
    key, joe = b"v:joe@one.test", "joe@one.test"
    place.do(autoreplies.put, joe, text="Grüße", subject="Away", starts_at=10, ends_at=20)
    place.step()
    assert place.contents()[key] == records.Autoreply(10, 20, b"Joe", b"Away", "Grüße".encode())
    place.do(mailboxes.update, joe, display_name="Joe Doe")
    place.step()
    assert place.contents()[key].name == b"Joe Doe"
    place.step(full=True)
    assert place.contents()[key].name == b"Joe Doe"
    place.do(autoreplies.put, joe, text="x", enabled=False)
    place.step()
    assert key not in place.contents()
    place.do(autoreplies.put, joe, text="x")
    place.step()
    assert place.contents()[key] == records.Autoreply(0, 0, b"Joe Doe", b"", b"x")
    place.do(mailboxes.remove, joe)
    place.step()
    assert key not in place.contents()


def test_a_forwarding_is_published_with_its_conditions_in_one_record(place):
    """No reader may see the targets without them."""
    place.do(domains.create, "one.test")
    for name in ("joe", "ann"):
        place.do(mailboxes.create, f"{name}@one.test")
    only = {"senders": ["a@b.test"], "subjects": ["Grüße"], "larger_than": 5, "spam": False}
    conditions = records.Conditions((b"a@b.test",), ("Grüße".encode(),), 5, -1, b"no")
    for full in (False, True):
        place.do(forwardings.put, "joe@one.test", ["ann@one.test"], keep_copy=full, only=only)
        place.step(full=full)
        record = place.contents()[b"a:joe@one.test"]
        assert (record.conditions, record.keep_copy, record.targets) == (conditions, full, (b"ann@one.test",))
    place.do(forwardings.put, "joe@one.test", ["ann@one.test"], only=None)
    place.step()
    assert place.contents()[b"a:joe@one.test"].conditions is None
