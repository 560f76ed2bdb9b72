"""The role reporter in this process, by a clock of ours, with its neighbours' ends in the test's hands."""

import itertools
import os

from mta import roster
from mta.places import Places
from mta.roles.reporter.__main__ import MAGIC, PLACE_OCTETS
from mta.roles.reporter.counts import DAY
from mta.roles.reporter.desk import SPREAD_SECONDS, Desk
from mta.roles.reporter.desk import House as Reporting
from mta.wire import control
from mta.wire import messages as m
from mta.wire.asking import Asking
from tests.fakes.house import House, events

TODAY = 20_000  # days since 1970
NOW = TODAY * DAY + SPREAD_SECONDS + 1.0  # yesterday is due
CONTACT = b"tls-reports@example.net"
DOMAIN = b"remote.test"
RECORD = b"v=TLSRPTv1; rua=mailto:tls@remote.test"
SIGNATURE = b"DKIM-Signature: v=1; a=x\r\n"
SERVERS = ("resolver", "fetcher", "signer", "enqueuer")


class Rig(House):
    """Answers what reporter asks, by *records* (name and kind), and keeps what it offered."""

    def __init__(self, file=None):
        super().__init__(roster.REPORTER, {})
        self.now = NOW
        asking = Asking(self.loop)
        self.places = Places(file, MAGIC, PLACE_OCTETS) if file is not None else None
        self.desk = Desk(self.loop, asking, Reporting(b"mx.example.net", CONTACT), self.places, lambda: self.now)
        handlers = {"remotespawn": self.desk.seen} | dict.fromkeys(SERVERS, asking.answered)
        asking.peers = control.Peers(
            self.role, self.start, self.loop, handlers, lost=lambda channel: asking.lost(channel.peer)
        )
        self.remotespawn = self.client("remotespawn")
        self.journal = self.server("journal")
        self.ends = {name: self.server(name) for name in SERVERS}
        self.records = {(b"_smtp._tls." + DOMAIN, b"TXT"): RECORD}
        self.is_secure = True
        self.policy = m.Fetched(0, b"enforce", 600, b"", (b"mx.remote.test", b"*.remote.test"))
        self.word, self.reply = b"signed", None
        self.asked, self.offered = [], []
        self.ids = (b"%020x" % number for number in itertools.count(1))

    def seen(self, *, day=TODAY - 1, domain=DOMAIN, policy=b"sts", mx=b"mx.remote.test", result=b"success", sessions=1):
        self.ask(self.remotespawn, m.TlsSeen(day, domain, policy, mx, result, sessions))

    def serve(self, rounds=12):
        """Look at what is due, and answer until nothing is asked any more."""
        self.desk.look()
        for _ in range(rounds):
            self.loop.run_once(0.0)
            for name, channel in self.ends.items():
                for message, _ in channel.receive():
                    self.answer(name, channel, message)

    def answer(self, name, channel, message):
        self.asked.append((name, message))
        if isinstance(message, m.LookUp):
            found = self.records.get((message.name, message.kind))
            outcome = found if found == b"failed" else b"answer" if found else b"none"
            records = (found,) if outcome == b"answer" else ()
            channel.send(m.Found(message.tag, outcome, self.is_secure, records))
        elif isinstance(message, m.Fetch):
            channel.send(self.policy.but(tag=message.tag))
        elif isinstance(message, m.SignReport):
            self.signed = message
            channel.send(m.Signed(message.tag, self.word, SIGNATURE if self.word == b"signed" else b""))
        elif isinstance(message, m.OfferReport):
            self.offered.append((message.recipient, b""))
        elif isinstance(message, m.Content):
            recipient, before = self.offered.pop()
            self.offered.append((recipient, before + message.block))
            if message.last:
                channel.send((self.reply or m.Taken(0, next(self.ids))).but(tag=message.tag))

    def told(self):
        return events(self.journal, self)


def file_in(folder):
    return os.open(folder / "seen", os.O_RDWR | os.O_CREAT, 0o600)
