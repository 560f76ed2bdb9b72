"""A role without a supervisor: real channels, real `Peers`, and its neighbours' ends in the test's hands."""

import time
from typing import Self

from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair
from mta.wire.control import Start
from mta.wire.loop import Loop


class House:
    """Stands where the supervisor would: makes the control channel and hands out peers."""

    def __init__(self, role: roster.Role, settings: dict[str, bytes]) -> None:
        ours, theirs = pair()
        self._ends: list[Channel] = []
        self.loop = Loop()
        self.role = role
        self.control = Channel(ours, role.name, permits.TO_SUPERVISOR)
        self.start = Start(Channel(theirs, "supervisor", permits.FROM_SUPERVISOR), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End as when the supervisor takes everything back; the role's own ends too."""
        known = [entry[0] for entry in self.loop._channels.values()]
        for channel in [*self._ends, self.control, self.start.control, *known]:
            channel.close()

    def client(self, name: str, instance: int = 0) -> Channel:
        """The end of a peer that asks the role."""
        permitted = permits.readable_by_client(name, self.role.name)
        return self._meet(name, instance, permitted, serving=True)

    def server(self, name: str, instance: int = 0) -> Channel:
        """The end of a peer that the role asks."""
        permitted = permits.readable_by_server(self.role.name, name)
        return self._meet(name, instance, permitted, serving=False)

    def settle(self, seconds: float = 0.0) -> None:
        """Let the role do what it has to do."""
        self.loop.run_until_idle(seconds)

    def serve_for(self, seconds: float) -> None:
        """Let the role do what it has to do, timers included, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.loop.run_once(left)

    def ask(self, channel: Channel, *messages: m.Message) -> list[m.Message]:
        """Say *messages* to the role and hear what it says after that."""
        for message in messages:
            channel.send(message)
        self.settle()
        return self.hear(channel)

    def hear(self, channel: Channel) -> list[m.Message]:
        """What the role has said on *channel* so far."""
        heard: list[m.Message] = []
        while found := [message for message, _ in channel.receive()]:
            heard += found
            self.settle()
        return heard

    def _meet(self, name: str, instance: int, permitted: frozenset[type[m.Message]], *, serving: bool) -> Channel:
        ours, theirs = pair()
        self.control.send(m.Peer(name.encode(), instance, serving), (theirs.fileno(),))
        theirs.close()
        self.settle()
        self._ends.append(Channel(ours, self.role.name, permitted, instance))
        return self._ends[-1]


def events(channel: Channel, house: House) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Names and pairs of the events that the role told the journal."""
    told = []
    for event in house.hear(channel):
        assert isinstance(event, m.Event)
        told.append((event.name, dict(zip(event.pairs[::2], event.pairs[1::2], strict=True))))
    return told


__all__ = ["House", "events"]
