"""What a dry run of the API adds to its answer: the member `dry_run`, with the addresses that would start or stop being accepted.

A reader would otherwise get wrong: the answer is otherwise the one that the change itself would get, with its status. Only a
change that would answer with nothing (204) answers 200 here, since an empty answer cannot show anything.
"""

import contextvars
import dataclasses
import json
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.database.engine import Engine
from appliance.database.session import Session, reading
from appliance.services import acceptance

MEMBER = "dry_run"


class Foreseen:
    """What the dry run that is under way would do, once it is known."""

    def __init__(self) -> None:
        self.effect: acceptance.Effect | None = None


_present: contextvars.ContextVar[Foreseen | None] = contextvars.ContextVar("foreseen", default=None)


def foresee(engine: Engine, session: Session, since: int) -> None:
    """Note what the changes of *session* after number *since* of the feed do; what there was before is read from *engine*."""
    foreseen = _present.get()
    if foreseen is None:
        return  # Of the panel or a command: nobody shows it.
    session.flush()
    touched = acceptance.touched_since(session, since)
    with reading(engine) as past:
        before, was_complete = acceptance.accepted(past, touched)
    after, is_complete = acceptance.accepted(session, touched)
    foreseen.effect = acceptance.effect(before, after, complete=was_complete and is_complete)


class ShowEffect:
    """Puts what was foreseen into the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] != "http" or MEMBER not in parse_qs(scope["query_string"].decode("latin-1")):
            await self._app(scope, receive, send)
            return
        foreseen = Foreseen()
        token = _present.set(foreseen)
        try:
            await self._app(scope, receive, _Rewriter(send, foreseen).send)
        finally:
            _present.reset(token)


class _Rewriter:
    """Holds an answer back until it is whole."""

    def __init__(self, send: Send, foreseen: Foreseen) -> None:
        self._send, self._foreseen = send, foreseen
        self._start: Message = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        if self._foreseen.effect is not None and self._start["status"] < 300:
            self._add(self._foreseen.effect)
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": bytes(self._body)})

    def _add(self, effect: acceptance.Effect) -> None:
        told = json.loads(self._body) if self._body else {}
        if not isinstance(told, dict):
            return
        told[MEMBER] = dataclasses.asdict(effect)
        self._body = bytearray(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())
        headers = MutableHeaders(scope=self._start)
        headers["Content-Length"], headers["Content-Type"] = str(len(self._body)), "application/json"
        if self._start["status"] == 204:
            self._start["status"] = 200
