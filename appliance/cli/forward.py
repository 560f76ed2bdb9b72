"""`postern forward`: a mailbox's forwarding."""

from cyclopts import App

from appliance.cli.house import actor, changing, looking, say, say_one
from appliance.services import forwardings

app = App(name="forward", help="A mailbox's forwarding.")


@app.command(name="set")
def set_(address: str, *targets: str, keep_copy: bool = True) -> None:
    """Forward a mailbox's mail to others, keeping a copy or not."""
    with changing() as session:
        made = forwardings.put(session, address, targets, actor=actor(), keep_copy=keep_copy)
    kept = "and kept" if made.keep_copy else "and not kept"
    say(
        {"address": address, **(forwardings.describe(made) or {})},
        f"{address} is forwarded to {', '.join(made.targets)} {kept}",
    )


@app.command
def show(address: str) -> None:
    """Show where a mailbox's mail goes."""
    with looking() as session:
        found = forwardings.get(session, address, actor=actor())
        failing = {row.address: row.failure for row in found.failing}
        say_one(
            {"address": address, **(forwardings.describe(found) or {}), **({"failing": failing} if failing else {})}
        )


@app.command
def clear(address: str) -> None:
    """Forward no more."""
    with changing() as session:
        forwardings.clear(session, address, actor=actor())
    say({"address": address, "targets": []}, f"{address} is not forwarded")
