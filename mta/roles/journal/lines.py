"""An event as a line of JSON and as a line for people. Values in, text out.

A reader would otherwise get wrong: a role may be taken over and put anything into its events. So its keys can never
replace time, role and event, and what it says reaches a terminal only after `visible`.
"""

import json
import time
from collections.abc import Mapping, Sequence

_OURS = ("time", "role", "event")

# What the operator is not told as it happens: it is told by somebody else, or is how things should be. The file has it all.
QUIET = frozenset(
    {
        ("smtpd", "accepted"), ("compiler", "published"), ("enqueuer", "spool_recovered"), ("directory", "snapshot-in-use"),
        ("authenticator", "snapshot-in-use"), ("localspawn", "local-ended"),
    }
)  # fmt: skip
HIDDEN = frozenset({"session"})  # keys that say something to programs only
MAX_SENTENCE = 500  # characters


def visible(text: str) -> str:
    """*text* with everything that is not printable written as its code."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def said(pairs: Sequence[bytes]) -> dict[str, str]:
    """Key, value, key, value … as text; an odd last one has an empty value."""
    texts = [part.decode("utf-8", "backslashreplace") for part in pairs]
    if len(texts) % 2:
        texts.append("")
    return {(f"said_{key}" if key in _OURS else key): value for key, value in zip(texts[::2], texts[1::2], strict=True)}


def record(moment: float, role: str, event: str, words: Mapping[str, str]) -> bytes:
    """One line of events.log. *moment*: seconds since 1970."""
    line = {"time": round(moment, 6), "role": role, "event": event, **words}
    return json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def sentence(moment: float, role: str, event: str, words: Mapping[str, str]) -> bytes:
    """One line for the operator; empty when it is nothing to tell him."""
    if (role, event) in QUIET:
        return b""
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    what = " ".join(f"{key}={value}" for key, value in words.items() if value and key not in HIDDEN)
    return visible(f"{clock} {role}: {event} {what}"[:MAX_SENTENCE]).encode("utf-8", "replace") + b"\n"
