"""Where the header section ends, and what of it fits. Bytes in, slices out, bounded.

A reader would otherwise get wrong: this is not a parser of messages. It never decodes and never judges; what a stranger
wrote is only cut at line ends, so that a trusted role may call it.
"""

import re

MAX_HEADER = 256 * 1024  # Octets looked at; what a stranger puts behind that is content to us.

_END = re.compile(rb"\r?\n\r?\n")


def header_section(content: bytes) -> bytes:
    """The header section of *content* with its last line end, without the empty line; all of it when there is no body.

    At most MAX_HEADER octets.
    """
    if content[:1] == b"\n" or content[:2] == b"\r\n":
        return b""
    end = _END.search(content, 0, MAX_HEADER)
    if end is None:
        return content[:MAX_HEADER]
    first_line_end = content.index(b"\n", end.start()) + 1
    return content[:first_line_end]


def whole_lines(header: bytes, max_octets: int) -> bytes:
    """As much of *header* as fits, cut before a field that does not fit whole."""
    if len(header) <= max_octets:
        return header
    kept = header[:max_octets]
    # A line that begins with a blank continues the field before it, so it cannot be where we cut.
    cut = kept.rfind(b"\n") + 1
    while cut and header[cut : cut + 1] in (b" ", b"\t"):
        cut = kept.rfind(b"\n", 0, cut - 1) + 1
    return kept[:cut]
