"""Makes what domains' mail is signed with, where a domain has nothing yet: a new one, or one of before there was signing.

A reader would otherwise get wrong: to make a pair of keys takes 40 ms and more, and that is done outside any transaction, a
few at a time. Thousands of domains get theirs over minutes, while changes go on being published.
"""

import time
from collections.abc import Callable
from typing import Protocol

from appliance import signing_keys
from appliance.compile.source import Query
from appliance.signing_keys import NewKey
from mta.wire.loop import Loop

WORK_SECONDS = 0.1  # of making, between two looks for changes
REST_SECONDS = 0.1
LOOK_SECONDS = 30.0  # how long a domain may be overlooked whose making nobody told us of
AT_ONCE = 100


class Writer(Protocol):
    """What is needed of the compiler."""

    def read(self, act: Callable[[Query], None]) -> bool:
        """*act* on one state of the database; False when it is away."""

    def change(self, act: Callable[[Query], None]) -> bool:
        """*act* in a transaction of its own, and publish it; False when the database is away."""


class KeyMaker:
    """Works for the compiler *writer*; *signer* is the public key to which all are sealed."""

    def __init__(self, loop: Loop, writer: Writer, signer: bytes) -> None:
        self._loop, self._writer, self._signer = loop, writer, signer
        self._is_working = False
        self._seen = 0  # every domain up to this id has its keys; an id is never given twice

    def begin(self) -> None:
        """Look for domains without keys, now and ever after."""
        self._seen = 0
        self.look()
        self._loop.call_later(LOOK_SECONDS, self.begin)

    def look(self) -> None:
        """There may be a new domain."""
        if self._signer and not self._is_working:
            self._is_working = True
            self._loop.call_later(0.0, self._work)

    def _work(self) -> None:
        self._is_working = False
        lacking: list[tuple[int, str]] = []
        newest = [0]

        def find(query: Query) -> None:
            newest[0] = next(query.rows("SELECT max(id) FROM domain"))[0] or 0
            lacking.extend(_lacking(query, self._seen))

        if not self._writer.read(find):
            return
        if not lacking:
            self._seen = newest[0]
            return
        began, made = time.monotonic(), list[tuple[int, str, tuple[NewKey, ...]]]()
        for number, name in lacking:
            made.append((number, name, signing_keys.make(self._signer)))
            if time.monotonic() - began > WORK_SECONDS:
                break
        if self._writer.change(lambda query: _put(query, made)):
            self._is_working = True
            self._loop.call_later(REST_SECONDS, self._work)


def _lacking(query: Query, above: int) -> list[tuple[int, str]]:
    statement = (
        "SELECT d.id, d.name FROM domain d WHERE d.id > ? AND NOT EXISTS (SELECT 1 FROM dkim_key k WHERE k.domain_id = d.id) "
        "ORDER BY d.id DESC LIMIT ?"  # The newest first: somebody may be waiting for its records.
    )
    return [(number, name) for number, name in query.rows(statement, (above, AT_ONCE))]


def _put(query: Query, made: list[tuple[int, str, tuple[NewKey, ...]]]) -> None:
    moment = int(time.time())
    statement = (
        "INSERT INTO dkim_key (domain_id, selector, algorithm, public_key, sealed_key, state, changed_at, created_at, version) "
        "SELECT d.id, ?, ?, ?, ?, 'signing', ?, ?, 1 FROM domain d WHERE d.id = ? AND d.name = ?"
    )
    for number, name, keys in made:
        # Somebody may have made them meanwhile, or taken the domain away.
        if any(query.rows("SELECT 1 FROM dkim_key WHERE domain_id = ?", (number,))):
            continue
        for key in keys:
            selector = signing_keys.selector(key.algorithm, moment, ())
            values = (selector, key.algorithm, key.public_key, key.sealed_key, moment, moment, number, name)
            query.run(statement, values)
        query.run("INSERT INTO change (kind, key) VALUES ('signing', ?)", (name,))
