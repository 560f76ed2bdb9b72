"""`postern queue`: what waits, why, and what may be done about it."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from appliance.cli.house import Switch, say, settings
from appliance.errors import NotFound
from appliance.services import queue as service
from appliance.services.queue import Which

app = App(name="queue", help="Messages that are accepted and not yet where they go.")

Id = Annotated[str | None, Parameter(help="one message, by its queue id")]
OfDomain = Annotated[str | None, Parameter(help="messages with a recipient in this domain")]
OfSender = Annotated[str | None, Parameter(help="messages of this reverse-path, or of the mailbox that submitted them")]
All = Annotated[Switch, Parameter(name="--all", help="every message")]


@app.command(name="list")
def list_(
    *, domain: OfDomain = None, sender: OfSender = None,
    after: Annotated[str, Parameter(help="go on behind this queue id")] = "",
    limit: Annotated[int, Parameter(help="at most so many")] = 100,
) -> None:  # fmt: skip
    """What waits, oldest first."""
    which = Which() if domain is None and sender is None else Which.of(None, domain, sender)
    listing = service.list_messages(service.at(settings().state), which, after=after, limit=limit)
    lines = [_line(message) for message in listing.messages]
    if listing.more:
        lines.append(f"and more: go on with --after {listing.messages[-1]['queue_id']}")
    say({"messages": listing.messages, "more": listing.more}, *lines)


@app.command
def show(queue_id: str, /) -> None:
    """One message: its envelope, and what is known of each recipient."""
    message, recipients = service.show(service.at(settings().state), queue_id)
    lines = [f"{name}\t{_shown(name, value)}" for name, value in message.items() if value and value != "0"]
    say({**message, "of_recipients": recipients}, *lines, *map(_recipient_line, recipients))


@app.command
def hold(queue_id: Id = None, /, *, domain: OfDomain = None, sender: OfSender = None, all_: All = False) -> None:
    """Try messages no more, until they are released. They do not grow too old meanwhile, and survive a restart."""
    _change("hold", "held", Which.of(queue_id, domain, sender, everything=all_))


@app.command
def release(queue_id: Id = None, /, *, domain: OfDomain = None, sender: OfSender = None, all_: All = False) -> None:
    """Try held messages again, now; also those that were parked because their sender was suspended."""
    _change("release", "released", Which.of(queue_id, domain, sender, everything=all_))


@app.command
def retry(queue_id: Id = None, /, *, domain: OfDomain = None, sender: OfSender = None, all_: All = False) -> None:
    """Try messages now, also where their destination was in trouble a moment ago."""
    _change("retry", "tried now", Which.of(queue_id, domain, sender, everything=all_))


@app.command
def remove(queue_id: Id = None, /, *, domain: OfDomain = None, sender: OfSender = None, all_: All = False) -> None:
    """Take messages out for good. Nobody is told: neither sender nor recipient hears of it."""
    _change("remove", "removed", Which.of(queue_id, domain, sender, everything=all_))


@app.command
def flush() -> None:
    """Try everything that waits now, and forget which destinations were in trouble."""
    _change("flush", "tried now", Which())


def _change(what: str, done: str, which: Which) -> None:
    count = service.change(service.at(settings().state), what, which)
    if not count and which.by == "id":
        raise NotFound(f"nothing was {done}: no such message waits, or it is so already")
    say({"messages": count}, f"{count} {'message' if count == 1 else 'messages'} {done}")


def _line(message: dict[str, str]) -> str:
    more = int(message["recipients"]) - 1
    to = message["forward_path"] + (f" and {more} more" if more else "")
    why = " ".join(filter(None, (message["status"], message["diagnostic_code"])))
    return "\t".join([
        message["queue_id"], message["state"], _moment(message["arrival"]), message["size"],
        f"<{message['reverse_path']}>", to, why,
    ]).rstrip()  # fmt: skip


def _recipient_line(recipient: dict[str, str]) -> str:
    parts = [
        recipient.get(name, "") for name in ("forward_path", "final_recipient", "action", "status", "diagnostic_code")
    ]
    return "recipient\t" + "\t".join(parts).rstrip()


def _shown(name: str, value: str) -> str:
    return _moment(value) if name in ("arrival", "next") else value


def _moment(seconds: str) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC).astimezone():%Y-%m-%d %H:%M:%S}"
