"""Whose place it is, by a clock of ours: remotespawn's judgement with a nursery and remotes that the test plays."""

import os
import socket
from types import SimpleNamespace

import pytest

from mta.roles.remotespawn import spawner as judged
from mta.roles.remotespawn.spawner import Spawner
from mta.snapshot.records import Route
from mta.vocabulary import TLS_NOT_REQUIRED
from mta.wire import channel, permits
from mta.wire import messages as m
from mta.wire.channel import Channel
from mta.wire.loop import Loop

QUEUE_ID = b"0123456789abcdef0000"


class Asker:
    """As much of scheduler's channel as is looked at."""

    peer = "scheduler"

    def __init__(self):
        self.heard = []

    def send(self, message, descriptors=()):
        self.heard.append(message)

    def of(self, kind):
        return [each for each in self.heard if isinstance(each, kind)]


class Rig:
    """The judgement, and the ends of whom it speaks with."""

    def __init__(self, folder, most):
        (folder / QUEUE_ID.decode()).write_bytes(b"x")
        self.content = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.loop, self.now, self.asker = Loop(), 1000.0, Asker()
        ours, theirs = channel.pair()
        self.nurse = nurse = Channel(ours, "nursery", permits.readable_by_client("remotespawn", "nursery"))
        self.nursery = Channel(theirs, "remotespawn", permits.readable_by_server("remotespawn", "nursery"))
        settings = {"outbound.max_destinations": b"%d" % most}
        routes = SimpleNamespace(find=lambda _key: Route())
        clock = lambda: 86_400.0 * 20_000 + self.now  # noqa: E731 - as short as what it stands beside
        self.settings, self.events, self.reports, self.has_reporter = settings, [], [], True
        self.spawner = Spawner(
            self.loop, self.content, routes, nurse, lambda: settings, now=lambda: self.now, clock=clock
        )
        self.spawner.peers = SimpleNamespace(
            to=lambda _name: None, event=lambda name, **pairs: self.events.append((name, pairs)), tell=self._report
        )
        self.loop.add_channel(nurse, self.spawner.heed_nursery, lambda _channel: None)
        self.remotes = {}  # by number: the channel
        self.busy = {}  # by domain: channel and tag
        self.told = {}  # by domain: how it was told to hurry
        self.transmitted = []  # domains, one for each message that a remote was handed
        self.demands = []  # domain and what its remote was told of TLS
        self._tag = 0

    def _report(self, name, message):
        assert name == "reporter"
        if self.has_reporter:
            self.reports.append(message)
        return self.has_reporter

    def send(self, domain, *local_parts, doubtful=False, options=b""):
        self._tag += 1
        names = local_parts or (b"a",)
        send = m.Send(self._tag, QUEUE_ID, domain, b"", b"", options, 1, len(names), doubtful)
        self.spawner.take(self.asker, (send, ()))
        for index, name in enumerate(names):
            self.spawner.take(self.asker, (m.SendRecipient(self._tag, index, name + b"@" + domain, b""), ()))
        self.serve()
        return self._tag

    def serve(self):
        """Until nothing is said any more."""
        for _ in range(4):
            self.loop.run_once(0.0)
            self.spawner.advance_changed()
            for message, descriptors in self.nursery.receive():
                kinds = permits.readable_by_server("remotespawn", "remote")
                self.remotes[message.number] = Channel(socket.socket(fileno=descriptors[0]), "remotespawn", kinds)
            for number, remote in list(self.remotes.items()):
                self._hear(number, remote)

    def _hear(self, number, remote):
        try:
            for message, descriptors in remote.receive():
                for descriptor in descriptors:
                    os.close(descriptor)
                if isinstance(message, m.Destination):
                    remote.peer = message.domain
                    self.demands.append((message.domain, message.tls))
                elif isinstance(message, m.Transmit):
                    self.busy[remote.peer] = remote, message.tag
                    self.transmitted.append(remote.peer)
                elif isinstance(message, m.Hurry):
                    self.told.setdefault(remote.peer, []).append(message.at_once)
        except channel.ChannelClosed:
            del self.remotes[number]
            self.nursery.send(m.HatchEnded(number, b"0"))

    def answer(self, domain, action=b"relayed", *, trouble=False):
        remote, tag = self.busy.pop(domain)
        remote.send(
            m.Sent(tag, 0, action, b"2.0.0" if action == b"relayed" else b"4.4.2", b"", b"", b"", False, trouble)
        )
        remote.send(m.SendDone(tag, trouble, 0))
        self.serve()

    def wait(self, seconds):
        """Let time pass, with a sweep each second."""
        for _ in range(int(seconds)):
            self.now += 1.0
            self.spawner.sweep()
            self.serve()

    def close(self):
        for each in (*self.remotes.values(), *self.spawner._by_channel, self.nurse, self.nursery):
            each.close()
        os.close(self.content)


@pytest.fixture
def rig_of(tmp_path):
    made = []

    def make(most):
        made.append(Rig(tmp_path, most))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def test_who_has_been_silent_hurries_and_then_steps_aside(rig_of):
    """Only where somebody waits for the place; what the host has is waited for, and its answer heard minutes later."""
    rig = rig_of(1)
    tag = rig.send(b"mute.test")
    rig.wait(60)
    assert rig.told == {}
    rig.send(b"live.test")
    rig.wait(judged.SLOW_SECONDS + judged.ASIDE_SECONDS + 1)
    assert rig.told == {b"mute.test": [False]}
    assert [each.tag for each in rig.asker.of(m.SendWaits)] == [tag]
    rig.answer(b"live.test")
    rig.wait(500)
    rig.answer(b"mute.test")
    assert [(each.tag, each.action) for each in rig.asker.of(m.Sent)] == [(tag + 1, b"relayed"), (tag, b"relayed")]
    assert len(rig.asker.of(m.SendDone)) == 2
    rig.wait(1)
    assert not any(remote.peer == b"mute.test" for remote in rig.remotes.values()), "it had no place any more"


def test_the_room_beside_is_as_large_as_the_places_and_the_longest_leaves_it_first(rig_of):
    """Not before its host had two minutes; until then those who came later keep their places."""
    rig = rig_of(2)
    names = [b"mute%d.test" % number for number in range(6)]
    for name in names:
        rig.send(name)
    rig.wait(20)
    assert len(rig.asker.of(m.SendWaits)) == 2
    assert len(rig.busy) == 4, "two places, two aside"
    assert not any(at_once for told in rig.told.values() for at_once in told)
    rig.wait(judged.LAST_WORD_SECONDS)
    given_up = [name for name, told in rig.told.items() if told[-1]]
    assert given_up == names[:1]
    rig.answer(names[0], b"delayed", trouble=True)
    rig.wait(judged.ASIDE_SECONDS + 2)
    assert names[4] in rig.busy
    assert len(rig.remotes) == 4


def test_mail_for_a_host_that_has_stepped_aside_is_put_off(rig_of):
    """It would wait for as long as that one does."""
    rig = rig_of(1)
    rig.send(b"mute.test")
    rig.send(b"live.test")
    rig.wait(10)
    tag = rig.send(b"mute.test")
    assert (tag, b"delayed", b"4.4.1") in [(each.tag, each.action, each.status) for each in rig.asker.of(m.Sent)]


@pytest.mark.parametrize("doubtful", [False, True])
def test_a_flood_of_mute_hosts_leaves_room_for_the_next_one(rig_of, doubtful):
    """More of them than places and room together: a fresh destination is served within seconds, not after ten minutes."""
    rig = rig_of(10)
    for number in range(10):
        rig.send(b"mute%d.test" % number, doubtful=doubtful)
    rig.send(b"live.test")
    rig.wait(judged.SLOW_SECONDS + judged.ASIDE_SECONDS + 1)
    assert b"live.test" in rig.busy


def test_a_remote_writes_so_much_into_the_log_and_no_more(rig_of):
    """What it tells of handshakes is neither endless nor a sign of life."""
    rig = rig_of(1)
    rig.send(b"taken.test")
    remote, _ = rig.busy[b"taken.test"]
    for _ in range(judged.MAX_RESULTS):
        remote.send(m.TlsResults(b"sts", b"mx.taken.test", b"success", 1))
        rig.loop.run_once(0.0)
    rig.now += judged.SLOW_SECONDS
    rig.send(b"live.test")
    rig.wait(1)
    assert rig.told == {b"taken.test": [False]}
    remote.send(m.TlsResults(b"sts", b"mx.taken.test", b"success", 1))
    rig.serve()
    assert [(each.action, each.status) for each in rig.asker.of(m.Sent)] == [(b"delayed", b"4.3.0")]


def test_what_a_remote_had_in_hand_when_it_died_is_in_doubt(rig_of):
    """Its hosts may have all of it: the one rule for what nobody can know, and counted by its figure. What waited is not."""
    rig = rig_of(1)
    tags = [rig.send(b"taken.test"), rig.send(b"taken.test")]
    remote, _ = rig.busy[b"taken.test"]
    waiting = rig.send(b"other.test")
    remote.close()
    rig.nursery.send(m.HatchEnded(1, b"-11"))
    del rig.remotes[1]
    rig.serve()
    doubtful = [(each.tag, each.action, each.status, each.in_doubt) for each in rig.asker.of(m.Sent)]
    assert doubtful == [(tag, b"delayed", b"4.3.0", True) for tag in tags]
    told = [pairs["queue_id"] for name, pairs in rig.events if name == "in-doubt"]
    assert told == [QUEUE_ID] * 2
    rig.answer(b"other.test")
    assert [(each.tag, each.in_doubt) for each in rig.asker.of(m.Sent)][2:] == [(waiting, False)]


def test_what_is_still_awaited_when_the_house_stops_is_in_doubt(rig_of):
    rig = rig_of(1)
    rig.send(b"mute.test")
    rig.spawner.leave()
    assert [each.in_doubt for each in rig.asker.of(m.Sent)] == [True]
    assert [name for name, _ in rig.events] == ["in-doubt"]


def tell_of_tls(rig, domain, sessions=1):
    remote, _ = rig.busy[domain]
    remote.send(m.TlsResults(b"sts", b"mx." + domain, b"success", sessions))
    rig.serve()


def test_reporter_hears_how_tls_went_added_up_and_by_the_day(rig_of):
    """Three times a minute; while it is away nothing is lost."""
    rig = rig_of(2)
    rig.settings["outbound.tls_reports"] = b"tls@example.net"
    rig.spawner.change()
    rig.send(b"a.test")
    for _ in range(3):
        tell_of_tls(rig, b"a.test", 2)
    rig.has_reporter = False
    rig.wait(judged.REPORT_SECONDS + 1)
    rig.has_reporter = True
    rig.now += 86_400.0
    tell_of_tls(rig, b"a.test", 5)
    rig.wait(judged.REPORT_SECONDS + 1)
    assert rig.reports == [
        m.TlsSeen(20_000, b"a.test", b"sts", b"mx.a.test", b"success", 6),
        m.TlsSeen(20_001, b"a.test", b"sts", b"mx.a.test", b"success", 5),
    ]


def test_nothing_is_counted_for_reports_that_nobody_makes(rig_of):
    rig = rig_of(1)
    rig.send(b"a.test")
    tell_of_tls(rig, b"a.test")
    rig.spawner.tell_reporter()
    assert rig.reports == []
    assert [name for name, _ in rig.events] == ["tls-results"]


def test_a_report_goes_by_a_remote_that_passes_over_demands_for_tls_and_is_not_reported_of(rig_of):
    """RFC 8460 3; other mail of the same domain goes by another, which heeds them."""
    rig = rig_of(2)
    rig.settings["outbound.tls_reports"] = b"tls@example.net"
    rig.spawner.change()
    rig.send(b"a.test", options=TLS_NOT_REQUIRED)
    tell_of_tls(rig, b"a.test")
    rig.send(b"a.test")
    assert rig.demands == [(b"a.test", b"optional"), (b"a.test", b"")]
    rig.spawner.tell_reporter()
    assert rig.reports == []


def begin_scheduler_anew(rig):
    """The one before was killed; its successor knows nothing of what it had asked."""
    former, rig.asker = rig.asker, Asker()
    rig.spawner.lost(former)
    return former


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_host_has_when_scheduler_ends_is_not_handed_over_a_second_time(rig_of, when):
    """It answers minutes later, before the successor asks or after: he hears it, and the host has one copy."""
    rig = rig_of(1)
    rig.send(b"slow.test")
    former = begin_scheduler_anew(rig)
    if when == "before":
        rig.answer(b"slow.test")
    tag = rig.send(b"slow.test")
    if when == "after":
        assert rig.asker.heard == []
        rig.answer(b"slow.test")
    assert [(type(each), each.tag) for each in rig.asker.heard] == [(m.Sent, tag), (m.SendDone, tag)]
    assert rig.asker.of(m.Sent)[0].action == b"relayed"
    assert (rig.transmitted, former.heard) == ([b"slow.test"], [])
    rig.send(b"slow.test")
    assert len(rig.transmitted) == 2, "what was told is told once"


def test_recipients_that_were_decided_before_scheduler_ended_are_not_told_of_again(rig_of):
    """The successor asks about those that are left, in an order of his own."""
    rig = rig_of(1)
    rig.send(b"slow.test", b"a", b"b", b"c")
    begin_scheduler_anew(rig)
    tag = rig.send(b"slow.test", b"c", b"a")
    remote, theirs = rig.busy.pop(b"slow.test")
    for index, status in enumerate((b"2.0.1", b"2.0.2", b"2.0.3")):
        remote.send(m.Sent(theirs, index, b"relayed", status, b"", b""))
    remote.send(m.SendDone(theirs, False, 0))
    rig.serve()
    assert [(each.tag, each.index, each.status) for each in rig.asker.of(m.Sent)] == [
        (tag, 1, b"2.0.1"),
        (tag, 0, b"2.0.3"),
    ]
    assert len(rig.asker.of(m.SendDone)) == 1


def test_who_asks_for_more_than_is_on_its_way_is_served_anew(rig_of):
    """Somebody who was not among the recipients, or the same by another way."""
    rig = rig_of(2)
    rig.send(b"slow.test", b"a")
    begin_scheduler_anew(rig)
    rig.send(b"slow.test", b"a", b"new")
    rig.send(b"slow.test", b"a", options=TLS_NOT_REQUIRED)
    assert len(rig.transmitted) == 3


def test_answers_that_nobody_asks_for_are_forgotten(rig_of, monkeypatch):
    """After an hour, or when there are too many."""
    rig = rig_of(1)
    rig.send(b"slow.test")
    begin_scheduler_anew(rig)
    rig.answer(b"slow.test")
    rig.now += judged.KEPT_SECONDS
    rig.wait(1)
    rig.send(b"slow.test")
    assert len(rig.transmitted) == 2
