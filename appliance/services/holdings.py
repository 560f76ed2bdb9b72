"""Takes in what others held, and gives out what a tenant holds.

A reader would otherwise get wrong: one thing that is refused refuses nothing else. What was made and what was not, and why, is
told of each; a preview is the same in a transaction that is taken back. Password hashes stay as they are, sealed: they are
checked as the other program would, and replaced when their owner next logs in (`mta.schemes`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from appliance.database.session import Session
from appliance.errors import Conflict, Refused
from appliance.holdings import HeldAlias, HeldDomain, HeldMailbox, Holdings
from appliance.models import Alias, Autoreply, Domain, Mailbox
from appliance.services import (
    addresses,
    aliases,
    autoreplies,
    domains,
    forwardings,
    mailboxes,
    many_mailboxes,
    patterns,
)
from appliance.services.actor import Actor
from appliance.services.many_mailboxes import NewMailbox
from appliance.services.paging import MAX_PAGE, Page
from appliance.services.passwords import Sealer

PIECE = 500  # mailboxes made at once


@dataclass(slots=True)
class Report:
    """How many were made, what was not and why, and what could not be taken along."""

    domains: int = 0
    mailboxes: int = 0
    without_password: int = 0  # of those: nobody can log in before somebody sets one
    aliases: int = 0
    forwardings: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def take_in(session: Session, held: Holdings, *, actor: Actor, sealer: Sealer, tenant_id: int | None = None) -> Report:
    """Make all of *held*, its domains those of *tenant_id* (the actor's own when not given)."""
    taking = _Taking(session, actor, sealer, tenant_id)
    taking.report.notes = list(held.notes)
    for domain in sorted(held.domains, key=lambda each: each.alias_of is not None):
        taking.domain(domain)
    for start in range(0, len(held.mailboxes), PIECE):
        taking.mailboxes(held.mailboxes[start : start + PIECE])
    taking.aliases(held.aliases)
    for mailbox in held.mailboxes:
        if mailbox.targets:
            taking.forwarding(mailbox)
    for mailbox in held.mailboxes:
        for pattern in mailbox.patterns:
            taking.pattern(mailbox, pattern)
    for domain in held.domains:
        if domain.catch_all:
            taking.catch_all(domain)
    for domain in held.domains:
        if domain.suspended:
            taking.attempt(domain.name, partial(domains.suspend, session, domain.name, actor=actor))
    return taking.report


class _Taking:
    """One import under way."""

    def __init__(self, session: Session, actor: Actor, sealer: Sealer, tenant_id: int | None) -> None:
        self._session, self._actor, self._sealer, self._tenant_id = session, actor, sealer, tenant_id
        self.report = Report()

    def attempt(self, what: str, act: Callable[[], object]) -> bool:
        """*act*, or nothing of it and a line that says why."""
        try:
            with self._session.begin_nested():
                act()
        except Refused as refusal:
            self.report.refused.append(f"{what}: {refusal.sentence}")
            return False
        return True

    def domain(self, held: HeldDomain) -> None:
        def make() -> None:
            domains.create(
                self._session, held.name, actor=self._actor, tenant_id=self._tenant_id, alias_of=held.alias_of
            )

        try:
            domains.get(self._session, held.name, actor=self._actor)
        except Refused:
            self.report.domains += self.attempt(held.name, make)

    def mailboxes(self, held: Sequence[HeldMailbox]) -> None:
        wanted = [NewMailbox(each.address, self._sealed(each), each.quota_bytes, each.display_name) for each in held]
        for each, outcome in zip(
            held, many_mailboxes.create_each(self._session, wanted, actor=self._actor), strict=True
        ):
            if isinstance(outcome, Refused):
                self.report.refused.append(f"{each.address}: {outcome.sentence}")
                each.targets, each.patterns = [], []  # They would become those of whoever has the address.
                continue
            self.report.mailboxes += 1
            self.report.without_password += outcome.sealed_hash is None
            if each.suspended:
                address = addresses.show(outcome.address)
                self.attempt(each.address, partial(mailboxes.suspend, self._session, address, actor=self._actor))

    def _sealed(self, held: HeldMailbox) -> str | None:
        if held.password_hash is None:
            return None
        try:
            return self._sealer.seal_hash(held.password_hash)
        except Refused as refusal:
            self.report.notes.append(f"{held.address}: its password is not taken along: {refusal.sentence}")
            return None

    def aliases(self, held: Sequence[HeldAlias]) -> None:
        """An alias may name another: so those that name what is not there yet are tried again as long as that helps."""
        waiting = list(held)
        while waiting:
            before, complaints, left = len(self.report.refused), len(waiting), []
            for each in waiting:
                if self.attempt(each.address, partial(self._make_alias, each)):
                    self.report.aliases += 1
                else:
                    left.append(each)
            if len(left) == complaints or not left:
                return
            del self.report.refused[before:]
            waiting = left

    def _make_alias(self, held: HeldAlias) -> None:
        aliases.create(self._session, held.address, held.targets, actor=self._actor)

    def forwarding(self, held: HeldMailbox) -> None:
        def put() -> None:
            forwardings.put(self._session, held.address, held.targets, actor=self._actor, keep_copy=held.keep_copy)

        self.report.forwardings += self.attempt(f"{held.address} forwards", put)

    def pattern(self, held: HeldMailbox, pattern: str) -> None:
        self.attempt(pattern, lambda: patterns.add(self._session, held.address, [pattern], actor=self._actor))

    def catch_all(self, held: HeldDomain) -> None:
        self.attempt(
            f"{held.name}: catch-all",
            lambda: domains.update(self._session, held.name, catch_all=held.catch_all, actor=self._actor),
        )


Document = dict[str, list[dict[str, Any]]]


def give_out(session: Session, *, actor: Actor, tenant_id: int | None = None, most: int | None = None) -> Document:
    """All domains of *tenant_id* and those in the actor's part, with what is in them, as `PUT /apply` takes it.

    Without passwords: what is kept of them is sealed, and nobody here can open it.

    Raises:
        Conflict: there are more than *most* of a kind.
    """
    document: Document = {"domains": [], "mailboxes": [], "aliases": []}
    for domain in _each(domains.list_domains, session, actor=actor, tenant_id=tenant_id):
        _add(session, document, domain, actor)
        if most is not None and any(len(things) > most for things in document.values()):
            raise Conflict(f"more than {most} of a kind: `postern export` writes any number", code="too_many")
    return document


def of_domain(session: Session, name: str, *, actor: Actor) -> Document:
    """As `give_out`, of the domain called *name* alone.

    Raises:
        NotFound: there is none in the actor's part.
    """
    document: Document = {"domains": [], "mailboxes": [], "aliases": []}
    _add(session, document, domains.get(session, name, actor=actor), actor)
    return document


def _add(session: Session, document: Document, domain: Domain, actor: Actor) -> None:
    document["domains"].append(_domain(domain))
    if domain.kind != "hosted":
        return
    inside = {"actor": actor, "domain": domain.name}
    found = _each(mailboxes.list_mailboxes, session, **inside)
    answering, given = autoreplies.of_domain(session, domain), patterns.of_domain(session, domain)
    document["mailboxes"] += [_mailbox(mailbox, answering.get(mailbox.id), given.get(mailbox.id)) for mailbox in found]
    document["aliases"] += map(_alias, _each(aliases.list_aliases, session, **inside))


def _each(list_page: Callable[..., Page[Any]], session: Session, **wanted: Any) -> Iterator[Any]:  # noqa: ANN401 - passed on
    cursor: str | None = None
    while True:
        page = list_page(session, limit=MAX_PAGE, cursor=cursor, **wanted)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def _domain(domain: Domain) -> dict[str, Any]:
    told: dict[str, Any] = {"name": domain.name}
    if domain.alias_of is not None:
        return told | {"alias_of": domain.alias_of.name}
    told |= {
        "validation": domain.validation, "greylist": domain.greylist, "dnsbl": domain.dnsbl, "batv": domain.batv,
        "language": domain.language, "tag_separator": domain.tag_separator,
    }  # fmt: skip
    if domain.kind == "relay":
        return told | {"next_hop": domain.next_hop, "source": domain.source, "source_settings": domain.source_settings}
    inside = {"local_only": domain.local_only} if domain.local_only else {}
    return told | inside | ({"catch_all": domain.catch_all} if domain.catch_all else {})


def _mailbox(mailbox: Mailbox, autoreply: Autoreply | None, given: list[str] | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "address": addresses.show(mailbox.address), "quota_bytes": mailbox.quota_bytes,
        "display_name": mailbox.display_name,
    }  # fmt: skip
    forwarding = mailbox.forwarding
    if forwarding is not None:
        told["forwarding"] = {
            "targets": list(forwarding.targets), "keep_copy": forwarding.keep_copy, "enabled": forwarding.enabled,
            **({"conditions": forwarding.conditions} if forwarding.conditions else {}),
        }  # fmt: skip
    if autoreply is not None:
        moments = {name: getattr(autoreply, name) for name in ("starts_at", "ends_at")}
        told["autoreply"] = (autoreplies.describe(autoreply) or {}) | {
            name: _written(moment) if moment is not None else None for name, moment in moments.items()
        }
    return told | ({"patterns": given} if given else {})


def _written(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _alias(alias: Alias) -> dict[str, Any]:
    ends = {"expires_at": _written(alias.expires_at)} if alias.expires_at else {}
    kept = {"open_to": alias.open_to} if alias.open_to != "everybody" else {}
    listed = {"listed": list(alias.listed)} if alias.listed else {}
    noted = {"note": alias.note} if alias.note else {}
    off = {} if alias.enabled else {"enabled": False}
    return {
        "address": addresses.show(alias.address),
        "targets": list(alias.targets),
        **ends,
        **kept,
        **listed,
        **noted,
        **off,
    }
