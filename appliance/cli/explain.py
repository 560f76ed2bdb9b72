"""`postern explain`: what a message would meet at the SMTP port, and why."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from appliance.cli.house import Switch, say, settings
from appliance.services import explain as service


def explain(
    *,
    from_: Annotated[str, Parameter(name="--from", help="the sender's address; '' for none, as notifications have")],
    to: Annotated[str, Parameter(help="the recipient's address")],
    client: Annotated[str, Parameter(help="the IP address that sends it")] = service.EXAMPLE_CLIENT,
    dns: Annotated[Switch, Parameter(help="look DNS lists and the client's name up for real")] = False,
    source: Annotated[
        Switch, Parameter(help="ask the next hop, directory or hook of a relayed domain for real")
    ] = False,
) -> None:
    """Show the SMTP replies and every step of the decision; --dns and --source ask others for real."""
    told = service.explain(settings(), _bare(from_), _bare(to), client, ask_dns=dns, ask_source=source)
    say(asdict(told), *_lines(told))


def _bare(path: str) -> str:
    return path[1:-1] if path.startswith("<") and path.endswith(">") else path


def _lines(told: service.Explanation) -> list[str]:
    lines: list[str] = []
    for exchange in told.dialog:
        lines += [f"C: {exchange.command}"] if exchange.command else []
        lines += [f"S: {reply}" for reply in exchange.replies]
    lines.append("")
    lines += [f"{step.what}: {step.outcome}" for step in told.steps]
    return [*lines, _outcome(told)]


def _outcome(told: service.Explanation) -> str:
    if told.undecided:
        return "undecided: a source elsewhere was not asked"
    if told.accepted:
        return "accepted"
    return "deferred: the client is to try again" if told.dialog[-1].replies[-1].startswith("4") else "refused"
