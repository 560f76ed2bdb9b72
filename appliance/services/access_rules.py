"""Access rules: whom the host, a domain or a mailbox lets in whatever lists say, and whom it keeps out.

A reader would otherwise get wrong: of the three lists the most special one that has something to say decides - the mailbox's,
then its domain's, then the host's - and within a list the first rule that fits. `allow` spares a sender DNS lists, greylisting
and the reverse name; it never makes an unknown recipient known.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, LimitReached, NotFound
from appliance.models import AccessRule, Domain, Mailbox, Tenant
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes, domains, mailboxes
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged, check_name

__all__ = ["MAX_RULES", "VERBS", "AccessRule", "add", "get", "list_rules", "parse_pattern", "remove", "update"]

VERBS = ("allow", "deny")
MAX_RULES = 1000  # in one list: the directory reads the whole of it at RCPT
_LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whose list it is."""

    domain: Domain | None = None
    mailbox: Mailbox | None = None

    @property
    def key(self) -> str:
        """As the change feed and the snapshot name it."""
        if self.mailbox is not None:
            return addresses.key_of(self.mailbox.address)
        return self.domain.name if self.domain is not None else ""

    @property
    def where(self) -> Sequence[ColumnElement[bool]]:
        """Its rows."""
        if self.mailbox is not None:
            return (AccessRule.mailbox_id == self.mailbox.id,)
        if self.domain is not None:
            return (AccessRule.domain_id == self.domain.id, AccessRule.mailbox_id.is_(None))
        return (AccessRule.domain_id.is_(None), AccessRule.mailbox_id.is_(None))


def list_rules(
    session: Session, *, actor: Actor, domain: str | None = None, mailbox: str | None = None
) -> list[AccessRule]:
    """The list of a mailbox, of a domain, or - with neither - of the host, as it is read: from the top.

    Raises:
        NotFound: the domain or mailbox is not the actor's; the host's list is the operator's.
    """
    return _rules(session, _scope(session, actor, "rule.see", domain, mailbox))


def get(
    session: Session, number: int, *, actor: Actor, domain: str | None = None, mailbox: str | None = None
) -> AccessRule:
    """One rule of the list, by its id.

    Raises:
        NotFound: it is not in the list, or the list is not the actor's.
    """
    return _of(session, _scope(session, actor, "rule.see", domain, mailbox), number)


def add(
    session: Session,
    verb: str,
    pattern: str,
    *,
    actor: Actor,
    domain: str | None = None,
    mailbox: str | None = None,
    position: int | None = None,
    note: str = "",
    expires_at: int | None = None,
) -> AccessRule:
    """A new rule; at *position* (1 is the top), or at the end. *expires_at* is seconds since 1970.

    Raises:
        Invalid: neither allow nor deny, a pattern that is none, a moment that has passed.
        LimitReached: the list is full.
        NotFound, Forbidden: the list is not the actor's.
    """
    scope = _scope(session, actor, "rule.set", domain, mailbox)
    rules = _rules(session, scope)
    if len(rules) >= MAX_RULES:
        raise LimitReached(f"a list has at most {MAX_RULES} rules", code="limit_rules")
    owner = scope.domain if scope.mailbox is None else scope.mailbox.domain
    rule = AccessRule(
        domain=owner, mailbox=scope.mailbox, verb=_verb(verb), pattern=parse_pattern(pattern), note=_note(note),
        expires_at=_moment(expires_at), position=len(rules) + 1,
    )  # fmt: skip
    session.add(rule)
    _place([*rules, rule], rule, position)
    session.flush()
    _tell(session, actor, "rule.added", scope, after=_describe(rule))
    return rule


def update(
    session: Session,
    number: int,
    *,
    actor: Actor,
    domain: str | None = None,
    mailbox: str | None = None,
    verb: str | None = None,
    pattern: str | None = None,
    position: int | None = None,
    note: str | None = None,
    expires_at: int | Unchanged | None = UNCHANGED,
) -> AccessRule:
    """Change what is given; an expires_at of None means for ever.

    Raises:
        Invalid: as `add`.
        NotFound, Forbidden: there is no such rule in a list of the actor's.
    """
    scope = _scope(session, actor, "rule.set", domain, mailbox)
    rule = _of(session, scope, number)
    before = _describe(rule)
    rule.verb = rule.verb if verb is None else _verb(verb)
    rule.pattern = rule.pattern if pattern is None else parse_pattern(pattern)
    rule.note = rule.note if note is None else _note(note)
    if not isinstance(expires_at, Unchanged):
        rule.expires_at = _moment(expires_at)
    if position is not None:
        _place(_rules(session, scope), rule, position)
    before, after = audit.difference(before, _describe(rule))
    if after:
        rule.version += 1
        session.flush()
        _tell(session, actor, "rule.changed", scope, before={"rule": rule.id, **before}, after=after)
    return rule


def remove(
    session: Session, number: int, *, actor: Actor, domain: str | None = None, mailbox: str | None = None
) -> None:
    """Take the rule out of its list; those below it move up.

    Raises:
        NotFound, Forbidden: there is no such rule in a list of the actor's.
    """
    scope = _scope(session, actor, "rule.set", domain, mailbox)
    rule = _of(session, scope, number)
    _tell(session, actor, "rule.removed", scope, before=_describe(rule))
    session.delete(rule)
    session.flush()
    _number(_rules(session, scope))


def parse_pattern(text: str) -> str:
    """A pattern as it is compared: a network, a whole sender address, a domain, or `.domain` for it and all below it.

    Raises:
        Invalid: it is none of these.
    """
    plain = text.strip()
    if "@" in plain:
        return addresses.key_of(addresses.parse_address(plain, "pattern"))
    if _is_network(plain):
        try:
            return str(ipaddress.ip_network(plain, strict=False))
        except ValueError as error:
            raise _bad_pattern(plain) from error
    try:
        return ("." if plain.startswith(".") else "") + addresses.parse_domain(plain.removeprefix("."), "pattern")
    except Invalid as error:
        raise _bad_pattern(plain) from error


def _is_network(text: str) -> bool:
    return ":" in text or "/" in text or (text != "" and text.replace(".", "").isdigit())


def _bad_pattern(text: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is neither a network such as 192.0.2.0/24, nor a sender address, nor a domain such as example.net "
        "or .example.net",
        code="bad_pattern",
        field="pattern",
    )


def _verb(text: str) -> str:
    if text not in VERBS:
        raise Invalid(f"a rule says {' or '.join(VERBS)}", field="verb")
    return text


def _note(text: str) -> str:
    return check_name(text, "note", _LONGEST_NOTE) if text.strip() else ""


def _moment(seconds: int | None) -> int | None:
    if seconds is not None and not now() < seconds < 1 << 40:
        raise Conflict("a rule can only expire in the future", code="bad_moment", field="expires_at")
    return seconds


def _place(rules: list[AccessRule], rule: AccessRule, position: int | None) -> None:
    """Put *rule* where it is wanted, and number all of them anew."""
    if position is not None:
        if position < 1:
            raise Invalid("positions are counted from 1, the top", field="position")
        rules.remove(rule)
        rules.insert(position - 1, rule)
    _number(rules)


def _number(rules: list[AccessRule]) -> None:
    for position, rule in enumerate(rules, 1):
        rule.position = position


def _rules(session: Session, scope: _Scope) -> list[AccessRule]:
    wanted: Select[AccessRule] = select(AccessRule).where(*scope.where)
    return list(session.scalars(wanted.order_by(AccessRule.position, AccessRule.id)).unique())


def _of(session: Session, scope: _Scope, number: int) -> AccessRule:
    rule = session.scalar(select(AccessRule).where(AccessRule.id == number, *scope.where))
    if rule is None:
        raise NotFound(f"there is no rule {number} in this list; host, domains and mailboxes have lists of their own")
    return rule


def _scope(session: Session, actor: Actor, action: str, domain: str | None, mailbox: str | None) -> _Scope:
    if mailbox is not None:
        return _Scope(mailbox=mailboxes.find(session, actor, action, mailbox))
    if domain is not None:
        return _Scope(domain=domains.find(session, actor, action, domain))
    authorisation.require_operator(actor, "list of the host's rules")
    return _Scope()


def _describe(rule: AccessRule) -> dict[str, Any]:
    return {
        "verb": rule.verb,
        "pattern": rule.pattern,
        "position": rule.position,
        "note": rule.note,
        "expires_at": rule.expires_at,
    }


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    scope: _Scope,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    domain = scope.domain if scope.mailbox is None else scope.mailbox.domain
    tenant_id = domain.tenant_id if domain is not None else _root(session)
    audit.record(
        session, actor, action, scope.key or addresses.host_name(session),
        tenant_id=tenant_id, domain_id=domain.id if domain is not None else None, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.RULES, scope.key)


def _root(session: Session) -> int:
    return session.scalar(select(func.min(Tenant.id)).where(Tenant.kind == "operator")) or 0
