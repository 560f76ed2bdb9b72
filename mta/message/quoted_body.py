"""Words of ours as the body of a message: quoted-printable (RFC 2045 6.7) that is its own canonical form for DKIM.

A reader would otherwise get wrong: this is no encoder for what strangers wrote. No blank stands beside another, or at the end
of a line, but encoded; so whoever has the words alone knows the hash that will be signed (RFC 6376 3.4.4).
"""

MAX_LINE = 72  # octets, less what a soft line end takes


def body_of(text: bytes) -> bytes:
    """*text* (UTF-8, its lines end in LF) as a body; seven-bit, lines end in CRLF."""
    return b"".join(_quoted(line) + b"\r\n" for line in text.strip(b"\n").split(b"\n"))


def _quoted(line: bytes) -> bytes:
    """One line, of which no blank is the last, the first, or beside another."""
    lines = [b""]
    for octet in line:
        plain = bytes([octet])
        is_blank = octet in b" \t" and (not lines[-1] or lines[-1].endswith(b" "))
        if octet == ord("=") or not 32 <= octet < 127 or is_blank or (octet == ord(".") and not lines[-1]):
            plain = b"=%02X" % octet
        if len(lines[-1]) + len(plain) > MAX_LINE:
            lines.append(b"=20" if plain == b" " else plain)
        else:
            lines[-1] += plain
    if lines[-1].endswith(b" "):
        lines[-1] = lines[-1][:-1] + b"=20"
    return b"=\r\n".join(lines)
