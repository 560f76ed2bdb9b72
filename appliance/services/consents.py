"""Consent of those whom mail is sent on to at other hosts: until somebody there agreed, the target is in no snapshot.

A reader would otherwise get wrong: the mail that asks is sent by the compiler (`appliance.compile.consents`), which also says how
many may be sent. Here it is only written down that somebody is to be asked, and, when he follows the link, that he agreed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from appliance import consent_links
from appliance.consent_links import Question
from appliance.database.session import Session
from appliance.errors import Conflict, NotFound
from appliance.models import Alias, AliasTarget, ConsentRequest, ForwardingTarget, Instance, Mailbox
from appliance.models.base import now
from appliance.services import addresses, changes, holders
from appliance.services.actor import Actor

__all__ = [
    "ASK_AGAIN_SECONDS",
    "Asked",
    "TargetState",
    "agree",
    "ask_again",
    "give_for_ours",
    "look_up",
    "settle",
    "standing",
    "states_of",
    "withdraw",
]

ASK_AGAIN_SECONDS = 24 * 3600  # who saves the same target again does not have its owner written to again any sooner

Target = AliasTarget | ForwardingTarget


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody is asked to agree to."""

    holder: str  # whose mail it is, as it may be typed
    domain: str  # of that
    target: str
    is_given: bool  # he agreed already


@dataclass(frozen=True, slots=True)
class TargetState:
    """How it stands with one target, for people."""

    target: str
    # here: an address of ours. agreed. failing: it refused what was last sent. asked: no answer yet. sending: the mail that asks
    # waits for its turn. late: the link has run out. claimed: somebody here says the domain is his, and has not shown it.
    state: str
    at: int = 0  # seconds since 1970: when he agreed, was asked, refused
    until: int = 0  # as long is the link good
    words: str = ""  # of the host that refused
    may_ask: bool = False  # now, once more


def states_of(session: Session, holder: Mailbox | Alias) -> list[TargetState]:
    """How it stands with each target of *holder*, in their order."""
    return [_state(session, holder, row) for row in _rows(holder)]


def _state(session: Session, holder: Mailbox | Alias, row: Target) -> TargetState:
    domain = addresses.domain_named(session, addresses.split_key(row.address)[1])
    if row.failed_at is not None:
        return TargetState(row.address, "failing", row.failed_at, words=row.failure or "")
    if domain is not None:
        return TargetState(row.address, "here" if row.confirmed_at is not None else "claimed")
    if row.confirmed_at is not None:
        return TargetState(row.address, "agreed", row.confirmed_at)
    asked = _newest(session, holder, row.address)
    if asked is None:
        return TargetState(row.address, "late", may_ask=True)
    until, may_ask = asked.asked_at + consent_links.GOOD_SECONDS, asked.asked_at <= now() - ASK_AGAIN_SECONDS
    if until <= now():
        return TargetState(row.address, "late", asked.asked_at, may_ask=True)
    return TargetState(row.address, "asked" if asked.sent_at else "sending", asked.sent_at or 0, until, may_ask=may_ask)


def _newest(session: Session, holder: Mailbox | Alias, target: str) -> ConsentRequest | None:
    wanted = select(ConsentRequest).where(
        ConsentRequest.kind == type(holder).__tablename__, ConsentRequest.holder_id == holder.id,
        ConsentRequest.target == target,
    )  # fmt: skip
    return session.scalar(wanted.order_by(ConsentRequest.id.desc()).limit(1))


def ask_again(session: Session, holder: Mailbox | Alias, target: str, *, actor: Actor) -> None:
    """Have the owner of *target* written to once more; the actor may change where *holder* leads.

    Raises:
        NotFound: mail does not go there, or nobody there need be asked.
        Conflict: he was asked within the last day.
    """
    found = next((state for state in states_of(session, holder) if state.target == target), None)
    if found is None or found.state not in ("asked", "sending", "late"):
        raise NotFound(f"nobody has to be asked about {target}")
    if not found.may_ask:
        raise Conflict(f"whoever reads mail at {target} was asked within the last day", code="asked_lately")
    _ask(session, holder, target)
    session.flush()
    noun = "alias" if isinstance(holder, Alias) else "forwarding"
    holders.tell(session, actor, f"{noun}.asked", holder, after={"target": target})


def standing(rows: Iterable[Target]) -> dict[str, int | None]:
    """Since when each target may have mail (None: it waits), to be kept while its rows are made anew."""
    return {row.address: row.confirmed_at for row in rows}


def settle(session: Session, holder: Mailbox | Alias, before: Mapping[str, int | None], *, actor: Actor) -> None:
    """Say of each target of *holder* whether it may have mail, and have the owners of those asked that may not.

    Nobody need be asked about an address of ours, nor where the operator says so by naming it himself.
    """
    for row in _rows(holder):
        domain = addresses.domain_named(session, addresses.split_key(row.address)[1])
        is_ours = domain is not None and domain.proved_at is not None
        row.confirmed_at = before.get(row.address) or (now() if is_ours or actor.sees_everything else None)
        # In a domain that somebody here claims nobody is asked: whoever reads its mail today is not whom he means.
        if row.confirmed_at is None and domain is None:
            _ask(session, holder, row.address)
    session.flush()


def _rows(holder: Mailbox | Alias) -> list[Target]:
    if isinstance(holder, Alias):
        return list(holder.rows)
    return list(holder.forwarding.rows) if holder.forwarding is not None else []


def _ask(session: Session, holder: Mailbox | Alias, target: str) -> None:
    kind = type(holder).__tablename__
    recent = select(ConsentRequest.id).where(
        ConsentRequest.kind == kind, ConsentRequest.holder_id == holder.id, ConsentRequest.target == target,
        ConsentRequest.asked_at > now() - ASK_AGAIN_SECONDS,
    )  # fmt: skip
    if session.scalar(recent.limit(1)) is None:
        tenant_id = holder.domain.tenant_id
        session.add(ConsentRequest(kind=kind, holder_id=holder.id, target=target, tenant_id=tenant_id))


def look_up(session: Session, token: str) -> Asked:
    """What the link with *token* is about.

    Raises:
        NotFound: it is none of ours, too old, or nobody wants mail sent on there any more.
    """
    holder, row = _find(session, token)
    return _told(holder, row)


def agree(session: Session, token: str, *, source: str) -> Asked:
    """Let mail go on, on the word of whoever got the link, from the client *source*. Again: nothing changes.

    Raises:
        NotFound: as `look_up`.
    """
    holder, row = _find(session, token)
    if row.confirmed_at is None:
        row.confirmed_at = now()
        holder.version += 1
        actor = Actor("mailbox", row.address, source=source)
        noun = "alias" if isinstance(holder, Alias) else "forwarding"
        holders.tell(session, actor, f"{noun}.confirmed", holder, after={"target": row.address})
        session.flush()
    return _told(holder, row)


def _find(session: Session, token: str) -> tuple[Mailbox | Alias, Target]:
    gone = NotFound("this link is not good any more, or never was: nobody is waiting for your answer")
    number = consent_links.number_in(token)
    request = session.get(ConsentRequest, number) if number is not None else None
    if request is None:
        raise gone
    key = session.scalar(select(Instance.consent_key).order_by(Instance.id).limit(1)) or ""
    question = Question(request.id, request.kind, request.holder_id, request.target, request.asked_at)
    if not consent_links.holds(key, question, token, now()):
        raise gone
    holder = _holder(session, request.kind, request.holder_id)
    row = next((row for row in _rows(holder) if row.address == request.target), None) if holder is not None else None
    if holder is None or row is None:
        raise gone
    return holder, row


def _told(holder: Mailbox | Alias, row: Target) -> Asked:
    return Asked(addresses.show(holder.address), holder.domain.name, row.address, row.confirmed_at is not None)


def withdraw(session: Session, name: str) -> None:
    """What was an address of ours is one at another host now, and nobody there agreed to anything."""
    ending = f"@{name}"
    rows: list[Target] = []
    for model in (AliasTarget, ForwardingTarget):
        rows += session.scalars(select(model).where(model.address.endswith(ending, autoescape=True)))
    for row in rows:
        row.confirmed_at = None
        kind, number = ("alias", row.alias_id) if isinstance(row, AliasTarget) else ("mailbox", row.forwarding_id)
        holder = _holder(session, kind, number)
        if holder is not None:
            changes.announce(session, changes.ADDRESS, addresses.key_of(holder.address))


def give_for_ours(session: Session, holder: Mailbox | Alias) -> None:
    """Targets of *holder* that are addresses of ours by now may have mail: nobody elsewhere is to be asked."""
    for row in _rows(holder):
        domain = addresses.domain_named(session, addresses.split_key(row.address)[1])
        if row.confirmed_at is None and domain is not None and domain.proved_at is not None:
            row.confirmed_at = now()
    session.flush()


def _holder(session: Session, kind: str, number: int) -> Mailbox | Alias | None:
    return session.get(Alias, number) if kind == "alias" else session.get(Mailbox, number)
