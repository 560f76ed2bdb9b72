"""The scheduler as web asks it: the real orders over a queue whose files are in memory."""

from typing import Any

from appliance.services import queue
from appliance.services.queue import Which
from mta.wire.messages import QueueTold
from mta.wire.netstring import unpack
from tests.mta.roles.scheduler._rig import Rig


class FakeQueue:
    """Empty until a test puts something in its `rig`."""

    def __init__(self) -> None:
        self._rig: Any = None
        self.orders: list[tuple[str, Which]] = []

    @property
    def rig(self) -> Any:
        """The queue, made when it is first looked at."""
        if self._rig is None:
            make: Any = Rig
            self._rig = make()
        return self._rig

    def order(self, what: str, which: Which, after: str, count: int) -> list[dict[str, str]]:
        rig = self.rig
        self.orders.append((what, which))
        message = queue.order_of(1, what, which, after, count)
        assert type(message).decode(_fields_of(message.encode())) == message, "it would not pass the wire"
        rig.hands.answers.clear()
        rig.queue.orders.take(message, rig.now)
        while rig.queue.orders:
            rig.queue.orders.step()
        rig.run()
        told: list[QueueTold] = list(rig.hands.answers)
        return [queue.understood(one) for one in told]


def _fields_of(packet: bytes) -> list[bytes]:
    return unpack(packet, max_fields=100)[1:]
