"""What the directory holds against a client: rules, lists, names, greylisting, rates; and how little it tells a guesser."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import clients, desk
from mta.snapshot.records import Domain, Host, Mailbox, Relayed, Rules, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import asking, tickets
from mta.wire import messages as m
from tests.fakes.house import House, events

TICKET_KEY, SESSION_KEY, INSTANCE = b"t" * 32, b"s" * 32, b"i" * 16
CLIENT = b"192.0.2.1"
RECORDS = {
    b"h:": Host(b"mx.example", b"postmaster@mx.example"),
    b"t:1": Tenant(b""),
    b"d:mx.example": Domain(b"1"),
    b"d:late.example": Domain(b"1", validation=b"data"),
    b"d:grey.example": Domain(b"1", greylist=True),
    b"d:free.example": Domain(b"1", dnsbl=False),
    b"d:hook.example": Domain(b"1", next_hop=b"in.example:25", source=b"hook"),
    b"d:list.example": Domain(b"1", next_hop=b"in.example:25", source=b"list"),
    b"a:known@list.example": Relayed(),
    b"a:postmaster@mx.example": Mailbox(b"postmaster@mx.example", b"postmaster"),
    b"a:bob@mx.example": Mailbox(b"bob@mx.example", b"bob"),
    b"a:bob@late.example": Mailbox(b"bob@late.example", b"bob"),
    b"a:small@late.example": Mailbox(b"small@late.example", b"small", quota_bytes=100),
    b"a:bob@grey.example": Mailbox(b"bob@grey.example", b"bob"),
    b"a:ann@grey.example": Mailbox(b"ann@grey.example", b"ann"),
    b"a:small@grey.example": Mailbox(b"small@grey.example", b"small", quota_bytes=100),
    b"a:bob@free.example": Mailbox(b"bob@free.example", b"bob"),
    b"r:": Rules((b"deny", b"203.0.113.0/24", b"allow", b"198.51.100.0/24")),
    b"r:bob@mx.example": Rules((b"allow", b"203.0.113.7")),
}


@pytest.fixture
def make_house(tmp_path, monkeypatch):
    """Makes directories that differ by their settings."""
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(desk, "LATE_SECONDS", 0.0)
    SnapshotWriter(tmp_path).publish_all(INSTANCE, 1, [(key, pack_record(value)) for key, value in RECORDS.items()])
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    made = []

    def make(**settings):
        keys = {roster.TICKET_KEY: TICKET_KEY, roster.SESSION_KEY: SESSION_KEY}
        house = House(roster.DIRECTORY, keys | {name.replace("__", "."): text for name, text in settings.items()})
        made.append(house)
        directory.serve(house.loop, house.start, descriptor)
        return house

    yield make
    for house in made:
        house.__exit__()
    os.close(descriptor)


def session_of(number=0, age=0.0):
    return b"%016x" % (int((time.time() - age) * 1e9) + number)


def question(forward_path, tag=1, client=CLIENT, session=None, reverse_path=b"from@else.example"):
    session = session or session_of(tag)
    token = tickets.session_token(SESSION_KEY, session, client)
    return m.Question(tag, session, client, token, reverse_path, forward_path, 0)


def verdict(house, smtpd, *args, **rest):
    (answer,) = house.ask(smtpd, question(*args, **rest))
    return answer


def word(house, smtpd, *args, **rest):
    return Word(verdict(house, smtpd, *args, **rest).word)


# --- modes, rules ----------------------------------------------------------------------------------------------------


def test_a_domain_that_tells_late_marks_a_yes_as_much_as_a_no(make_house):
    """Only the yes has a ticket: what smtpd says early must not depend on the word."""
    house = make_house()
    smtpd = house.client("smtpd")
    yes, no = verdict(house, smtpd, b"bob@late.example"), verdict(house, smtpd, b"nobody@late.example")
    assert (yes.word, yes.late, bool(yes.ticket)) == (b"accept", True, True)
    assert (no.word, no.late, no.ticket) == (b"unknown", True, b"")
    assert not verdict(house, smtpd, b"bob@mx.example").late


def test_where_it_is_told_late_the_time_of_an_answer_tells_nothing(make_house, monkeypatch):
    """A yes, a no and one that asked the ledger come after the same time; and DNS is asked whoever the recipient is."""
    monkeypatch.setattr(desk, "LATE_SECONDS", 0.15)
    house = make_house(smtpd__dnsbl=b"bl.example")
    smtpd, ledger, resolver = house.client("smtpd"), house.server("ledger"), house.server("resolver")
    for number, path in enumerate((b"bob@late.example", b"nobody@late.example")):
        assert house.ask(smtpd, question(path, client=b"192.0.2.%d" % number)) == []
        (look_up,) = house.hear(resolver)
        house.ask(resolver, m.Found(look_up.tag, b"nxdomain", False, ()))
        house.serve_for(0.2)
        assert len(house.hear(smtpd)) == 1
    house.ask(smtpd, *[question(name + b"@late.example", client=b"192.0.2.1") for name in (b"bob", b"no", b"small")])
    (usage,) = house.hear(ledger)
    house.ask(ledger, m.Usage(usage.tag, 0, 0))
    assert house.hear(smtpd) == []
    house.serve_for(0.2)
    assert [told.word for told in house.hear(smtpd)] == [b"accept", b"unknown", b"accept"]


@pytest.mark.parametrize(
    ("path", "client", "expected"),
    [
        (b"bob@late.example", b"203.0.113.7", Word.DENIED),
        (b"nobody@late.example", b"203.0.113.7", Word.DENIED),
        (b"bob@mx.example", b"203.0.113.7", Word.ACCEPT),
        (b"bob@mx.example", b"203.0.113.8", Word.DENIED),
        (b"bob@foreign.example", b"203.0.113.8", Word.FOREIGN),
        (b"nobody@mx.example", b"198.51.100.1", Word.UNKNOWN),
    ],
)
def test_a_rule_denies_before_anything_is_told_and_allows_no_more_than_its_client(make_house, path, client, expected):
    """Who is denied learns nothing about recipients; who is allowed must still name one that exists."""
    house = make_house()
    assert word(house, house.client("smtpd"), path, client=client) is expected


# --- DNS -------------------------------------------------------------------------------------------------------------


def answer(house, resolver, table):
    """Be the resolver: *table* maps (name, kind) to records, or to an outcome; what was asked."""
    asked = house.hear(resolver)
    for look_up in asked:  # those that follow from an answer are added to it
        said = table.get((look_up.name, look_up.kind), b"nxdomain")
        outcome, records = (said, ()) if isinstance(said, bytes) else (b"answer", said)
        asked += house.ask(resolver, m.Found(look_up.tag, outcome, False, records))
    return [(look_up.name, look_up.kind) for look_up in asked]


def test_a_client_on_a_list_is_refused_by_name_of_the_list_and_asked_about_once(make_house):
    """The next question is answered from memory; a domain that wants no lists takes it, and postmaster too."""
    house = make_house(smtpd__dnsbl=b"one.bl.example two.bl.example")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    assert house.ask(smtpd, question(b"bob@mx.example"), question(b"bob@mx.example", tag=2)) == []
    asked = answer(house, resolver, {(b"1.2.0.192.two.bl.example", b"A"): (b"127.0.0.2",)})
    assert asked == [(b"1.2.0.192.one.bl.example", b"A"), (b"1.2.0.192.two.bl.example", b"A")]
    told = house.hear(smtpd)
    assert [said.word for said in told] == [b"listed", b"listed"]
    assert b"192.0.2.1 is on the list two.bl.example" in told[0].detail
    assert word(house, smtpd, b"bob@mx.example") is Word.LISTED
    assert word(house, smtpd, b"nobody@mx.example") is Word.LISTED
    assert word(house, smtpd, b"bob@free.example") is Word.ACCEPT
    assert word(house, smtpd, b"postmaster@mx.example") is Word.ACCEPT
    assert house.hear(resolver) == []


@pytest.mark.parametrize("said", [b"nxdomain", b"none", b"failed", (b"127.255.255.254",), (b"192.0.2.99",), ()])
def test_only_a_listing_counts_against_a_client(make_house, said):
    """Not a list that is gone, refuses to answer us, or was taken over by somebody who sells domains."""
    house = make_house(smtpd__dnsbl=b"bl.example")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    house.ask(smtpd, question(b"bob@mx.example"))
    answer(house, resolver, {(b"1.2.0.192.bl.example", b"A"): said})
    assert [told.word for told in house.hear(smtpd)] == [b"accept"]


def test_who_is_allowed_by_a_rule_is_not_asked_about(make_house):
    """And an unknown recipient, or a domain that wants no lists, costs no look-up either."""
    house = make_house(smtpd__dnsbl=b"bl.example")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    assert word(house, smtpd, b"bob@mx.example", client=b"203.0.113.7") is Word.ACCEPT
    assert word(house, smtpd, b"nobody@mx.example") is Word.UNKNOWN
    assert word(house, smtpd, b"bob@free.example") is Word.ACCEPT
    assert house.hear(resolver) == []


def test_a_resolver_that_is_away_slow_or_ends_lets_the_client_pass(make_house, monkeypatch):
    """Each question is answered once, within its time."""
    monkeypatch.setattr(clients, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(asking, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(asking, "WAKING_SECONDS", 0.0)
    house = make_house(smtpd__dnsbl=b"bl.example", smtpd__reverse_dns=b"require")
    smtpd = house.client("smtpd")
    assert word(house, smtpd, b"bob@mx.example", client=b"192.0.2.2") is Word.ACCEPT
    resolver = house.server("resolver")
    assert house.ask(smtpd, question(b"bob@mx.example", client=b"192.0.2.3")) == []
    house.serve_for(0.3)
    assert [told.word for told in house.hear(smtpd)] == [b"accept"]
    assert house.ask(smtpd, question(b"bob@mx.example", client=b"192.0.2.4")) == []
    resolver.close()
    house.serve_for(0.05)
    assert [told.word for told in house.hear(smtpd)] == [b"accept"]


POINTER = (b"1.2.0.192.in-addr.arpa", b"PTR")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, b"no-reverse-name"),
        ({POINTER: b"none"}, b"no-reverse-name"),
        ({POINTER: (b"mail.else.example",)}, b"no-reverse-name"),
        ({POINTER: (b"mail.else.example",), (b"mail.else.example", b"A"): (b"192.0.2.9",)}, b"no-reverse-name"),
        ({POINTER: (b"a.example", b"b.example"), (b"b.example", b"A"): (b"192.0.2.9", b"192.0.2.1")}, b"accept"),
        ({POINTER: (b"a.example", b"b.example"), (b"b.example", b"A"): b"failed"}, b"accept"),
        ({POINTER: b"failed"}, b"accept"),
    ],
)
def test_where_it_is_required_a_client_has_a_name_that_leads_back(make_house, table, expected):
    """RFC 1912 2.1. What cannot be looked up now counts as a name."""
    house = make_house(smtpd__reverse_dns=b"require")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    house.ask(smtpd, question(b"bob@mx.example"))
    answer(house, resolver, table)
    assert [told.word for told in house.hear(smtpd)] == [expected]


def test_an_ipv6_client_is_asked_about_by_its_nibbles(make_house):
    """RFC 5782 2.4."""
    house = make_house(smtpd__dnsbl=b"bl.example")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    house.ask(smtpd, question(b"bob@mx.example", client=b"2001:db8::1"))
    (look_up,) = house.hear(resolver)
    assert look_up.name == b"1." + b"0." * 23 + b"8.b.d.0.1.0.0.2.bl.example"


# --- greylisting -----------------------------------------------------------------------------------------------------


def test_a_greylisting_domain_asks_the_ledger_last_of_all(make_house):
    """Not for who is unknown or full; the triplet is the same from the whole network and for any spelling."""
    house = make_house()
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    assert word(house, smtpd, b"nobody@grey.example") is Word.UNKNOWN
    house.ask(smtpd, question(b"bob@grey.example"), question(b"BOB@grey.example", tag=2, client=b"192.0.2.77"))
    first, second = house.hear(ledger)
    assert (first.network, second.network, first.triplet) == (b"192.0.2.0/24", b"192.0.2.0/24", second.triplet)
    house.ask(ledger, m.Greyed(first.tag, 42), m.Greyed(second.tag, 0))
    told = house.hear(smtpd)
    assert [(said.tag, said.word) for said in told] == [(1, b"greylisted"), (2, b"accept")]
    assert b"42 seconds" in told[0].detail
    house.ask(smtpd, question(b"small@grey.example", tag=3))
    (usage,) = house.hear(ledger)
    house.ask(ledger, m.Usage(usage.tag, 500, 0))
    assert [said.word for said in house.hear(smtpd)] == [b"full"]
    assert house.hear(ledger) == []


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        (b"bob@grey.example", {"client": b"192.0.3.1"}),
        (b"bob@grey.example", {"reverse_path": b"other@else.example"}),
        (b"ann@grey.example", {}),
    ],
)
def test_another_network_sender_or_recipient_is_another_triplet(make_house, path, rest):
    """One who came back is not let in for the rest."""
    house = make_house()
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    house.ask(smtpd, question(b"bob@grey.example"), question(path, tag=2, **rest))
    first, second = house.hear(ledger)
    assert first.triplet != second.triplet


def test_who_is_allowed_or_writes_to_postmaster_is_not_greylisted_and_without_a_ledger_nobody_is(make_house):
    """Greylisting is a courtesy among machines: whatever is in doubt passes."""
    house = make_house()
    smtpd = house.client("smtpd")
    assert word(house, smtpd, b"bob@grey.example") is Word.ACCEPT
    ledger = house.server("ledger")
    assert word(house, smtpd, b"bob@grey.example", client=b"198.51.100.1") is Word.ACCEPT
    assert word(house, smtpd, b"postmaster@grey.example") is Word.ACCEPT
    assert house.hear(ledger) == []


# --- relayed domains -------------------------------------------------------------------------------------------------


def test_a_list_is_answered_at_once_and_another_source_is_asked(make_house):
    """Its word is ours; what it cannot tell is try-later."""
    house = make_house()
    smtpd, source = house.client("smtpd"), house.server("source")
    assert word(house, smtpd, b"known@list.example") is Word.ACCEPT
    assert word(house, smtpd, b"nobody@list.example") is Word.UNKNOWN
    for said, expected in (
        (b"accept", b"accept"), (b"unknown", b"unknown"), (b"full", b"full"), (b"try-later", b"try-later"), (b"x", b"try-later"),
    ):  # fmt: skip
        house.ask(smtpd, question(b"Joe@hook.example"))
        (asked,) = house.hear(source)
        assert asked.address == b"joe@hook.example"
        house.ask(source, m.Existence(asked.tag, said, 60))
        assert [told.word for told in house.hear(smtpd)] == [expected]


def test_a_source_that_is_away_or_slow_is_try_later_never_a_no(make_house, monkeypatch):
    """A false 550 is mail that is lost."""
    monkeypatch.setattr(desk, "SOURCE_SECONDS", 0.05)
    monkeypatch.setattr(asking, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(asking, "WAKING_SECONDS", 0.0)
    house = make_house()
    smtpd = house.client("smtpd")
    assert word(house, smtpd, b"joe@hook.example") is Word.TRY_LATER
    house.server("source")
    assert house.ask(smtpd, question(b"joe@hook.example")) == []
    house.serve_for(0.3)
    assert [told.word for told in house.hear(smtpd)] == [b"try-later"]


def test_mail_for_a_relayed_domain_goes_by_that_domains_route(make_house):
    """Whoever brought it."""
    house = make_house()
    (answer,) = house.ask(house.client("scheduler"), m.Expand(1, b"known@list.example", client=b"192.0.2.1"))
    assert (answer.recipient, answer.route) == (b"known@list.example", b"list.example")


# --- rates and guessing ----------------------------------------------------------------------------------------------


def test_a_client_names_no_more_recipients_in_a_minute_than_it_may(make_house):
    """Another client is not concerned; the words say what to do."""
    house = make_house(limits__recipients_per_minute=b"3")
    smtpd = house.client("smtpd")
    told = [verdict(house, smtpd, b"bob@mx.example", tag=tag) for tag in range(5)]
    assert [said.word for said in told] == [b"accept"] * 3 + [b"too-fast"] * 2
    assert b"More than 3 recipients in a minute" in told[-1].detail
    assert word(house, smtpd, b"bob@mx.example", client=b"192.0.2.2") is Word.ACCEPT


def test_a_session_that_guessed_too_often_is_told_nothing_more_not_even_a_yes(make_house):
    """To a taken-over smtpd `slow-down` means `unknown`, so after it nothing may mean `known`."""
    house = make_house(limits__unknown_recipients_per_minute=b"3")
    smtpd, journal = house.client("smtpd"), house.server("journal")
    session = session_of()
    words = [word(house, smtpd, b"guess%d@mx.example" % number, session=session) for number in range(4)]
    assert words == [Word.UNKNOWN] * 3 + [Word.SLOW_DOWN]
    assert word(house, smtpd, b"bob@mx.example", session=session) is Word.SLOW_DOWN
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    assert [name for name, _ in events(journal, house)] == [b"unknown-too-often"]


def test_a_taken_over_smtpd_lists_no_faster_than_the_limits_whatever_it_holds(make_house):
    """It has the tokens of sixty clients' conversations and asks as fast as it can, about every name in each of them.

    For each client it learns as much as the client's limit, for all together the limit in total, and one more for each
    conversation; never the dictionary.
    """
    limits = {"limits__unknown_recipients_per_minute": b"10", "limits__unknown_recipients_in_total": b"200"}
    house = make_house(**limits)
    smtpd = house.client("smtpd")
    sessions = {session_of(number): b"10.%d.0.1" % number for number in range(60)}
    learned = dict.fromkeys(sessions, 0)
    for number in range(40):
        for tag, (session, client) in enumerate(sessions.items()):
            path = b"name%d.%d@mx.example" % (number, tag)
            said = word(house, smtpd, path, tag=tag, client=client, session=session)
            # The first `slow-down` tells it as much; from then on each further one would come for anybody.
            if word(house, smtpd, b"bob@mx.example", tag=tag, client=client, session=session) is Word.ACCEPT:
                assert said is Word.UNKNOWN
                learned[session] += 1
    assert 0 < max(learned.values()) <= 10
    assert sum(learned.values()) <= 200


def test_a_client_that_is_handed_ever_new_sessions_is_silenced_as_a_whole(make_house):
    """Reconnecting is what a guesser does who has taken nothing over; it ends too."""
    house = make_house(limits__unknown_recipients_per_minute=b"3")
    smtpd = house.client("smtpd")
    for number in range(20):
        word(house, smtpd, b"guess%d@mx.example" % number, session=session_of(number))
    assert word(house, smtpd, b"bob@mx.example", session=session_of(99)) is Word.SLOW_DOWN
    assert word(house, smtpd, b"bob@mx.example", client=b"192.0.2.2") is Word.ACCEPT


def test_the_token_of_a_conversation_that_must_have_ended_is_worth_nothing(make_house):
    """Otherwise a taken-over smtpd could collect tokens, and ask in the name of every client it ever had."""
    house = make_house()
    smtpd, journal = house.client("smtpd"), house.server("journal")
    assert word(house, smtpd, b"bob@mx.example", session=session_of(age=tickets.SESSION_SECONDS - 60)) is Word.ACCEPT
    old = session_of(age=tickets.SESSION_SECONDS + 60)
    assert word(house, smtpd, b"bob@mx.example", session=old) is Word.TRY_LATER
    assert [name for name, _ in events(journal, house)] == [b"token-refused"]


def test_changed_settings_are_in_force_without_a_stop(make_house):
    """A list that turns out to be wrong is taken away at once; so is a limit."""
    house = make_house(smtpd__dnsbl=b"bl.example", limits__recipients_per_minute=b"1")
    smtpd, resolver = house.client("smtpd"), house.server("resolver")
    house.ask(smtpd, question(b"bob@mx.example"))
    answer(house, resolver, {(b"1.2.0.192.bl.example", b"A"): (b"127.0.0.2",)})
    assert [told.word for told in house.hear(smtpd)] == [b"listed"]
    house.control.send(m.Reload((b"smtpd.dnsbl", b"", b"limits.recipients_per_minute", b"0")))
    house.settle()
    assert [word(house, smtpd, b"bob@mx.example") for _ in range(3)] == [Word.ACCEPT] * 3
