"""Who may write to whom where not everybody may, judged from records alone."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk, doors
from mta.roles.directory.doors import OURS, Origin
from mta.roles.directory.resolve import Obstacle, Resolver
from mta.snapshot.records import Alias, Domain, Host, Mailbox, Tenant, pack_record
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House
from tests.mta.roles.directory.test_desk import SESSION_KEY, SETTINGS, TICKET_KEY, publish


def box(key, **rest):
    return b"a:" + key, Mailbox(key, key.partition(b"@")[0], **rest)


RECORDS = {
    b"h:": Host(b"mx.host.example", b"postmaster@mx.host.example", (b"secret",)),
    b"t:1": Tenant(b""), b"t:2": Tenant(b"1"),
    b"d:mx.host.example": Domain(b"1"), b"a:postmaster@mx.host.example": Mailbox(b"postmaster@mx.host.example", b"p"),
    b"d:club.example": Domain(b"2", batv=True), b"d:club-too.example": Domain(b"2", alias_of=b"club.example"),
    b"d:sister.example": Domain(b"2"), b"d:other.example": Domain(b"1"),
    b"d:passed.example": Domain(b"2", next_hop=b"hop.example:25"),
    **dict([
        box(b"ann@club.example"), box(b"ben@club.example"), box(b"eve@other.example"), box(b"sue@sister.example"),
        box(b"fwd@club.example", targets=(b"eve@other.example",)),
        box(b"leak@other.example", keep_copy=False, targets=(b"members@club.example",)),
    ]),
    b"a:members@club.example": Alias((b"inner@club.example", b"ben@club.example", b"out@else.example"), b"members"),
    b"a:inner@club.example": Alias((b"ann@club.example", b"fwd@club.example")),
    b"a:house@club.example": Alias((b"ann@club.example",), b"domain"),
    b"a:firm@club.example": Alias((b"ann@club.example",), b"tenant"),
    b"a:listed@club.example": Alias(
        (b"ann@club.example",), b"listed",
        (b"boss@partner.example", b"friends.example", b"ben@club.example", b"inner@club.example", b"other.example"),
    ),
    b"a:way-in@other.example": Alias((b"members@club.example",)),
    b"a:both@other.example": Alias((b"members@club.example", b"eve@other.example")),
    b"a:postmaster@club.example": Alias((b"ann@club.example",), b"members"),
}  # fmt: skip
ANN, BEN, FWD, SUE, EVE = (
    Origin(key, key) for key in
    (b"ann@club.example", b"ben@club.example", b"fwd@club.example", b"sue@sister.example", b"eve@other.example")
)  # fmt: skip


def resolver(**more):
    found = {key: pack_record(record) for key, record in {**RECORDS, **more.get("more", {})}.items()}
    return Resolver(found.get)


def stranger(reverse_path, **rest):
    return Origin(b"", reverse_path, **rest)


@pytest.mark.parametrize(
    ("group", "welcome"),
    [
        (b"members", (ANN, BEN, FWD)),
        (b"house", (ANN, BEN, FWD)),
        (b"firm", (ANN, BEN, FWD, SUE)),
        (b"listed", (ANN, BEN, FWD, EVE)),
    ],
)
def test_who_logged_in_passes_by_whom_he_proved_to_be(group, welcome):
    """At RCPT and again when the message is handed out; the words tell the rule and nobody's name."""
    judged, path = resolver(), group + b"@club-too.example"
    for origin in (ANN, BEN, FWD, SUE, EVE):
        verdict, found = judged.judge(path, origin), judged.expand(path, origin)
        assert (verdict.word is Word.ACCEPT) == (origin in welcome) == isinstance(found, list), (group, origin)
        if origin not in welcome:
            assert (verdict.word, found) == (Word.DENIED, Obstacle.CLOSED)
            assert verdict.detail in doors.WORDS_OF_GROUPS.values()
            assert b"@" not in verdict.detail


@pytest.mark.parametrize("group", [b"members", b"house", b"firm", b"listed"])
@pytest.mark.parametrize("relays", [False, True])
@pytest.mark.parametrize(
    "claim", [b"ann@club.example", b"sue@sister.example", b"members@club.example", b"", b"x", b"@"]
)
def test_a_reverse_path_alone_makes_nobody_a_member(group, relays, claim):
    """Not a stranger's, nor that of a network which the host relays for; nor the null one."""
    path = group + b"@club.example"
    assert resolver().judge(path, stranger(claim, is_relayer=relays)).word is Word.DENIED
    assert resolver().expand(path, stranger(claim, is_relayer=relays)) is Obstacle.CLOSED


@pytest.mark.parametrize(
    ("claim", "relays", "passes"),
    [
        (b"boss@partner.example", False, True),
        (b"BOSS@Partner.Example", False, True),
        (b"clerk@partner.example", False, False),
        (b"anybody@friends.example", False, True),
        (b"anybody@sub.friends.example", False, False),
        (b"ben@club.example", False, False),  # one of ours proves it
        (b"ben@club.example", True, True),  # or comes from where the operator lets programs say it
        (b"ben@club-too.example", True, True),
        (b"eve@other.example", False, False),
        (b"eve@other.example", True, True),
        (b"ann@club.example", True, False),  # whom a listed alias leads to logs in
    ],
)
def test_what_is_listed_may_be_said_where_it_is_not_ours(claim, relays, passes):
    """Nobody can prove here to be somebody elsewhere, and who lists him knows that."""
    word = resolver().judge(b"listed@club.example", stranger(claim, is_relayer=relays)).word
    assert (word is Word.ACCEPT) == passes


def test_a_way_round_leads_to_the_same_door():
    """An alias or a forwarding of somebody else's opens no group; the others behind it get their mail."""
    judged, who = resolver(), stranger(b"spam@else.example")
    assert judged.judge(b"way-in@other.example", who).word is Word.DENIED
    assert judged.judge(b"leak@other.example", who).word is Word.DENIED
    assert judged.judge(b"both@other.example", who).word is Word.ACCEPT
    assert [end.recipient for end in judged.expand(b"both@other.example", who)] == [b"eve@other.example"]
    assert len(judged.expand(b"both@other.example", ANN)) > 1


def test_to_whom_a_member_forwards_is_no_member():
    """Else anybody could be let in by any of them."""
    assert resolver().judge(b"members@club.example", EVE).word is Word.DENIED


def test_what_we_send_ourselves_and_bounces_to_signed_paths_pass():
    """A notification for what a member sent as the group finds its way; a forged one does not."""
    judged = resolver()
    assert isinstance(judged.expand(b"members@club.example", OURS), list)
    end = judged.outside(b"x@else.example")[0]
    signed, _ = judged.reverse_path_of(end, b"members@club.example", is_own=True)
    assert signed.startswith(b"prvs=")
    assert judged.judge(signed, stranger(b"")).word is Word.ACCEPT
    assert isinstance(judged.expand(signed, stranger(b"")), list)
    assert judged.judge(signed, stranger(b"spam@else.example")).word is Word.DENIED
    forged = signed[:9] + bytes([signed[9] ^ 1]) + signed[10:]
    assert judged.judge(forged, stranger(b"")).with_reverse_path(b"").word is not Word.ACCEPT


def test_somebody_can_always_be_told_that_it_does_not_work():
    """RFC 5321 4.5.1."""
    assert resolver().judge(b"postmaster@club.example", stranger(b"x@else.example")).word is Word.ACCEPT


def test_what_is_remembered_of_one_is_not_said_to_another():
    """The same question from several, in any order, while the snapshot stays as it is."""
    judged = resolver()
    for _ in range(2):
        for origin, word in ((ANN, Word.ACCEPT), (EVE, Word.DENIED), (stranger(b"ann@club.example"), Word.DENIED)):
            assert judged.judge(b"members@club.example", origin).word is word


LOCAL = {scope: {b"d:club.example": Domain(b"2", local_only=scope)} for scope in (b"host", b"tenant", b"domain")}


@pytest.mark.parametrize(
    ("scope", "inside"), [(b"host", (ANN, SUE, EVE)), (b"tenant", (ANN, SUE)), (b"domain", (ANN,))]
)
def test_a_domain_whose_mail_stays_inside_hears_from_inside_alone(scope, inside):
    """By any of its names and by any way; from outside nobody learns who exists there."""
    judged = resolver(more=LOCAL[scope])
    for path in (b"ann@club.example", b"ANN+x@club-too.example", b"inner@club.example"):
        for origin in (ANN, SUE, EVE, stranger(b"ann@club.example"), stranger(b"")):
            verdict = judged.judge(path, origin)
            assert (verdict.word is Word.ACCEPT) == (origin in inside), (path, origin)
            assert (judged.expand(path, origin) is Obstacle.CLOSED) == (origin not in inside)
    refused = judged.judge(b"ann@club.example", stranger(b"x@else.example"))
    assert judged.judge(b"nobody@club.example", stranger(b"x@else.example")).word is refused.word is Word.DENIED
    assert judged.judge(b"way-in@other.example", stranger(b"x@else.example")).word is Word.DENIED
    assert judged.judge(b"nobody@club.example", ANN).word is Word.UNKNOWN
    assert judged.judge(b"abuse@club.example", stranger(b"x@else.example")).word is Word.ACCEPT
    relayed = judged.judge(b"ann@club.example", stranger(b"cron@host.example", is_relayer=True))
    assert (relayed.word is Word.ACCEPT) == (scope == b"host")


@pytest.mark.parametrize(
    ("scope", "reached"),
    [(b"host", (b"ann@club.example", b"sue@sister.example", b"eve@other.example")),
     (b"tenant", (b"ann@club.example", b"sue@sister.example")), (b"domain", (b"ann@club.example", b"x@club-too.example"))],
)  # fmt: skip
def test_a_domain_whose_mail_stays_inside_writes_inside_alone(scope, reached):
    """Its people, and programs that write as them; whoever is forwarded to elsewhere gets nothing."""
    judged = resolver(more=LOCAL[scope])
    paths = {
        b"ann@club.example",
        b"sue@sister.example",
        b"eve@other.example",
        b"x@else.example",
        b"x@passed.example",
        *reached,
    }
    for path in paths:
        assert judged.lets_out(ANN, path) == (path in reached), path
        assert judged.lets_out(stranger(b"ann@club.example", is_relayer=True), path) == (path in reached), path
        assert judged.lets_out(EVE, path)
    ends = judged.expand(b"members@club.example", ANN)
    assert b"out@else.example" not in {end.recipient for end in ends}
    assert (b"eve@other.example" in {end.recipient for end in ends}) == (scope == b"host")


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    whole = directory.Resolver
    monkeypatch.setattr(directory, "Resolver", lambda get, most, **_: whole(get, most, has_way_out=True))
    publish(
        tmp_path, RECORDS | {b"d:sister.example": Domain(b"2", local_only=b"tenant"), b"a:bob@mx.example": Alias(())}
    )
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, SETTINGS | {"smtpd.relay_clients": b"10.1.0.0/16"}) as house:
        directory.serve(house.loop, house.start, descriptor)
        yield house
    os.close(descriptor)


def asked(house, path, identity=b"", key=TICKET_KEY, client=b"192.0.2.1", reverse_path=b"ann@club.example"):
    """The verdict about *path*; *identity* comes with a log-in ticket made with *key*."""
    token = tickets.session_token(SESSION_KEY, b"s1", client)
    expiry = int(time.time()) + 60
    login = tickets.login_ticket(key, b"s1", identity, expiry, b"password") if identity else b""
    question = m.Question(1, b"s1", client, token, reverse_path, path, 0, identity, login, expiry)
    (verdict,) = house.ask(house.client("submissiond"), question)
    return Word(verdict.word), verdict.detail


def test_the_proof_is_the_authenticators_ticket_and_nothing_that_is_said(house):
    """A taken-over submissiond names whom it likes and is a stranger all the same; no ticket comes with a refusal."""
    closed = (Word.DENIED, doors.WORDS_OF_GROUPS[b"members"])
    assert asked(house, b"members@club.example", b"ann@club.example") == (Word.ACCEPT, b"")
    assert asked(house, b"members@club.example", b"eve@other.example") == closed
    assert asked(house, b"members@club.example") == closed
    assert asked(house, b"members@club.example", b"ann@club.example", key=b"k" * 32) == closed
    assert asked(house, b"members@club.example", client=b"10.1.2.3") == closed


def test_who_is_refused_at_the_door_is_refused_again_when_the_message_is_handed_out(house):
    """Whatever became of group or domain meanwhile; what is our own goes in."""

    def handed_out(path, **rest):
        return house.ask(house.client("scheduler"), m.Expand(1, path, **rest))[0]

    stranger_brought = {"sender": b"ann@club.example", "client": b"192.0.2.1"}
    refused = handed_out(b"way-in@other.example", **stranger_brought)
    assert (refused.permanent, refused.status) == (True, b"5.7.1")
    assert not isinstance(handed_out(b"way-in@other.example", identity=b"ann@club.example"), m.Unresolved)
    assert not isinstance(handed_out(b"members@club.example"), m.Unresolved)
    assert handed_out(b"sue@sister.example", **stranger_brought).status == b"5.7.1"
    assert handed_out(b"x@else.example", identity=b"sue@sister.example").status == b"5.7.1"


def test_whose_mail_stays_inside_hears_so_at_rcpt(house):
    """Before he learns who exists where he may not write."""
    for path in (b"x@else.example", b"eve@other.example", b"nobody@other.example"):
        assert asked(house, path, b"sue@sister.example") == (Word.DENIED, doors.STAYS_IN)
    assert asked(house, b"ann@club.example", b"sue@sister.example")[0] is Word.ACCEPT
    assert asked(house, b"sue@sister.example", b"ann@club.example")[0] is Word.ACCEPT
    assert asked(house, b"sue@sister.example") == (Word.DENIED, doors.STAYS_OUT)
