"""`postern pattern`: addresses of one beginning that are a mailbox's."""

from cyclopts import App

from appliance.cli.house import actor, changing, looking, say, say_rows
from appliance.services import patterns
from appliance.services.patterns import Pattern

app = App(name="pattern", help="Addresses that begin alike, such as anna-*@example.com, all of one mailbox.")


@app.command
def add(address: str, *wanted: str) -> None:
    """Let all that begins so, and that nobody holds, be the mailbox's."""
    with changing() as session:
        _tell(address, patterns.add(session, address, wanted, actor=actor()))


@app.command(name="list")
def list_(address: str) -> None:
    """List a mailbox's patterns."""
    with looking() as session:
        say_rows(({"pattern": row.text} for row in patterns.get(session, address, actor=actor())), "pattern")


@app.command
def remove(address: str, *unwanted: str) -> None:
    """Have them no more."""
    with changing() as session:
        _tell(address, patterns.remove(session, address, unwanted, actor=actor()))


def _tell(address: str, rows: list[Pattern]) -> None:
    texts = [row.text for row in rows]
    say({"address": address, "patterns": texts}, f"{address} has {', '.join(texts) or 'no pattern'}")
