"""`postern sender`: as which other addresses a mailbox may write."""

from cyclopts import App

from appliance.cli.house import actor, changing, looking, say, say_rows
from appliance.services import senders

app = App(name="sender", help="Addresses that a mailbox may write as besides its own and its aliases.")


@app.command
def add(mailbox: str, address: str) -> None:
    """Let the mailbox write as the address."""
    with changing() as session:
        key = senders.give(session, mailbox, address, actor=actor())
    say({"mailbox": mailbox, "sender": key}, f"{mailbox} may write as {key}")


@app.command(name="list")
def list_(mailbox: str) -> None:
    """List them."""
    with looking() as session:
        say_rows(({"sender": key} for key in senders.given(session, mailbox, actor=actor())), "sender")


@app.command
def remove(mailbox: str, address: str) -> None:
    """Let it do so no more."""
    with changing() as session:
        senders.take(session, mailbox, address, actor=actor())
    say({"mailbox": mailbox, "removed": address}, f"{mailbox} may not write as {address} any more")
