"""What mailcow's API tells: the answers to get/domain/all, get/mailbox/all, get/alias/all and get/alias-domain/all.

A reader would otherwise get wrong: they may lie in one file or several, under any names; an entry is known by its members.
mailcow's API tells no password hashes; where an export has them (a column `password` of its database), they are taken.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import Invalid
from appliance.holdings import HeldAlias, HeldDomain, HeldMailbox, Holdings

MAX_FILE = 256 << 20


def read(path: Path) -> Holdings:
    """What stands in the file at *path*, or in all *.json files of that folder.

    Raises:
        Invalid: it is no JSON, or tells of no domain.
        OSError: it cannot be read.
    """
    found = Holdings()
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    entries = [entry for file in files for entry in _entries(_load(file))]
    domains = {}
    for entry in entries:
        if "domain_name" in entry:
            name = str(entry["domain_name"]).lower()
            domains[name] = HeldDomain(name, suspended=not _is_true(entry.get("active", 1)))
    for entry in entries:
        if "alias_domain" in entry and "target_domain" in entry:
            name = str(entry["alias_domain"]).lower()
            domains[name] = HeldDomain(name, alias_of=str(entry["target_domain"]).lower())
        elif "username" in entry and "domain" in entry:
            found.mailboxes.append(_mailbox(entry))
            domains.setdefault(str(entry["domain"]).lower(), HeldDomain(str(entry["domain"]).lower()))
    for entry in entries:
        if "goto" in entry and "address" in entry:
            _take_alias(found, domains, entry)
    if not domains:
        raise Invalid(f"{path} tells of no domain of mailcow", code="bad_import")
    found.domains = list(domains.values())
    return found


def _load(file: Path) -> Any:  # noqa: ANN401 - whatever JSON can say
    if file.stat().st_size > MAX_FILE:
        raise Invalid(f"{file} is larger than {MAX_FILE >> 20} MiB", code="bad_import")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file} is no JSON: {error}", code="bad_import") from error


def _entries(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - as above
    """Every object that is an entry, however lists and objects are nested around it (at most three deep)."""
    level = [value]
    for _ in range(3):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, list):
                inner += each
            elif isinstance(each, dict):
                if {"domain_name", "username", "goto", "alias_domain"} & each.keys():
                    yield each
                else:
                    inner += each.values()
        level = inner
    yield from (each for each in level if isinstance(each, dict))


def _mailbox(entry: dict[str, Any]) -> HeldMailbox:
    quota = str(entry.get("quota", 0))
    return HeldMailbox(
        str(entry["username"]), str(entry.get("password") or "") or None, int(quota) if quota.isdigit() else 0,
        " ".join(str(entry.get("name") or "").split())[:100], suspended=not _is_true(entry.get("active", 1)),
    )  # fmt: skip


def _take_alias(found: Holdings, domains: dict[str, HeldDomain], entry: dict[str, Any]) -> None:
    address = str(entry["address"]).strip()
    targets = [target.strip() for target in str(entry["goto"]).split(",") if target.strip()]
    boxes = {mailbox.address.lower() for mailbox in found.mailboxes}
    if address.lower() in boxes and [target.lower() for target in targets] == [address.lower()]:
        return  # mailcow has one of these for each mailbox.
    if not _is_true(entry.get("active", 1)):
        found.notes.append(f"{address}: an alias that was switched off is not taken along")
    elif any("@" not in target or target.endswith("@localhost") for target in targets):
        found.notes.append(f"{address}: it leads to {', '.join(targets)}, which is no address here")
    elif address.startswith("@"):
        domain = domains.get(address[1:].lower())
        if domain is not None and len(targets) == 1:
            domain.catch_all = targets[0]
        else:
            found.notes.append(f"{address}: a catch-all with several targets is not taken along")
    elif targets:
        found.aliases.append(HeldAlias(address, targets))


def _is_true(value: object) -> bool:
    return str(value).lower() in ("1", "true", "2")  # 2: may log in, and nothing is delivered by default
