"""`postern sending`: how much a mailbox, a domain or a tenant may send, and the hijack brake."""

from dataclasses import asdict

from cyclopts import App

from appliance.cli.house import actor, changing, looking, say, say_one, say_rows
from appliance.errors import Invalid
from appliance.services import sending, tenants
from appliance.services.common import UNCHANGED, Unchanged

app = App(name="sending", help="How much is sent: limits by hour and day in recipients, and the hijack brake.")


@app.command
def show(subject: str) -> None:
    """Show what holds for a mailbox, a domain or a tenant."""
    with looking() as session:
        say_one(asdict(sending.show(session, _named(session, subject), actor=actor())))


@app.command(name="set")
def set_(
    subject: str,
    *,
    per_hour: str | None = None,
    per_day: str | None = None,
    any_address: bool | None = None,
    brake: bool | None = None,
) -> None:
    """Change what is given. Numbers are recipients, 0 is no limit, `default` no word of its own."""
    with changing() as session:
        standing = sending.change(
            session, _named(session, subject), actor=actor(), per_hour=_number(per_hour), per_day=_number(per_day),
            any_address=any_address, brake=brake,
        )  # fmt: skip
    say(asdict(standing), f"changed what {standing.subject} may send")


@app.command
def braked() -> None:
    """List the mailboxes that are braked."""
    with looking() as session:
        rows = [asdict(standing) for standing in sending.braked(session, actor=actor())]
        say_rows(rows, "subject", "braked_at", "brake_reason")


@app.command
def release(mailbox: str) -> None:
    """Let a braked mailbox send again."""
    with changing() as session:
        standing = sending.release(session, mailbox, actor=actor())
    say(asdict(standing), f"{standing.subject} may send again; what it queued waits: postern queue list")


def _named(session: object, subject: str) -> str:
    """*subject* as services call it: a tenant by its id."""
    if "@" in subject or "." in subject:
        return subject
    return str(tenants.find(session, subject, actor=actor()).id)  # type: ignore[arg-type]


def _number(text: str | None) -> int | Unchanged | None:
    if text is None:
        return UNCHANGED
    if text == "default":
        return None
    if not text.isdigit():
        raise Invalid("a limit is a number of recipients, or `default`")
    return int(text)
