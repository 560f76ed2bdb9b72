"""What happened to a message, read from the journal's files: from the client's connection to each delivery and notification.

A reader would otherwise get wrong: the files are read several times over, each time from the oldest, and nothing of them is
kept but what is asked for. They may hold a million lines; what is kept is bounded by MAX_STORIES and MAX_EVENTS.

A line is believed when its role may say such a thing (`mta.events`). A taken-over smtpd can write that a message was
delivered; that leads nowhere here, and is shown as its claim.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.errors import Invalid
from mta.events import EVENTS, is_credible

MAX_STORIES = 1000  # the newest
MAX_EVENTS = 10_000  # of one story, the first: a list of a thousand recipients that is tried for days
MAX_CANDIDATES = 200_000  # messages that answer to one of several questions

NEWEST = "events.log"
_OLDER = re.compile(r"events\.([1-9]\d*)\.log\Z")
_AGO = re.compile(r"([1-9]\d{0,5})([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_IDS = re.compile(rb'"(?:queue_id|original_queue_id|session)":"([^"\\]+)"')
_BEGINNINGS = ("accepted", "queued")
_ALWAYS = frozenset({"time", "role", "event"})
_RANKS = {"connected": 0, "refused": 1, "secured": 1, "accepted": 2, "queued": 2}
_HEARD_LATE_SECONDS = 0.15  # at most so much later than it was said, the journal notes what a role said

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages; what is None does not matter. *since*: seconds since 1970."""

    reverse_path: str | None = None
    forward_path: str | None = None
    identity: str | None = None  # queue id or session
    since: float = 0.0


@dataclass(slots=True)
class Story:
    """One conversation as far as it was asked for, or one message that came over none."""

    session: str = ""
    client: str = ""
    queue_ids: list[str] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """One more line."""
        if len(self.events) >= MAX_EVENTS:
            return
        self.events.append(entry)
        self.client = self.client or entry.get("client", "")
        queue_id = entry.get("queue_id")
        if queue_id and queue_id not in self.queue_ids:
            self.queue_ids.append(queue_id)

    def in_order(self) -> list[Entry]:
        """The events as they happened.

        What several roles tell at one moment the journal notes in any order, so a message's own beginning is put before
        all that became of it, and the TLS it came under before it.
        """
        first: dict[str, float] = {}
        for entry in self.events:
            for key in (entry.get("queue_id", ""), "*"):
                first[key] = min(first.get(key, entry["time"]), entry["time"])
        accepted = [first[entry.get("queue_id", "")] for entry in self.events if entry["event"] == "accepted"]

        def place(entry: Entry) -> tuple[float, int]:
            kind = entry["event"]
            if kind == "secured":
                near = [moment for moment in accepted if 0 <= entry["time"] - moment <= _HEARD_LATE_SECONDS]
                return (min([entry["time"], *near]), _RANKS[kind])
            key = "*" if kind == "connected" else entry.get("queue_id", "") if kind in _BEGINNINGS else None
            return (entry["time"] if key is None else first[key], _RANKS.get(kind, 3))

        return sorted(self.events, key=place)


def tell(log: Path, wanted: Wanted) -> list[Story]:
    """The stories that *wanted* is about, oldest first; the newest MAX_STORIES when there are more.

    Raises:
        OSError: the log may not be read.
    """
    files = _files(log)
    queue_ids, sessions = _find(files, wanted)
    home = _follow(files, queue_ids)
    for session in sessions:
        home.setdefault(session, session)
    return _collect(files, home, wanted)


def moment(text: str, now: datetime) -> float:
    """Seconds since 1970 for `2026-03-01T12:00`, `2026-03-01`, or `90m`, `2h`, `3d` before *now*.

    Raises:
        Invalid: it is neither.
    """
    ago = _AGO.match(text)
    if ago:
        return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise Invalid(f"{text!r} is not a moment such as 2026-03-01T12:00, 90m, 2h or 3d", field="since") from error


# --- reading


def _files(log: Path) -> list[Path]:
    """The journal's files, oldest first."""
    older = {int(match[1]): path for path in log.iterdir() if (match := _OLDER.match(path.name))}
    newest = log / NEWEST
    return [older[number] for number in sorted(older, reverse=True)] + ([newest] if newest.exists() else [])


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        try:
            with path.open("rb") as file:
                yield from file
        except FileNotFoundError:
            continue  # Rotated away between two readings.


def _entry(line: bytes) -> Entry | None:
    """The line as a mapping with at least time, role and event; None: the machine stopped while it was written."""
    try:
        entry = json.loads(line)
        return entry if isinstance(entry, dict) and entry.keys() >= _ALWAYS else None
    except ValueError:
        return None


# --- which messages


def _find(files: list[Path], wanted: Wanted) -> tuple[list[str], list[str]]:
    """Queue ids, and sessions in which something was refused, that answer to all that is asked."""
    asked: list[tuple[bytes, Callable[[Entry], bool]]] = []
    if wanted.reverse_path is not None:
        asked.append(
            (_needle(wanted.reverse_path), lambda entry: _same(entry.get("reverse_path"), wanted.reverse_path))
        )
    if wanted.forward_path is not None:
        asked.append((_needle(wanted.forward_path), lambda entry: _is_to(entry, wanted.forward_path)))
    if wanted.identity is not None:
        asked.append((_needle(wanted.identity), lambda entry: wanted.identity in _ids_of(entry)))
    found: list[dict[str, None]] = [{} for _ in asked] or [{}]
    sessions: dict[str, None] = {}
    for line in _lines(files):
        lower = line.lower()
        if asked and not any(needle in lower for needle, _ in asked):
            continue
        entry = _entry(line)
        if entry is None or entry["time"] < wanted.since or not is_credible(entry["role"], entry["event"]):
            continue
        answers = [answer(entry) for _, answer in asked]
        queue_id = entry.get("queue_id")
        if queue_id:
            for kept, holds in zip(found, answers or [True], strict=True):
                if holds:
                    _keep(kept, queue_id, MAX_CANDIDATES)
        elif entry.get("session") and all(answers) and (asked or entry["event"] == "refused"):
            _keep(sessions, entry["session"], MAX_STORIES)
    chosen = [queue_id for queue_id in found[0] if all(queue_id in other for other in found[1:])]
    return chosen[-MAX_STORIES:], list(sessions)


def _follow(files: list[Path], queue_ids: Collection[str]) -> dict[str, str]:
    """Where the lines of each id belong: a message's to its session, a notification's to the message that it is about."""
    home = {queue_id: queue_id for queue_id in queue_ids}
    for line in _lines(files):
        if b'"original_queue_id"' not in line and b'"accepted"' not in line:
            continue
        if not any(each.decode() in home for each in _IDS.findall(line)):
            continue
        entry = _entry(line)
        if entry is None or not is_credible(entry["role"], entry["event"]):
            continue
        queue_id, original = entry.get("queue_id", ""), entry.get("original_queue_id", "")
        if entry["event"] == "accepted" and queue_id in home:
            session = entry.get("session") or queue_id
            home[queue_id] = home[session] = session
        elif entry["event"] == "queued" and original in home:
            home[queue_id] = home[original]  # Later in the log than its original was accepted.
    return home


def _collect(files: list[Path], home: dict[str, str], wanted: Wanted) -> list[Story]:
    stories: dict[str, Story] = {}
    for line in _lines(files):
        if not any(each.decode() in home for each in _IDS.findall(line)):
            continue
        entry = _entry(line)
        if entry is None:
            continue
        queue_id, session = entry.get("queue_id", ""), entry.get("session", "")
        place = home.get(queue_id or session)
        if place is None or (not queue_id and not _belongs(entry, wanted)):
            continue
        story = stories.get(place)
        if story is None:
            story = stories[place] = Story(session=place if place == session else "")
        story.session = story.session or (session if place == session else "")
        story.add(entry)
    newest = sorted(stories.values(), key=lambda story: story.events[0]["time"])
    return newest[-MAX_STORIES:]


def _belongs(entry: Entry, wanted: Wanted) -> bool:
    """Does a line about a whole conversation matter? Of a refusal only one that was asked for."""
    if entry["event"] != "refused" or wanted.identity is not None:
        return True
    from_matters = wanted.reverse_path is not None and not _same(entry.get("reverse_path"), wanted.reverse_path)
    to_matters = wanted.forward_path is not None and "forward_path" in entry and not _is_to(entry, wanted.forward_path)
    return not from_matters and not to_matters


def _keep(kept: dict[str, None], key: str, most: int) -> None:
    """Remember *key* as the newest, and forget the oldest beyond *most*."""
    kept.setdefault(key)
    if len(kept) > most:
        del kept[next(iter(kept))]


def _needle(text: str) -> bytes:
    """*text* as it stands in a line, small letters."""
    return json.dumps(_bare(text)).encode().lower()


def _bare(path: str) -> str:
    return path[1:-1] if path.startswith("<") and path.endswith(">") else path


def _same(value: object, path: str | None) -> bool:
    return isinstance(value, str) and path is not None and value.lower() == _bare(path).lower()


def _is_to(entry: Entry, path: str | None) -> bool:
    return any(_same(entry.get(key), path) for key in ("forward_path", "original_recipient", "final_recipient"))


def _ids_of(entry: Entry) -> tuple[str, str]:
    return entry.get("queue_id", ""), entry.get("session", "")


# --- in plain words

_WORDS = {
    "connected": "connected from {client}",
    "refused": "refused: {reply}{about}",
    "accepted": "accepted as {queue_id}, {size} octets from <{reverse_path}> to {forward_path}{others}",
    "queued": "notification {queue_id} about {original_queue_id} queued for {forward_path}",
    "client-unanswered": "the client had gone before it could be told that {queue_id} was accepted",
    "delivered": "{queue_id} delivered to {recipient} ({status})",
    "relayed": "{queue_id} handed on for {recipient} ({status} {diagnostic_code})",
    "expanded": "{queue_id}: {recipient} leads to nobody who has not got it already",
    "deferred": "{queue_id} for {recipient} is tried again later ({status} {diagnostic_code})",
    "failed": "{queue_id} for {recipient} failed for good ({status} {diagnostic_code})",
    "bounced": "the sender <{reverse_path}> of {queue_id} was told",
    "notified": "the sender <{reverse_path}> of {queue_id} was told",
    "replied": "{final_recipient} answered {queue_id} by itself",
    "reply-withheld": "{final_recipient} did not answer {queue_id} by itself ({why})",
    "conditions-unjudged": "nobody could say whether {queue_id} goes on from {final_recipient}; it stays there",
    "backscatter": "that notification could have been a refusal",
    "secured": "TLS: {tls}",
    "handshake-failed": "no TLS: {why}",
    "double-bounce-dropped": "{queue_id}, itself about a failure, failed and was dropped",
    "unknown-too-often": "{client} named too many unknown recipients; answers slow down",
    "fault": "an error of ours ended the conversation ({fault} {error})",
}


def words(entry: Entry) -> str:
    """One line of a story for people; printable, whatever stands in the log."""
    values = {key: str(value) for key, value in entry.items()}
    original, final = values.get("original_recipient", ""), values.get("final_recipient", "")
    values["recipient"] = final if final.lower() == original.lower() else f"{final} (for {original})"
    values["about"] = "".join(
        f" {name}<{values[key]}>" for key, name in (("reverse_path", "from "), ("forward_path", "to ")) if key in values
    )
    others = int(values.get("recipients", "1")) - 1 if values.get("recipients", "1").isdecimal() else 0
    values["others"] = f" and {others} more" if others > 0 else ""
    template = _WORDS.get(entry["event"])
    if template is None:
        rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _ALWAYS and value)
        meaning = EVENTS[entry["event"]].meaning if entry["event"] in EVENTS else entry["event"]
        said = f"{meaning}: {rest}"
    else:
        said = template.format_map(_Missing(values))
    if not is_credible(entry["role"], entry["event"]):
        said = f"{entry['role']} claims: {said}"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in said)


class _Missing(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"
