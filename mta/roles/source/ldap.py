"""Recipients in an LDAP directory: one connection to it, bound once, searches side by side (RFC 4511).

A reader would otherwise get wrong: an address is data, never part of the filter's text. It is escaped as RFC 4515 3 asks
before it stands where the operator wrote %s, so no local-part closes a bracket.
"""

import re
from collections.abc import Callable

import sansldap

from mta.record import dataclass, field
from mta.streams import Address, Stream
from mta.streams.secure import MakeTls, Secured
from mta.vocabulary import Word
from mta.wire.loop import Loop

MAX_ASKED = 200  # searches that wait; one that comes then is told to try later
MAX_UNREAD = 256 * 1024  # octets without a whole message: no entry without attributes is so long
SEARCH_SECONDS = 5  # asked of the server
PATIENCE_SECONDS = 6.0  # with everything that waits
IDLE_SECONDS = 60.0  # a connection without searches is kept open
NOBODYS_ATTRIBUTES = "1.1"  # RFC 4511 4.5.1.8: whether there is an entry is all we want

_SPECIAL = re.compile(r"[\\*()\x00]")
_DECIDED = frozenset({sansldap.LDAPResultCode.SUCCESS, sansldap.LDAPResultCode.SIZE_LIMIT_EXCEEDED})

Hear = Callable[[Word], None]
Locate = Callable[[Callable[[Address | None], None]], None]


@dataclass(frozen=True, slots=True)
class Login:
    """How to introduce ourselves; with an empty name, as nobody."""

    name: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: *filter* has one %s."""

    base: str
    filter: str

    def filter_for(self, address: bytes) -> sansldap.LDAPFilter:
        """The filter for an address key.

        Raises:
            ValueError: what the operator wrote is no filter.
        """
        escaped = _SPECIAL.sub(lambda found: f"\\{ord(found[0]):02x}", address.decode(errors="replace"))
        return sansldap.LDAPFilter.from_string(self.filter.replace("%s", escaped))


@dataclass(slots=True)
class _Asked:
    hear: Hear
    found: bool = False


class Directory:
    """One LDAP server."""

    def __init__(self, loop: Loop, locate: Locate, login: Login, search: Search, secure: MakeTls | None = None) -> None:
        """*locate* finds out where it listens. *secure*: TLS from the start, with what makes its client's side."""
        self._loop, self._locate, self._login, self._search = loop, locate, login, search
        self._make_secure = secure
        self._session = sansldap.LDAPClient()
        self._stream: Stream | Secured | None = None
        self._is_locating = self._is_bound = False
        self._waiting: list[tuple[bytes, Hear]] = []  # until we are bound
        self._searching: dict[int, _Asked] = {}  # by message id
        self._unread = 0
        self.trouble = ""
        self._steps = 0

    def ask(self, address: bytes, hear: Hear) -> None:
        """Is there an entry for *address* (an address key)?"""
        if len(self._waiting) + len(self._searching) >= MAX_ASKED:
            hear(Word.TRY_LATER)
        elif self._is_bound:
            self._begin(address, hear)
        else:
            self._waiting.append((address, hear))
            if self._stream is None and not self._is_locating:
                self._is_locating = True
                self._be_patient()
                self._locate(self._located)

    # --- the stream's words

    def close(self) -> None:
        """Nobody asks any more."""
        self._hang_up("")

    def opened(self) -> None:
        """What we say first waits there already."""

    def received(self, octets: bytes) -> None:
        """Answers."""
        self._unread += len(octets)
        try:
            messages = self._session.receive(octets)
        except (sansldap.LDAPError, ValueError, RuntimeError, IndexError, KeyError):
            self._hang_up("it speaks no LDAP")  # or something of it that nobody asked for
            return
        if messages:
            self._unread = 0
        for message in messages:
            self._heard(message)
        if self._unread > MAX_UNREAD:
            self._hang_up("it answers too much")

    def closed(self, why: str) -> None:
        """It hung up, or is not there."""
        self.trouble = why
        self._forget()

    # --- asking

    def _located(self, address: Address | None) -> None:
        self._is_locating = False
        if address is None:
            self.trouble = "its host has no address"
            self._forget()
            return
        self._session, self._unread = sansldap.LDAPClient(), 0
        if self._make_secure is None:
            self._stream = Stream(self._loop, address, self)
        else:
            self._stream = Secured(self._loop, address, self, self._make_secure)
        self._session.bind_simple(self._login.name, self._login.password)
        self._stream.send(self._session.data_to_send())

    def _begin(self, address: bytes, hear: Hear) -> None:
        stream = self._stream
        if stream is None:
            hear(Word.TRY_LATER)  # It was lost over a search before this one.
            return
        try:
            wanted = self._search.filter_for(address)
        except ValueError:
            self.trouble = "the filter is none"
            hear(Word.TRY_LATER)
            return
        number = self._session.search_request(
            self._search.base, size_limit=1, time_limit=SEARCH_SECONDS, types_only=True, filter=wanted,
            attributes=[NOBODYS_ATTRIBUTES],
        )  # fmt: skip
        self._searching[number] = _Asked(hear)
        if len(self._searching) == 1:
            self._be_patient()
        stream.send(self._session.data_to_send())

    # --- the server's words

    def _heard(self, message: sansldap.LDAPMessage) -> None:
        if isinstance(message, sansldap.BindResponse):
            self._bound(message.result.result_code is sansldap.LDAPResultCode.SUCCESS)
        elif isinstance(message, sansldap.SearchResultEntry):
            search = self._searching.get(message.message_id)
            if search is not None:
                search.found = True
        elif isinstance(message, sansldap.SearchResultDone):
            self._done(message)

    def _bound(self, is_bound: bool) -> None:
        if not is_bound:
            self._hang_up("it does not accept our name and password")
            return
        self._is_bound = True
        waiting, self._waiting = self._waiting, []
        for address, hear in waiting:
            self._begin(address, hear)

    def _done(self, message: sansldap.SearchResultDone) -> None:
        search = self._searching.pop(message.message_id, None)
        if search is None:
            return
        self._be_patient()
        if message.result.result_code in _DECIDED:
            search.hear(Word.ACCEPT if search.found else Word.UNKNOWN)
        else:
            self.trouble = f"it answers {message.result.result_code.name}"
            search.hear(Word.TRY_LATER)

    # --- time

    def _be_patient(self) -> None:
        self._steps += 1
        step = self._steps
        is_busy = bool(self._waiting or self._searching)
        self._loop.call_later(PATIENCE_SECONDS if is_busy else IDLE_SECONDS, lambda: self._too_late(step))

    def _too_late(self, step: int) -> None:
        if step == self._steps:
            self._hang_up("it does not answer in time")

    def _hang_up(self, why: str) -> None:
        self.trouble = why
        if self._stream is not None:
            self._stream.close()
        self._forget()

    def _forget(self) -> None:
        """The connection is over: who waits cannot be told."""
        self._stream, self._is_bound = None, False
        waiting = [hear for _, hear in self._waiting] + [search.hear for search in self._searching.values()]
        self._waiting, self._searching = [], {}
        for hear in waiting:
            hear(Word.TRY_LATER)
