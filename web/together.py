"""Several requests in one transaction: what a batch, or a job, hands to the endpoints in place of the wiring.

A reader would otherwise get wrong: the endpoints do not know. They ask their wiring for a transaction, and get a part of the one
that is under way; what one of them refuses is taken back alone.
"""

import contextvars
import http
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.types import ASGIApp, Message, Scope

from appliance.database.session import Session, part_of_work
from appliance.errors import DatabaseUnavailable
from appliance.services.actor import Actor
from web.wiring import Wiring

API = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedWiring(Wiring):
    """The wiring, over a transaction that somebody else ends."""

    session: Session

    @classmethod
    def over(cls, wiring: Wiring, session: Session) -> "SharedWiring":
        """*wiring*, with everything done in *session*."""
        return cls(**{field.name: getattr(wiring, field.name) for field in fields(Wiring)}, session=session)

    @contextmanager
    def changing(self, *, dry_run: bool = False) -> Iterator[Session]:
        """As `Wiring.changing`, but that whoever began it commits, and pokes the compiler."""
        with part_of_work(self.session, dry_run=dry_run):
            yield self.session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """As `Wiring.reading`; it sees what was changed before it."""
        yield self.session


@dataclass(frozen=True, slots=True)
class Inside:
    """Who acts in the transaction that is under way, and with what."""

    actor: Actor
    wiring: SharedWiring


_present: contextvars.ContextVar[Inside | None] = contextvars.ContextVar("inside", default=None)


def inside() -> Inside | None:
    """What an endpoint is called inside of; None for an ordinary request."""
    return _present.get()


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of several. *path* is below /api/v1, with or without that."""

    method: str
    path: str
    body: Any = None
    if_match: str | None = None
    sealed: str | None = (
        None  # of a new mailbox in a job: its password's hash, which nobody but the authenticator can read
    )

    @property
    def place(self) -> str:
        """The path below /api/v1, without its query, and decoded."""
        return unquote(urlsplit(self.path).path.removeprefix(API))


@dataclass(frozen=True, slots=True)
class Result:
    """What it was answered with."""

    status: int
    body: Any


class Endpoints:
    """Calls *app* for one operation after another."""

    def __init__(self, app: ASGIApp, within: Inside) -> None:
        self._app, self._within = app, within

    async def call(self, operation: Operation) -> Result:
        """What the API answers to *operation*.

        Raises:
            DatabaseUnavailable: nothing of the whole transaction will stand.
        """
        token = _present.set(self._within)
        try:
            answer = _Answer(operation)
            await self._app(_scope(operation), answer.receive, answer.send)
        finally:
            _present.reset(token)
        result = answer.result
        if result.status == http.HTTPStatus.SERVICE_UNAVAILABLE and result.body["code"] == "database_unavailable":
            raise DatabaseUnavailable(result.body["detail"])
        return result


class _Answer:
    """Both ends of one request."""

    def __init__(self, operation: Operation) -> None:
        self._content = b"" if operation.body is None else json.dumps(operation.body).encode()
        self._octets = bytearray()
        self._is_json = False
        self._status = int(http.HTTPStatus.INTERNAL_SERVER_ERROR)

    async def receive(self) -> Message:
        """ASGI's receive."""
        content, self._content = self._content, b""
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._is_json = any(b"json" in value for name, value in message["headers"] if name == b"content-type")
        else:
            self._octets += message.get("body", b"")

    @property
    def result(self) -> Result:
        """What was answered."""
        return Result(self._status, json.loads(self._octets) if self._octets and self._is_json else None)


def _scope(operation: Operation) -> Scope:
    headers = [(b"content-type", b"application/json")] if operation.body is not None else []
    if operation.if_match is not None:
        headers.append((b"if-match", operation.if_match.encode("latin-1", "replace")))
    query = urlsplit(operation.path).query
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": operation.method, "scheme": "http",
        "path": API + operation.place, "raw_path": quote(API + operation.place).encode(),
        "query_string": query.encode("latin-1", "replace"), "root_path": "", "headers": headers, "client": None,
        "server": None, "state": {},
    }  # fmt: skip
