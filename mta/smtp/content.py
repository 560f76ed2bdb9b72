"""Content as it comes: between DATA and its final dot (RFC 5321 4.1.1.4, 4.5.2), or in the chunks of BDAT (RFC 3030).

A reader would otherwise get wrong: only CR LF dot CR LF ends the content of DATA. A bare LF or CR around a dot ends it for
some other servers, and that difference is what "SMTP smuggling" lives on. So besides not ending there, content with a bare
CR, a bare LF or a NUL is marked `tainted`, whichever way it came, and never passed on for another server to read
differently. The octets between two CR LF are otherwise anybody's: content beyond ASCII is taken and kept as it is, with
BODY=8BITMIME (RFC 6152) and without, because a Maildir keeps it and a refusal would lose mail that everybody else takes.
"""

import re

END = b"\r\n.\r\n"
# What may stand at the end of a block and be the beginning of END or of a stuffed dot, longest first.
_UNDECIDED = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
_RECEIVED = b"\r\nreceived:"
_BARE_CR = re.compile(rb"\r[^\n]")
_RESENT = b"\r\nresent-"  # RFC 5322 3.6.6
_PASSED = b"(passed "
_MARK = re.compile(rb"\(passed ([0-9a-f]{24})\)")
_LONGEST_MARK = len(_PASSED) + 24
MAX_MARKS = 10  # a message comes back no more often


class ContentReader:
    """Content of DATA: takes the stuffing out and finds the end; holds back at most four octets."""

    __slots__ = ("_first", "_held", "tainted")

    def __init__(self) -> None:
        self.tainted = False
        # The content begins at the beginning of a line, so a dot there is stuffed, or the end, like behind any CRLF.
        self._held = b"\r\n"
        self._first = True

    def read(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Content found in *octets*; and, when the end was among them, what follows it (else None)."""
        if self._held:
            octets = self._held + octets
        # Most content has no line that begins with a dot but the last, and looking backwards for one is the cheapest.
        dot = octets.rfind(b"\r\n.")
        stuffed = dot >= 0 and not (octets.endswith(END) and octets.rfind(b"\r\n.", 0, dot) < 0)
        end = -1 if dot < 0 else octets.find(END) if stuffed else len(octets) - len(END)
        rest: bytes | None = None
        if end >= 0:
            rest = octets[end + len(END) :]
            raw = octets[: end + 2]
            self._held = b""
        else:
            self._held = held = _undecided(octets)
            raw = octets[: len(octets) - len(held)]
        self.tainted = self.tainted or _is_tainted(raw)
        content = raw.replace(b"\r\n.", b"\r\n") if stuffed else raw
        if self._first and raw:
            self._first = False
            content = content[2:]
        return content, rest


class ChunkReader:
    """Content of BDAT: octets as they are, wherever a chunk ends; holds back at most one."""

    __slots__ = ("_held", "_in_line", "tainted")

    def __init__(self) -> None:
        self.tainted = False
        self._held = b""
        self._in_line = False

    def read(self, octets: bytes) -> bytes:
        """Content found in *octets*."""
        if self._held:
            octets = self._held + octets
        self._held = b"\r" if octets.endswith(b"\r") else b""
        content = octets[: len(octets) - len(self._held)]
        self.tainted = self.tainted or _is_tainted(content)
        if content:
            self._in_line = not content.endswith(b"\n")
        return content

    def finish(self) -> bytes:
        """What is missing at the end of the last chunk: DATA could not say a last line without its end, so it gets one."""
        self.tainted = self.tainted or bool(self._held)
        return b"\r\n" if self._in_line else b""


class HopCounter:
    """Counts the Received fields of the header section while it passes (RFC 5321 6.3), wherever it is cut.

    `own`: those that *host* wrote, as it folds them and as nobody on the way refolds them. A message that another host sends
    back to us, whoever rewrote what of it, bears one for each time it was here.

    `marks`: what stands there in the form of the marks that this host writes beside for whom a message is; which are its own
    only enqueuer can tell. Below a Resent field they count no more: then somebody sent it here anew, on purpose.
    """

    __slots__ = ("_by_us", "_in_header", "_is_resent", "_mark_tail", "_own_tail", "_tail", "hops", "marks", "own")

    def __init__(self, host: bytes = b"") -> None:
        self.hops = self.own = 0
        self._in_header = True
        self._tail = b"\r\n"  # the first line begins like any other
        self._by_us = b"\r\n\tby %b with " % host.lower() if host else b""
        self._own_tail = b""
        self.marks: list[bytes] = []
        self._is_resent = False
        self._mark_tail = b"\r\n"

    def read(self, content: bytes) -> None:
        """The next piece of the content."""
        if not self._in_header:
            return
        octets = self._tail + content
        end = octets.find(b"\r\n\r\n")
        if end >= 0:
            self._in_header = False
            octets = octets[:end]
            content = content[: max(0, end - len(self._tail))]
        self.hops += octets.lower().count(_RECEIVED)
        self._tail = octets[1 - len(_RECEIVED) :]  # too short to hold one that was counted
        if self._by_us:
            octets = self._own_tail + content
            self.own += octets.lower().count(self._by_us)
            self._own_tail = octets[1 - len(self._by_us) :]
            self._find_marks(self._mark_tail + content)

    def _find_marks(self, octets: bytes) -> None:
        if not self._is_resent:
            resent = octets.lower().find(_RESENT)
            self._is_resent = resent >= 0
            if _PASSED in octets:
                found = _MARK.findall(octets, 0, resent if resent >= 0 else len(octets))
                # One for each time that it was here for the same recipient: the same.
                self.marks = list(dict.fromkeys([*self.marks, *found]))[:MAX_MARKS]
        self._mark_tail = octets[-_LONGEST_MARK:]


def _is_tainted(octets: bytes) -> bool:
    """Is there a bare CR, a bare LF or a NUL? No line end is cut in two in *octets*: what may begin one was held back.

    So a CR at their end is bare: what was held back behind it begins with another.
    """
    # When no CR is bare, there are as many line ends as CRs; counting the pairs themselves would cost five times as much.
    return (
        octets.count(b"\n") != octets.count(b"\r")
        or b"\0" in octets
        or octets.endswith(b"\r")
        or _BARE_CR.search(octets) is not None
    )


def _undecided(octets: bytes) -> bytes:
    for suffix in _UNDECIDED:
        if octets.endswith(suffix):
            return suffix
    return b""
