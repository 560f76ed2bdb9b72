"""Lists of `tag=value` (RFC 6376 3.2): what a signature and a key record are written in. Read strictly.

A reader would otherwise get wrong: two readers that see different values in one list are a hole, so what is doubtful is no
list at all: a tag twice, a name that is none, octets that no value may have.
"""

import base64
import binascii
import re
from collections.abc import Mapping

MAX_TAGS = 64

# RFC 6376 3.2: a value is printable, without semicolon, and may be folded.
_SPEC = re.compile(rb"[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=[ \t\r\n]*([!-:<-~\x80-\xff \t\r\n]*)\Z")
_BLANKS = re.compile(rb"[ \t\r\n]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
_NUMBER = re.compile(rb"[0-9]{1,12}\Z")  # RFC 6376 3.5 wants room until the year 200,000


class BadTags(ValueError):
    """Not such a list, or a value that its tag may not have."""


def read_tags(text: bytes) -> dict[bytes, bytes]:
    """Tag to value, in order; blanks around values are gone, those inside stand.

    Raises:
        BadTags: it is no such list.
    """
    specs = text.split(b";")
    if not specs[-1].strip(b" \t\r\n"):
        specs.pop()
    if not 1 <= len(specs) <= MAX_TAGS:
        raise BadTags("no tags, or too many")
    found: dict[bytes, bytes] = {}
    for spec in specs:
        match = _SPEC.match(spec)
        if match is None:
            raise BadTags("not a list of tags")
        name, value = match[1], match[2].rstrip(b" \t\r\n")
        if name in found:
            raise BadTags(f"the tag {name.decode()} stands twice")
        found[name] = value
    return found


def octets_of(tags: Mapping[bytes, bytes], name: bytes) -> bytes:
    """The octets of a base64 value, which may be folded anywhere (RFC 6376 3.5).

    Raises:
        BadTags: it is none.
    """
    text = _BLANKS.sub(b"", tags[name])
    if not _BASE64.match(text):
        raise BadTags(f"{name.decode()}= is not base64")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadTags(f"{name.decode()}= is not base64") from error


def number_of(tags: Mapping[bytes, bytes], name: bytes) -> int | None:
    """The number of a tag; None: there is none.

    Raises:
        BadTags: something else stands there.
    """
    value = tags.get(name)
    if value is None:
        return None
    if not _NUMBER.match(value):
        raise BadTags(f"{name.decode()}= is not a number")
    return int(value)


def words_of(value: bytes) -> tuple[bytes, ...]:
    """The words of a list with colons, in lower case, without blanks around them."""
    return tuple(word.strip(b" \t\r\n").lower() for word in value.split(b":"))
