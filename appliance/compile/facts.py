"""What the ledger learned, applied to the database. Applying a fact twice does no harm.

    usage        octets in a mailbox: shown, and in no snapshot
    braked       when and why: the mailbox is marked, and what it queued waits
    dead-target  when an address at another host refused what was forwarded to it, and how: whoever forwards there sees it
    rehash       a better hash of a password, in place of exactly the one that it was made from
    shown        when a password was used to send, by the name of its hash: of an app password its owner sees the day

A reader would otherwise get wrong: a fact may be late. A password that was set and a brake that was released meanwhile win.
"""

import base64
import hashlib
import json
import time
from collections.abc import Iterable
from typing import Any

from appliance import audit_chain
from appliance.compile.source import Query
from mta.wire import messages as m

_OF = "FROM mailbox m JOIN domain d ON d.id = m.domain_id WHERE m.folded = ? AND d.name = ?"


def apply(query: Query, facts: Iterable[m.Fact]) -> bool:
    """Write them down; is anything to be published for it?"""
    is_news = False
    for fact in facts:
        folded, _, domain = fact.key.decode(errors="replace").rpartition("@")
        match fact.kind:
            case b"usage":
                _use(query, folded, domain, int(fact.value))
            case b"braked":
                is_news |= _brake(query, folded, domain, fact.value)
            case b"dead-target":
                _mark_target(query, fact.key.decode(errors="replace"), fact.value)
            case b"rehash":
                is_news |= _rehash(query, folded, domain, fact.value)
            case b"shown":
                _note_use(query, fact.key, fact.value)
            case _:
                continue  # Of a later ledger.
    return is_news


def _use(query: Query, folded: str, domain: str, used: int) -> None:
    statement = (
        "UPDATE mailbox SET used_bytes = ? WHERE used_bytes <> ? AND folded = ? "
        "AND domain_id = (SELECT id FROM domain WHERE name = ?)"
    )
    query.run(statement, (used, used, folded, domain))


def _mark_target(query: Query, target: str, value: bytes) -> None:
    at, _, words = value.decode(errors="replace").partition(" ")
    if at.isdigit():
        for table in ("forwarding_target", "alias_target"):
            statement = f"UPDATE {table} SET failed_at = ?, failure = ? WHERE address = ?"  # noqa: S608 - our own words
            query.run(statement, (int(at), words[:500], target))


def _note_use(query: Query, key: bytes, value: bytes) -> None:
    name, _, address = key.decode(errors="replace").partition(" ")
    folded, _, domain = address.rpartition("@")
    known = (
        "SELECT a.id, a.sealed_hash FROM app_password a JOIN mailbox m ON m.id = a.mailbox_id "
        "JOIN domain d ON d.id = m.domain_id WHERE m.folded = ? AND d.name = ?"
    )
    for number, sealed in list(query.rows(known, (folded, domain))):
        if name and hashlib.sha256(base64.b64decode(sealed)).hexdigest().startswith(name):
            query.run(
                "UPDATE app_password SET used_at = ? WHERE id = ? AND (used_at IS NULL OR used_at < ?)",
                (int(value), number, int(value)),
            )


def _brake(query: Query, folded: str, domain: str, value: bytes) -> bool:
    since, _, why = value.decode(errors="replace").partition(" ")
    row = next(query.rows(f"SELECT m.id, d.id, d.tenant_id {_OF}", (folded, domain)), None)
    if row is None or not since.isdigit() or since == "0":
        return False
    mailbox_id, domain_id, tenant_id = row
    known = next(query.rows("SELECT braked_at, released_at FROM sending WHERE mailbox_id = ?", (mailbox_id,)), None)
    if known is None:
        query.run(
            "INSERT INTO sending (mailbox_id, any_address, brake, brake_reason, released_at, created_at, version) "
            "VALUES (?, ?, ?, '', 0, ?, 1)",
            (mailbox_id, False, True, int(time.time())),
        )
    elif known[0] is not None or known[1] >= int(since):
        return False
    query.run(
        "UPDATE sending SET braked_at = ?, brake_reason = ?, version = version + 1 WHERE mailbox_id = ?",
        (int(since), why[:500], mailbox_id),
    )
    key = f"{folded}@{domain}"
    query.run("INSERT INTO change (kind, key) VALUES ('senders', ?)", (key,))
    record(query, "sending.braked", key, tenant_id, domain_id, {"why": why[:500]})
    return True


def record(
    query: Query, action: str, subject: str, tenant_id: int, domain_id: int | None, after: dict[str, Any]
) -> None:
    """As `appliance.services.audit.record`, for what the appliance does by itself."""
    end = next(query.rows("SELECT digest FROM audit_entry ORDER BY id DESC LIMIT 1"), (audit_chain.BEGINNING,))[0]
    entry = {
        "at": int(time.time()), "actor_kind": "operator", "actor": "postern", "action": action, "subject": subject,
        "tenant_id": tenant_id, "domain_id": domain_id, "after": after, "source": "",
    }  # fmt: skip
    values = {**entry, "after": json.dumps(after), "digest": audit_chain.link(end, entry)}
    columns, places = ", ".join(values), ", ".join("?" * len(values))
    query.run(f"INSERT INTO audit_entry ({columns}) VALUES ({places})", list(values.values()))  # noqa: S608 - our own words


def _rehash(query: Query, folded: str, domain: str, value: bytes) -> bool:
    was, _, better = value.decode(errors="replace").partition(" ")
    row = next(query.rows(f"SELECT m.id, m.sealed_hash {_OF}", (folded, domain)), None)
    if row is None or not row[1] or not better or hashlib.sha256(base64.b64decode(row[1])).hexdigest() != was:
        return False
    query.run("UPDATE mailbox SET sealed_hash = ? WHERE id = ?", (better, row[0]))
    query.run("INSERT INTO change (kind, key) VALUES ('password', ?)", (f"{folded}@{domain}",))
    return True
