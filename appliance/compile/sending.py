"""Who may write as whom, with which further secrets, and how much: rows to records.

A reader would otherwise get wrong: an address has a record of its senders only when somebody beside its owner may use it, or
when it looks like another's by a tag or a pattern and is a mailbox of its own. Then the record says that it is nobody else's.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence

from appliance.compile import collect
from appliance.compile.collect import AliasRow
from appliance.compile.source import Query, Row
from mta.snapshot import records
from mta.snapshot.records import pack_record
from mta.vocabulary import CUTTING

Record = tuple[bytes, bytes]
Changed = dict[bytes, bytes | None]
MAX_MEMBERS = 4000  # of one address; a record holds no more

_MAILBOX = (
    "SELECT m.folded, d.name, s.per_hour, s.per_day, s.brake, s.braked_at, s.released_at FROM sending s "
    "JOIN mailbox m ON m.id = s.mailbox_id JOIN domain d ON d.id = m.domain_id"
)
_APPS = (
    "SELECT m.folded, d.name, a.sealed_hash FROM app_password a "
    "JOIN mailbox m ON m.id = a.mailbox_id JOIN domain d ON d.id = m.domain_id"
)
_GRANTS = (
    "SELECT g.address, m.folded, d.name FROM sender_grant g "
    "JOIN mailbox m ON m.id = g.mailbox_id JOIN domain d ON d.id = m.domain_id"
)
# Mailboxes whose names could be another's by a tag ...
_TAGGED = (
    "SELECT m.folded, d.name FROM mailbox m JOIN domain d ON d.id = m.domain_id "
    "WHERE (m.folded LIKE ? OR (d.tag_separator = '-' AND m.folded LIKE ?))"
)
_WITH_A_TAG = ("%+%", "%-%")  # beside the statement: there a percent sign means something else to PostgreSQL's driver
# ... and by a pattern.
_FITTING = (
    "SELECT m.folded, d.name FROM pattern p JOIN mailbox m ON m.domain_id = p.domain_id "
    "AND substr(m.folded, 1, length(p.folded)) = p.folded JOIN domain d ON d.id = m.domain_id"
)


def of_mailboxes(query: Query) -> Iterator[Record]:
    """What each mailbox that differs from most may send, for the directory."""
    yield from map(_sending, query.rows(_MAILBOX))


def app_passwords(query: Query) -> Iterator[Record]:
    """Further secrets, for the authenticator."""
    found: dict[str, list[bytes]] = {}
    for folded, name, sealed in query.rows(_APPS + " ORDER BY a.id"):
        found.setdefault(f"{folded}@{name}", []).append(base64.b64decode(sealed))
    for key, several in found.items():
        yield records.APP_PASSWORDS + key.encode(), pack_record(records.AppPasswords(tuple(several)))


def senders(query: Query) -> Iterator[Record]:
    """Who may write as each address besides its owner, for the authenticator."""
    granted: dict[str, list[str]] = {}
    for address, folded, name in query.rows(_GRANTS):
        granted.setdefault(address, []).append(f"{folded}@{name}")
    for alias in collect.aliases(query):
        yield _senders(alias.key, [*alias.targets, *granted.pop(alias.key, ())])
    for folded, name in sorted({*query.rows(_TAGGED, _WITH_A_TAG), *query.rows(_FITTING)}):
        key = f"{folded}@{name}"
        yield _senders(key, granted.pop(key, []))
    for key, members in granted.items():
        yield _senders(key, members)


def changed(query: Query, keys: Iterable[str]) -> tuple[Changed, Changed]:
    """What stands now under these addresses, for the directory and for the authenticator."""
    directory: Changed = {}
    authenticator: Changed = {}
    for key in keys:
        folded, _, name = key.rpartition("@")
        own = (folded, name)
        where = " WHERE m.folded = ? AND d.name = ?"
        directory[records.SENDING + key.encode()] = None
        directory |= map(_sending, query.rows(_MAILBOX + where, own))
        sealed = tuple(base64.b64decode(row[2]) for row in query.rows(_APPS + where + " ORDER BY a.id", own))
        place = records.APP_PASSWORDS + key.encode()
        authenticator[place] = pack_record(records.AppPasswords(sealed)) if sealed else None
        members = [f"{row[1]}@{row[2]}" for row in query.rows(_GRANTS + " WHERE g.address = ?", (key,))]
        aliases = list(collect.aliases(query, name, [folded]))
        is_own = _is_its_own(query, own)
        authenticator[records.SENDERS + key.encode()] = None
        if members or aliases or is_own:
            authenticator |= [_senders(key, [*_targets(aliases), *members])]
    return directory, authenticator


def _is_its_own(query: Query, own: tuple[str, str]) -> bool:
    """Is it a mailbox, and could its name be another's by a tag or a pattern?"""
    if not any(sign in own[0] for sign in CUTTING.decode()):
        return False
    return any(query.rows(_TAGGED + " AND m.folded = ? AND d.name = ?", (*_WITH_A_TAG, *own))) or any(
        query.rows(_FITTING + " WHERE m.folded = ? AND d.name = ?", own)
    )


def _targets(aliases: Sequence[AliasRow]) -> list[str]:
    return [target for alias in aliases for target in alias.targets]


def _senders(key: str, members: Sequence[str]) -> Record:
    some = tuple(member.encode() for member in dict.fromkeys(members))[:MAX_MEMBERS]
    return records.SENDERS + key.encode(), pack_record(records.Senders(some))


def _sending(row: Row) -> Record:
    folded, name, per_hour, per_day, brake, braked_at, released_at = row
    record = records.Sending(
        -1 if per_hour is None else per_hour, -1 if per_day is None else per_day, bool(brake),
        braked=braked_at is not None, released=released_at,
    )  # fmt: skip
    return records.SENDING + f"{folded}@{name}".encode(), pack_record(record)
