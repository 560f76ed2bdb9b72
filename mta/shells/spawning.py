"""A process that forks a cell for every client: lose the rights, then fork until told to stop.

A reader would otherwise get wrong: a cell speaks under the name of the role that it stands for (`permits.INTRODUCES`), with
that role's peers; here is only what all its cells share.
"""

import gc
import os
import socket
import time
from collections.abc import Mapping

from mta import roster, sandbox
from mta.offspring import Offspring, uids_of
from mta.shells.cell import Cell
from mta.shells.rehearsal import rehearse
from mta.shells.spawner import Birth, Spawner, most_cells
from mta.smtp import driving
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

_Socket = socket.SocketType  # without what Python's `socket` puts around the kernel's
_STREAM = int(socket.SOCK_STREAM)
COLLECT_EVERY = 10_000  # allocations; a conversation leaves little behind in cycles, and most end before that
MOST_CELLS = 1000  # where no setting says it
STOP_SECONDS = 3.0  # so long the cells may finish what they have in hand


class Cells:
    """What every cell is made of, kept ready: its walls, its policy, the lifeline by which it learns that we are gone."""

    def __init__(self, role: roster.Role, settings: Mapping[str, bytes]) -> None:
        self._walls = sandbox.CellWalls()
        kind = permits.INTRODUCES[role.name]
        self._permitted = {name: permits.readable_by_client(kind, name) for name in roster.servers_of(role)}
        self._submits = "authenticator" in self._permitted
        self._settings = dict(settings)
        self._starttls = False
        # Nobody ever writes: that its other end closes, with us at the latest, is all it says.
        self.lifeline, self._end = os.pipe2(os.O_CLOEXEC)
        self.change({})

    def change(self, settings: Mapping[str, bytes]) -> None:
        """For conversations that begin from now on."""
        self._settings.update(settings)
        self.policy = driving.policy(self._settings, starttls=self._starttls, submission=self._submits)
        self._local_policy = driving.policy(self._settings)
        self._tarpit_seconds = driving.tarpit_seconds(self._settings)

    def heed_tls(self, _tls: Channel, packet: Packet) -> None:
        """May conversations that begin from now on be offered STARTTLS?"""
        assert isinstance(packet[0], m.Offering)
        self._starttls = packet[0].yes
        self.change({})

    def live(self, birth: Birth) -> int:
        """Be a cell; in a fresh fork. Answers the exit status."""
        descriptors = [birth.client, self.lifeline]
        for sock, _ in birth.pairs.values():
            descriptors.append(
                sock.fileno()
            )  # Not a comprehension: it is a function of its own, and each costs a cell a page.
        self._walls.enter(birth.uid, descriptors)
        self.cell(birth).converse()
        return 0

    def cell(self, birth: Birth) -> Cell:
        """The conversation that *birth* is for; it has not begun."""
        accepted, permitted = birth.accepted, self._permitted
        client = _Socket(driving.family_of(accepted), _STREAM, 0, birth.client)
        peers = {}
        for name, (sock, _) in birth.pairs.items():
            peers[name] = Channel(sock, name, permitted[name])
        policy = self._local_policy if accepted.service == driving.LOCAL else self.policy
        return Cell(accepted, client, peers, self.lifeline, policy, self._tarpit_seconds)

    def let_go(self) -> None:
        """Tell every cell to finish."""
        os.close(self._end)


def main(role: roster.Role) -> int:
    """Be *role* until told to stop; answers the exit status."""
    start = control.begin(role)
    loop = Loop()
    offspring = Offspring(loop)
    sandbox.enter(role, start, keep=(loop.fileno(), *offspring.descriptors))
    cells = Cells(role, start.settings)
    uids = uids_of(role, start)
    spawner = Spawner(loop, roster.servers_of(role), offspring, uids, most(role, start.settings), cells.live)

    def reload(settings: Mapping[str, bytes]) -> None:
        cells.change(settings)
        spawner.most = most(role, settings)

    handlers = {"listener": spawner.take, "tlsspawn": cells.heed_tls}
    loop.after_burst.append(spawner.begin_all)
    spawner.peers = control.Peers(role, start, loop, handlers, reload=reload, lost=spawner.lost)
    rehearse(role, cells.cell)
    gc.set_threshold(COLLECT_EVERY)
    gc.freeze()  # Cells share what is there now; a collection in one would write to every page of it.
    spawner.peers.ready()
    loop.run()
    spawner.stopping = True
    cells.let_go()
    deadline = time.monotonic() + STOP_SECONDS
    while spawner.alive and time.monotonic() < deadline:
        loop.run_once(0.1)
    return 0


def most(role: roster.Role, settings: Mapping[str, bytes]) -> int:
    """How many cells of *role* may live at once."""
    return most_cells(roster.connections_of(role, settings) or MOST_CELLS, roster.CELL_UIDS)
