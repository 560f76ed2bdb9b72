"""`postern forward`: a mailbox's forwarding."""

from cyclopts import App

from appliance.cli.house import actor, changing, looking, octets, say, say_one
from appliance.services import conditions, forwardings

app = App(name="forward", help="A mailbox's forwarding.")


@app.command(name="set")
def set_(
    address: str,
    *targets: str,
    keep_copy: bool = True,
    sender: list[str] | None = None,
    subject: list[str] | None = None,
    larger_than: str | None = None,
    smaller_than: str | None = None,
    spam: bool | None = None,
) -> None:
    """Forward a mailbox's mail to others, keeping a copy or not; with conditions, only what meets them all.

    --sender (an address, a domain, .domain) and --subject (what it contains) may be repeated, and one of them is enough.
    """
    only = {
        "senders": sender, "subjects": subject, "larger_than": octets(larger_than), "smaller_than": octets(smaller_than),
        "spam": spam,
    }  # fmt: skip
    with changing() as session:
        made = forwardings.put(session, address, targets, actor=actor(), keep_copy=keep_copy, only=only)
    kept = "and kept" if made.keep_copy else "and not kept"
    words = conditions.in_words(made.conditions)
    say(
        {"address": address, **(forwardings.describe(made) or {})},
        f"{address} is forwarded to {', '.join(made.targets)} {kept}" + (f"; only mail {words}" if words else ""),
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
