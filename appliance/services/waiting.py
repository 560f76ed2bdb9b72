"""The queue as far as it concerns whoever asks: the operator all of it, others what their domains send and are sent.

A reader would otherwise get wrong: to see a message is less than to change it. Whose domain one recipient is in sees the message
as far as it is for that domain; it is in his hands when one of his own sent it, or when nobody else's domain is among its
recipients. Else one customer could hold up, or take out, what is for another.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.database.session import Session
from appliance.errors import Forbidden, Invalid, NotFound
from appliance.models import Domain
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, messages, queue, tenants
from appliance.services.actor import Actor
from appliance.services.messages import Scope
from appliance.services.paging import (
    MAX_PAGE,
    Page,
    bad_cursor,
    check_limit,
    decode_cursor,
    encode_cursor,
    name_of,
)
from appliance.services.queue import Way, Which

MAX_AT_ONCE = 100  # messages that a customer's order by domain or sender is about; each is judged
DEEDS = {"hold": "held", "release": "released", "retry": "retried", "remove": "removed"}
_BULK = ("domain", "sender", "all")
OLDEST_FIRST = "since"
SORTS = (OLDEST_FIRST, "sender", "recipient", "-size")


@dataclass(frozen=True, slots=True)
class Recipient:
    """What is known of one of them; *action* `waiting`: nothing was tried."""

    forward_path: str
    final_recipient: str
    action: str
    status: str
    diagnostic_code: str
    at: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message. *forward_path* is the first recipient that concerns whoever asks, *recipients* how many do."""

    queue_id: str
    state: str
    arrival: int
    size: int
    reverse_path: str
    identity: str
    forward_path: str
    recipients: int
    next_attempt: int | None
    status: str
    diagnostic_code: str
    of_recipients: list[Recipient] = field(default_factory=list)


def list_messages(
    session: Session, way: Way, *, actor: Actor, domain: str | None = None, sender: str | None = None,
    sort: str | None = None, limit: int = 50, cursor: str | None = None,
) -> Page[Waiting]:  # fmt: skip
    """What waits and concerns the actor, oldest first; of one *domain*, of one *sender*. A page may be short and yet have a next.

    *sort*: since, sender, recipient, size. Scheduler tells them oldest first; for another order the first MAX_PAGE are sorted.

    Raises:
        Invalid: a bad limit; or he has so many domains that one must be named.
        NotFound: the domain is not in his part.
        Unable: scheduler is away.
    """
    scope = messages.scope_of(session, actor)
    # Scheduler looks for one thing. Of a domain's messages each has one sender; of a sender's, each has many recipients.
    which = _which(session, actor, scope, domain, sender if domain is None else None)
    if which is None:
        return Page([], None)
    offered = () if sort is None else SORTS
    word = sort if sort and name_of(sort) in map(name_of, SORTS) else OLDEST_FIRST
    is_oldest_first = word == OLDEST_FIRST
    after, most = (cursor or "", check_limit(limit)) if is_oldest_first else ("", MAX_PAGE)
    listing = queue.list_messages(way, which, after=after, limit=most)
    rows = [row for row in listing.messages if sender is None or _is_from(row, sender)]
    shown = [one for row in rows if (one := _listed(scope, row)) is not None]
    if is_oldest_first:
        following = listing.messages[-1]["queue_id"] if listing.more and listing.messages else None
        return Page(shown, following, word, offered)
    return replace(_in_order(shown, word, check_limit(limit), cursor), sorts=offered, is_part=listing.more)


_BY: Mapping[str, Callable[[Waiting], str | int]] = {
    "since": lambda one: one.arrival,
    "sender": lambda one: (one.identity or one.reverse_path).lower(),
    "recipient": lambda one: one.forward_path.rpartition("@")[2].lower(),
    "size": lambda one: one.size,
}


def _in_order(found: list[Waiting], word: str, limit: int, cursor: str | None) -> Page[Waiting]:
    """The page of *found* behind *cursor*; among those that are alike the queue id decides."""
    by, falling = _BY[name_of(word)], word.startswith("-")
    places: list[tuple[Any, str, Waiting]] = [(by(one), one.queue_id, one) for one in found]
    if cursor:
        told, *last = decode_cursor(cursor, str, int if name_of(word) in ("since", "size") else str, str)
        if told != word:
            raise bad_cursor()
        places = [one for one in places if (list(one[:2]) < last if falling else list(one[:2]) > last)]
    places.sort(key=lambda one: one[:2], reverse=falling)
    items = [one[2] for one in places[:limit]]
    following = encode_cursor(word, *places[limit - 1][:2]) if len(places) > limit else None
    return Page(items, following, word)


def get(session: Session, way: Way, queue_id: str, *, actor: Actor) -> Waiting:
    """One message, with what is known of each recipient that concerns the actor.

    Raises:
        NotFound: there is none (any more), or it does not concern him.
        Unable: scheduler is away.
    """
    return _seen(messages.scope_of(session, actor), *queue.show(way, queue_id), queue_id)


def change(session: Session, way: Way, what: str, queue_id: str, *, actor: Actor, dry_run: bool = False) -> int:
    """Do *what* (of DEEDS) to one message; 0: it was so already.

    Raises:
        NotFound, Forbidden: it does not concern the actor, or it is not his to change.
        Unable: scheduler is away.
    """
    message, recipients = queue.show(way, queue_id)
    seen = _seen(messages.scope_of(session, actor), message, recipients, queue_id)
    if not _is_his(session, actor, message, recipients):
        raise Forbidden(f"you may not do this (queue.change) to the message {queue_id}")
    done = 1 if dry_run else queue.change(way, what, Which("id", queue_id))
    if done:
        _tell(session, actor, what, {"sender": seen.identity or seen.reverse_path}, f"message {queue_id}", 1)
    return done


def change_many(
    session: Session, way: Way, what: str, *, actor: Actor, domain: str | None = None, sender: str | None = None,
    everything: bool = False, dry_run: bool = False,
) -> int:  # fmt: skip
    """Do *what* to all messages to a *domain*, or of a *sender*, or (the operator) to every one; to how many was it done?

    For others than the operator: to those that are theirs to change, a hundred at a time.

    Raises:
        Invalid: none of the three, or several.
        NotFound: the domain is not in the actor's part.
        Unable: scheduler is away.
    """
    which = Which.of(None, domain, sender, everything=everything)
    if not (actor.sees_everything and actor.actions is None):
        return _change_his(session, way, what, which, actor, dry_run=dry_run)
    if dry_run:
        return len(queue.list_messages(way, which).messages)
    done = queue.change(way, what, which)
    _tell(session, actor, what, {which.by: which.value} if which.value else {}, "queue", done)
    return done


def _change_his(session: Session, way: Way, what: str, which: Which, actor: Actor, *, dry_run: bool) -> int:
    if which.by == "all":
        raise Forbidden("only the operator does this to every message", code="operators_word")
    scope, done = messages.scope_of(session, actor), 0
    checked = _which(session, actor, scope, *((which.value, None) if which.by == "domain" else (None, which.value)))
    rows = queue.list_messages(way, checked, limit=MAX_AT_ONCE).messages if checked is not None else []
    for row in rows:
        found = _found(way, row["queue_id"])
        if found is not None and _listed(scope, row) is not None and _is_his(session, actor, *found):
            done += 1 if dry_run else queue.change(way, what, Which("id", row["queue_id"]))
    _tell(session, actor, what, {which.by: which.value}, "queue", done)
    return done


def _found(way: Way, queue_id: str) -> tuple[dict[str, str], list[dict[str, str]]] | None:
    try:
        return queue.show(way, queue_id)
    except NotFound:
        return None  # It has left meanwhile.


# --- what concerns whom


def _which(
    session: Session, actor: Actor, scope: Scope, domain: str | None, sender: str | None
) -> Which | None:  # fmt: skip
    """The messages to ask scheduler for; None: nothing can concern him."""
    if domain is not None and sender is not None:
        raise Invalid("a domain or a sender, not both", field="sender")
    if sender is not None:
        return Which("sender", sender)
    if domain is not None:
        label = addresses.parse_domain(domain)
        if not scope.everything:
            found = addresses.domain_named(session, label)
            authorisation.require(session, actor, "domain.see", found, f"domain {label}")
        return Which("domains", " ".join(_forms(label)))
    if scope.everything:
        return Which()
    value = " ".join(scope.domains)
    if len(value.encode()) > queue.LONGEST_VALUE:
        raise Invalid("you have many domains: name one of them", code="domain_needed", field="domain")
    return Which("domains", value) if value else None


def _is_from(row: dict[str, str], sender: str) -> bool:
    return sender.lower() in (row["reverse_path"].lower(), row["identity"])


def _forms(label: str) -> list[str]:
    return list(dict.fromkeys([label, Domain(name=label).unicode_name]))


def _listed(scope: Scope, row: dict[str, str]) -> Waiting | None:
    """A row of a list, as far as it concerns him."""
    if scope.everything or scope.covers(row["identity"], now()):
        return _waiting(row, row["forward_path"], int(row["recipients"]))
    if scope.covers(row["forward_path"], now()):
        return _waiting(row, row["forward_path"], int(row.get("concerned", "1")))
    return None


def _seen(scope: Scope, message: dict[str, str], recipients: list[dict[str, str]], queue_id: str) -> Waiting:
    whole = scope.everything or scope.covers(message["identity"], now())
    mine = [each for each in recipients if whole or scope.covers(each["forward_path"], now())]
    if not whole and not mine:
        raise NotFound(f"there is no message {queue_id[:40]} in the queue")
    paths = list(dict.fromkeys(each["forward_path"] for each in mine)) or [message["forward_path"]]
    number = int(message["recipients"]) if whole else len(paths)
    return _waiting(message, paths[0], number, [_recipient(each) for each in mine])


def _waiting(row: dict[str, str], first: str, number: int, of_recipients: list[Recipient] | None = None) -> Waiting:
    reason = (row["status"], row["diagnostic_code"])
    if of_recipients is not None:  # Why another recipient waits may name him.
        reason = next(((one.status, one.diagnostic_code) for one in of_recipients if one.action == "delayed"), ("", ""))
    elif number != int(row["recipients"]):
        reason = ("", "")
    return Waiting(
        row["queue_id"], row["state"], int(row["arrival"]), int(row["size"]), row["reverse_path"], row["identity"], first, number,
        int(row["next"]) or None, *reason, of_recipients or [],
    )  # fmt: skip


def _recipient(row: dict[str, str]) -> Recipient:
    return Recipient(
        row["forward_path"], row.get("final_recipient", ""), row["action"], row.get("status", ""),
        row.get("diagnostic_code", ""), int(row["moment"]) if "moment" in row else None,
    )  # fmt: skip


def _is_his(session: Session, actor: Actor, message: dict[str, str], recipients: list[dict[str, str]]) -> bool:
    whose = [message["identity"]] if message["identity"] else [each["forward_path"] for each in recipients]
    return bool(whose) and all(_may_change(session, actor, name) for name in dict.fromkeys(_domains(whose)))


def _may_change(session: Session, actor: Actor, name: str) -> bool:
    if actor.sees_everything:
        return actor.actions is None or "queue.change" in actor.actions
    try:
        domain = addresses.domain_named(session, addresses.parse_domain(name))
    except Invalid:
        return False
    return domain is not None and authorisation.allows(session, actor, "queue.change", domain)


def _domains(paths: list[str]) -> Iterator[str]:
    for path in paths:
        yield path.rpartition("@")[2].lower()


def _tell(session: Session, actor: Actor, what: str, about: dict[str, Any], subject: str, count: int) -> None:
    tenant = tenants.own(session, actor)
    audit.record(
        session, actor, f"queue.{DEEDS[what]}", subject, tenant_id=tenant.id, after={**about, "messages": count}
    )
