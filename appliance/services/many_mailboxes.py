"""Many new mailboxes at once, each judged for itself: what `mailboxes.create` does, for thousands of them.

A reader would otherwise get wrong: the rules are those of one mailbox, asked once for all of a domain. Who may make them,
which addresses are held already and how many there is room for are three questions to the database, not three thousand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Forbidden, Refused, Taken
from appliance.models import Alias, Domain, Mailbox
from appliance.services import addresses, authorisation, limits, mailboxes, removals
from appliance.services.actor import Actor
from mta.vocabulary import Address, fold_local_part

ASKED_AT_ONCE = 500  # names in one question; SQLite takes 32,766 values in a statement
Outcome = Mailbox | Refused


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """As the parameters of `mailboxes.create`."""

    address: str
    sealed_hash: str | None = None
    quota_bytes: int | None = None
    display_name: str = ""
    default_quota: int = 0
    discard: bool = False


@dataclass(slots=True)
class _Group:
    """Those of one domain: their places in the list that was given."""

    domain: str
    members: list[tuple[int, Address]] = field(default_factory=list)


def create_each(session: Session, wanted: Sequence[NewMailbox], *, actor: Actor) -> list[Outcome]:
    """What became of each of *wanted*: the mailbox, or why there is none. Those that are refused leave nothing behind."""
    outcomes: list[Outcome | None] = [None] * len(wanted)
    groups: dict[str, _Group] = {}
    for place, one in enumerate(wanted):
        try:
            address = addresses.parse_address(one.address)
        except Refused as refusal:
            outcomes[place] = refusal
        else:
            groups.setdefault(address.domain, _Group(address.domain)).members.append((place, address))
    for group in groups.values():
        for place, outcome in _create_in(session, group, wanted, actor):
            outcomes[place] = outcome
    session.flush()
    return [outcome for outcome in outcomes if outcome is not None]  # each place has one by now


def _create_in(
    session: Session, group: _Group, wanted: Sequence[NewMailbox], actor: Actor
) -> Iterator[tuple[int, Outcome]]:
    try:
        found = addresses.domain_named(session, group.domain)
        domain = authorisation.require(session, actor, "mailbox.create", found, f"domain {group.domain}")
        addresses.require_hosted(domain)
    except Refused as refusal:
        for place, _ in group.members:
            yield place, refusal
        return
    held = _held(session, domain, [fold_local_part(address.local_part) for _, address in group.members])
    removed = _removed(session, domain, group, actor)
    room = limits.room_for(session, domain.tenant_id, "mailboxes", domain=domain)
    storage = limits.room_for(session, domain.tenant_id, limits.STORAGE, domain=domain)
    made, defaults = 0, _Defaults(session, domain)
    for place, address in group.members:
        folded = fold_local_part(address.local_part)
        if folded in held:
            yield place, addresses.taken_by(held[folded], address)
        elif folded in removed and not wanted[place].discard:
            yield place, removed[folded]
        elif made >= room.left:
            yield place, room.refusal
        else:
            one = wanted[place]
            try:
                quota = defaults.get(one)
                mailbox = mailboxes.make(domain, address, folded, one.sealed_hash, quota, one.display_name)
                storage.take_quota(quota)
                if folded in removed:  # Last of all: what is refused must not have discarded anything.
                    _discard(session, domain, folded, actor)
            except Refused as refusal:
                yield place, refusal
                continue
            session.add(mailbox)
            mailboxes.tell_made(session, actor, mailbox)
            held[folded], made = Mailbox, made + 1
            yield place, mailbox


def _removed(session: Session, domain: Domain, group: _Group, actor: Actor) -> dict[str, Taken | Forbidden]:
    """Under which of the names (folded) one was removed that may be had back, and why that stands in the way."""
    names = [fold_local_part(address.local_part) for _, address in group.members]
    found: dict[str, Taken | Forbidden] = {}
    for start in range(0, len(names), ASKED_AT_ONCE):
        piece = names[start : start + ASKED_AT_ONCE]
        found.update(removals.discard_mailboxes(session, domain, piece, actor=actor, discard=False))
    return found


def _discard(session: Session, domain: Domain, folded: str, actor: Actor) -> None:
    for refusal in removals.discard_mailboxes(session, domain, [folded], actor=actor, discard=True).values():
        raise refusal


class _Defaults:
    """The quota of each, asked once where some have none of their own."""

    def __init__(self, session: Session, domain: Domain) -> None:
        self._session, self._domain = session, domain
        self._known: dict[int, int] = {}

    def get(self, one: NewMailbox) -> int:
        """What it is made with."""
        if one.quota_bytes is not None:
            return one.quota_bytes
        if one.default_quota not in self._known:
            self._known[one.default_quota] = limits.default_quota(self._session, self._domain, one.default_quota)
        return self._known[one.default_quota]


def _held(session: Session, domain: Domain, names: Sequence[str]) -> dict[str, type[Mailbox | Alias]]:
    """Which of *names* (folded) have a holder, and of which kind."""
    found: dict[str, type[Mailbox | Alias]] = {}
    for start in range(0, len(names), ASKED_AT_ONCE):
        piece = names[start : start + ASKED_AT_ONCE]
        for kind in (Mailbox, Alias):
            there = session.scalars(select(kind.folded).where(kind.domain_id == domain.id, kind.folded.in_(piece)))
            found.update(dict.fromkeys(there, kind))
    return found
