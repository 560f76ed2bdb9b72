"""What a stranger's header section says of itself: its fields by name, its subject as text, marks that filters left.

A reader would otherwise get wrong: this reads mail as it comes, where `dkim.canonical` reads what must be right. What is no
field is passed over, a CR or LF alone ends a line like any other, and nothing is ever refused. It belongs into roles that hold
nothing. A mark is whoever's: a stranger may put it there himself, so it may only ever do his own message harm.
"""

import re
import unicodedata

from mta.message.encoded_words import decode
from mta.record import dataclass

MAX_FIELDS = 2000  # of a header section; more are not looked at, and then it is not whole

_LINES = re.compile(rb"\r\n|\r|\n")
_NAME = re.compile(rb"([!-9;-~]{1,80})[ \t]*:")
_FAILED = re.compile(rb"(?:^|[;\s])(?:spf|dmarc)\s*=\s*(?:fail|softfail)\b")


@dataclass(frozen=True, slots=True)
class Header:
    """Bodies by field name in small letters, unfolded, in the order in which they stand; not *is_whole*: there is more."""

    fields: dict[bytes, list[bytes]]
    is_whole: bool = True

    def bodies(self, name: bytes) -> list[bytes]:
        """The bodies of all fields called *name* (small letters)."""
        return self.fields.get(name, [])

    def first(self, name: bytes) -> bytes:
        """The body of the first field called *name*, or nothing."""
        return next(iter(self.bodies(name)), b"")

    @property
    def subject(self) -> str:
        """As a person reads it, on one line."""
        return " ".join(decode(self.first(b"subject")).split())

    @property
    def is_spam(self) -> bool:
        """Did a filter mark it: SpamAssassin's, rspamd's, or what most others copied from them?"""
        flags = (*self.bodies(b"x-spam-flag"), *self.bodies(b"x-spam"), *self.bodies(b"x-spam-status"))
        return any(flag.strip().lower().startswith((b"yes", b"true")) for flag in flags)

    @property
    def is_forged(self) -> bool:
        """Did somebody who checked its sender say that it failed (RFC 8601, RFC 7208 9.1)?"""
        told = [body.lower() for body in self.bodies(b"authentication-results")]
        spf = [body.strip().lower() for body in self.bodies(b"received-spf")]
        return any(_FAILED.search(body) for body in told) or any(
            body.startswith((b"fail", b"softfail")) for body in spf
        )


def read_header(section: bytes, *, is_whole: bool = True) -> Header:
    """The fields in the octets of a header section."""
    fields: dict[bytes, list[bytes]] = {}
    last: list[bytes] = []
    count = 0
    for line in _LINES.split(section):
        if not line:
            continue
        if line[:1] in b" \t":
            if last:
                last[-1] += b" " + line.strip(b" \t")
            continue
        name = _NAME.match(line)
        if name is None:
            last = []
            continue
        count += 1
        if count > MAX_FIELDS:
            return Header(fields, is_whole=False)
        last = fields.setdefault(name[1].lower(), [])
        last.append(line[name.end() :].strip(b" \t"))
    return Header(fields, is_whole)


def folded(text: str) -> str:
    """*text* as it is compared: composed, without capitals, with single blanks."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def contains_one(subject: str, words: tuple[bytes, ...]) -> bool:
    """Does *subject* contain one of *words* (UTF-8), capitals or not?"""
    text = folded(subject)
    return any(folded(each.decode("utf-8", "replace")) in text for each in words)
