"""`postern rule`: whom the host, a domain or a mailbox lets in, and whom it keeps out."""

from datetime import UTC, datetime
from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, looking, moment, say, say_rows
from appliance.services import access_rules, addresses
from appliance.services.access_rules import AccessRule

app = App(name="rule", help="Access rules of the host, of a domain or of a mailbox: the first that fits decides.")


def describe(rule: AccessRule) -> dict[str, Any]:
    """A rule as plain values."""
    return {
        "id": rule.id,
        "domain": rule.domain.name if rule.domain is not None and rule.mailbox is None else None,
        "mailbox": addresses.show(rule.mailbox.address) if rule.mailbox is not None else None,
        "position": rule.position,
        "verb": rule.verb,
        "pattern": rule.pattern,
        "note": rule.note,
        "expires_at": datetime.fromtimestamp(rule.expires_at, UTC).isoformat() if rule.expires_at else None,
    }


@app.command
def add(
    verb: str,
    pattern: str,
    *,
    domain: str | None = None,
    mailbox: str | None = None,
    position: int | None = None,
    note: str = "",
    expires: str | None = None,
) -> None:
    """VERB is allow or deny; PATTERN a network, a sender's address, a domain, or .domain with all below it.

    It is the host's rule, or with --domain or --mailbox theirs. --expires is a day (2030-12-31) or a moment (ISO 8601).
    """
    with changing() as session:
        made = access_rules.add(
            session, verb, pattern, actor=actor(), domain=domain, mailbox=mailbox, position=position, note=note,
            expires_at=moment(expires),
        )  # fmt: skip
    say(describe(made), f"added rule {made.id}: {made.verb} {made.pattern}, position {made.position}")


@app.command(name="list")
def list_(*, domain: str | None = None, mailbox: str | None = None) -> None:
    """List the host's rules, or those of a domain or mailbox, as they are read: from the top."""
    with looking() as session:
        rules = access_rules.list_rules(session, actor=actor(), domain=domain, mailbox=mailbox)
        say_rows(map(describe, rules), "id", "position", "verb", "pattern", "expires_at", "note")


@app.command
def remove(rule: int, *, domain: str | None = None, mailbox: str | None = None) -> None:
    """Remove a rule, by its id, from the list it is in."""
    with changing() as session:
        access_rules.remove(session, rule, actor=actor(), domain=domain, mailbox=mailbox)
    say({"id": rule}, f"removed rule {rule}")
