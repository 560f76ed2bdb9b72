"""Removals whose time is over: their rows go, and storekeeper is told that their mail may.

A reader would otherwise get wrong: a domain goes in two steps. First whatever a delivery on its way left there is put aside, too,
and dropped with the rest; when storekeeper has done that - no task of the removal is left - the name is free for somebody else.
How far it is stands in the rows alone, so a compiler that dies in between goes on where it was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.compile.facts import record
from appliance.compile.source import Query

AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Due:
    """A removal that something is to be done about."""

    id: int
    kind: str
    key: str
    tenant_id: int
    domain_id: int
    is_ending: bool

    @property
    def domain(self) -> str:
        """The name of the domain that it is, or is in."""
        return self.key.rpartition("@")[2]


def due(query: Query, now: int) -> Iterator[Due]:
    """Those whose time is over, and those of domains that are put away."""
    statement = (
        'SELECT id, kind, "key", tenant_id, domain_id, is_ending FROM removal r WHERE (until <= ? AND NOT is_ending) OR '
        "(is_ending AND NOT EXISTS (SELECT 1 FROM store_task t WHERE t.removal_id = r.id)) ORDER BY id LIMIT ?"
    )
    for id_, kind, key, tenant_id, domain_id, is_ending in query.rows(statement, (now, AT_ONCE)):
        yield Due(id_, kind, key, tenant_id, domain_id, bool(is_ending))


def end(query: Query, removals: Iterable[Due]) -> None:
    """The next step of each."""
    for removal in removals:
        now = next(query.rows("SELECT is_ending FROM removal WHERE id = ?", (removal.id,)), None)
        if now is None or bool(now[0]) != removal.is_ending:
            continue  # It was undone meanwhile, or its domain took it along.
        if removal.is_ending:
            _forget(query, removal.id)
            continue
        record(
            query, f"{removal.kind}.purged", removal.key, removal.tenant_id, removal.domain_id, {"removal": removal.id}
        )
        if removal.kind == "domain":
            _put_away(query, removal)
        else:
            _drop(query, removal.id, removal.kind, removal.domain)


def _put_away(query: Query, removal: Due) -> None:
    inside = query.rows("SELECT id, kind FROM removal WHERE domain_id = ? AND id <> ?", (removal.domain_id, removal.id))
    for number, kind in list(inside):
        _drop(query, number, kind, removal.key)
    for operation in ("keep", "drop"):
        _ask(query, operation, removal.key, removal.id)
    query.run("UPDATE removal SET is_ending = ? WHERE id = ?", (True, removal.id))


def _drop(query: Query, number: int, kind: str, domain: str) -> None:
    if kind != "alias":
        _ask(query, "drop", domain, number)
    _forget(query, number)


def _ask(query: Query, operation: str, domain: str, number: int) -> None:
    statement = "INSERT INTO store_task (op, domain, local_part, removal_id, until) VALUES (?, ?, '', ?, 0)"
    query.run(statement, (operation, domain, number))


def _forget(query: Query, number: int) -> None:
    query.run("DELETE FROM removed_rows WHERE removal_id = ?", (number,))
    query.run("DELETE FROM removal WHERE id = ?", (number,))
