"""A PostfixAdmin database: its SQLite file, or a dump of it as text.

A reader would otherwise get wrong: each of its mailboxes has an alias of the same address, and that is where mail goes. It names
the mailbox itself (a copy is kept) or does not; what else it names is a forwarding. `@domain` is the domain's catch-all.
"""

import re
import sqlite3
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote

from appliance.errors import Invalid
from appliance.holdings import HeldAlias, HeldDomain, HeldMailbox, Holdings
from appliance.sources import dump
from appliance.sources.dump import Row

TABLES = ("domain", "alias_domain", "mailbox", "alias")
_SQLITE = b"SQLite format 3\0"
_MD5_HEX = re.compile(r"[0-9a-f]{32}\Z")
_VACATION = re.compile(r"#[^@]*@autoreply\.")


def read(path: Path) -> Holdings:
    """What stands in the database or dump at *path*.

    Raises:
        Invalid: it is neither, or not one of PostfixAdmin.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        is_file = file.read(len(_SQLITE)) == _SQLITE
    try:
        tables = _of_file(path) if is_file else _of_dump(path)
    except (sqlite3.Error, dump.DumpError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}", code="bad_import") from error
    if not tables["domain"]:
        raise Invalid(f"{path} is no database of PostfixAdmin: there is no table domain in it", code="bad_import")
    return _holdings(tables)


def _of_file(path: Path) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    try:
        present = {name.lower() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in present.intersection(TABLES):
            cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own words
            names = [column[0].lower() for column in cursor.description]
            for row in cursor:
                found[table].append(
                    {name: None if cell is None else str(cell) for name, cell in zip(names, row, strict=True)}
                )
    finally:
        database.close()
    return found


def _of_dump(path: Path) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for table, row in dump.rows(path.read_text(encoding="utf-8"), TABLES):
        found[table].append(row)
    return found


def _holdings(tables: dict[str, list[Row]]) -> Holdings:
    found = Holdings()
    domains: dict[str, HeldDomain] = {}
    for row in tables["domain"]:
        name = (row["domain"] or "").lower()
        if name == "all" or not name:
            continue  # PostfixAdmin's own name for everything.
        if _is_true(row.get("backupmx")):
            found.notes.append(f"{name}: only relayed there; make it here with its next hop")
            continue
        domains[name] = HeldDomain(name, suspended=not _is_active(row))
    for row in tables["alias_domain"]:
        name, target = (row["alias_domain"] or "").lower(), (row["target_domain"] or "").lower()
        if _is_active(row):
            domains[name] = HeldDomain(name, alias_of=target)  # It stands among the domains too.
    mailboxes = {mailbox.address.lower(): mailbox for mailbox in map(_mailbox, tables["mailbox"])}
    for row in tables["alias"]:
        _take_alias(found, domains, mailboxes, row)
    found.domains, found.mailboxes = list(domains.values()), list(mailboxes.values())
    return found


def _mailbox(row: Row) -> HeldMailbox:
    quota = row.get("quota") or "0"
    return HeldMailbox(
        row["username"] or "",
        password_hash=_hash(row.get("password") or ""),
        quota_bytes=int(quota) if quota.isascii() and quota.isdigit() else 0,
        display_name=" ".join((row.get("name") or "").split())[:100],
        suspended=not _is_active(row),
    )


def _take_alias(found: Holdings, domains: dict[str, HeldDomain], mailboxes: dict[str, HeldMailbox], row: Row) -> None:
    address = (row["address"] or "").strip()
    targets = [target.strip() for target in (row["goto"] or "").split(",") if target.strip()]
    gone = [target for target in targets if _VACATION.search(target)]
    if gone:
        found.notes.append(f"{address}: its vacation reply is not taken along")
    targets = [target for target in targets if target not in gone]
    if not _is_active(row):
        found.notes.append(f"{address}: an alias that was switched off is not taken along")
    elif address.startswith("@"):
        _take_catch_all(found, domains, address[1:].lower(), targets)
    elif (mailbox := mailboxes.get(address.lower())) is not None:
        own = [target for target in targets if target.lower() == address.lower()]
        mailbox.targets = [target for target in targets if target not in own]
        mailbox.keep_copy = bool(own) or not mailbox.targets
    elif targets:
        found.aliases.append(HeldAlias(address, targets))


def _take_catch_all(found: Holdings, domains: dict[str, HeldDomain], name: str, targets: list[str]) -> None:
    domain = domains.get(name)
    if domain is None or domain.alias_of is not None:
        return
    if len(targets) == 1 and not targets[0].startswith("@"):
        domain.catch_all = targets[0]
    elif len(targets) == 1 and targets[0].lower() != f"@{name}":
        domain.alias_of = targets[0][1:].lower()  # How it was written before there was a table for it.
    elif targets:
        found.notes.append(f"{name}: a catch-all with several targets; make an alias for them, and let it be that")


def _hash(text: str) -> str | None:
    text = text.strip()
    return f"{{PLAIN-MD5}}{text}" if _MD5_HEX.match(text) else text or None


def _is_active(row: Row) -> bool:
    return _is_true(row.get("active", "1"))


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("1", "t", "true", "y", "yes")
