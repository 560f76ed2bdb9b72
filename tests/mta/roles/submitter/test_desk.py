"""Submitter at its channels: what it asks, of whom, and what its user hears."""

import pytest

from mta import roster
from mta.roles.submitter import desk as desk_of
from mta.roles.submitter.desk import Desk
from mta.roles.submitter.holding import BLOCK
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, pair
from tests.fakes.house import House, events

CONTENT = (
    b"From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nhello\r\n"
)
SIGNATURE = b"DKIM-Signature: one\r\n\tfolded\r\nDKIM-Signature: two\r\n"
RECIPIENT = m.OfferRecipient(7, b"bob@example.net", b"", 9, b"ticket 2", b"NOTIFY=NEVER")


def offer(tag: int = 7, identity: bytes = b"joe@example.org", client: bytes = b"192.0.2.1") -> m.Offer:
    return m.Offer(
        tag, b"session", client, b"token", b"client.test", b"ESMTPSA", b"BODY=8BITMIME", b"joe@example.org",
        b"ann@example.net", b"", 9, b"ticket 1", b"", b"TLSv1.3", identity, b"login", 8,
    )  # fmt: skip


class Rig(House):
    """A submitter whose neighbours are the test."""

    def __init__(self, most: int = 1 << 20) -> None:
        super().__init__(roster.SUBMITTER, {})
        asking = Asking(self.loop)
        self.desk = Desk(asking, host=b"mx.example.org", max_message_size=most, clock=lambda: 1_800_000_000.0)
        handlers = {
            "submissiond": self.desk.take, "authenticator": asking.answered, "signer": asking.answered,
            "enqueuer": self.desk.hear_enqueuer,
        }  # fmt: skip
        self.desk.peers = asking.peers = control.Peers(
            roster.SUBMITTER, self.start, self.loop, handlers, lost=self.desk.lost
        )
        self.loop.after_burst.append(self.desk.pump)
        self.journal, self.user = self.server("journal"), self.client("submissiond")
        self.authenticator, self.signer = self.server("authenticator"), self.server("signer")
        self.enqueuer = self.server("enqueuer")

    def submit(self, content: bytes = CONTENT, tag: int = 7, **rest: bytes) -> None:
        """A whole message."""
        self.user.send(offer(tag, **rest))
        pieces = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)] or [b""]
        for number, piece in enumerate(pieces, 1):
            self.user.send(m.Content(tag, number == len(pieces), piece))
            self.settle()

    def allow(self) -> m.MayUse:
        """Say yes to the one question that waits."""
        (asked,) = self.hear(self.authenticator)
        assert isinstance(asked, m.MayUse)
        self.authenticator.send(m.Using(asked.tag, True, b"", 77, b"ticket of " + asked.address))
        self.settle()
        return asked

    def sign(self, word: bytes = b"signed", fields: bytes = SIGNATURE) -> m.Sign:
        (asked,) = self.hear(self.signer)
        assert isinstance(asked, m.Sign)
        self.signer.send(m.Signed(asked.tag, word, fields))
        self.settle()
        return asked

    def passed_on(self) -> tuple[list[m.Message], bytes]:
        """What the enqueuer was told: all but content, and the content."""
        heard = self.hear(self.enqueuer)
        blocks = [message for message in heard if isinstance(message, m.Content)]
        assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
        return [message for message in heard if not isinstance(message, m.Content)], b"".join(b.block for b in blocks)

    def replies(self) -> list[m.Message]:
        return self.hear(self.user)


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig


def declined(rig: Rig) -> tuple[int, bytes, bytes]:
    (reply,) = rig.replies()
    assert isinstance(reply, m.Declined)
    return reply.reply_code, reply.status, reply.text


def test_a_message_is_asked_about_signed_and_passed_on(rig):
    """With the proofs it came with, under a tag of our own; the signatures stand before everything else."""
    rig.ask(rig.user, offer(), RECIPIENT)
    assert rig.ask(rig.user, m.Content(7, True, CONTENT)) == []
    asked = rig.allow()
    assert (asked.session, asked.identity, asked.expiry, asked.ticket) == (b"session", b"joe@example.org", 8, b"login")
    assert asked.address == b"joe@example.org"
    signing = rig.sign()
    assert (signing.address, signing.until, signing.sender_ticket) == (
        b"joe@example.org",
        77,
        b"ticket of joe@example.org",
    )
    assert signing.header == CONTENT.partition(b"\r\n\r\n")[0] + b"\r\n"
    (first, second), content = rig.passed_on()
    assert content == SIGNATURE + CONTENT
    assert first == offer().but(tag=first.tag)
    assert second == RECIPIENT.but(tag=first.tag)
    assert rig.ask(rig.enqueuer, m.Taken(first.tag, b"queue id")) == []
    assert rig.replies() == [m.Taken(7, b"queue id")]
    ((name, pairs),) = events(rig.journal, rig)
    assert (name, pairs[b"queue_id"], pairs[b"signatures"]) == (b"submitted", b"queue id", b"2")
    assert rig.desk._held == 0


def test_a_domain_without_a_key_sends_unsigned(rig):
    rig.submit()
    rig.allow()
    rig.sign(b"none", b"")
    _, content = rig.passed_on()
    assert content == CONTENT


def test_an_author_he_may_not_be_is_refused_with_the_rule(rig):
    """Nothing was signed, nothing passed on."""
    rig.submit(CONTENT.replace(b"joe@", b"boss@"))
    (asked,) = rig.hear(rig.authenticator)
    rig.ask(rig.authenticator, m.Using(asked.tag, False, b"it is not yours", 0, b""))
    assert declined(rig) == (550, b"5.7.1", b"You may not write as boss@example.org: it is not yours")
    assert rig.hear(rig.signer) == rig.hear(rig.enqueuer) == []
    ((name, pairs),) = events(rig.journal, rig)
    assert (name, pairs[b"author"], pairs[b"identity"]) == (b"author-refused", b"boss@example.org", b"joe@example.org")


def test_each_of_several_authors_and_the_sender_must_be_allowed(rig):
    """They are asked for one after the other; and nobody signs for two."""
    rig.submit(
        CONTENT.replace(b"Joe <joe@example.org>", b"joe@example.org, ann@example.org\r\nSender: info@example.org")
    )
    assert [rig.allow().address for _ in range(3)] == [b"joe@example.org", b"ann@example.org", b"info@example.org"]
    assert rig.hear(rig.signer) == []
    assert b"Sender: info@example.org" in rig.passed_on()[1]


def test_the_second_author_is_not_forgotten(rig):
    rig.submit(CONTENT.replace(b"Joe <joe@example.org>", b"joe@example.org, boss@example.org"))
    rig.allow()
    (asked,) = rig.hear(rig.authenticator)
    assert asked.address == b"boss@example.org"
    rig.ask(rig.authenticator, m.Using(asked.tag, False, b"no", 0, b""))
    assert declined(rig)[:2] == (550, b"5.7.1")


def test_a_program_of_this_machine_is_nobody_and_goes_unsigned(rig):
    """It has no log-in to be asked about; what is missing it gets all the same."""
    rig.submit(b"From: root@example.org\r\nBcc: x@example.org\r\n\r\nhi\r\n", identity=b"", client=b"100::3e8")
    assert rig.hear(rig.authenticator) == rig.hear(rig.signer) == []
    content = rig.passed_on()[1]
    assert content.startswith(b"From: root@example.org\r\nDate: ")
    assert b"\r\nMessage-ID: <" in content
    assert b"Bcc" not in content


def test_whoever_comes_over_a_network_cannot_leave_the_log_in_out(rig):
    """A submissiond that was taken over would so send with any author, past everybody who asks."""
    rig.submit(CONTENT.replace(b"joe@", b"boss@"), identity=b"")
    assert declined(rig)[:2] == (530, b"5.7.0")
    assert rig.hear(rig.authenticator) == rig.hear(rig.enqueuer) == []


def test_the_reverse_path_is_asked_about_once_more(rig):
    """Submissiond says that it has; one that was taken over would bounce mail to others."""
    rig.user.send(offer().but(reverse_path=b"boss@example.org"))
    rig.user.send(m.Content(7, True, CONTENT))
    rig.settle()
    assert rig.allow().address == b"joe@example.org"
    (asked,) = rig.hear(rig.authenticator)
    assert asked.address == b"boss@example.org"
    rig.ask(rig.authenticator, m.Using(asked.tag, False, b"no", 0, b""))
    assert declined(rig)[:2] == (550, b"5.7.1")


def test_the_null_reverse_path_may_be_used_with_an_author_of_ones_own(rig):
    """As clients do that say a message was read (RFC 8098 3)."""
    rig.user.send(offer().but(reverse_path=b""))
    rig.user.send(m.Content(7, True, CONTENT))
    rig.settle()
    assert [rig.allow().address for _ in range(2)] == [b"joe@example.org", b""]
    rig.sign()
    assert rig.passed_on()[0][0].reverse_path == b""


def test_a_cell_has_one_message_at_a_time(rig):
    """Its one conversation has no more; so it cannot fill the room of others, in whose names ever."""
    ours, theirs = pair()
    rig.client("submissionspawn").send(m.Attach(b"session"), (theirs.fileno(),))
    theirs.close()
    rig.settle()
    rig.user = Channel(ours, "submitter", permits.readable_by_client("submissiond", "submitter"))
    for tag in (1, 2):
        rig.user.send(offer(tag, identity=b"%d@example.org" % tag))
    rig.settle()
    assert declined(rig)[:2] == (452, b"4.3.1")
    rig.user.send(offer(3).but(session=b"another"))
    rig.settle()
    with pytest.raises(ChannelClosed):
        rig.hear(rig.user)
    rig.user.close()


def test_what_is_no_message_is_refused_before_anybody_is_asked(rig):
    rig.submit(b"no header\r\n\r\nhi\r\n")
    assert declined(rig)[:2] == (550, b"5.6.0")
    assert rig.hear(rig.authenticator) == []


@pytest.mark.parametrize("away", ["authenticator", "signer", "enqueuer"])
@pytest.mark.parametrize("moment", ["before", "while"])
def test_who_is_away_makes_it_wait_and_never_lets_it_through(rig, away, moment):
    """451 4.3.0; unsigned or unasked it does not go."""
    if moment == "before":
        getattr(rig, away).close()
        rig.settle()
    rig.submit()
    steps = {"authenticator": (), "signer": (rig.allow,), "enqueuer": (rig.allow, rig.sign)}[away]
    for step in steps:
        step()
    if moment == "while":
        getattr(rig, away).close()
        rig.settle()
    assert declined(rig)[:2] == (451, b"4.3.0")
    assert rig.desk._held == 0


@pytest.mark.parametrize("word", [b"refused", b"later", b"nonsense"])
def test_what_the_signer_will_not_sign_waits(rig, word):
    rig.submit()
    rig.allow()
    rig.sign(word, b"")
    assert declined(rig)[:2] == (451, b"4.3.0")


def test_the_enqueuers_no_is_the_users_answer(rig):
    rig.submit()
    rig.allow()
    rig.sign()
    (first,), _ = rig.passed_on()
    rig.ask(rig.enqueuer, m.Declined(first.tag, 452, b"4.3.1", b"No room on the disk"))
    assert declined(rig) == (452, b"4.3.1", b"No room on the disk")


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_is_withdrawn_goes_no_further(rig, steps):
    """Wherever it is on its way; the enqueuer is told when it knows of it."""
    rig.submit()
    for step in (rig.allow, rig.sign)[:steps]:
        step()
    rig.ask(rig.user, m.Withdraw(7))
    if steps == 0:
        rig.allow()
    elif steps == 1:
        rig.sign()
    heard = rig.hear(rig.enqueuer)
    assert [type(message) for message in heard if not isinstance(message, m.Content)] == [m.Offer, m.Withdraw][
        : steps // 2 * 2
    ]
    assert rig.replies() == []
    assert rig.desk._held == 0


def test_a_submissiond_that_ends_takes_its_messages_along(rig):
    rig.submit()
    rig.user.close()
    rig.settle()
    rig.allow()
    assert rig.hear(rig.signer) == []
    assert (rig.desk._held, dict(rig.desk._held_of)) == (0, {})


def test_a_late_answer_of_the_enqueuer_is_for_nobody(rig):
    rig.submit()
    rig.allow()
    rig.sign()
    (first,), _ = rig.passed_on()
    rig.ask(rig.user, m.Withdraw(7))
    rig.ask(rig.enqueuer, m.Taken(first.tag, b"queue id"))
    assert rig.replies() == []


def test_a_large_message_is_sent_on_as_the_enqueuer_reads():
    """Some packets wait in the channel and no more; what is sent is held no more."""
    with Rig(most=20 << 20) as rig:
        body = b"x" * 998 + b"\r\n"
        rig.submit(CONTENT + body * 10_000)
        rig.allow()
        (asked,) = rig.hear(rig.signer)
        rig.signer.send(m.Signed(asked.tag, b"none", b""))
        rig.settle()
        assert rig.desk._held > 5 << 20
        heard: list[bytes] = []
        while not heard or not heard[-1].last:
            heard += [message for message, _ in rig.enqueuer.receive() if isinstance(message, m.Content)]
            rig.settle()
        assert b"".join(block.block for block in heard) == CONTENT + body * 10_000
        assert rig.desk._held < BLOCK


def test_one_user_cannot_take_all_the_room(rig, monkeypatch):
    """One message of his always, further ones while they are few octets; the others have room."""
    monkeypatch.setattr(desk_of, "MAX_HELD_OF_ONE", 200)
    rig.submit(CONTENT + b"x" * 300 + b"\r\n")
    rig.submit(CONTENT, tag=8)
    assert declined(rig) == (452, b"4.3.1", desk_of.BUSY[2])
    rig.submit(CONTENT, tag=9, identity=b"ann@example.org")
    assert rig.replies() == []


def test_all_together_take_no_more_than_there_is(rig, monkeypatch):
    monkeypatch.setattr(desk_of, "MAX_HELD", 1200)
    rig.submit()
    rig.submit(CONTENT + b"x" * 300 + b"\r\n", tag=8, identity=b"ann@example.org")
    assert declined(rig)[:2] == (452, b"4.3.1")
    rig.ask(rig.user, m.Withdraw(7))
    rig.submit(CONTENT + b"x" * 200 + b"\r\n", tag=9, identity=b"ann@example.org")
    assert rig.replies() == []


def test_when_it_is_full_whoever_has_most_loses_and_not_whoever_comes(rig, monkeypatch):
    """A submissiond that was taken over fills it in made-up names; a user of another goes on."""
    monkeypatch.setattr(desk_of, "MAX_HELD", 5000)
    other = rig.client("submissiond", 1)
    for tag in range(10):
        rig.user.send(offer(tag, identity=b"%d@example.org" % tag).but(options=b"x" * 400))
    rig.settle()
    other.send(offer(1, identity=b"ann@example.org"))
    for number in range(1, 9):
        other.send(m.Content(1, number == 8, CONTENT if number == 1 else b"y" * 98 + b"\r\n"))
        rig.settle()
    assert rig.hear(other) == []
    (asked,) = rig.hear(rig.authenticator)
    assert asked.identity == b"ann@example.org"
    assert {reply.status for reply in rig.replies()} == {b"4.3.1"}
    assert rig.desk._held <= 5000


def test_too_large_is_too_large():
    with Rig(most=1000) as rig:
        rig.submit(CONTENT + b"x" * 1000)
        assert declined(rig)[:2] == (552, b"5.3.4")


def test_the_number_of_recipients_and_of_messages_is_bounded(rig, monkeypatch):
    monkeypatch.setattr(desk_of, "MAX_RECIPIENTS", 3)
    monkeypatch.setattr(desk_of, "MAX_OPEN", 2)
    for message in (offer(), *[RECIPIENT] * 5):
        rig.user.send(message)
    rig.settle()
    assert declined(rig)[:2] == (452, b"4.5.3")
    for tag in (1, 2, 3):
        rig.user.send(offer(tag))
    rig.settle()
    assert declined(rig)[:2] == (452, b"4.3.1")


def test_thousands_of_recipients_pass_without_filling_the_channel(rig):
    """They are told as the enqueuer reads, like the content."""
    rig.user.send(offer())
    for _ in range(5000):
        rig.user.send(RECIPIENT)
        rig.settle()
    rig.user.send(m.Content(7, True, CONTENT))
    rig.settle()
    rig.allow()
    rig.sign()
    assert rig.enqueuer.fileno() >= 0
    told, content = rig.passed_on()
    assert len(told) == 5001
    assert content == SIGNATURE + CONTENT


def test_messages_that_are_begun_and_never_come_count_too(rig, monkeypatch):
    """Each may have kilobytes in its envelope."""
    monkeypatch.setattr(desk_of, "MAX_HELD", 3000)
    for tag in range(1, 4):
        rig.user.send(offer(tag).but(options=b"x" * 1000))
    rig.settle()
    assert declined(rig)[:2] == (452, b"4.3.1")
    assert rig.desk._held <= 3000


def test_recipients_count_as_what_is_held(rig, monkeypatch):
    monkeypatch.setattr(desk_of, "MAX_HELD", 2000)
    for message in (offer(), *[RECIPIENT] * 10):
        rig.user.send(message)
    rig.settle()
    assert declined(rig)[:2] == (452, b"4.3.1")
    assert rig.desk._held == 0


def test_nothing_is_kept_of_a_peer_that_ended(rig):
    """With a process for each user's conversation there are many."""
    rig.submit()
    rig.user.close()
    rig.settle()
    rig.allow()
    assert dict(rig.desk._open) == {}


@pytest.mark.parametrize(
    "breach", [(offer(), offer()), (offer(), m.Content(7, True, CONTENT), m.Content(7, False, b"more"))]
)
def test_a_breach_of_protocol_hangs_up(rig, breach):
    for message in breach:
        rig.user.send(message)
    rig.settle()
    with pytest.raises(ChannelClosed):
        rig.hear(rig.user)
