"""An event as a line of JSON and as a line for people. Values in, text out.

A reader would otherwise get wrong: a role may be taken over and put anything into its events. So its keys can never
replace time, role and event, and what it says reaches a terminal only after `visible`.

Both are made for each event of the house, so they are made by hand: `json.dumps` of the same mapping takes twice as
long.
"""

import time
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted

from mta.events import EVENTS

_OURS = frozenset({"time", "role", "event"})

# What the operator is not told as it happens; the file has it all. A name that EVENTS does not have is told.
QUIET = frozenset(name for name, kind in EVENTS.items() if kind.quiet)
HIDDEN = frozenset({"session"})  # keys that say something to programs only
MAX_SENTENCE = 500  # characters


def visible(text: str) -> str:
    """*text* with everything that is not printable written as its code."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def said(pairs: Sequence[bytes]) -> dict[str, str]:
    """Key, value, key, value … as text; an odd last one has an empty value."""
    texts = b"\0".join(pairs).decode("utf-8", "backslashreplace").split("\0")  # one call for all, where it can be
    if len(texts) != len(pairs):
        texts = [part.decode("utf-8", "backslashreplace") for part in pairs]
    if len(texts) % 2:
        texts.append("")
    words = dict(zip(texts[::2], texts[1::2], strict=True))
    if not _OURS.isdisjoint(words):
        words = {(f"said_{key}" if key in _OURS else key): value for key, value in words.items()}
    return words


def record(moment: float, role: str, event: str, words: Mapping[str, str]) -> bytes:
    """One line of events.log. *moment*: seconds since 1970."""
    rest = "".join([f",{quoted(key)}:{quoted(value)}" for key, value in words.items()])
    return f'{{"time":{moment:.6f},"role":{quoted(role)},"event":{quoted(event)}{rest}}}\n'.encode("ascii")


class Clock:
    """The hour for people; worked out once a second."""

    def __init__(self) -> None:
        self._second, self._text = -1, ""

    def text(self, moment: float) -> str:
        """Hours, minutes and seconds of *moment* (seconds since 1970), local time."""
        second = int(moment)
        if second != self._second:
            self._second, self._text = second, time.strftime("%H:%M:%S", time.localtime(second))
        return self._text


_CLOCK = Clock()


def sentence(moment: float, role: str, event: str, words: Mapping[str, str]) -> bytes:
    """One line for the operator; empty when it is nothing to tell him."""
    if event in QUIET:
        return b""
    what = " ".join([f"{key}={value}" for key, value in words.items() if value and key not in HIDDEN])
    return visible(f"{_CLOCK.text(moment)} {role}: {event} {what}"[:MAX_SENTENCE]).encode("utf-8", "replace") + b"\n"
