"""`postern alias`: addresses that stand for others."""

from datetime import UTC, datetime
from typing import Any

from cyclopts import App

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

app = App(name="alias", help="Addresses that stand for others.")


def describe(alias: Alias) -> dict[str, Any]:
    """An alias as plain values."""
    waiting = {"waiting": alias.waiting} if alias.waiting else {}
    return {
        "address": addresses.show(alias.address), "domain": alias.domain.name, "targets": list(alias.targets), **waiting,
        **({"expires_at": datetime.fromtimestamp(alias.expires_at, UTC).isoformat()} if alias.expires_at else {}),
    }  # fmt: skip


@app.command
def add(address: str, *targets: str, expires: str | None = None) -> None:
    """Let an address stand for one or more others; with --expires, until a day (2030-12-31) or a moment (ISO 8601)."""
    with changing() as session:
        made = aliases.create(session, address, targets, actor=actor(), expires_at=moment(expires))
    say(describe(made), f"added {addresses.show(made.address)} → {', '.join(made.targets)}")


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
