"""Wiring of local: take what has arrived, deliver it as one batch, answer. Not started by itself: localspawn forks it.

A reader would otherwise get wrong: a Write is this process's own matter up to the last sync, a Stage is done in steps that
localspawn calls, because it waits for the disk on behalf of many.
"""

import os
import select
import socket
import sys
import time

from mta import sandbox
from mta.roles.local.batch import Job, Store
from mta.vocabulary import AddressError, is_queue_id, local_part_of_store
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.messages import Attempted, Stage, Staged, Write

GATHER_SECONDS = 0.006  # In a busy moment deliveries gather so long, so that one wait for the disk serves more of them.
BUSY_SECONDS = 0.05  # So long after a round with several deliveries the moment counts as busy.
SEVERAL = 2
QUIET_SECONDS = 1.0  # After so long without a delivery it is time to tidy; sooner, the next one would wait for that.


def serve(sock: socket.socket, uid: int, folder: int, host: str) -> int:
    """Be the local of the domain whose *uid* and *folder* these are, until localspawn hangs up. Answers the exit status."""
    sandbox.confine_domain(uid, folder, keep=(sock.fileno(), folder))
    # What we were handed may be a mere place (O_PATH), opened by one who may not look inside. We may, and sync it too.
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    os.close(folder)
    localspawn = Channel(sock, "localspawn", permits.readable_by_server("localspawn", "local"))
    return run(localspawn, Store(own, host))


def run(localspawn: Channel, store: Store) -> int:
    """Deliver until localspawn hangs up, or the folder is gone."""
    descriptor, waiting = localspawn.fileno(), select.poll()
    waiting.register(descriptor, select.POLLIN)
    localspawn.wants_write = lambda _, wanted: waiting.modify(
        descriptor, select.POLLIN | (select.POLLOUT if wanted else 0)
    )
    busy_until = 0.0
    while not store.gone:
        if not waiting.poll(1000 * QUIET_SECONDS):
            store.sweep()
            waiting.poll()
        if time.monotonic() < busy_until:
            time.sleep(GATHER_SECONDS)
        try:
            if one_round(localspawn, store) >= SEVERAL:
                busy_until = time.monotonic() + BUSY_SECONDS
        except ChannelClosed:
            return 0
    return 0


def one_round(localspawn: Channel, store: Store) -> int:
    """Deliver what is there as one batch, and answer. How many were there?

    Raises:
        ChannelClosed: localspawn is gone, or sent what no localspawn sends.
    """
    if localspawn.backlog:
        localspawn.flush()
    opened: list[int] = []
    jobs: list[Job] = []
    answers: list[Attempted | Staged] = []
    try:
        for message, descriptors in localspawn.receive():
            opened += descriptors
            if isinstance(message, Stage):
                answers += stage(store, list(zip(deliveries_of(message), descriptors, strict=True)))
            elif isinstance(message, Write):
                check(message)
                jobs.append((message, descriptors[0]))
        if jobs:
            answers += store.deliver(jobs)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    for answer in answers:
        localspawn.send(answer)
    return len(jobs)


def stage(store: Store, jobs: list[Job]) -> list[Attempted | Staged]:
    """Go on with what the last Stage began, and begin *jobs*. Answers what could not be done, then that the rest is."""
    failed = store.rename_staged()
    more, sizes = store.stage(jobs)
    return [*failed, *more, Staged(tuple(b"%d" % number for pair in sizes for number in pair))]


def deliveries_of(message: Stage) -> list[Write]:
    """The deliveries of a Stage, each as the Write that it would be alone.

    Raises:
        ChannelClosed: not what localspawn sends.
    """
    fields, each = message.deliveries, Stage.FIELDS
    if len(fields) % each or not all(field.isdigit() for field in fields[::each]):
        raise ChannelClosed("localspawn: not deliveries")
    found = [Write(int(tag), *rest) for tag, *rest in zip(*[iter(fields)] * each, strict=True)]
    for write in found:
        check(write)
    return found


def check(message: Write) -> None:
    """Names that become paths are what they should be.

    Raises:
        ChannelClosed: they are not, so whoever sent them is not localspawn as we know it.
    """
    try:
        local_part_of_store(message.store.decode())
    except (AddressError, UnicodeDecodeError) as error:
        raise ChannelClosed("localspawn: not the name of a store") from error
    if not is_queue_id(message.queue_id):
        raise ChannelClosed("localspawn: not a queue id")


if __name__ == "__main__":
    sys.exit("local is no program of its own: localspawn makes one for each domain that has mail")
