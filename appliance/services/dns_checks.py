"""What the last look at a domain's zone found: kept beside the domain, for those who look at the whole house.

A reader would otherwise get wrong: only what mail rests on is kept, and a name server that did not answer has said nothing. What
was known of a record before is believed until somebody answers otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, func, select, update

from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.models import Domain
from appliance.models.base import now
from appliance.services import authorisation
from appliance.services.actor import Actor

if TYPE_CHECKING:  # `dns_page` asks `dkim`, which asks `domains`, which finds domains by what stands here.
    from appliance.services.dns_page import Judged

__all__ = ["KINDS", "WRONG", "due", "is_news", "note", "tally", "with_faults"]

KINDS = ("MX", "SPF", "DKIM", "DMARC")  # the most harmful first
WRONG = "wrong"  # any of them
FRESH_SECONDS = 60  # for which the same is not written down again
AGAIN_SECONDS = 24 * 3600  # between two looks that nobody asked for
AGAIN_WRONG_SECONDS = 6 * 3600  # where something was wrong: somebody may have mended it
AGAIN_SILENT_SECONDS = 3600  # where name servers did not answer


def with_faults(which: str) -> ColumnElement[bool]:
    """The domains of whose zone *which* is wrong: WRONG, or one of KINDS in small letters.

    Of one that was not proved it is known that its mail goes elsewhere.

    Raises:
        Invalid: there is no such kind.
    """
    wrong = and_(Domain.dns_wrong, Domain.proved_at.is_not(None))
    if which == WRONG:
        return wrong
    kind = which.upper()
    if which != which.lower() or kind not in KINDS:
        raise Invalid(f"dns is one of {', '.join((WRONG, *map(str.lower, KINDS)))}", field="dns")
    return and_(wrong, Domain.dns_faults.contains(kind, autoescape=True))


def tally(session: Session, *, actor: Actor) -> dict[str, int]:
    """Of how many domains in the actor's part something is wrong (WRONG), and of how many each of KINDS."""
    wanted = authorisation.restrict(select(Domain), actor, Domain).where(with_faults(WRONG))
    counted = wanted.with_only_columns(Domain.dns_faults, func.count()).group_by(Domain.dns_faults)
    found: Counter[str] = Counter()
    for faults, count in session.execute(counted):
        found.update(dict.fromkeys((WRONG, *faults.split()), count))
    return {name: found[name] for name in (WRONG, *KINDS) if found[name]}


def due(session: Session, count: int) -> Sequence[Domain]:
    """The *count* domains that nobody has looked at for the longest, of those where it is time to."""
    wanted = select(Domain).where(Domain.dns_due_at <= now(), Domain.proved_at.is_not(None))
    return session.scalars(wanted.order_by(Domain.dns_due_at).limit(count)).all()


def is_news(domain: Domain, judged: "Sequence[Judged]") -> bool:
    """Is there something in *judged* to be noted of *domain*?"""
    is_fresh = domain.dns_checked_at is not None and domain.dns_checked_at > now() - FRESH_SECONDS
    return _answered(judged) and not (is_fresh and _faults(domain, judged) == domain.dns_faults)


def note(session: Session, domain: Domain, judged: "Sequence[Judged]") -> None:
    """Keep what was found; *domain* as it was when somebody began to look. Its version stays: nobody has changed it."""
    moment = now()
    if not _answered(judged):
        kept: dict[str, object] = {"dns_due_at": moment + AGAIN_SILENT_SECONDS}
    else:
        faults = _faults(domain, judged)
        pause = AGAIN_WRONG_SECONDS if faults else AGAIN_SECONDS
        kept = {
            "dns_checked_at": moment, "dns_due_at": moment + pause, "dns_faults": faults, "dns_wrong": bool(faults),
        }  # fmt: skip
    session.execute(update(Domain).where(Domain.id == domain.id).values(kept))


def _rests_on(judged: "Iterable[Judged]") -> "list[Judged]":
    return [one for one in judged if one.wanted.required and one.wanted.about in KINDS]


def _answered(judged: "Sequence[Judged]") -> bool:
    """Did anybody say anything?"""
    return any(one.state != "unknown" for one in _rests_on(judged))


def _faults(domain: Domain, judged: "Sequence[Judged]") -> str:
    found = _rests_on(judged)
    wrong = {one.wanted.about for one in found if one.state in ("different", "missing")}
    silent = {one.wanted.about for one in found if one.state == "unknown"}
    wrong |= silent & set(domain.dns_faults.split())
    return " ".join(kind for kind in KINDS if kind in wrong)
