"""An event as a line of JSON and as a line for people. Values in, text out.

A reader would otherwise get wrong: a role may be taken over and put anything into its events. So its keys can never
replace time, role and event, and what it says reaches a terminal only after `visible`.
"""

import json
import time
from collections.abc import Mapping, Sequence

_OURS = ("time", "role", "event")

# Events that an operator wants to see as they happen, and which of their keys. The file has them all.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "accepted": ("queue_id", "reverse_path", "size", "client"),
    "refused": ("forward_path", "client", "reason", "reply"),
    "turned-away": ("connections", "client"),
    "delivered": ("queue_id", "recipient"),
    "deferred": ("queue_id", "recipient", "status", "diagnostic_code"),
    "failed": ("queue_id", "recipient", "status", "diagnostic_code"),
    "bounced": ("queue_id", "recipient"),
    "dropped": ("queue_id", "recipient", "status"),
    "published": ("seq", "changes"),
    "refused-to-publish": ("reason",),
    "login-failed": ("name", "client"),
    "complaint": ("text",),
}


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
    """One line for the operator; empty when the event is none that matters."""
    wanted = SHOWN.get(event)
    if wanted is None:
        return b""
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    what = " ".join(f"{key}={words[key]}" for key in wanted if words.get(key))
    return visible(f"{clock} {role}: {event} {what}").encode("utf-8", "replace") + b"\n"
