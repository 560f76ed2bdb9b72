"""What would become of mail for an address, as the database has it: is it taken, why, and where does it go on to?

A reader would otherwise get wrong: this is not the SMTP port's own word, which `services.explain` has: clients, rules, quotas and
greylisting are no part of it. It is what the port will say, by those, a second after the last change; and it can be asked for
where no snapshot can be read.
"""

from dataclasses import dataclass, field

from appliance.database.session import Session
from appliance.models import Alias, Domain, Mailbox
from appliance.services import acceptance, addresses, authorisation
from appliance.services.actor import Actor

MAX_STEPS = 200
_OPEN_TO = {
    "domain": "people of its domain", "tenant": "people of its tenant", "members": "its members", "listed": "whom it lists",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at, and what came of it."""

    what: str
    outcome: str


@dataclass(slots=True)
class Foretold:
    """The whole answer. *recipients*: the ends of the way, mailboxes here and addresses elsewhere."""

    address: str
    accepted: bool
    steps: list[Step] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)


def foretell(session: Session, address: str, *, actor: Actor) -> Foretold:
    """What would become of mail for *address*, in a domain that the actor sees.

    Raises:
        Invalid: not an address.
        NotFound: its domain is not the actor's.
    """
    parsed = addresses.parse_address(address, "to")
    domain = addresses.domain_named(session, parsed.domain)
    authorisation.require(session, actor, "domain.see", domain, f"domain {parsed.domain}")
    key = addresses.key_of(parsed)
    told = Foretold(key, acceptance.is_accepted(session, key))
    real = (domain.alias_of or domain) if domain is not None else None
    if real is not None and real.local_only:
        told.steps.append(Step(real.name, f"takes mail from inside alone ({real.local_only})"))
    waiting, seen = [key], {key}
    while waiting and len(told.steps) < MAX_STEPS:
        present = waiting.pop(0)
        onwards = _step(session, actor, told, present)
        waiting += [further for further in onwards if further not in seen]
        seen.update(onwards)
    return told


def _step(session: Session, actor: Actor, told: Foretold, key: str) -> list[str]:
    """Look at *key*; answers where it leads to."""
    folded, name = addresses.split_key(key)
    domain = addresses.domain_named(session, name)
    if domain is None or not authorisation.allows(session, actor, "domain.see", domain):
        told.steps.append(Step(key, "leaves for where it is looked after"))
        told.recipients.append(key)
        return []
    trouble = _trouble(session, domain)
    if trouble:
        told.steps.append(Step(key, trouble))
        return []
    onwards = addresses.next_of(session, key)
    holder = addresses.holder_of(session, domain, folded) if domain.kind == "hosted" else None
    if onwards is None:
        is_off = isinstance(holder, Alias) and not holder.enabled
        told.steps.append(Step(key, "an alias, switched off" if is_off else "nobody answers for it"))
        return []
    if isinstance(holder, Mailbox):
        return _mailbox(told, key, holder, onwards)
    if domain.kind == "relay":
        told.steps.append(Step(key, f"is relayed to {domain.next_hop}"))
        told.recipients.append(key)
        return []
    what = "an alias of" if holder is not None else "another name for" if domain.alias_of is not None else "leads to"
    pattern = addresses.pattern_of(session, domain, folded) if what == "leads to" else None
    if pattern is not None and onwards == [addresses.key_of(pattern.mailbox.address)]:
        what = f"fits the pattern {pattern.text} of"
    if isinstance(holder, Alias) and holder.open_to != "everybody":
        what = f"open to {_OPEN_TO[holder.open_to]} alone, {what}"
    told.steps.append(Step(key, f"{what} {', '.join(onwards)}"))
    return onwards


def _mailbox(told: Foretold, key: str, mailbox: Mailbox, onwards: list[str]) -> list[str]:
    if mailbox.receiving_held:
        told.steps.append(Step(key, "a mailbox, suspended"))
        return []
    keeps = not onwards or (mailbox.forwarding is not None and mailbox.forwarding.keep_copy)
    if keeps:
        told.recipients.append(key)
    forwards = f"forwards to {', '.join(onwards)}" if onwards else ""
    told.steps.append(Step(key, ", ".join(filter(None, ("a mailbox", "keeps it" if keeps else "", forwards)))))
    return onwards


def _trouble(session: Session, domain: Domain) -> str:
    if domain.proved_at is None:
        return "its domain is not proved to be its tenant's yet"
    if domain.receiving_held or not authorisation.may_receive(session, domain.tenant_id):
        return "its domain, or a tenant above it, is suspended"
    return ""
