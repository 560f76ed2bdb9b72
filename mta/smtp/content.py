"""The content between DATA and its final dot (RFC 5321 4.1.1.4, 4.5.2), read in blocks wherever they are cut.

A reader would otherwise get wrong: only CR LF dot CR LF ends the content. A bare LF or CR around a dot ends it for some
other servers, and that difference is what "SMTP smuggling" lives on. So besides not ending there, content with a bare CR,
a bare LF or a NUL is marked `tainted`, and never passed on for another server to read differently.
"""

END = b"\r\n.\r\n"
# What may stand at the end of a block and be the beginning of END or of a stuffed dot, longest first.
_UNDECIDED = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")


class ContentReader:
    """Takes the stuffing out and finds the end; holds back at most four octets."""

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
        end = octets.find(END)
        rest: bytes | None = None
        if end >= 0:
            rest = octets[end + len(END) :]
            raw = octets[: end + 2]
            self._held = b""
        else:
            self._held = held = _undecided(octets)
            raw = octets[: len(octets) - len(held)]
        # No line end is cut in two here: its CR would have been held back.
        lines = raw.count(b"\r\n")
        if raw.count(b"\r") != lines or raw.count(b"\n") != lines or b"\0" in raw:
            self.tainted = True
        content = raw.replace(b"\r\n.", b"\r\n")
        if self._first and raw:
            self._first = False
            content = content[2:]
        return content, rest


def _undecided(octets: bytes) -> bytes:
    for suffix in _UNDECIDED:
        if octets.endswith(suffix):
            return suffix
    return b""
