"""How many requests a key may make, and the headers that tell it.

A reader would otherwise get wrong: each key has its own allowance, and the operator's keys ten times as much. It is counted in
memory, for it protects this process from a program that runs wild, and forgives at a restart.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.services.actor import Actor

WINDOW_SECONDS = 60
OPERATORS_SHARE = 10
MAX_TRACKED = 20_000  # keys; the one that asked longest ago is forgotten first
_STATE = "allowance"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands: in `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""

    quota: int
    remaining: int
    full_seconds: int  # until it has all of its quota again
    wait_seconds: float  # until one more is allowed; 0: this one was

    @property
    def headers(self) -> dict[str, str]:
        """As an answer carries them."""
        return {
            "RateLimit-Policy": f'"key";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"key";r={self.remaining};t={self.full_seconds}',
        }


class Allowance:
    """*per_minute* requests for each key, at once or spread (generic cell rate); 0: no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._due: OrderedDict[str, float] = OrderedDict()  # key -> when it has all of its quota again
        self._lock = threading.Lock()  # requests are served by several threads

    def take(self, actor: Actor) -> Standing | None:
        """Count one request of *actor*; None where nothing is counted."""
        if not self._per_minute:
            return None
        quota = self._per_minute * (OPERATORS_SHARE if actor.sees_everything else 1)
        interval = WINDOW_SECONDS / quota
        with self._lock:
            now = self._clock()
            due = max(self._due.get(actor.name, now), now) + interval
            late = due - now - WINDOW_SECONDS
            if late <= 1e-9:  # Sums of fractions: the last of a quota must not fail by a rounding.
                self._due[actor.name] = due
                self._due.move_to_end(actor.name)
                while len(self._due) > MAX_TRACKED:
                    self._due.popitem(last=False)
                return Standing(quota, round((WINDOW_SECONDS - (due - now)) // interval), math.ceil(due - now), 0.0)
            return Standing(quota, 0, math.ceil(due - interval - now), late)


def note(state: object, standing: Standing | None) -> None:
    """Have the answer to the request with this *state* tell how the key stands."""
    setattr(state, _STATE, standing)


class TellStanding:
    """Puts the headers on every answer to a key, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""

        async def send_with_headers(message: Message) -> None:
            standing: Standing | None = scope.get("state", {}).get(_STATE)
            if message["type"] == "http.response.start" and standing is not None:
                MutableHeaders(scope=message).update(standing.headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
