"""Enqueuer's judgement: whom it believes, what it keeps, what it answers."""

import errno
import re
import time

import pytest

from mta.roles.enqueuer import store
from mta.roles.enqueuer.disk import Disk
from mta.spool import envelope as envelope_format
from mta.spool.envelope import Generation, with_identity
from mta.vocabulary import TLS_NOT_REQUIRED
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair
from mta.wire.tickets import consent_authority, glance_authority, login_ticket, notice_authority, original_authority
from tests.mta.roles.enqueuer import _rig
from tests.mta.roles.enqueuer._rig import FOREVER, KEYS, Rig, answers, offer, offer_recipient

BODY = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def make_rig(tmp_path):
    made = []

    def make(**settings):
        made.append(Rig(tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()


def test_a_finished_message_is_on_disk_when_taken_is_said_and_scheduler_and_ledger_hear_of_it(rig):
    """Taken names a queue id whose content is what was sent below our Received field, and whose envelope is whole."""
    smtpd, scheduler, ledger = rig.client("smtpd"), rig.server("scheduler"), rig.server("ledger")
    smtpd.send(offer(counted=b"joe@example.test"))
    smtpd.send(m.Content(1, False, BODY[:7]))
    smtpd.send(m.Content(1, True, BODY[7:]))
    rig.settle()
    (taken,) = answers(smtpd)
    content = rig.content.read(taken.queue_id, 1 << 20)
    received, _, rest = content.partition(b"Subject:")
    assert rest == BODY.removeprefix(b"Subject:")
    assert received.startswith(b"Received: from client.test ([192.0.2.7])\r\n\tby mx.example.test with ESMTP id ")
    assert b"for <joe@example.test>" in received
    octets = rig.envelope.read(taken.queue_id, 1 << 20)
    envelope = envelope_format.parse(octets)
    assert (envelope.reverse_path, envelope.client, envelope.generation) == (
        b"a@client.test",
        _rig.CLIENT,
        Generation.ORDINARY,
    )
    assert envelope.size == len(content)
    assert answers(scheduler) == [m.Recovered(), m.Queued((taken.queue_id, octets))]
    assert answers(ledger) == [m.Reserve(taken.queue_id, b"joe@example.test", len(content))]


def test_a_null_reverse_path_makes_the_message_a_bounce_so_that_its_failure_is_not_answered(rig):
    """Generation 1 for mail that itself says: do not answer me."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer(reverse_path=b""))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    (taken,) = answers(smtpd)
    assert envelope_format.parse(rig.envelope.read(taken.queue_id, 9999)).generation is Generation.BOUNCE


@pytest.mark.parametrize(
    "lie",
    [
        {"token": b"x" * 16}, {"ticket": b"x" * 16}, {"client": b"203.0.113.9"}, {"expiry": 1},
        {"counted": b"another@example.test"}, {"forward_path": b"another@example.test"}, {"session": b"S2"},
        {"identity": b"joe@example.test"}, {"identity": b"joe@example.test", "login": b"x" * 16, "login_expiry": FOREVER},
    ],
)  # fmt: skip
def test_an_offer_without_its_proofs_is_declined_and_leaves_nothing(rig, lie):
    """Whatever an smtpd changes of what listener and directory said makes it 550 5.7.1."""
    smtpd = rig.client("smtpd")
    made = offer()
    smtpd.send(m.Offer(**({name: getattr(made, name) for name in made.__slots__} | lie)))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    assert [(a.reply_code, a.status) for a in answers(smtpd)] == [(550, b"5.7.1")]
    assert rig.files() == [[], []]


@pytest.mark.parametrize("identity", [b"joe@example.test", "jö@example.test".encode(), b""])
def test_the_envelope_says_who_submitted_it_and_nobody_else_does(rig, identity):
    """Who logged in, by the authenticator's ticket; what a client, or whoever took an smtpd over, writes there is dropped."""
    smtpd, proof = rig.client("smtpd"), login_ticket(KEYS.ticket, b"S1", identity, FOREVER, b"password")
    made_up = with_identity(b"BODY=8BITMIME", b"ann@example.test")
    smtpd.send(offer(identity=identity, login=proof, login_expiry=FOREVER, options=made_up))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    (taken,) = answers(smtpd)
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.identity, envelope.mail_options) == (identity, b"BODY=8BITMIME")


def test_one_recipient_without_ticket_declines_the_whole_message(rig):
    """There is no partly taken message that the client could take for a whole one."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    smtpd.send(offer_recipient(1, b"ann@example.test", ticket=b"y" * 16))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    assert [a.reply_code for a in answers(smtpd)] == [550]
    assert rig.files() == [[], []]


def test_several_recipients_are_kept_and_not_shown_to_each_other(rig):
    """RFC 5321 7.2: no `for` clause when there is more than one."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    smtpd.send(offer_recipient(1, b"ann@example.test"))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    (taken,) = answers(smtpd)
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert [r.forward_path for r in envelope.recipients] == [b"joe@example.test", b"ann@example.test"]
    assert b"for <" not in rig.content.read(taken.queue_id, 9999)


def test_a_large_message_goes_to_its_file_as_it_comes_and_is_taken_whole(rig):
    """What is in the file before the end is not in memory, and what is taken is every octet."""
    smtpd = rig.client("smtpd")
    blocks = [bytes([65 + i]) * 30_000 for i in range(10)]
    smtpd.send(offer())
    for block in blocks:
        smtpd.send(m.Content(1, False, block))
        rig.settle()
    assert len(rig.files()[0]) == 1
    assert rig.store._held < 70_000
    smtpd.send(m.Content(1, True, b""))
    rig.settle()
    (taken,) = answers(smtpd)
    content = rig.content.read(taken.queue_id, 1 << 20)
    assert content.endswith(b"".join(blocks))
    assert envelope_format.parse(rig.envelope.read(taken.queue_id, 9999)).size == len(content)
    assert rig.store._held == 0


def test_too_large_is_declined_while_it_comes_and_the_rest_is_passed_over(make_rig):
    """552 5.3.4 as soon as it is known, and no file stays."""
    rig = make_rig(max_message_size=100_000)
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    for last in (False, False, False, True):
        smtpd.send(m.Content(1, last, b"x" * 40_000))
        rig.settle()
    assert [(a.reply_code, a.status) for a in answers(smtpd)] == [(552, b"5.3.4")]
    assert rig.files() == [[], []]
    assert rig.store._held == 0


@pytest.mark.parametrize("how", ["withdraw", "hang up"])
def test_what_is_withdrawn_or_left_unfinished_vanishes(rig, how):
    """A client that went away costs neither file nor memory."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    for _ in range(3):
        smtpd.send(m.Content(1, False, b"x" * 40_000))
    rig.settle()
    assert len(rig.files()[0]) == 1
    if how == "withdraw":
        smtpd.send(m.Withdraw(1))
    else:
        smtpd.close()
    rig.settle()
    assert rig.files() == [[], []]
    assert rig.store._held == 0


def test_a_tag_in_use_or_recipients_after_content_end_the_conversation(rig):
    """No smtpd that follows the protocol does this, so there is nothing to answer."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    smtpd.send(offer())
    rig.settle()
    assert answers(smtpd) == ["closed"]
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    smtpd.send(m.Content(1, False, BODY))
    smtpd.send(offer_recipient(1, b"ann@example.test"))
    rig.settle()
    assert answers(smtpd) == ["closed"]


class BadDisk(Disk):
    """Refuses at one step."""

    def __init__(self, content, envelope, step, number):
        super().__init__(content, envelope)
        self.step, self.number = step, number

    def _fail(self, step):
        if step == self.step:
            raise OSError(self.number, "refused")

    def commit(self, batch):
        original = self.content.__class__.sync
        folders = {"content folder": self.content.descriptor, "envelope folder": self.envelope.descriptor}

        def sync(folder):
            if folder.descriptor == folders.get(self.step):
                self._fail(self.step)
            original(folder)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.content.__class__, "sync", sync)
            patch.setattr(self.content.__class__, "sync_file_system", lambda _: self._fail("syncfs"))
            super().commit(batch)

    def _write(self, message, *, sync):
        self._fail("write")
        super()._write(message, sync=sync)


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(errno.ENOSPC, 452, b"4.3.1"), (errno.EDQUOT, 452, b"4.3.1"), (errno.EIO, 451, b"4.3.0")],
)
@pytest.mark.parametrize(
    ("step", "count"), [("write", 1), ("content folder", 1), ("envelope folder", 1), ("syncfs", 5)]
)
def test_a_disk_that_refuses_anywhere_declines_and_nothing_half_written_stays(
    make_rig, tmp_path, step, count, number, code, status
):
    """452 4.3.1 for full, 451 4.3.0 for broken; and when the disk is well again, mail is taken again."""
    content, envelope, _ = _rig.make_folders(tmp_path)
    disk = BadDisk(content, envelope, step, number)
    rig = make_rig(disk=disk)
    smtpd, scheduler = rig.client("smtpd"), rig.server("scheduler")
    for tag in range(count):
        smtpd.send(offer(tag))
        smtpd.send(m.Content(tag, True, BODY))
    rig.settle()
    assert [(a.reply_code, a.status) for a in answers(smtpd)] == [(code, status)] * count
    assert rig.files() == [[], []]
    assert answers(scheduler) == [m.Recovered()]
    disk.step = "nothing"
    smtpd.send(offer(9))
    smtpd.send(m.Content(9, True, BODY))
    rig.settle()
    assert [type(a) for a in answers(smtpd)] == [m.Taken]


def test_a_disk_nearly_full_is_spared_for_what_is_queued(make_rig):
    """Below the reserve nothing new begins: 452 4.3.1 before any content travels."""
    rig = make_rig()
    rig.store._room._look = lambda: False
    smtpd = rig.client("smtpd")
    smtpd.send(offer())
    rig.settle()
    assert [(a.reply_code, a.status) for a in answers(smtpd)] == [(452, b"4.3.1")]


def test_a_batch_of_four_waits_for_the_disk_once_and_three_wait_for_their_own(rig, monkeypatch):
    """One syncfs from four on; after a slow one fsync only, for a minute."""
    smtpd = rig.client("smtpd")
    syncs, clock = [], [1000.0]
    monkeypatch.setattr(
        rig.content.__class__, "sync_file_system", lambda _: (syncs.append("syncfs"), clock.append(clock.pop() + took))
    )
    monkeypatch.setattr(rig.content.__class__, "sync", lambda _: syncs.append("folder"))
    rig.disk._clock = lambda: clock[0]

    def batch(count):
        for tag in range(count):
            smtpd.send(offer(tag))
            smtpd.send(m.Content(tag, True, BODY))
        rig.settle()
        assert [type(a) for a in answers(smtpd)] == [m.Taken] * count
        seen = list(syncs)
        syncs.clear()
        return seen

    took = 0.01
    assert batch(4) == ["syncfs"]
    assert batch(3) == ["folder", "folder"]
    took = 0.3
    assert batch(4) == ["syncfs"]
    assert batch(4) == ["folder", "folder"]
    clock[0] += 61
    assert batch(4) == ["syncfs"]


def make_original(rig, *, reverse_path=b"a@client.test", options=b""):
    smtpd = rig.client("smtpd")
    smtpd.send(offer(reverse_path=reverse_path, options=options))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    return answers(smtpd)[0].queue_id


def offer_dsn(rig, queue_id, authority=None):
    bouncer = rig.client("bouncer")
    bouncer.send(m.OfferDsn(5, queue_id, authority or original_authority(KEYS.original, queue_id, full=False)))
    bouncer.send(m.Content(5, True, b"Subject: dsn\r\n\r\n"))
    rig.settle()
    return answers(bouncer)


def test_a_notification_goes_to_whom_the_original_came_from_and_no_further_than_the_postmaster(rig):
    """Generation 0 -> its reverse-path; 1 -> our postmaster; 2 -> nobody."""
    first = make_original(rig)
    (taken,) = offer_dsn(rig, first)
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation) == (b"", Generation.BOUNCE)
    assert envelope.recipients[0].forward_path == b"a@client.test"
    (taken,) = offer_dsn(rig, taken.queue_id)
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation) == (b"", Generation.DOUBLE_BOUNCE)
    assert envelope.recipients[0].forward_path == b"postmaster@mx.example.test"
    assert [a.reply_code for a in offer_dsn(rig, taken.queue_id)] == [550]


def authority_of(queue_id, *, full=False):
    return original_authority(KEYS.original, queue_id, full=full)


def test_the_bouncer_sees_no_message_it_has_no_authority_for(rig):
    """The header is for the message the scheduler spoke of; another's authority opens nothing, and offers nothing."""
    first, second = make_original(rig), make_original(rig)
    bouncer = rig.client("bouncer")
    bouncer.send(m.OriginalOf(1, first, authority_of(first), False))
    bouncer.send(m.OriginalOf(2, first, authority_of(second), False))
    bouncer.send(m.OriginalOf(3, b"../../etc/passwd", authority_of(b"../../etc/passwd"), False))
    bouncer.send(m.OriginalOf(4, first, authority_of(first), True))
    rig.settle()
    found = {a.tag: a for a in answers(bouncer)}
    assert found[1].octets.endswith(b"Subject: hello\r\n")
    assert not found[1].whole
    assert [found[tag].octets for tag in (2, 3, 4)] == [b"", b"", b""]
    assert [a.reply_code for a in offer_dsn(rig, first, authority_of(second))] == [550]
    assert [a.reply_code for a in offer_dsn(rig, first, authority_of(first, full=True))] == [550]


@pytest.mark.parametrize("size", [100, 60 * 1024, 1 << 17])
def test_with_authority_for_all_the_bouncer_sees_all_of_a_message_that_a_packet_takes(rig, size):
    """RET=FULL; of a large one the header alone goes back (RFC 3461 4.3)."""
    smtpd, bouncer = rig.client("smtpd"), rig.client("bouncer")
    content = BODY + b"x" * 70 * (size // 70)
    smtpd.send(offer())
    for start in range(0, len(content), 32768):
        smtpd.send(m.Content(1, start + 32768 >= len(content), content[start : start + 32768]))
    rig.settle()
    queue_id = answers(smtpd)[0].queue_id
    bouncer.send(m.OriginalOf(1, queue_id, authority_of(queue_id, full=True), True))
    rig.settle()
    (found,) = answers(bouncer)
    assert found.octets.startswith(b"Received: ")
    assert found.whole is (size == 100)
    assert found.octets.endswith(content if size == 100 else b"Subject: hello\r\n")


def test_a_notification_declares_what_its_content_and_its_recipient_need(rig):
    """Should it leave this host: 8BITMIME for octets beyond ASCII, SMTPUTF8 for such a reverse-path, TLS if that was wanted."""
    queue_id = make_original(rig, reverse_path="jürgen@client.test".encode(), options=b"SMTPUTF8 REQUIRETLS")
    bouncer = rig.client("bouncer")
    bouncer.send(m.OfferDsn(5, queue_id, authority_of(queue_id), False, True))
    bouncer.send(m.Content(5, True, b"Subject: dsn\r\n\r\n"))
    rig.settle()
    (taken,) = answers(bouncer)
    assert (
        envelope_format.parse(rig.envelope.read(taken.queue_id, 9999)).options == b"BODY=8BITMIME SMTPUTF8 REQUIRETLS"
    )


def offer_reply(rig, queue_id, authority, *, utf_8=False):
    bouncer = rig.client("bouncer")
    bouncer.send(m.OfferReply(5, queue_id, authority, utf_8))
    bouncer.send(m.Content(5, True, b"Subject: Auto: hello\r\n\r\n"))
    rig.settle()
    return answers(bouncer)


def test_what_a_mailbox_answers_goes_to_whom_the_original_came_from_and_starts_nothing(rig):
    """Null reverse-path, nobody told when it fails, and no answer to what has no sender."""
    first = make_original(rig, options=b"REQUIRETLS")
    (taken,) = offer_reply(rig, first, authority_of(first))
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation, envelope.options) == (
        b"",
        Generation.DOUBLE_BOUNCE,
        b"REQUIRETLS",
    )
    assert [recipient.forward_path for recipient in envelope.recipients] == [b"a@client.test"]
    assert [a.reply_code for a in offer_reply(rig, taken.queue_id, authority_of(taken.queue_id))] == [550]
    (dsn,) = offer_dsn(rig, first)
    assert [a.reply_code for a in offer_reply(rig, dsn.queue_id, authority_of(dsn.queue_id))] == [550]
    assert [a.reply_code for a in offer_reply(rig, first, authority_of(dsn.queue_id))] == [550]


def test_an_answer_in_utf_8_declares_it(rig):
    """RFC 6531 3.4: its author's address is part of its header."""
    first = make_original(rig)
    (taken,) = offer_reply(rig, first, authority_of(first), utf_8=True)
    assert envelope_format.parse(rig.envelope.read(taken.queue_id, 9999)).options == b"BODY=8BITMIME SMTPUTF8"


def test_who_may_only_glance_at_a_message_sees_its_header_and_writes_to_nobody(rig):
    """What a forwarding asks of a header must not become a way to write to whoever sent it."""
    first = make_original(rig)
    glance, bouncer = glance_authority(KEYS.original, first), rig.client("bouncer")
    bouncer.send(m.OriginalOf(1, first, glance, False))
    bouncer.send(m.OriginalOf(2, first, glance, True))
    rig.settle()
    found = {a.tag: a.octets for a in answers(bouncer)}
    assert found[1].endswith(b"Subject: hello\r\n")
    assert found[2] == b""
    assert [a.reply_code for a in offer_dsn(rig, first, glance)] == [550]
    assert [a.reply_code for a in offer_reply(rig, first, glance)] == [550]


def test_queue_ids_rise_and_never_come_twice_even_when_the_clock_steps_back():
    """A file name in a mailbox comes from the queue id: given twice it would overwrite a message."""
    from mta.roles.enqueuer.store import QueueIds

    now = [time.time_ns()]
    ids = QueueIds(clock=lambda: now[0])
    given = [ids.next() for _ in range(100)]
    now[0] -= 10**12
    given += [ids.next() for _ in range(100)]
    assert len({name[:16] for name in given}) == 200
    assert sorted(given, key=lambda name: name[:16]) == given
    assert QueueIds(given[-1], clock=lambda: 0).next()[:16] > given[-1][:16]


def test_who_is_gone_when_its_message_is_declined_costs_the_others_nothing(make_rig, tmp_path):
    """The batch is answered to its end: an smtpd that ended while the disk refused hears nothing, the other one 452."""
    content, envelope, _ = _rig.make_folders(tmp_path)

    class Disk(BadDisk):
        def commit(self, batch):
            gone.close()
            super().commit(batch)

    rig = make_rig(disk=Disk(content, envelope, "syncfs", errno.ENOSPC))
    gone, stays = rig.client("smtpd"), rig.client("smtpd")
    for smtpd in (gone, stays):
        for tag in range(3):
            smtpd.send(offer(tag))
            smtpd.send(m.Content(tag, True, BODY))
    rig.settle()
    assert [answer.reply_code for answer in answers(stays)] == [452] * 3
    assert rig.files() == [[], []]


def test_a_cell_has_one_message_at_a_time(rig):
    """Taken over it could hold a descriptor of ours for each; once the first is withdrawn or taken, the next may come."""
    spawner = rig.client("smtpdspawn")
    ours, theirs = pair()
    spawner.send(m.Attach(b"S1"), (theirs.fileno(),))
    theirs.close()
    cell = Channel(ours, "enqueuer", permits.readable_by_client("smtpd", "enqueuer"))
    for tag in (1, 2):
        cell.send(offer(tag))
    cell.send(m.Withdraw(1))
    for tag in (3, 4):
        cell.send(offer(tag))
        cell.send(m.Content(tag, True, BODY))
    rig.settle()
    refused, *taken = answers(cell)
    assert (refused.tag, refused.reply_code, refused.status) == (2, 452, b"4.3.2")
    assert [(type(answer), answer.tag) for answer in taken] == [(m.Taken, 3), (m.Taken, 4)]
    cell.close()


@pytest.mark.parametrize("bound", ["MAX_ENVELOPE", "MAX_NAMED"])
def test_recipients_that_no_envelope_holds_are_declined_before_they_fill_memory(rig, monkeypatch, bound):
    """One ticket is enough to name the same address, at length, ten thousand times. Who is modest meanwhile hears nothing of it."""
    monkeypatch.setattr(store, bound, 10_000)
    smtpd = rig.client("smtpd")
    for tag in (1, 2):
        smtpd.send(offer(tag))
    for tag, several in ((1, 6), (2, 3), (1, 9)):
        for _ in range(several):
            smtpd.send(offer_recipient(tag, forward_path=b"joe@example.test", options=b"O" * 1000))
    for tag in (1, 2):
        smtpd.send(m.Content(tag, True, BODY))
    rig.settle()
    declined, taken = answers(smtpd)
    assert (declined.tag, declined.reply_code, declined.status) == (1, 452, b"4.5.3")
    assert (type(taken), taken.tag) == (m.Taken, 2)
    assert rig.store._named == 0


def offer_notice(rig, mailbox, until, authority):
    bouncer = rig.client("bouncer")
    bouncer.send(m.OfferNotice(6, mailbox, until, authority))
    bouncer.send(m.Content(6, True, b"Subject: braked\r\n\r\n"))
    rig.settle()
    return answers(bouncer)


@pytest.mark.parametrize("mailbox", [b"joe@example.test", b"postmaster@example.test"])
def test_a_notice_goes_to_the_mailbox_and_its_domains_postmaster_and_nobody_hears_when_it_fails(rig, mailbox):
    """Null reverse-path, and the generation of which nothing more comes."""
    (taken,) = offer_notice(rig, mailbox, FOREVER, notice_authority(KEYS.notice, mailbox, FOREVER))
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation) == (b"", Generation.DOUBLE_BOUNCE)
    assert {each.forward_path for each in envelope.recipients} == {mailbox, b"postmaster@example.test"}
    assert len(envelope.recipients) == len({mailbox, b"postmaster@example.test"})


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        notice_authority(KEYS.notice, b"ann@example.test", FOREVER),
        notice_authority(KEYS.notice, b"joe@example.test", FOREVER - 1),
        notice_authority(KEYS.original, b"joe@example.test", FOREVER),
    ],
)
def test_a_bouncer_without_the_ledgers_authority_writes_to_nobody(rig, authority):
    """None, another mailbox's, for another time, by another key; and the right one when it is too late."""
    assert [each.reply_code for each in offer_notice(rig, b"joe@example.test", FOREVER, authority)] == [550]
    late = notice_authority(KEYS.notice, b"joe@example.test", 1)
    assert [each.reply_code for each in offer_notice(rig, b"joe@example.test", 1, late)] == [550]
    assert list(rig.envelope.queue_ids()) == []


BOB = b"Bob@away.example"


def offer_consent(rig, target, until, authority):
    bouncer = rig.client("bouncer")
    bouncer.send(m.OfferConsent(6, target, until, authority))
    bouncer.send(m.Content(6, True, b"Subject: may mail be sent on?\r\n\r\n"))
    rig.settle()
    return answers(bouncer)


def test_a_question_for_consent_goes_to_the_target_alone_and_nobody_hears_when_it_fails(rig):
    """Octet for octet as it was said: which capitals count is for the other host to know."""
    (taken,) = offer_consent(rig, BOB, FOREVER, consent_authority(KEYS.consent, BOB, FOREVER))
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation) == (b"", Generation.DOUBLE_BOUNCE)
    assert [each.forward_path for each in envelope.recipients] == [BOB]


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        consent_authority(KEYS.consent, b"ann@away.example", FOREVER),
        consent_authority(KEYS.consent, BOB, FOREVER - 1),
        consent_authority(KEYS.notice, BOB, FOREVER),
        notice_authority(KEYS.consent, BOB, FOREVER),
    ],
)
def test_a_bouncer_without_the_compilers_authority_asks_nobody(rig, authority):
    """None, another's, for another time, by another key, for something else; and the right one when it is too late."""
    assert [each.reply_code for each in offer_consent(rig, BOB, FOREVER, authority)] == [550]
    late = consent_authority(KEYS.consent, BOB, 1)
    assert [each.reply_code for each in offer_consent(rig, BOB, 1, late)] == [550]
    assert list(rig.envelope.queue_ids()) == []


def offer_report(rig, recipient=b"tls@away.example"):
    reporter = rig.client("reporter")
    reporter.send(m.OfferReport(6, recipient))
    reporter.send(m.Content(6, True, b"Subject: Report Domain: away.example\r\n\r\n"))
    rig.settle()
    return answers(reporter)


def test_a_report_about_tls_goes_out_whatever_its_domain_demands_of_tls_and_nobody_hears_when_it_fails(rig):
    """RFC 8460 3: that TLS fails is what it tells of."""
    (taken,) = offer_report(rig)
    envelope = envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))
    assert (envelope.reverse_path, envelope.generation) == (b"", Generation.DOUBLE_BOUNCE)
    assert [each.forward_path for each in envelope.recipients] == [b"tls@away.example"]
    assert envelope.options == TLS_NOT_REQUIRED


def test_a_reporter_mails_so_much_a_day_and_no_more(rig, monkeypatch):
    """Nobody can prove to whom a domain wants its reports sent, so a taken-over one could mail anybody."""
    monkeypatch.setattr(store, "REPORTS_A_DAY", 3)
    for _ in range(3):
        assert isinstance(offer_report(rig)[0], m.Taken)
    (declined,) = offer_report(rig)
    assert (declined.reply_code, declined.status) == (451, b"4.7.1")


@pytest.mark.parametrize(
    "recipient", [b"", b"nobody", b"a b@x.test", b"a@x.test\r\nBcc: b@x.test", b"a@b@x.test>", b"\xff@x.test"]
)
def test_a_reporter_that_names_no_address_is_hung_up_on(rig, recipient):
    reporter = rig.client("reporter")
    reporter.send(m.OfferReport(6, recipient))
    rig.settle()
    assert answers(reporter) == ["closed"]


def take(rig, *, forward_path=b"joe@example.test", options=b"", others=()):
    """A message of a client's; its content and envelope as they lie in the spool."""
    smtpd = rig.client("smtpd")
    smtpd.send(offer(forward_path=forward_path, options=options))
    for other in others:
        smtpd.send(offer_recipient(1, other))
    smtpd.send(m.Content(1, True, BODY))
    rig.settle()
    (taken,) = answers(smtpd)
    return rig.content.read(taken.queue_id, 9999), envelope_format.parse(rig.envelope.read(taken.queue_id, 9999))


def mark_in(content):
    return re.search(rb"\(passed ([0-9a-f]{24})\)", content)[1]


def test_a_message_that_comes_back_is_known_by_the_mark_it_bears(rig):
    """For the one recipient whose it is, whatever he is written like; nobody else's, and nothing that others made up."""
    content, first = take(rig)
    mark = mark_in(content)
    assert first.passed == frozenset()
    options = b"BODY=8BITMIME PASSED=" + b"0" * 24 + b"," + mark
    _, again = take(rig, forward_path=b"Joe@Example.test", options=options, others=(b"ann@example.test",))
    assert (again.passed, again.mail_options) == ({0}, b"BODY=8BITMIME")
    _, another = take(rig, forward_path=b"ann@example.test", options=options)
    assert (another.passed, another.options) == (frozenset(), b"BODY=8BITMIME")


def test_what_a_client_s_side_says_of_recipients_by_number_is_nothing(rig):
    """Only who has the key knows which those are."""
    assert take(rig, options=b"PASSED=0")[1].passed == frozenset()
