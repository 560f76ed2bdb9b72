"""`postern autoreply`: what a mailbox answers by itself."""

from datetime import UTC, datetime
from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, looking, moment, say, say_one
from appliance.services import autoreplies

app = App(name="autoreply", help="What a mailbox answers by itself, to each sender once a week.")


@app.command(name="set")
def set_(address: str, text: str, *, subject: str = "", starts: str | None = None, ends: str | None = None) -> None:
    """Answer a mailbox's mail with a text; from and until a day (2030-12-31) or a moment (2030-12-31T18:00+01:00)."""
    with changing() as session:
        made = autoreplies.put(
            session, address, actor=actor(), text=text, subject=subject, starts_at=moment(starts), ends_at=moment(ends)
        )
    say({"address": address, **_shown(made)}, f"{address} answers its mail by itself")


@app.command
def show(address: str) -> None:
    """Show what a mailbox answers, and when."""
    with looking() as session:
        say_one({"address": address, **_shown(autoreplies.get(session, address, actor=actor()))})


@app.command
def clear(address: str) -> None:
    """Answer no more."""
    with changing() as session:
        autoreplies.clear(session, address, actor=actor())
    say({"address": address, "text": None}, f"{address} does not answer by itself")


def _shown(autoreply: autoreplies.Autoreply) -> dict[str, Any]:
    told = autoreplies.describe(autoreply) or {}
    moments = {name: told.pop(name) for name in ("starts_at", "ends_at")}
    return told | {
        name: datetime.fromtimestamp(value, UTC).isoformat() for name, value in moments.items() if value is not None
    }
