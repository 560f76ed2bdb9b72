"""`postern domain`: hosted domains."""

from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, every, looking, say, say_one, say_rows
from appliance.services import domains, tenants
from appliance.services.common import UNCHANGED
from appliance.services.domains import Domain

app = App(name="domain", help="Hosted domains.")


def describe(domain: Domain) -> dict[str, Any]:
    """A domain as plain values."""
    return {
        "name": domain.name,
        "kind": domain.kind,
        "tenant": domain.tenant.name,
        "tenant_id": domain.tenant_id,
        "alias_of": domain.alias_of.name if domain.alias_of else None,
        "catch_all": domain.catch_all,
        "validation": domain.validation,
        "suspended": domain.suspended,
    }


@app.command
def add(
    domain: str,
    *,
    tenant: str | None = None,
    alias_of: str | None = None,
    catch_all: str | None = None,
    validation: str = "rcpt",
) -> None:
    """Add a domain, of the operator's or of --tenant; with --alias-of, another name of that domain."""
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        made = domains.create(
            session, domain, actor=actor(), tenant_id=owner, alias_of=alias_of, catch_all=catch_all,
            validation=validation,
        )  # fmt: skip
    say(describe(made), f"added {made.name}")


@app.command(name="list")
def list_(*, tenant: str | None = None, search: str = "") -> None:
    """List domains."""
    with looking() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        rows = every(domains.list_domains, session, tenant_id=owner, search=search)
        say_rows(map(describe, rows), "name", "kind", "tenant", "validation", "suspended")


@app.command
def show(domain: str) -> None:
    """Show one."""
    with looking() as session:
        found = domains.get(session, domain, actor=actor())
        mailboxes, aliases = domains.counts(session, [found])[found.id]
        say_one({**describe(found), "mailboxes": mailboxes, "aliases": aliases})


@app.command(name="set")
def set_(
    domain: str,
    *,
    catch_all: str | None = None,
    no_catch_all: bool = False,
    validation: str | None = None,
    tenant: str | None = None,
) -> None:
    """Change what is given; --no-catch-all refuses unknown recipients again."""
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        changed = domains.update(
            session, domain, actor=actor(), validation=validation, tenant_id=owner,
            catch_all=None if no_catch_all else catch_all or UNCHANGED,
        )  # fmt: skip
    say(describe(changed), f"changed {changed.name}")


@app.command
def suspend(domain: str) -> None:
    """Refuse mail for the domain."""
    with changing() as session:
        found = domains.suspend(session, domain, actor=actor())
    say(describe(found), f"suspended {found.name}")


@app.command
def resume(domain: str) -> None:
    """Undo suspend."""
    with changing() as session:
        found = domains.resume(session, domain, actor=actor())
    say(describe(found), f"resumed {found.name}")


@app.command
def remove(domain: str) -> None:
    """Remove the domain with its mailboxes and aliases; their mail is put aside."""
    with changing() as session:
        removal = domains.remove(session, domain, actor=actor())
    lines = [f"removed {domain} with {removal.mailboxes} mailboxes and {removal.aliases} aliases"]
    lines += [f"{address} still forwards into it" for address in removal.forwarded_by]
    say(
        {
            "name": domain,
            "mailboxes": removal.mailboxes,
            "aliases": removal.aliases,
            "forwarded_by": removal.forwarded_by,
        },
        *lines,
    )
