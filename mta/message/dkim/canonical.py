"""The two canonical forms of header and body (RFC 6376 3.4), and the hash of a body that comes in pieces.

A reader would otherwise get wrong: blank lines at a body's end do not count, so nobody knows of a blank line whether it
counts before something follows. They are numbers here until then, not octets: a body of nothing else costs no memory.
"""

import enum
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

_FIELD = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
_NAME = re.compile(rb"[!-9;-~]+[ \t]*:")
# Half of a line end: text like any other. The last CR may still be the first half of a whole one.
_HALF = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")
_LINE_END = b"\r\n"
_LINE_ENDS_AT_ONCE = 4096  # of blank lines that turn out to count


class NotAHeader(ValueError):
    """Not the header section of a message; the words say where, and may be shown to who wrote it."""


class Form(enum.Enum):
    """How octets are made comparable (RFC 6376 3.4)."""

    SIMPLE = b"simple"
    RELAXED = b"relaxed"


def split_fields(header: bytes) -> list[bytes]:
    """The fields of a header section, each with its folded lines and its line end.

    Raises:
        NotAHeader: a line that belongs to no field (RFC 5322 2.2), or a CR or LF alone.
    """
    fields: list[bytes] = []
    position = 0
    while position < len(header):
        match = _FIELD.match(header, position)
        if match is None or _NAME.match(match[0]) is None:
            line = header.count(b"\n", 0, position) + 1
            raise NotAHeader(f"line {line} of the header is no header field")
        fields.append(match[0])
        position = match.end()
    return fields


def name_of(field: bytes) -> bytes:
    """The name of a field of `split_fields`, in lower case."""
    return field.partition(b":")[0].rstrip(b" \t").lower()


def body_of(field: bytes) -> bytes:
    """What stands behind the colon, unfolded and without blanks around it."""
    return field.partition(b":")[2].replace(_LINE_END, b"").strip(b" \t")


def canonical_field(field: bytes, form: Form) -> bytes:
    """*field* in canonical form, with its line end (RFC 6376 3.4.1, 3.4.2)."""
    if form is Form.SIMPLE:
        return field
    return b"%b:%b\r\n" % (name_of(field), _with_single_blanks(body_of(field)))


def select_fields(fields: Sequence[bytes], names: Iterable[bytes]) -> Iterator[bytes]:
    """The fields that a list of *names* (h=) stands for: of several of one name the last first (RFC 6376 5.4.2).

    A name that is there more often than its field stands for nothing, and forbids that one is added.
    """
    left: dict[bytes, list[bytes]] = {}
    for field in fields:
        left.setdefault(name_of(field), []).append(field)
    for name in names:
        of_name = left.get(name.lower())
        if of_name:
            yield of_name.pop()


def signed_octets(fields: Sequence[bytes], names: Iterable[bytes], signature: bytes, form: Form) -> bytes:
    """What a signature is over: the fields that *names* stand for, then the field *signature* itself (RFC 6376 3.7).

    *signature* has nothing behind b=, and its last line end does not count.
    """
    chosen = [canonical_field(field, form) for field in select_fields(fields, names)]
    return b"".join(chosen) + canonical_field(signature, form).removesuffix(_LINE_END)


class BodyHash:
    """SHA-256 of the canonical form of a body that is handed over piece by piece (RFC 6376 3.4.3, 3.4.4).

    With *most* only so many octets of the canonical form count (l=); `octets` says how many there were.
    """

    def __init__(self, form: Form = Form.RELAXED, most: int | None = None) -> None:
        self.octets = 0
        self._hash, self._form, self._most = hashlib.sha256(), form, most
        self._blank = b" \t\r\n" if form is Form.RELAXED else b"\r\n"  # what does not count at the end
        self._line_ends = 0  # of which it is not known yet whether anything follows
        self._tail = b""  # behind them: one blank at most, and a CR whose LF may follow

    def update(self, piece: bytes) -> None:
        """The next octets of the body."""
        data = self._tail + piece
        end = len(data.rstrip(self._blank))
        for half in _HALF.finditer(data, end):
            end = half.end()
        if end:
            self._flush()
            self._put(self._reduced(data[:end]))
        rest = data[end:]
        self._line_ends += rest.count(_LINE_END)
        self._tail = _with_single_blanks(rest.rpartition(_LINE_END)[2])

    def digest(self) -> bytes:
        """The hash, 32 octets; nothing comes after this."""
        if self._tail.endswith(b"\r"):
            self._flush()
            self._put(self._tail)
        # What is left is no text. A last line without its end gets one (a relay would give it one too).
        if self.octets or self._form is Form.SIMPLE:
            self._put(_LINE_END)
        return self._hash.digest()

    def _reduced(self, text: bytes) -> bytes:
        if self._form is Form.SIMPLE:
            return text
        return _with_single_blanks(text).replace(b" \r\n", _LINE_END)

    def _flush(self) -> None:
        """Something follows: the line ends count."""
        while self._line_ends:
            some = min(self._line_ends, _LINE_ENDS_AT_ONCE)
            self._put(_LINE_END * some)
            self._line_ends -= some

    def _put(self, octets: bytes) -> None:
        room = len(octets) if self._most is None else max(0, self._most - self.octets)
        self._hash.update(octets[:room])
        self.octets += len(octets)


def _with_single_blanks(text: bytes) -> bytes:
    """Each run of blanks as one space. By halving: an expression would look at each octet, and most text has no run."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
