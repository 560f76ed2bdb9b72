"""The way out, as the directory knows it: who may send to others' domains, and where mail for them goes."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk
from mta.roles.directory.outward import a_label
from mta.roles.directory.resolve import Obstacle, Resolver
from mta.snapshot.records import Alias, Domain, Relayed, Rules, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House
from tests.mta.roles.directory.test_desk import INSTANCE, RECORDS, SESSION_KEY, SETTINGS, TICKET_KEY, question

SESSION, CLIENT, RELAYER, WHO = b"s1", b"192.0.2.1", b"10.1.2.3", b"bob@mx.example"
MORE = {
    b"d:relayed.example": Domain(b"1", next_hop=b"hop.example:25", source=b"list"),
    b"a:known@relayed.example": Relayed(),
    b"a:both@mx.example": Alias((b"bob@mx.example", b"known@relayed.example")),
    b"r:": Rules((b"deny", b"192.0.2.0/24", b"deny", b"10.0.0.0/8")),
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    whole = directory.Resolver
    monkeypatch.setattr(directory, "Resolver", lambda get, most, **_: whole(get, most, has_way_out=True))
    SnapshotWriter(tmp_path).publish_all(
        INSTANCE,
        1,
        [(key, pack_record(value)) for key, value in (RECORDS | MORE).items()] + [(b"o:routed.example", ROUTED)],
    )
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, SETTINGS | {"smtpd.relay_clients": b"10.1.0.0/16"}) as house:
        directory.serve(house.loop, house.start, descriptor)
        yield house
    os.close(descriptor)


ROUTED = b"6:routed,"


def expand(house, recipient, **rest):
    return house.ask(house.client("scheduler"), m.Expand(1, recipient, **rest))


def logged_in(forward_path, identity=WHO, key=TICKET_KEY, expires=60):
    expiry = int(time.time()) + expires
    login = tickets.login_ticket(key, SESSION, identity, expiry, b"password")
    token = tickets.session_token(SESSION_KEY, SESSION, CLIENT)
    return m.Question(1, SESSION, CLIENT, token, WHO, forward_path, 0, identity, login, expiry)


def word(house, asked):
    (verdict,) = house.ask(house.client("smtpd"), asked)
    return Word(verdict.word)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"ann@else.example", Word.ACCEPT),
        (b"ann@b\xc3\xbccher.example", Word.ACCEPT),
        (b"ann@[192.0.2.1]", Word.FOREIGN),
        (b"ann@nowhere", Word.FOREIGN),
        (b"bob@mx.example", Word.ACCEPT),
        (b"nobody@mx.example", Word.UNKNOWN),
        (b"off@mx.example", Word.SUSPENDED),
    ],
)
def test_who_logged_in_sends_anywhere_but_to_nobody(house, path, expected):
    """Others' domains are open to him, and rules about strangers' addresses are not about him; who is unknown stays so."""
    assert word(house, logged_in(path)) is expected
    stranger = question(path, client=CLIENT, session=SESSION)
    assert word(house, stranger) in {Word.FOREIGN, Word.DENIED}


def test_a_relay_client_sends_anywhere_without_a_login(house):
    """By its address alone; its neighbours in another network may not."""
    assert word(house, question(b"ann@else.example", client=RELAYER)) is Word.ACCEPT
    assert word(house, question(b"nobody@mx.example", client=RELAYER)) is Word.UNKNOWN
    assert word(house, question(b"ann@else.example", client=b"10.2.0.1")) is Word.FOREIGN


@pytest.mark.parametrize(
    "asked",
    [
        logged_in(b"ann@else.example", key=b"x" * 32), logged_in(b"ann@else.example", expires=-5),
    ],
    ids=["made by another", "expired"],
)  # fmt: skip
def test_a_login_that_does_not_hold_opens_nothing(house, asked):
    """Nor does it harm: it is as if nobody had logged in."""
    assert word(house, asked) is Word.FOREIGN


def test_mail_for_another_host_leads_out_when_its_bringer_may(house):
    """Our own mail, a customer's, a relay client's. A stranger's is here because that domain was ours: it fails."""
    expected = [m.Outward(1, b"Ann@ELSE.example", b"else.example", b"", b"a@b.test", last=True)]
    for rest in ({}, {"identity": WHO}, {"client": RELAYER}):
        assert expand(house, b"Ann@ELSE.example", sender=b"a@b.test", **rest) == expected
    (answer,) = expand(house, b"ann@else.example", client=CLIENT)
    assert (type(answer), answer.permanent, answer.status) == (m.Unresolved, True, b"5.4.4")


def test_a_relayed_domain_has_its_own_route_and_an_alias_leads_both_ways(house):
    """Whoever brought it: we promised that domain to take its mail."""
    (answer,) = expand(house, b"Known@Relayed.example", client=CLIENT)
    assert (answer.recipient, answer.domain, answer.route) == (
        b"Known@Relayed.example",
        b"relayed.example",
        b"relayed.example",
    )
    first, second = expand(house, b"both@mx.example", client=CLIENT)
    assert (type(first), first.last, type(second), second.last) == (m.Expansion, False, m.Outward, True)
    assert expand(house, b"gone@relayed.example", client=CLIENT)[0].status == b"5.1.1"


def test_the_most_particular_route_is_taken(house, tmp_path):
    """The recipient's domain before the sender's, that before the one for all."""
    assert expand(house, b"ann@routed.example")[0].route == b"routed.example"
    assert expand(house, b"ann@else.example", sender=WHO)[0].route == b""
    records = [(key, pack_record(value)) for key, value in (RECORDS | MORE).items()]
    routes = [(b"o:routed.example", ROUTED), (b"o:@mx.example", ROUTED), (b"o:*", ROUTED)]
    SnapshotWriter(tmp_path).publish_all(INSTANCE, 2, records + routes)
    assert expand(house, b"ann@routed.example", sender=WHO)[0].route == b"routed.example"
    assert expand(house, b"ann@else.example", sender=WHO)[0].route == b"@mx.example"
    assert expand(house, b"ann@else.example", sender=b"joe@client.test")[0].route == b"*"


@pytest.mark.parametrize("identity", [b"off@mx.example", b"gone@mx.example", b"bob@gone.example"])
def test_a_suspended_senders_mail_is_parked_wherever_it_goes(house, identity):
    """To a neighbour too: what he queued before he was stopped may be what he was stopped for."""
    for recipient in (b"ann@else.example", b"bob@mx.example"):
        (answer,) = expand(house, recipient, identity=identity)
        assert (type(answer), answer.permanent, answer.parked) == (m.Unresolved, False, True)


def test_without_a_way_out_mail_for_others_fails():
    """A house without the roles that carry mail to others says so instead of asking for the impossible."""
    judged = Resolver({b"d:mx.example": pack_record(Domain(b""))}.get, has_way_out=False)
    assert judged.outside(b"ann@else.example") is Obstacle.FOREIGN


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("bücher.example", b"xn--bcher-kva.example"), ("straße.example", b"xn--strae-oqa.example"),
        ("else.example", b"else.example"), ("xn--bcher-kva.example",) * 2,
        ("ü" * 63 + ".example", b""), ("a" * 64 + ".example", b""), ("one", b""), ("a..b", b""), ("-a.example", b""),
        ("a_b.example", b""), ("[192.0.2.1]", b""), ("", b""),
    ],
)  # fmt: skip
def test_a_domain_is_written_as_dns_has_it_or_not_at_all(domain, expected):
    """RFC 5891 4.4, RFC 1035 2.3.4."""
    assert a_label(domain.encode()) == (expected if isinstance(expected, bytes) else expected.encode())
    assert a_label(b"\xff.example") == b""
