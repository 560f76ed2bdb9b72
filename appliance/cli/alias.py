"""`postern alias`: addresses that stand for others."""

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli import house
from appliance.cli.house import (
    Switch,
    actor,
    changing,
    every,
    looking,
    moment,
    say,
    say_removed,
    say_rows,
    settings,
)
from appliance.services import addresses, aliases
from appliance.services.aliases import Alias
from appliance.services.common import UNCHANGED

app = App(name="alias", help="Addresses that stand for others.")


OpenTo = Annotated[
    str, Parameter(help="who may write to it: everybody; tenant, domain, members, who log in for it; or listed")
]
Listed = Annotated[tuple[str, ...], Parameter(help="an address or a domain, for --open-to listed; again for more")]


def describe(alias: Alias) -> dict[str, Any]:
    """An alias as plain values."""
    waiting = {"waiting": alias.waiting} if alias.waiting else {}
    return {
        "address": addresses.show(alias.address), "domain": alias.domain.name, "targets": list(alias.targets), **waiting,
        **({"expires_at": datetime.fromtimestamp(alias.expires_at, UTC).isoformat()} if alias.expires_at else {}),
        "open_to": alias.open_to, **({"listed": list(alias.listed)} if alias.listed else {}),
    }  # fmt: skip


@app.command
def add(
    address: str, *targets: str, expires: str | None = None, open_to: OpenTo = "everybody", listed: Listed = ()
) -> None:
    """Let an address stand for one or more others; with --expires, until a day (2030-12-31) or a moment (ISO 8601)."""
    with changing() as session:
        made = aliases.create(
            session, address, targets, actor=actor(), expires_at=moment(expires), open_to=open_to, listed=listed
        )
    say(describe(made), f"added {addresses.show(made.address)} → {', '.join(made.targets)}")


@app.command(name="set")
def set_(
    address: str,
    *targets: str,
    expires: str | None = None,
    no_expiry: Switch = False,
    open_to: OpenTo | None = None,
    listed: Listed = (),
) -> None:
    """Change what is given: all its targets, until when it is there, who may write to it."""
    ends = None if no_expiry else UNCHANGED if expires is None else moment(expires)
    with changing() as session:
        changed = aliases.update(
            session, address, targets or None, actor=actor(), expires_at=ends, open_to=open_to, listed=listed or None
        )
    say(describe(changed), f"changed {addresses.show(changed.address)}")


@app.command(name="list")
def list_(address: str | None = None, *, domain: str | None = None, search: str = "") -> None:
    """List aliases, of all domains or one; with an address, only that one."""
    with looking() as session:
        if address is not None:
            say_rows([describe(aliases.get(session, address, actor=actor()))], "address", "targets")
            return
        rows = every(aliases.list_aliases, session, domain=domain, search=search)
        say_rows(map(describe, rows), "address", "targets")


@app.command
def remove(address: str, *, dry_run: Switch = False) -> None:
    """Remove an alias."""
    with changing(dry_run=dry_run) as session:
        removed = aliases.remove(session, address, actor=actor(), days=settings().limits.trash_days)
    say_removed(removed, dry_run=dry_run)


@app.command
def restore(address: str, *, dry_run: Switch = False) -> None:
    """Undo the removal of an alias."""
    house.restore("alias", address, dry_run=dry_run)
