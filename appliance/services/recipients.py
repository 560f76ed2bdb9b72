"""The uploaded list of a relayed domain's recipients.

A reader would otherwise get wrong: a list is read to its end *before* the transaction begins (`read_list`). An upload may be
slow, and while the write lock is held nobody else changes anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, insert, literal, select
from sqlalchemy.schema import Column, CreateTable, DropTable, MetaData
from sqlalchemy.types import String

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, LimitReached
from appliance.models import Change, Domain, RelayRecipient
from appliance.services import addresses, audit, changes, domains
from appliance.services.actor import Actor
from appliance.services.paging import Page, page_along
from mta.vocabulary import fold_local_part

__all__ = [
    "MAX_LISTED",
    "MAX_UPLOADED",
    "ListReader",
    "Mode",
    "RelayRecipient",
    "Trial",
    "Upload",
    "apply",
    "count",
    "list_recipients",
    "read_list",
    "try_one",
]

MAX_UPLOADED = 200_000  # addresses in one request
MAX_LISTED = 1_000_000  # of one domain
_MOST_FAULTS = 20
_CHUNK = 5_000

Mode = Literal["replace", "add", "remove"]
_UPLOAD = Table("uploaded_recipient", MetaData(), Column("folded", String, primary_key=True), prefixes=["TEMPORARY"])


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload did, or in a dry run would do."""

    added: int
    removed: int
    total: int  # recipients of the domain afterwards


@dataclass(frozen=True, slots=True)
class Trial:
    """What our own list, or its absence, says of a recipient."""

    address: str  # as compared
    source: str  # who knows the domain's recipients
    word: str  # accept, unknown; empty: who knows is to be asked


class ListReader:
    """Takes the lines of a list as they arrive; an address a line, or its local-part alone."""

    def __init__(self, domain: str) -> None:
        self._domain = addresses.parse_domain(domain)
        self._folded: dict[str, None] = {}
        self._faults: list[str] = []
        self._line = 0

    def take(self, line: str) -> None:
        """One more line.

        Raises:
            Invalid: there are too many addresses, or too many that are none.
        """
        self._line += 1
        text = line.strip()
        if not text:
            return
        try:
            self._folded[self._fold(text)] = None
        except Invalid as fault:
            self._faults.append(f"line {self._line}: {fault.sentence}")
            if len(self._faults) >= _MOST_FAULTS:
                self.finish()
        if len(self._folded) > MAX_UPLOADED:
            raise Invalid(
                f"at most {MAX_UPLOADED} addresses in one request: add the others in a second one",
                code="too_many_recipients",
                field="recipients",
            )

    def _fold(self, text: str) -> str:
        local_part, at, domain = text.rpartition("@")
        if not at:
            return fold_local_part(addresses.parse_address(f"{text}@{self._domain}", "recipients").local_part)
        if local_part.isalnum() and local_part.isascii() and domain.lower() == self._domain and len(local_part) <= 64:
            return local_part.lower()  # what nearly all lines are; the whole of the grammar costs ten times as much
        address = addresses.parse_address(text, "recipients")
        if address.domain != self._domain:
            raise Invalid(f"{text[:80]!r} is not an address of {self._domain}", field="recipients")
        return fold_local_part(address.local_part)

    def finish(self) -> list[str]:
        """The folded local-parts, each once.

        Raises:
            Invalid: some lines are no addresses of the domain; the sentence names the first of them.
        """
        if self._faults:
            raise Invalid("; ".join(self._faults), code="bad_recipients", field="recipients")
        return list(self._folded)


def read_list(domain: str, lines: Iterable[str]) -> list[str]:
    """The folded local-parts in *lines*, addresses of *domain*.

    Raises:
        Invalid: as `ListReader`.
    """
    reader = ListReader(domain)
    for line in lines:
        reader.take(line)
    return reader.finish()


def apply(session: Session, name: str, folded: list[str], mode: Mode, *, actor: Actor) -> Upload:
    """Make the list of the domain *name* these recipients, add them to it or take them out; all of them or none.

    Raises:
        Conflict: it is not a relayed domain whose source is a list.
        LimitReached: the list would be too long.
        NotFound, Forbidden: the domain is not the actor's.
    """
    domain = domains.find(session, actor, "recipient.set", name)
    if domain.kind != "relay" or domain.source != "list":
        raise Conflict(f"{domain.name} is not a relayed domain with a list of recipients", code="no_list")
    connection = session.connection()
    session.flush()
    # Not taken away where something fails: the transaction then takes it back, and on some servers allows nothing else.
    connection.execute(CreateTable(_UPLOAD))
    for start in range(0, len(folded), _CHUNK):
        connection.execute(insert(_UPLOAD), [{"folded": part} for part in folded[start : start + _CHUNK]])
    removed = 0 if mode == "add" else _remove(connection, domain, named=mode == "remove")
    left = count(session, domain)
    if mode != "remove":
        _add(connection, domain)
    connection.execute(DropTable(_UPLOAD))
    total = count(session, domain)
    if total > MAX_LISTED:
        raise LimitReached(f"a list has at most {MAX_LISTED} recipients", code="limit_recipients")
    upload = Upload(total - left, removed, total)
    if upload.added or removed:
        domain.version += 1
        _tell(session, actor, domain, mode, upload)
    return upload


def try_one(session: Session, name: str, address: str | None, *, actor: Actor) -> Trial:
    """What would be said of *address* of the relayed domain *name*; without one, of its postmaster.

    Raises:
        Invalid: it is no address of the domain.
        Conflict: the domain is not relayed, or nobody proved whose it is, so that nothing is said.
        NotFound, Forbidden: the domain is not the actor's.
    """
    domain = domains.find(session, actor, "recipient.set", name)
    if domain.kind != "relay":
        raise Conflict(f"{domain.name} is not a relayed domain", code="not_relayed")
    if domain.proved_at is None:
        raise Conflict(f"nobody has proved whose {domain.name} is", code="not_proved")
    (folded,) = read_list(domain.name, [address or "postmaster"]) or [""]
    if not folded:
        raise Invalid("name an address of the domain", field="address")
    key, word = f"{folded}@{domain.name}", ""
    if domain.source == "" or (folded in addresses.ROLE_ADDRESSES and domain.source == "list"):
        word = "accept"
    elif domain.source == "list":
        word = "unknown" if addresses.next_of(session, key) is None else "accept"
    return Trial(key, domain.source, word)


def list_recipients(
    session: Session, name: str, *, actor: Actor, search: str = "", limit: int = 50, cursor: str | None = None
) -> Page[RelayRecipient]:
    """The list of the domain *name* in the order of local-parts; with *search* in them.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: the domain is not the actor's.
    """
    domain = domains.find(session, actor, "recipient.see", name)
    wanted = select(RelayRecipient).where(RelayRecipient.domain_id == domain.id)
    if search:
        folded = fold_local_part(search.strip().partition("@")[0])
        wanted = wanted.where(RelayRecipient.folded.contains(folded, autoescape=True))
    return page_along(session, wanted, RelayRecipient.folded, limit, cursor)


def count(session: Session, domain: Domain) -> int:
    """How many recipients the list of *domain* has."""
    counted = select(func.count()).select_from(RelayRecipient).where(RelayRecipient.domain_id == domain.id)
    return session.scalar(counted) or 0


def _remove(connection: Connection, domain: Domain, *, named: bool) -> int:
    """Take out those that the upload names, or (not *named*) those that it does not."""
    uploaded = select(_UPLOAD.c.folded)
    is_there = RelayRecipient.folded.in_(uploaded)
    mine: tuple[ColumnElement[bool], ...] = (
        RelayRecipient.domain_id == domain.id, is_there if named else RelayRecipient.folded.not_in(uploaded),
    )  # fmt: skip
    _announce(connection, domain, select(RelayRecipient.folded).where(*mine))
    return connection.execute(delete(RelayRecipient).where(*mine)).rowcount


def _add(connection: Connection, domain: Domain) -> None:
    """Put in those of the upload that are not there yet."""
    present = select(RelayRecipient.folded).where(RelayRecipient.domain_id == domain.id)
    new = select(_UPLOAD.c.folded).where(_UPLOAD.c.folded.not_in(present))
    _announce(connection, domain, new)
    parts = new.subquery()
    rows = select(literal(domain.id), parts.c.folded)
    # Not every driver says how many rows such a statement made.
    connection.execute(insert(RelayRecipient).from_select(["domain_id", "folded"], rows))


def _announce(connection: Connection, domain: Domain, parts: Select[str]) -> None:
    """One change for each; one statement, however many there are."""
    chosen = parts.subquery()
    keys = select(literal(changes.ADDRESS), chosen.c[0] + f"@{domain.name}")
    connection.execute(insert(Change).from_select(["kind", "key"], keys))


def _tell(session: Session, actor: Actor, domain: Domain, mode: Mode, upload: Upload) -> None:
    after: dict[str, Any] = {"added": upload.added, "removed": upload.removed, "total": upload.total}
    audit.record(
        session, actor, f"recipients.{_DONE[mode]}", domain.name,
        tenant_id=domain.tenant_id, domain_id=domain.id, after=after,
    )  # fmt: skip


_DONE = {"replace": "replaced", "add": "added", "remove": "removed"}
