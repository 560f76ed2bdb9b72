"""The role fetcher between a remote, a resolver, and web servers that are right, wrong, silent, endless or away."""

import datetime as dt
import os
import time

import pytest

from mta import roster
from mta.roles.fetcher import desk, visit
from mta.roles.fetcher.memory import Memory
from mta.security.sts import MAX_TEXT, Policy
from mta.wire import messages as m
from mta.wire.channel import ChannelClosed
from tests.fixtures.authorities import NOW, Authority, self_signed
from tests.fixtures.lone_role import receive
from tests.mta.roles.fetcher._rig import DOMAIN, HEAD, HOST, TEXT, cut_off, page, says

ENFORCED = (b"enforce", b"", (b"mx.remote.test", b"*.remote.test"))
POLICY = Policy("enforce", 1000, ("mx.remote.test",))


def told(answer: m.Fetched) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    return answer.mode, answer.trouble, answer.patterns


def test_a_policy_is_fetched_once_and_asked_for_as_the_standard_says(rig_at, serve) -> None:
    """RFC 8461 3.3; many who ask at once are one visit, and who asks later is answered from memory."""
    server = serve()
    rig = rig_at(server.port)
    answers = rig.fetch(*[DOMAIN] * 20)
    assert {told(answer) for answer in answers} == {ENFORCED}
    assert 86_390 < answers[0].max_age <= 86_400
    assert told(rig.fetch(b"Remote.Test")[0]) == ENFORCED
    assert len(server.requests) == 1
    place = b"mta-sts.remote.test:%d" % server.port  # without a port where it is 443
    assert server.requests[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: %s\r\n" % place)
    assert (b"_mta-sts.remote.test", b"TXT") in rig.asked
    assert (b"mta-sts.remote.test", b"A") in rig.asked


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"\r\n", TEXT),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % len(TEXT) + TEXT + b"\r\n", b"0\r\n\r\n"),
        tuple(page()[place : place + 7] for place in range(0, len(page()), 7)),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", page(head=HEAD.replace(b"text/plain", b"Text/Plain; charset=utf-8"))),
    ],
    ids=["until it hangs up", "chunked", "in pieces", "hints first"],
)
def test_an_answer_may_come_in_every_way_that_http_has(rig_at, serve, parts: tuple[bytes, ...]) -> None:
    """RFC 9112 6 and 7."""
    rig = rig_at(serve(says(*parts)).port)
    assert told(rig.fetch(DOMAIN)[0]) == ENFORCED


@pytest.mark.parametrize(
    ("parts", "trouble"),
    [
        ((page(head=b"HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.remote.test/x\r\n"),), b"sts-policy-fetch-error"),
        ((page(head=b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"),), b"sts-policy-fetch-error"),
        ((page(head=b"HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n", text=b""),), b"sts-policy-fetch-error"),
        ((page(head=HEAD.replace(b"text/plain", b"text/html")),), b"sts-policy-invalid"),
        ((page(head=b"HTTP/1.1 200 OK\r\n"),), b"sts-policy-invalid"),
        ((page(b"<html>"),), b"sts-policy-invalid"),
        ((page(b"x" * (MAX_TEXT + 1)),), b"sts-policy-invalid"),
        ((HEAD + b"\r\n", *[b"mx: a.b\n" * 1000] * 100), b"sts-policy-invalid"),
        ((HEAD + b"Content-Length: 5000\r\n\r\n" + TEXT,), b"sts-policy-fetch-error"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",), b"sts-policy-fetch-error"),
        ((b"junk\r\n" * 10,), b"sts-policy-fetch-error"),
        ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,), b"sts-policy-fetch-error"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 100,), b"sts-policy-fetch-error"),
        ((), b"sts-policy-fetch-error"),
    ],
    ids=[
        "redirected", "not found", "empty", "html", "no type", "no policy", "long", "endless", "cut off", "endless chunk",
        "junk", "endless header", "only hints", "silence",
    ],
)  # fmt: skip
def test_what_is_no_policy_makes_none_and_is_not_asked_for_again_at_once(
    rig_at, serve, parts: tuple[bytes, ...], trouble: bytes
) -> None:
    """The word of RFC 8460 for it is answered, the journal hears why; within five minutes nobody visits again."""
    server = serve(says(*parts))
    rig = rig_at(server.port)
    assert told(rig.fetch(DOMAIN)[0]) == (b"none", trouble, ())
    assert len(rig.troubles()) == 1
    assert rig.fetch(DOMAIN)[0].mode == b"none"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "kind", ["expired", "wrong name", "the domain itself", "self-signed", "another authority", "not yet", "no chain"]
)
def test_a_certificate_that_does_not_hold_is_no_answer(rig_at, serve, authority: Authority, kind: str) -> None:
    """Else whoever stands on the way would set the policy. Nothing was asked of such a server."""
    below = Authority("Below", authority)
    certificate = {
        "expired": authority.expired(HOST),
        "wrong name": authority.give("mta-sts.evil.test"),
        "the domain itself": authority.give("remote.test"),
        "self-signed": self_signed(HOST),
        "another authority": Authority("Of nobody").give(HOST),
        "not yet": authority.give(HOST, first=NOW + dt.timedelta(2), last=NOW + dt.timedelta(3)),
        "no chain": below.give(HOST, shown=0),
    }[kind]
    server = serve(certificate=certificate)
    assert told(rig_at(server.port).fetch(DOMAIN)[0]) == (b"none", b"sts-webpki-invalid", ())
    assert server.requests == []


def test_a_server_that_is_slow_is_given_up(rig_at, serve, monkeypatch) -> None:
    """One octet now and then is no reason to wait longer (RFC 8461 3.3: a minute)."""
    monkeypatch.setattr(visit, "SECONDS", 0.3)
    rig = rig_at(serve(says(*[bytes([octet]) for octet in page()], seconds=0.05)).port)
    start = time.monotonic()
    assert told(rig.fetch(DOMAIN)[0]) == (b"none", b"sts-policy-fetch-error", ())
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "address", [b"127.0.0.1", b"10.0.0.1", b"192.168.1.1", b"169.254.169.254", b"0.0.0.0", b"100.64.0.1", b"224.0.0.1"]
)
def test_nobodys_zone_leads_into_our_network(rig_at, serve, address: bytes) -> None:
    """A server there is not even connected to."""
    server = serve()
    rig = rig_at(server.port, private_too=False)
    rig.addresses = {b"A": (address,), b"AAAA": (b"::1", b"fe80::1", b"fd00::1", b"::ffff:127.0.0.1", b"junk")}
    assert told(rig.fetch(DOMAIN)[0]) == (b"none", b"sts-policy-fetch-error", ())
    assert rig.troubles() == [b"it has no public address"]
    assert server.requests == []


def test_of_several_addresses_the_next_is_tried(rig_at, serve) -> None:
    """The first refuses."""
    rig = rig_at(serve().port)
    rig.addresses = {b"A": (b"127.0.0.99", b"127.0.0.1")}
    assert told(rig.fetch(DOMAIN)[0]) == ENFORCED


@pytest.mark.parametrize("record", [None, (), (b"v=spf1 -all",), (b"v=STSv1; id=1;", b"v=STSv1; id=2;")])
def test_without_a_record_there_is_no_policy_and_no_visit(rig_at, serve, record: tuple[bytes, ...] | None) -> None:
    """RFC 8461 3.1; and a resolver that does not know is no reason to keep the mail."""
    server = serve()
    rig = rig_at(server.port)
    rig.record = record
    assert told(rig.fetch(DOMAIN)[0]) == (b"none", b"", ())
    assert server.requests == []


@pytest.mark.parametrize("record", [None, ()])
def test_a_policy_outlives_its_record(rig_at, serve, record: tuple[bytes, ...] | None) -> None:
    """RFC 8461 5.1: whoever can hide the record, or the server, cannot end the demand."""
    server = serve()
    rig = rig_at(server.port)
    rig.fetch(DOMAIN)
    rig.record = record
    assert told(rig.fetch(DOMAIN)[0]) == ENFORCED
    rig.record = (b"v=STSv1; id=2;",)
    server.close()
    mode, trouble, patterns = told(rig.fetch(DOMAIN)[0])
    assert (mode, patterns) == (ENFORCED[0], ENFORCED[2])
    assert trouble == b"sts-policy-fetch-error"


def test_a_new_id_brings_a_new_policy(rig_at, serve) -> None:
    """And the old one is forgotten."""
    server = serve()
    rig = rig_at(server.port)
    rig.fetch(DOMAIN)
    rig.record = (b"v=STSv1; id=2;",)
    server.script = says(page(TEXT.replace(b"enforce", b"testing")))
    assert rig.fetch(DOMAIN)[0].mode == b"testing"
    assert len(server.requests) == 2


def test_what_will_run_out_is_fetched_again_before(rig_at, serve, monkeypatch) -> None:
    """Nobody has to ask; and when it cannot be had the old one holds on."""
    monkeypatch.setattr(desk, "REFRESH_INTERVAL", 0.05)
    server = serve(says(page(TEXT.replace(b"86400", b"1"))))
    rig = rig_at(server.port)
    rig.fetch(DOMAIN)
    end = time.monotonic() + 5
    while len(server.requests) < 2 and time.monotonic() < end:
        rig.house.serve_for(0.02)
        rig.resolve()
    assert len(server.requests) >= 2


@pytest.mark.parametrize(
    "domain", [b"", b".", b"localhost", b"a..b", b"evil.test/x", b"\xff", b"-.test", b"a" * 300 + b".test"]
)
def test_what_is_no_domain_is_looked_up_nowhere(rig_at, serve, domain: bytes) -> None:
    """A taken-over remote chooses what it asks for; not what is connected to."""
    rig = rig_at(serve().port)
    assert told(rig.fetch(domain)[0]) == (b"none", b"", ())
    assert rig.asked == []


def test_more_domains_than_it_can_look_after_are_answered_without(rig_at, serve, monkeypatch) -> None:
    """Whoever floods it makes it say that it does not know, and not grow."""
    monkeypatch.setattr(desk, "MAX_FLIGHTS", 3)
    monkeypatch.setattr(desk, "MAX_OF_ONE", 10)
    rig = rig_at(serve().port)
    for number in range(10):
        rig.remote.send(m.Fetch(number, b"d%d.test" % number))
    rig.house.settle()
    answers = [answer for answer in rig.house.hear(rig.remote) if isinstance(answer, m.Fetched)]
    assert len(answers) == 7
    assert {answer.trouble for answer in answers} == {b"sts-policy-fetch-error"}


def test_memory_is_bounded_and_forgets_in_time() -> None:
    """The one that was used longest ago goes first."""
    memory = Memory(most=3)
    for number in range(4):
        memory.put(f"{number}.test", POLICY, "1", 0.0)
        memory.get("1.test", 0.0)
    assert [memory.get(f"{number}.test", 1.0) is not None for number in range(4)] == [False, True, True, True]
    assert memory.get("1.test", 1000.0) is None
    memory.fail("2.test", "7", 0.0)
    assert memory.has_failed("2.test", "7", 299.0)
    assert not memory.has_failed("2.test", "8", 299.0)
    assert not memory.has_failed("2.test", "7", 301.0)
    assert memory.stale(600.0, 10) == ["3.test"] or set(memory.stale(600.0, 10)) == {"2.test", "3.test"}


def test_as_a_process_it_answers_inside_its_walls(lone_role, state) -> None:
    """No record, no policy; everything it needs for that it held before the walls went up."""
    role = lone_role(roster.FETCHER, state, root=os.geteuid() == 0)
    remote, resolver = role.as_client("remote"), role.as_server("resolver")
    remote.send(m.Fetch(1, DOMAIN))
    question, _ = receive(resolver)
    assert isinstance(question, m.LookUp)
    resolver.send(m.Found(question.tag, b"answer", False, (b"v=STSv1; id=1;",)))
    for kind in (b"A", b"AAAA"):
        question, _ = receive(resolver)
        assert isinstance(question, m.LookUp)
        assert question.kind == kind
        resolver.send(m.Found(question.tag, b"answer", False, (b"192.0.2.1", b"::1")))
    assert told(receive(remote)[0]) == (b"none", b"sts-policy-fetch-error", ())


def test_a_remote_that_asks_about_many_domains_is_hung_up_on(rig_at, serve) -> None:
    """It has mail for one; else it could keep others from their policies, and their mail would go unprotected."""
    rig = rig_at(serve().port)
    for number in range(desk.MAX_OF_ONE):
        rig.remote.send(m.Fetch(number, b"d%d.test" % number))
    rig.house.settle()
    assert not rig.remote.closed
    rig.remote.send(m.Fetch(100, b"one-too-many.test"))
    rig.house.settle()
    with pytest.raises(ChannelClosed):
        list(rig.remote.receive())


@pytest.mark.parametrize("head", [HEAD + b"\r\n", HEAD + b"Content-Length: 200\r\n\r\n"])
def test_what_somebody_cut_off_is_no_policy(rig_at, serve, head: bytes) -> None:
    """RFC 9112 9.8: an end that TLS does not vouch for. Here: a policy for eight seconds, not for a day."""
    text = TEXT[: TEXT.index(b"86400") + 1]
    rig = rig_at(serve(cut_off(head + text)).port)
    assert told(rig.fetch(DOMAIN)[0]) == (b"none", b"sts-policy-fetch-error", ())


def test_servers_that_are_silent_do_not_make_a_policy_forgotten(rig_at, serve, monkeypatch) -> None:
    """Somebody announces a new one where nobody answers: who asked is told the one before, in time (RFC 8461 5.1)."""
    server = serve()
    rig = rig_at(server.port)
    assert told(rig.fetch(DOMAIN)[0]) == ENFORCED
    monkeypatch.setattr(desk, "ANSWER_SECONDS", 0.3)
    rig.record = (b"v=STSv1; id=2;",)
    server.script = lambda _client: time.sleep(3)
    mode, trouble, patterns = told(rig.fetch(DOMAIN, seconds=2.0)[0])
    assert (mode, trouble, patterns) == (b"enforce", b"sts-policy-fetch-error", ENFORCED[2])
