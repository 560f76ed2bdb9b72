"""Mail that goes on to outside, and its bounces: under which return path it goes, and who may send to that."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import batv, desk, srs
from mta.snapshot.records import Alias, Domain, Host, Mailbox, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House
from tests.mta.roles.directory.test_desk import INSTANCE, SESSION_KEY, SETTINGS, TICKET_KEY

DAY, TODAY = 86_400, int(time.time()) // 86_400
NEW, OLD = b"n" * 32, b"o" * 32
CLIENT, SESSION = b"192.0.2.1", b"s1"
FROM = b"Ann@else.example"
RECORDS = {
    b"h:": Host(b"mx.example", b"postmaster@mx.example", (NEW, OLD)),
    b"t:1": Tenant(b""),
    b"t:2": Tenant(b"1", forwards_outside=False),
    b"t:3": Tenant(b"2"),
    b"d:mx.example": Domain(b"1", catch_all=b"bob@mx.example"),
    b"d:signed.example": Domain(b"1", batv=True, language=b"de"),
    b"d:inside.example": Domain(b"3", catch_all=b"ann@else.example"),
    b"d:late.example": Domain(b"1", batv=True, validation=b"data", catch_all=b"bob@mx.example"),
    b"a:bob@mx.example": Mailbox(b"Bob@mx.example", b"bob", targets=(b"Bob.Away@out.example",)),
    b"a:list@mx.example": Alias((b"bob@mx.example", b"x@out.example", b"Bob.Away@out.example", b"x@out.example")),
    b"a:sue@signed.example": Mailbox(b"Sue@signed.example", b"sue"),
    b"a:postmaster@signed.example": Mailbox(b"postmaster@signed.example", b"p"),
    b"a:" + b"l" * 60 + b"@signed.example": Mailbox(b"long@signed.example", b"long"),
    b"a:jo@inside.example": Mailbox(b"jo@inside.example", b"jo", keep_copy=False, targets=(b"jo@out.example",)),
    b"a:team@inside.example": Alias((b"jo@out.example", b"bob@mx.example")),
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    whole = directory.Resolver
    monkeypatch.setattr(whole, "_today", lambda _: TODAY)  # also when the tests go on past midnight
    monkeypatch.setattr(directory, "Resolver", lambda get, most, **_: whole(get, most, has_way_out=True))
    SnapshotWriter(tmp_path).publish_all(INSTANCE, 1, [(key, pack_record(value)) for key, value in RECORDS.items()])
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, SETTINGS | {"limits.unknown_recipients_per_minute": b"1000"}) as house:
        directory.serve(house.loop, house.start, descriptor)
        yield house
    os.close(descriptor)


@pytest.fixture
def expand(house):
    scheduler = house.client("scheduler")

    def ask(recipient, sender=FROM, **rest):
        return house.ask(scheduler, m.Expand(1, recipient, sender=sender, **{"client": CLIENT} | rest))

    return ask


@pytest.fixture
def word(house):
    smtpd = house.client("smtpd")

    def ask(path, reverse_path=b"", login=None):
        token = tickets.session_token(SESSION_KEY, SESSION, CLIENT)
        question = m.Question(1, SESSION, CLIENT, token, reverse_path, path, 0, *(login or ()))
        house.serve_for(0.04 if b"late." in path else 0.0)
        (verdict,) = house.ask(smtpd, question) or [None] if b"late." not in path else later(question)
        return Word(verdict.word)

    def later(question):
        smtpd.send(question)
        house.serve_for(0.1)
        return house.hear(smtpd)

    return ask


def returned(day=TODAY, secret=NEW, path=FROM):
    return srs.rewrite(path, b"mx.example", secret, day)[0]


# --- forwarding -------------------------------------------------------------------------------------------------------


def test_a_forwarded_message_goes_out_under_our_name_and_its_bounce_finds_the_sender(expand, word):
    """The mailbox keeps its copy; the sender's name keeps its case; nobody but a bounce may use the way back."""
    kept, out = expand(b"bob@mx.example")
    assert (type(kept), kept.recipient) == (m.Expansion, b"Bob@mx.example")
    assert (type(out), out.recipient, out.domain) == (m.Outward, b"Bob.Away@out.example", b"out.example")
    assert out.reverse_path == returned()
    assert word(out.reverse_path) is Word.ACCEPT
    assert word(out.reverse_path, b"somebody@out.example") is Word.UNKNOWN
    (home,) = expand(out.reverse_path, sender=b"")
    assert (type(home), home.recipient, home.reverse_path) == (m.Outward, FROM, b"")


def test_an_alias_leads_in_and_out_and_each_target_has_it_once(expand):
    """By however many ways he is named."""
    found = expand(b"list@mx.example")
    assert [end.recipient for end in found if isinstance(end, m.Expansion)] == [b"Bob@mx.example"]
    assert sorted(end.recipient for end in found if isinstance(end, m.Outward)) == [
        b"Bob.Away@out.example", b"x@out.example",
    ]  # fmt: skip
    assert [end.last for end in found] == [False, False, True]


def test_a_bounce_that_is_forwarded_stays_one(expand):
    """RFC 5321 4.5.5: the null reverse-path, or two hosts answer each other for ever."""
    assert {end.reverse_path for end in expand(b"list@mx.example", sender=b"") if isinstance(end, m.Outward)} == {b""}


def test_our_own_senders_and_our_own_return_paths_need_no_detour(expand):
    """Who logged in here is vouched for by his own domain; a message that comes round again has our path already."""
    for sender, rest in ((b"bob@mx.example", {"client": b""}), (returned(), {})):
        (_, out) = expand(b"bob@mx.example", sender=sender, **rest)
        assert out.reverse_path == sender
    (_, out) = expand(b"bob@mx.example", sender=b"bob@mx.example")
    assert out.reverse_path.startswith(b"SRS0="), "a stranger who says that he is one of ours"


def test_a_bounce_to_one_of_ours_ends_in_his_mailbox(expand):
    """What he sent from elsewhere was forwarded here; the way back is short, and signing is not asked for."""
    (end,) = expand(returned(path=b"Sue@signed.example"), sender=b"")
    assert (type(end), end.recipient) == (m.Expansion, b"Sue@signed.example")


@pytest.mark.parametrize(
    "path",
    [
        returned(day=TODAY - srs.VALID_DAYS - 1),
        returned(secret=b"x" * 32),
        returned().replace(b"else", b"evil"),
        b"SRS0=aaaaaaaa=bb=else.example=ann@mx.example",
        b"srs1=aaaaaaaa=else.example==hash=tt=home.example=ann@mx.example",
        b"SRS0=@mx.example",
        b"SRS1====@mx.example",
        returned()[:-11] + b"@signed.example",
    ],
)
def test_nothing_else_is_taken_there(word, path):
    """Not even by a catch-all; else we would carry anybody's mail to anybody."""
    assert word(path) is Word.UNKNOWN
    assert word(path, b"somebody@out.example") is Word.UNKNOWN


def test_a_bounce_that_waited_here_over_the_last_day_still_comes_home(expand):
    """It was taken in time."""
    (end,) = expand(returned(day=TODAY - srs.VALID_DAYS - 3), sender=b"")
    assert end.recipient == FROM
    (end,) = expand(returned(day=TODAY - srs.VALID_DAYS - 8), sender=b"")
    assert (type(end), end.permanent, end.status) == (m.Unresolved, True, b"5.1.1")


def test_an_answer_is_remembered_no_longer_than_it_is_good(house, word, monkeypatch):
    """The directory may run for weeks."""
    path = returned(day=TODAY - srs.VALID_DAYS)
    tagged = batv.sign(b"sue", b"signed.example", NEW, TODAY - batv.VALID_DAYS) + b"@signed.example"
    assert word(path) is Word.ACCEPT
    assert word(tagged) is Word.ACCEPT
    monkeypatch.setattr(directory.Resolver(lambda _: None, 1).__class__, "_today", lambda _: TODAY + 1)
    assert word(path) is Word.UNKNOWN
    assert word(tagged) is Word.UNKNOWN


def test_a_tenant_without_the_right_forwards_nothing_out(expand, word):
    """From the moment he lost it, and those below him too; what leads to our own mailboxes goes on."""
    (end,) = expand(b"jo@inside.example")
    assert (type(end), end.permanent, end.status) == (m.Unresolved, True, b"5.4.4")
    assert word(b"jo@inside.example", FROM) is Word.UNKNOWN
    found = expand(b"team@inside.example")
    assert [end.recipient for end in found] == [b"Bob@mx.example", b"Bob.Away@out.example"]


def test_a_catch_all_never_leads_out(expand):
    """Whoever invents addresses would have us write to the target as often as he likes."""
    (end,) = expand(b"invented@inside.example")
    assert (type(end), end.status) == (m.Unresolved, b"5.4.4")


LONG = b"x" * 64 + b"@else.example"


def test_what_does_not_fit_is_kept_by_the_ledger(house, expand):
    """It hears of it before the message goes, and is asked when the bounce is here."""
    ledger = house.server("ledger")
    (_, out) = expand(b"bob@mx.example", sender=LONG)
    (kept,) = house.hear(ledger)
    assert (type(kept), kept.path) == (m.KeepPath, LONG)
    assert kept.token in out.reverse_path
    assert expand(out.reverse_path, sender=b"") == []
    (asked,) = house.hear(ledger)
    assert (type(asked), asked.token) == (m.PathOf, kept.token)
    scheduler = house.client("scheduler")
    house.ask(scheduler, m.Expand(7, out.reverse_path, client=CLIENT))
    (asked,) = house.hear(ledger)
    house.ask(ledger, m.KeptPath(asked.tag, LONG))
    (home,) = house.hear(scheduler)
    assert (home.tag, home.recipient) == (7, LONG)
    house.ask(scheduler, m.Expand(8, out.reverse_path, client=CLIENT))
    (asked,) = house.hear(ledger)
    house.ask(ledger, m.KeptPath(asked.tag, b""))
    (lost,) = house.hear(scheduler)
    assert (lost.tag, lost.permanent, lost.status) == (8, True, b"5.1.1")


def test_without_the_ledger_such_mail_waits(expand):
    """Its bounce could not come home, and one that came cannot be led."""
    for end in (*expand(b"bob@mx.example", sender=LONG), *expand(returned(path=LONG), sender=b"")):
        assert (type(end), end.permanent, end.status) == (m.Unresolved, False, b"4.3.0")


# --- signed return paths ----------------------------------------------------------------------------------------------

TAGGED = batv.sign(b"Sue", b"signed.example", NEW, TODAY) + b"@signed.example"


def test_what_a_user_sends_goes_out_signed(expand):
    """Where his domain asks for it; and only what he sent himself."""
    (out,) = expand(b"x@out.example", sender=b"Sue@signed.example", identity=b"sue@signed.example")
    assert out.reverse_path == TAGGED
    (out,) = expand(b"x@out.example", sender=b"bob@mx.example", identity=b"bob@mx.example")
    assert out.reverse_path == b"bob@mx.example"
    (end,) = expand(b"bob@mx.example", sender=b"Sue@signed.example", identity=b"sue@signed.example")[:1]
    assert isinstance(end, m.Expansion), "within the house nobody needs it"


def test_a_forged_bounce_is_refused_and_a_real_one_comes_home(word, expand):
    """The difference is a tag that only this house can make."""
    assert word(b"sue@signed.example") is Word.UNSIGNED
    assert word(TAGGED) is Word.ACCEPT
    assert word(batv.sign(b"Sue", b"signed.example", OLD, TODAY - 3) + b"@signed.example") is Word.ACCEPT
    (end,) = expand(TAGGED, sender=b"")
    assert (type(end), end.recipient) == (m.Expansion, b"Sue@signed.example")


@pytest.mark.parametrize(
    "path",
    [
        batv.sign(b"sue", b"signed.example", NEW, TODAY - batv.VALID_DAYS - 1) + b"@signed.example",
        batv.sign(b"sue", b"signed.example", b"x" * 32, TODAY) + b"@signed.example",
        b"prvs=0123abcdef=sue@signed.example",
    ],
)
def test_a_tag_that_does_not_hold_is_no_address_of_ours(word, path):
    """A guess counts as one."""
    assert word(path) is Word.UNKNOWN
    assert word(path, FROM) is Word.UNKNOWN
    assert word(path.replace(b"signed", b"late")) is Word.UNSIGNED, "where a catch-all takes everything else"


def test_who_answers_a_signed_return_path_reaches_its_owner(word):
    """Some write to what they find there; also after the domain asks for no tags any more."""
    assert word(TAGGED, FROM) is Word.ACCEPT
    assert word(batv.sign(b"bob", b"mx.example", NEW, TODAY) + b"@mx.example") is Word.ACCEPT


@pytest.mark.parametrize(
    "path", [b"postmaster@signed.example", b"abuse@signed.example", b"l" * 60 + b"@signed.example"]
)
def test_who_cannot_be_asked_for_a_tag_gets_every_bounce(word, path):
    """Whom all must be able to reach (RFC 5321 4.5.1), and whose name leaves no room."""
    assert word(path) is Word.ACCEPT


def test_ordinary_mail_needs_no_tag(word):
    """It is about bounces alone; and a user of ours may send one (RFC 8098 3: a receipt has the null reverse-path)."""
    assert word(b"sue@signed.example", FROM) is Word.ACCEPT
    expiry = int(time.time()) + 60
    login = tickets.login_ticket(TICKET_KEY, SESSION, b"bob@mx.example", expiry, b"password")
    assert word(b"sue@signed.example", login=(b"bob@mx.example", login, expiry)) is Word.ACCEPT


def test_a_snapshot_without_secrets_signs_nothing_and_rewrites_nothing(house, expand, word, tmp_path):
    """An upgrade does not wait for the compiler."""
    records = RECORDS | {b"h:": Host(b"mx.example", b"postmaster@mx.example")}
    SnapshotWriter(tmp_path).publish_all(INSTANCE, 2, [(key, pack_record(value)) for key, value in records.items()])
    (_, out) = expand(b"bob@mx.example")
    assert out.reverse_path == FROM
    assert word(returned()) is Word.UNKNOWN


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reverse_path", "recipient", "expected"),
    [
        (b"sue@signed.example", b"x@out.example", b"de"),
        (b"sue@signed.example", b"bob@mx.example", b"de"),
        (b"ann@else.example", b"sue@signed.example", b"de"),
        (b"", b"bob@mx.example", b"en"),
        (b"ann@else.example", b"x@out.example", b""),
        (b"junk", b"", b""),
    ],
)
def test_a_notification_is_written_in_the_language_of_whoever_is_ours(house, reverse_path, recipient, expected):
    """The sender's, for he reads it; else the recipient's."""
    bouncer = house.client("bouncer")
    assert house.ask(bouncer, m.LanguageOf(3, reverse_path, recipient)) == [m.Language(3, expected)]


@pytest.mark.parametrize(
    ("recipient", "is_refused"),
    [
        (b"bob@mx.example", True),
        (b"list@mx.example", True),
        (b"sue@signed.example", False),
    ],
)
def test_what_another_host_sent_back_is_not_sent_there_again(expand, recipient, is_refused):
    """5.4.6, to who sent it; a mailbox that sends nothing on has it all the same."""
    found = expand(recipient, passed=True)
    refused = [end for end in found if isinstance(end, m.Unresolved)]
    assert [(end.permanent, end.status, end.refusable) for end in refused] == [(True, b"5.4.6", False)] * is_refused
    assert len(found) == 1
