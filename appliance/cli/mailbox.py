"""`postern mailbox`: mailboxes."""

from typing import Any

from cyclopts import App

from appliance.cli import house
from appliance.cli.house import (
    Discard,
    Stops,
    Switch,
    actor,
    changing,
    every,
    looking,
    octets,
    say,
    say_one,
    say_removed,
    say_rows,
    sealed,
    settings,
    stops,
)
from appliance.config import render_size
from appliance.services import addresses, mailboxes
from appliance.services.mailboxes import Mailbox

app = App(name="mailbox", help="Mailboxes.")


def describe(mailbox: Mailbox) -> dict[str, Any]:
    """A mailbox as plain values; never its password, sealed or not."""
    return {
        "address": addresses.show(mailbox.address),
        "domain": mailbox.domain.name,
        "display_name": mailbox.display_name,
        "quota_bytes": mailbox.quota_bytes,
        "used_bytes": mailbox.used_bytes,
        "has_password": mailbox.has_password,
        "forwards": mailbox.forwarding is not None and mailbox.forwarding.enabled,
        "suspended": mailbox.suspended,
        "suspended_for": mailbox.suspended_for,
    }


@app.command
def add(
    address: str,
    *,
    password_stdin: Switch = False,
    password_hash: str | None = None,
    quota: str | None = None,
    name: str = "",
    discard: Discard = False,
) -> None:
    """Add a mailbox; without a password it receives, and nobody can log in yet."""
    sealed_hash = sealed(from_stdin=password_stdin, phc=password_hash, address=address)
    limit = octets(quota)
    default = settings().limits.default_quota
    with changing() as session:
        made = mailboxes.create(
            session, address, actor=actor(), sealed_hash=sealed_hash, display_name=name,
            quota_bytes=limit, default_quota=default, discard=discard,
        )  # fmt: skip
    say(describe(made), f"added {addresses.show(made.address)}")


@app.command(name="list")
def list_(*, domain: str | None = None, search: str = "") -> None:
    """List mailboxes, of all domains or one."""
    with looking() as session:
        rows = every(mailboxes.list_mailboxes, session, domain=domain, search=search)
        say_rows(map(describe, rows), "address", "quota_bytes", "used_bytes", "suspended")


@app.command
def show(address: str) -> None:
    """Show one."""
    with looking() as session:
        say_one(describe(mailboxes.get(session, address, actor=actor())))


@app.command(name="set")
def set_(
    address: str,
    *,
    password_stdin: Switch = False,
    password_hash: str | None = None,
    quota: str | None = None,
    name: str | None = None,
) -> None:
    """Change what is given; `--quota none` takes the limit away."""
    sealed_hash = sealed(from_stdin=password_stdin, phc=password_hash, address=address)
    with changing() as session:
        changed = mailboxes.update(
            session, address, actor=actor(), sealed_hash=sealed_hash, quota_bytes=octets(quota), display_name=name
        )
    limit = render_size(changed.quota_bytes) if changed.quota_bytes else "none"
    say(describe(changed), f"changed {addresses.show(changed.address)}, quota {limit}")


@app.command
def suspend(address: str, *, only: Stops = ()) -> None:
    """Refuse mail and log-ins for the mailbox."""
    with changing() as session:
        found = mailboxes.suspend(session, address, actor=actor(), what=stops(only))
    say(describe(found), f"suspended {addresses.show(found.address)}")


@app.command
def resume(address: str, *, only: Stops = ()) -> None:
    """Undo suspend."""
    with changing() as session:
        found = mailboxes.resume(session, address, actor=actor(), what=stops(only))
    say(describe(found), f"resumed {addresses.show(found.address)}")


@app.command
def remove(address: str, *, dry_run: Switch = False) -> None:
    """Remove the mailbox; for a while `restore` brings it back with its mail."""
    with changing(dry_run=dry_run) as session:
        removed = mailboxes.remove(session, address, actor=actor(), days=settings().limits.trash_days)
    say_removed(removed, dry_run=dry_run)


@app.command
def restore(address: str, *, dry_run: Switch = False) -> None:
    """Undo the removal of a mailbox, with its password, forwarding and mail."""
    house.restore("mailbox", address, dry_run=dry_run)
