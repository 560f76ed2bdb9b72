"""`postern app-password`: further passwords of a mailbox, each for one program that sends."""

import sys
from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, looking, say, say_rows, settings
from appliance.services import senders
from appliance.services.passwords import Sealer
from appliance.services.senders import AppPassword

app = App(name="app-password", help="Further passwords of a mailbox, each for one program that sends mail.")


def describe(row: AppPassword) -> dict[str, Any]:
    """As plain values; never the secret."""
    return {"name": row.name, "created_at": row.created_at}


@app.command
def add(mailbox: str, name: str) -> None:
    """Make one for the program called NAME; it is shown this once."""
    sealer = Sealer.of(settings().state)
    with changing() as session:
        row, secret = senders.add_app_password(session, mailbox, name, actor=actor(), sealer=sealer)
    say({**describe(row), "password": secret}, secret)
    sys.stderr.write("Write it down: it is not shown again.\n")


@app.command(name="list")
def list_(mailbox: str) -> None:
    """List them, never the secrets."""
    with looking() as session:
        say_rows(map(describe, senders.app_passwords(session, mailbox, actor=actor())), "name", "created_at")


@app.command
def remove(mailbox: str, name: str) -> None:
    """Revoke one."""
    with changing() as session:
        senders.remove_app_password(session, mailbox, name, actor=actor())
    say({"removed": name}, f"revoked {name}")
