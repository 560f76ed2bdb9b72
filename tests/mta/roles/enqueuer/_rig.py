"""A store over real folders, with the test at the other end of each channel."""

import os

from mta import roster
from mta.roles.enqueuer.disk import Disk, Room
from mta.roles.enqueuer.store import Keys, QueueIds, Store
from mta.spool.layout import Folder
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, pair
from mta.wire.loop import Loop
from mta.wire.tickets import session_token, ticket

KEYS = Keys(b"s" * 32, b"t" * 32, b"o" * 32, b"n" * 32, b"c" * 32)
HOST = b"mx.example.test"
CLIENT = b"192.0.2.7"
FOREVER = 1 << 40


def make_folders(tmp_path):
    """The spool's three folders, opened."""
    for part in ("content", "envelope", "progress"):
        (tmp_path / "spool" / part).mkdir(parents=True, exist_ok=True)
    return [Folder.open(tmp_path, f"spool/{part}") for part in ("content", "envelope", "progress")]


class Rig:
    """An enqueuer in this process."""

    def __init__(self, tmp_path, *, max_message_size=1 << 20, disk=None, min_free=0):
        self.content, self.envelope, self.progress = make_folders(tmp_path)
        self.disk = disk or Disk(self.content, self.envelope)
        self.loop = Loop()
        self.store = Store(
            self.disk, Room(self.content, min_free), KEYS, QueueIds(), host=HOST, max_message_size=max_message_size
        )
        ours, theirs = pair()
        self.control = Channel(ours, "enqueuer", permits.TO_SUPERVISOR)
        start = control.Start(Channel(theirs, "supervisor", permits.FROM_SUPERVISOR), {})
        handlers = dict.fromkeys(("smtpd", "bouncer", "reporter"), self.store.take)
        self.store.peers = control.Peers(
            roster.ENQUEUER, start, self.loop, handlers, lost=self.store.lost, found=self.store.found
        )
        self.loop.after_burst.append(self.store.commit)
        self.ends = [self.control]

    def client(self, name):
        """Be an smtpd or the bouncer."""
        return self._join(name, permits.readable_by_client(name, "enqueuer"), serving=True)

    def server(self, name):
        """Be the scheduler, the ledger or the journal."""
        return self._join(name, permits.readable_by_server("enqueuer", name), serving=False)

    def _join(self, name, permitted, *, serving):
        ours, theirs = pair()
        self.control.send(m.Peer(name.encode(), 0, serving), (theirs.fileno(),))
        theirs.close()
        self.ends.append(Channel(ours, name, permitted))
        self.settle()
        return self.ends[-1]

    def close(self):
        """Hang up on everybody, and end."""
        for channel in [*self.ends, *(entry[0] for entry in self.loop._channels.values())]:
            channel.close()
        self.store.abandon()
        self.loop._epoll.close()

    def settle(self):
        """Let the enqueuer do what it can."""
        self.loop.run_until_idle()

    def files(self):
        """Names in the folders."""
        return [sorted(os.listdir(folder.descriptor)) for folder in (self.content, self.envelope)]


def offer(
    tag=1, *, reverse_path=b"a@client.test", forward_path=b"joe@example.test", counted=b"", session=b"S1", **other
):
    """What an smtpd that follows the protocol sends."""
    made = {
        "tag": tag, "session": session, "client": CLIENT, "token": session_token(KEYS.session, session, CLIENT),
        "helo": b"client.test", "protocol": b"ESMTP", "options": b"", "reverse_path": reverse_path,
        "forward_path": forward_path, "counted": counted, "expiry": FOREVER,
        "ticket": ticket(KEYS.ticket, session, reverse_path, forward_path, counted, FOREVER),
    }  # fmt: skip
    return m.Offer(**(made | other))


def offer_recipient(tag, forward_path, *, reverse_path=b"a@client.test", counted=b"", session=b"S1", **other):
    """One more recipient."""
    made = {
        "tag": tag, "forward_path": forward_path, "counted": counted, "expiry": FOREVER,
        "ticket": ticket(KEYS.ticket, session, reverse_path, forward_path, counted, FOREVER),
    }  # fmt: skip
    return m.OfferRecipient(**(made | other))


def answers(channel):
    """Everything that has come."""
    found = []
    try:
        while packets := [message for message, _ in channel.receive()]:
            found += packets
    except ChannelClosed:
        found.append("closed")
    return found
