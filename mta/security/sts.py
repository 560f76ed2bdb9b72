"""MTA-STS (RFC 8461): the TXT record that says there is a policy, the policy's text, and which MX it allows.

A reader would otherwise get wrong: the text is what a stranger's web server sent, and the domain is bound by it for weeks. So
it is read strictly: one field too many of a kind, a wildcard in the wrong place, an MX that is none, and there is no policy.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from mta.record import dataclass
from mta.security.wildcards import covers
from mta.vocabulary import is_domain

MAX_TEXT: Final = 64 * 1024  # octets of a policy: RFC 8461 3.3 suggests that bound
MAX_LINES: Final = 1000
MAX_PATTERNS: Final = 150  # as many as travel in one packet
MAX_AGE_SECONDS: Final = 31_557_600  # RFC 8461 3.2: about a year; what is longer is cut
MODES: Final = ("enforce", "testing", "none")

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_FIELD = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9_.-]{0,31}))[ \t]*:[ \t]*(.*?)[ \t]*\Z")
_EXTENSION = re.compile(r"[\x20-\x7e\x80-\U0010ffff]*\Z")


class PolicyError(ValueError):
    """No policy: RFC 8461 says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain wants of who sends it mail."""

    mode: str
    max_age: int  # seconds
    patterns: tuple[str, ...] = ()  # in lower case: names, or `*.` and a name

    def allows(self, mx: str) -> bool:
        """Is *mx* (an A-label) one of the domain's?"""
        return any(covers(pattern, mx) for pattern in self.patterns)


def record_id(texts: Iterable[bytes]) -> str:
    """The id in the TXT record of `_mta-sts.<domain>`; empty when there is no record, or more than one (RFC 8461 3.1)."""
    found = [text for text in texts if text.startswith(b"v=STSv1;") or text.rstrip() == b"v=STSv1"]
    if len(found) != 1:
        return ""
    try:
        fields = [part.strip(" \t") for part in found[0].decode("ascii").split(";")[1:]]
    except UnicodeDecodeError:
        return ""
    for field in fields:
        name, equals, text = field.partition("=")
        if name.strip(" \t") == "id" and equals:
            text = text.strip(" \t")
            return text if _ID.match(text) else ""
    return ""


def read_policy(octets: bytes) -> Policy:
    """The policy in *octets* (RFC 8461 3.2).

    Raises:
        PolicyError: it is none.
    """
    if len(octets) > MAX_TEXT:
        raise PolicyError("longer than a policy may be")
    try:
        lines = octets.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise PolicyError("not UTF-8") from error
    fields = _fields(lines)
    mode, age = fields["mode"], fields["max_age"]
    if fields["version"] != "STSv1":
        raise PolicyError("not a version that we know")
    if mode not in MODES:
        raise PolicyError("not a mode that we know")
    if not _NUMBER.match(age):
        raise PolicyError("max_age is not a number of seconds")
    patterns = tuple(map(_pattern, fields.patterns))
    if not patterns and mode != "none":
        raise PolicyError("no MX is named")
    return Policy(mode, min(int(age), MAX_AGE_SECONDS), patterns)


def write_policy(policy: Policy) -> bytes:
    """The text that `read_policy` reads as *policy*."""
    fields = [("version", "STSv1"), ("mode", policy.mode), ("max_age", str(policy.max_age))]
    return "".join(f"{name}: {text}\n" for name, text in fields + [("mx", each) for each in policy.patterns]).encode()


class _Fields(dict[str, str]):
    """The fields that stand once, and the values of `mx`."""

    def __init__(self) -> None:
        super().__init__()
        self.patterns: list[str] = []

    def __missing__(self, name: str) -> str:
        raise PolicyError(f"{name} is missing")


def _fields(lines: Sequence[str]) -> _Fields:
    if len(lines) > MAX_LINES:
        raise PolicyError("more lines than a policy may have")
    found = _Fields()
    for line in lines:
        if not line.strip(" \t"):
            continue  # RFC 8461 3.2 ends each field with a line end; an empty line more or less does no harm.
        match = _FIELD.match(line)
        if match is None or not _EXTENSION.match(match[2]):
            raise PolicyError("a line that is no field")
        name, value = match[1], match[2]
        if name == "mx":
            if len(found.patterns) >= MAX_PATTERNS:
                raise PolicyError("more MX than anybody has")
            found.patterns.append(value)
        else:
            found.setdefault(name, value)  # RFC 8461 3.2: of several, all but the first are ignored
    return found


def _pattern(text: str) -> str:
    lowered = text.lower()
    name = lowered.removeprefix("*.")
    if not is_domain(name):
        raise PolicyError("an MX that is no host name")
    return lowered
