"""A localspawn in process, and everybody around it played by the test."""

import os

from mta import roster
from mta.roles.localspawn.spawner import Pool, Spawner
from mta.roles.localspawn.together import Disk
from mta.wire import channel, control, permits
from mta.wire import messages as m
from mta.wire.loop import Loop

POOL = Pool(0, 1)


class CountingDisk(Disk):
    """Syncs nothing, counts, and refuses when told to."""

    syncs = 0
    refuses = False

    def sync(self):
        self.syncs += 1
        return not self.refuses


class House:
    """Spawner with a clock of its own, and what the test plays: scheduler, storekeeper, ledger, journal, every local."""

    def __init__(self, content, pool=POOL):
        self.time = 1000.0
        self.loop = Loop()
        self.locals = []  # (uid, channel at the local's side, ended)
        descriptor = os.open(content, os.O_RDONLY | os.O_DIRECTORY)
        self.disk = CountingDisk(descriptor, lambda: self.time)
        self.spawner = Spawner(self.loop, descriptor, pool, self.start_local, self.disk, now=lambda: self.time)
        ours, theirs = channel.pair()
        self.supervisor = channel.Channel(ours, "localspawn", permits.TO_SUPERVISOR)
        start = control.Start(channel.Channel(theirs, "supervisor", permits.FROM_SUPERVISOR), {})
        handlers = {"scheduler": self.spawner.take, "storekeeper": self.spawner.met_store}
        self.spawner.peers = control.Peers(
            roster.LOCALSPAWN, start, self.loop, handlers, lost=self.spawner.lost, found=self.spawner.found
        )
        self.scheduler = self.join("scheduler", serving=True)
        self.storekeeper = self.join("storekeeper", serving=False)
        self.ledger = self.join("ledger", serving=False)
        self.journal = self.join("journal", serving=False)
        self.folder = os.open(content, os.O_PATH | os.O_DIRECTORY)
        self.settle()

    def join(self, name, *, serving):
        ours, theirs = channel.pair()
        self.supervisor.send(m.Peer(name.encode(), 0, serving), (theirs.fileno(),))
        theirs.close()
        reads = (
            permits.readable_by_client(name, "localspawn")
            if serving
            else permits.readable_by_server("localspawn", name)
        )
        return channel.Channel(ours, name, reads)

    def start_local(self, uid, folder, ended):
        ours, theirs = channel.pair()
        self.locals.append(
            (uid, channel.Channel(theirs, "localspawn", permits.readable_by_server("localspawn", "local")), ended)
        )
        return 100_000 + len(self.locals), channel.Channel(
            ours, "local", permits.readable_by_client("localspawn", "local")
        )

    def settle(self):
        self.loop.run_until_idle()

    def close(self):
        """Both ends of everything, so that the next test starts with nothing open."""
        for one, *_ in list(self.loop._channels.values()):
            one.close()
        for one in (self.supervisor, self.scheduler, self.storekeeper, self.ledger, self.journal):
            one.close()
        for _, one, _ in self.locals:
            one.close()
        os.close(self.folder)
        os.close(self.spawner._content)
        self.loop._epoll.close()

    def deliver(self, *numbers, domain=b"one.example", counted=b"", store=b"joe"):
        for number in numbers:
            queue_id = b"00063f8a3c1d2e4f%04x" % number
            self.scheduler.send(m.Deliver(number, queue_id, b"a@b.example", b"joe@" + domain, domain, store, counted))
            self.settle()  # a socket holds only so many packets

    def open_stores(self, uid=0):
        """Answer every OpenStore; the domains asked for."""
        asked = []
        for message, _ in self.storekeeper.receive():
            asked.append(message.domain)
            self.storekeeper.send(m.Store(message.tag, uid), (self.folder,))
        self.settle()
        return asked

    def writes(self, number=-1):
        """What the local has been handed; descriptors are closed here."""
        found = []
        for message, descriptors in self.locals[number][1].receive():
            for descriptor in descriptors:
                os.close(descriptor)
            found.append(message)
        return found

    def confirm(self, writes, number=-1, action=b"delivered", status=b"2.0.0", size=10):
        for write in writes:
            self.locals[number][1].send(m.Attempted(write.tag, action, status, b"", size))
        self.settle()

    def end(self, number=-1, status=0):
        """The local ends: its channel closes, then it is reaped."""
        self.locals[number][1].close()
        self.settle()
        self.locals[number][2](status)
        self.settle()

    def answers(self):
        found = {}
        while more := {message.tag: message for message, _ in self.scheduler.receive()}:
            found |= more
            self.settle()
        return found

    def told(self, who):
        return [message for message, _ in who.receive()]
