"""What a domain's mail is signed with: which keys there are, which of them sign, and how the next ones take over.

A reader would otherwise get wrong: keys are exchanged in two steps, and days may lie between them. New ones are made and
shown; when their records can be read in DNS, they begin to sign, and the former ones' records stay for as long as mail that
those signed is on its way. A domain's first keys sign at once: without a record their signature says nothing, and harms
nothing.
"""

from collections.abc import Sequence

from sqlalchemy import delete, select

from appliance import signing_keys
from appliance.database.session import Session
from appliance.errors import Conflict
from appliance.models import DkimKey, Domain
from appliance.models.base import now
from appliance.services import audit, changes, domains
from appliance.services.actor import Actor
from appliance.signing_keys import NewKey

__all__ = [
    "KEPT_DAYS",
    "NEXT",
    "RETIRED",
    "SIGNING",
    "DkimKey",
    "finish",
    "keys_of",
    "record",
    "record_name",
    "rotate",
    "zone_line",
]

NEXT, SIGNING, RETIRED = "next", "signing", "retired"
KEPT_DAYS = 14  # how long a signature is good (x=): so long the record of a key that signs no more is still read


def keys_of(session: Session, name: str, *, actor: Actor) -> list[DkimKey]:
    """The keys of the domain called *name*, the oldest first; none in the first moments of its life.

    Raises:
        Invalid, NotFound: as `domains.get`.
    """
    return _keys(session, domains.get(session, name, actor=actor))


def rotate(session: Session, name: str, new: Sequence[NewKey], *, actor: Actor) -> list[DkimKey]:
    """Put *new* beside the keys that sign, to be published; where nothing signs yet, they do at once. All keys, then.

    Raises:
        Conflict: others wait for that already.
        Invalid, NotFound, Forbidden: the domain is not the actor's to change.
    """
    domain = domains.find(session, actor, "domain.update", name)
    present = _keys(session, domain)
    if any(key.state == NEXT for key in present):
        raise Conflict(f"the next keys of {domain.name} are made already: publish them, and finish", code="dkim_next")
    _forget_retired(session, domain)
    state = NEXT if any(key.state == SIGNING for key in present) else SIGNING
    taken, moment = {key.selector for key in present}, now()
    for key in new:
        selector = signing_keys.selector(key.algorithm, moment, taken)
        session.add(
            DkimKey(
                domain=domain, selector=selector, algorithm=key.algorithm, public_key=key.public_key,
                sealed_key=key.sealed_key, state=state,
            )
        )  # fmt: skip
    session.flush()
    _tell(session, actor, "dkim.made", domain)
    return _keys(session, domain)


def finish(session: Session, name: str, *, actor: Actor) -> list[DkimKey]:
    """Sign with the next keys from now on, and never again with those before. All keys, then.

    Raises:
        Conflict: there are no next ones.
        Invalid, NotFound, Forbidden: the domain is not the actor's to change.
    """
    domain = domains.find(session, actor, "domain.update", name)
    keys = _keys(session, domain)
    if not any(key.state == NEXT for key in keys):
        raise Conflict(f"{domain.name} has no keys that wait: rotate first", code="dkim_no_next")
    for key in keys:
        if key.state == SIGNING:
            key.state, key.sealed_key, key.changed_at = RETIRED, "", now()
        elif key.state == NEXT:
            key.state, key.changed_at = SIGNING, now()
        key.version += 1
    session.flush()
    _tell(session, actor, "dkim.rotated", domain)
    return _keys(session, domain)


def record_name(key: DkimKey) -> str:
    """Under which name its TXT record stands."""
    return signing_keys.record_name(key.selector, key.domain.name)


def record(key: DkimKey) -> str:
    """What its TXT record says."""
    return signing_keys.record(key.algorithm, key.public_key)


def zone_line(key: DkimKey) -> str:
    """Its TXT record as a line of a zone file."""
    return signing_keys.zone_line(record_name(key), record(key))


def _keys(session: Session, domain: Domain) -> list[DkimKey]:
    return list(session.scalars(select(DkimKey).where(DkimKey.domain_id == domain.id).order_by(DkimKey.id)))


def _forget_retired(session: Session, domain: Domain) -> None:
    old = DkimKey.changed_at < now() - KEPT_DAYS * 86400
    session.execute(delete(DkimKey).where(DkimKey.domain_id == domain.id, DkimKey.state == RETIRED, old))


def _tell(session: Session, actor: Actor, action: str, domain: Domain) -> None:
    selectors = [f"{key.selector} ({key.state})" for key in _keys(session, domain)]
    audit.record(
        session, actor, action, domain.name, tenant_id=domain.tenant_id, domain_id=domain.id, after={"keys": selectors}
    )
    changes.announce(session, changes.SIGNING, domain.name)
