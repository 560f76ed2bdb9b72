"""What must be true of a database before anything out of it is published.

A reader would otherwise get wrong: this does not judge the rules of the services (they did, when it was saved). It tells the
real database from an empty, older or foreign one, because a snapshot made from such a one would refuse everybody's mail.
"""

from dataclasses import dataclass

from appliance.compile.collect import ChangeRow, State


class NotPublished(Exception):
    """What the database says was not published; what is published stays. The text says why."""


@dataclass(frozen=True, slots=True)
class Present:
    """What is published now."""

    instance: bytes
    change: int
    last: ChangeRow | None  # the change with that number, as it was when it was published
    whole: bool = True  # all of it can be read, in today's format; else it is made anew


def instance_octets(state: State | None) -> bytes:
    """The 16 octets of the installation's id.

    Raises:
        NotPublished: the database belongs to nobody.
    """
    if state is None:
        raise NotPublished("the database is empty: no installation wrote it")
    try:
        octets = bytes.fromhex(state.instance_id.replace("-", ""))
    except ValueError:
        octets = b""
    if len(octets) != 16:
        raise NotPublished("the database has no installation's id")
    return octets


def require_continuation(state: State, instance: bytes, present: Present | None, same: ChangeRow | None) -> None:
    """Go on when the database is the one from which *present* was published, as old or older than now.

    *same* is what the database has under the number of the last published change.

    Raises:
        NotPublished: another installation's, an older copy, or an older copy that was changed since.
    """
    if present is None:
        return
    if present.instance != instance:
        raise NotPublished("the database is another installation's")
    if state.newest < present.change:
        raise NotPublished(
            f"the database is an older copy: its newest change is {state.newest}, published is {present.change}"
        )
    if same is not None and present.last is not None and same != present.last:
        raise NotPublished(f"the database has another history: its change {same.number} is not the one published")


def require_substance(tenants: int, domains: int) -> None:
    """Go on with a full compilation when there is something to compile.

    Raises:
        NotPublished: rows that every installation has are missing.
    """
    if not tenants or not domains:
        raise NotPublished("the database was emptied: there is no tenant or no domain in it")
