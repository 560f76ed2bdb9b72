"""Which messages a forwarding sends on: all that is asked must be so. Plain values in, plain values out.

A reader would otherwise get wrong: what does not meet the conditions stays in the mailbox, whatever the forwarding says of a
copy; and so does what cannot be judged, such as a subject in letters that nobody knows. Nothing is ever lost by a condition.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.errors import Invalid
from appliance.services import addresses

__all__ = ["LONGEST_WORDS", "MAX_EACH", "in_words", "parse"]

MAX_EACH = 20  # senders, and subjects, of one forwarding
LONGEST_WORDS = 100  # characters of what a subject is to contain
MAX_OCTETS = 1 << 50
FIELDS = ("senders", "subjects", "larger_than", "smaller_than", "spam")


def parse(asked: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """*asked* as it is stored; None where it asks nothing.

        senders        addresses, domains, or `.domain` for one and all below it: the reverse-path is one of them
        subjects       words: the subject contains one of them, capitals or not
        larger_than    octets
        smaller_than   octets
        spam           true: only what is marked as spam; false: only what is not

    Raises:
        Invalid: one of them makes no sense, or there are too many.
    """
    if asked is None:
        return None
    unknown = set(asked) - set(FIELDS)
    if unknown:
        raise Invalid(f"there is no condition {min(unknown)!r}", field="conditions")
    found: dict[str, Any] = {}
    if senders := _several(asked.get("senders"), "senders"):
        found["senders"] = list(dict.fromkeys(map(_sender, senders)))
    if subjects := _several(asked.get("subjects"), "subjects"):
        found["subjects"] = list(dict.fromkeys(map(_words, subjects)))
    for name in ("larger_than", "smaller_than"):
        if asked.get(name) is not None:
            found[name] = _octets(asked[name], name)
    if asked.get("spam") is not None:
        found["spam"] = bool(asked["spam"])
    return found or None


def in_words(conditions: Mapping[str, Any] | None) -> str:
    """Which messages go on, for a line on a terminal; empty: all."""
    if not conditions:
        return ""
    parts = []
    if senders := conditions.get("senders"):
        parts.append(f"from {' or '.join(senders)}")
    if subjects := conditions.get("subjects"):
        parts.append("whose subject contains " + " or ".join(f'"{words}"' for words in subjects))
    if "larger_than" in conditions:
        parts.append(f"larger than {conditions['larger_than']} octets")
    if "smaller_than" in conditions:
        parts.append(f"smaller than {conditions['smaller_than']} octets")
    if "spam" in conditions:
        parts.append("marked as spam" if conditions["spam"] else "not marked as spam")
    return ", ".join(parts)


def _several(asked: Sequence[str] | None, name: str) -> Sequence[str]:
    if asked is not None and len(asked) > MAX_EACH:
        raise Invalid(f"at most {MAX_EACH} {name} in one forwarding", field=f"conditions.{name}")
    return asked or ()


def _sender(text: str) -> str:
    field = "conditions.senders"
    plain = text.strip()
    if "@" in plain:
        return addresses.key_of(addresses.parse_address(plain, field))
    return ("." if plain.startswith(".") else "") + addresses.parse_domain(plain.removeprefix("."), field)


def _words(text: str) -> str:
    words = unicodedata.normalize("NFC", " ".join(text.split()))
    if not words or len(words) > LONGEST_WORDS or not words.isprintable():
        raise Invalid(
            f"what a subject contains is a text of 1 to {LONGEST_WORDS} characters", field="conditions.subjects"
        )
    return words


def _octets(number: int, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_OCTETS:
        raise Invalid(f"{name} is a number of octets from 0 to {MAX_OCTETS}", field=f"conditions.{name}")
    return number
