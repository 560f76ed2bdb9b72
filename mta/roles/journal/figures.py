"""What the events add up to, as text for Prometheus, in a file that others may read.

A reader would otherwise get wrong: figures begin at zero with each start of the journal; Prometheus expects that of a
counter. And no label is a stranger's word: roles are channels, events are names of the list, replies have a form and are
few. Otherwise whoever sends mail could make as many series as he likes.
"""

import collections
import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from mta.events import EVENTS, is_credible

NAME: Final = "metrics"
PUBLISH_SECONDS: Final = 1.0  # between two writings of the file
MAX_REPLIES: Final = 100  # different ones; the server has some thirty
MAX_REASONS: Final = 20  # for which the door turns somebody away; it has fewer
OTHER: Final = "other"
_REASON = re.compile(r"[a-z]+(-[a-z]+)*\Z", re.ASCII)
_REPLY = re.compile(r"[45]\d\d [45]\.\d{1,3}\.\d{1,3}\Z", re.ASCII)

# Event: which counter it raises.
_COUNTERS: Final = {
    "connected": "postern_connections_total",
    "accepted": "postern_messages_accepted_total",
    "queued": "postern_notifications_total",
    "bounced": "postern_messages_bounced_total",
    "backscatter": "postern_backscatter_total",
}
_OUTCOMES: Final = ("delivered", "relayed", "deferred", "failed")
_HELP: Final = {
    "postern_connections_total": "Clients whose socket went to an smtpd.",
    "postern_turned_away_total": "Clients that were told 421 or 554 at the door, by reason.",
    "postern_messages_accepted_total": "Messages of clients that were answered with 250.",
    "postern_notifications_total": "Notifications of our own that were queued.",
    "postern_messages_bounced_total": "Messages whose failure was told to their reverse-path.",
    "postern_backscatter_total": "Notifications to outsiders that a refusal during SMTP would have saved.",
    "postern_refused_total": "Replies 4yz and 5yz, by reply code and enhanced status code.",
    "postern_deliveries_total": "Attempts at copies, by what became of them.",
    "postern_events_total": "Lines of the journal, by who said it and what.",
    "postern_queue_messages": "Messages that are owed.",
    "postern_role_up": "Processes of a role that the journal hears; none of one that sleeps until it is asked.",
    "postern_role_restarts_total": "Processes of a role that came in the place of one that ended.",
}


class Figures:
    """Counts. `heard`, `met` and `lost` are told what happens; `text` is all of it."""

    def __init__(self) -> None:
        self.changed = False
        self._counters: collections.Counter[str] = collections.Counter()
        self._replies: collections.Counter[str] = collections.Counter()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._outcomes: collections.Counter[str] = collections.Counter()
        self._events: collections.Counter[tuple[str, str]] = collections.Counter()
        self._queue: int | None = None
        self._up: collections.Counter[str] = collections.Counter()
        self._starts: collections.Counter[tuple[str, int]] = collections.Counter()

    def heard(self, role: str, event: str, words: Mapping[str, str]) -> None:
        """One event; *role* is that of the channel."""
        self.changed = True
        self._events[role, event if event in EVENTS else OTHER] += 1
        if not is_credible(role, event):
            return
        if event == "refused":
            self._replies[_label(words.get("reply", ""), _REPLY, self._replies, MAX_REPLIES)] += 1
        elif event == "turned-away":
            reason = _label(words.get("reason", ""), _REASON, self._reasons, MAX_REASONS)
            self._reasons[reason] += _number(words.get("connections", ""))
        elif event in _OUTCOMES:
            self._outcomes[event] += 1
        elif event in _COUNTERS:
            self._counters[_COUNTERS[event]] += 1
        elif EVENTS[event].figure:
            self._queue = _number(words.get(EVENTS[event].figure, ""))

    def met(self, role: str, instance: int) -> None:
        """A process of *role* is there."""
        self.changed = True
        self._up[role] += 1
        self._starts[role, instance] += 1

    def lost(self, role: str) -> None:
        """A process of *role* is gone."""
        self.changed = True
        self._up[role] -= 1

    def text(self) -> str:
        """All figures in Prometheus' text format 0.0.4."""
        lines: list[str] = []
        for name in _COUNTERS.values():
            _add(lines, name, "counter", {"": self._counters[name]})
        _add(lines, "postern_refused_total", "counter", {f'{{reply="{r}"}}': n for r, n in self._replies.items()})
        reasons = {f'{{reason="{reason}"}}': n for reason, n in self._reasons.items()}
        _add(lines, "postern_turned_away_total", "counter", reasons)
        outcomes = {f'{{outcome="{outcome}"}}': self._outcomes[outcome] for outcome in _OUTCOMES}
        _add(lines, "postern_deliveries_total", "counter", outcomes)
        events = {f'{{role="{role}",event="{event}"}}': n for (role, event), n in self._events.items()}
        _add(lines, "postern_events_total", "counter", events)
        if self._queue is not None:
            _add(lines, "postern_queue_messages", "gauge", {"": self._queue})
        _add(lines, "postern_role_up", "gauge", {f'{{role="{role}"}}': n for role, n in self._up.items()})
        restarts: collections.Counter[str] = collections.Counter()
        for (role, _), starts in self._starts.items():
            restarts[f'{{role="{role}"}}'] += starts - 1
        _add(lines, "postern_role_restarts_total", "counter", restarts)
        return "".join(lines)


class Publisher:
    """Writes the text of *figures* below *folder* (a descriptor) when it changed, at most once in PUBLISH_SECONDS."""

    def __init__(self, figures: Figures, folder: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._figures, self._folder, self._clock = figures, folder, clock
        self._next = clock()

    def due_in(self) -> float | None:
        """Seconds until the file should be written again; None: there is nothing new."""
        return max(0.0, self._next - self._clock()) if self._figures.changed else None

    def publish(self) -> None:
        """Write it now. A full disk costs figures, nothing else."""
        self._figures.changed = False
        self._next = self._clock() + PUBLISH_SECONDS
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            file = os.open(NAME + ".new", flags, 0o644, dir_fd=self._folder)
            try:
                octets = self._figures.text().encode("ascii")
                whole = os.write(file, octets) == len(octets)
            finally:
                os.close(file)
            if whole:
                os.rename(NAME + ".new", NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)


def _label(word: str, form: re.Pattern[str], known: Mapping[str, int], most: int) -> str:
    """*word* as a label's value, if it has the form of one and there are not too many others."""
    return word if word in known or (form.match(word) and len(word) < 40 and len(known) < most) else OTHER


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0  # longer: nobody counted that


def _add(lines: list[str], name: str, kind: str, values: Mapping[str, int]) -> None:
    lines.append(f"# HELP {name} {_HELP[name]}\n# TYPE {name} {kind}\n")
    lines += [f"{name}{labels} {value}\n" for labels, value in values.items()]
