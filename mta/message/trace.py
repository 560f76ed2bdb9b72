"""Our trace field (RFC 5321 4.4), from what the envelope knows.

A reader would otherwise get wrong: everything in it but our own name is a stranger's word. It is cut to what cannot end the
line, open a comment or close one, so that nobody can write a field of his own through his HELO.
"""

import functools
import hashlib
import re
import time

from mta.relaying import user_of

MAX_HELO = 255
MAX_TLS = 100  # Octets of version and cipher.
MARK_OCTETS = 24  # hexadecimal digits

_NOT_IN_TLS = re.compile(rb"[^A-Za-z0-9._ -]")
_NOT_IN_A_NAME = re.compile(rb"[^A-Za-z0-9.:_\[\]-]")
_PATH_THAT_FITS = re.compile(rb"[^\x00-\x20\x7f<>()\\]{1,254}\Z")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@functools.lru_cache(maxsize=4)  # A busy second has many messages.
def date_time(moment: int) -> bytes:
    """*moment* (seconds since 1970) as RFC 5322 3.3 wants it, in UTC; no locale can change it."""
    t = time.gmtime(moment)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday} {_MONTHS[t.tm_mon]} {t.tm_year} {clock} +0000".encode()


def received_field(
    *, helo: bytes, client: bytes, host: bytes, protocol: bytes, queue_id: bytes, forward_path: bytes, moment: int,
    tls: bytes = b"", mark: bytes = b"",
) -> bytes:  # fmt: skip
    """The `Received` field of a message that *client* (an IP address, see also `relaying`) handed us, with its line end.

    *protocol* is a word of RFC 3848 or RFC 6531 4.3. *forward_path* is empty unless there is only one recipient: the
    others' addresses are not for him to know (RFC 5321 7.2). *tls* is version and cipher of the connection, or empty. *mark*
    is that of `passing_mark`.
    """
    name = _NOT_IN_A_NAME.sub(b"?", helo[:MAX_HELO]) or b"unknown"
    literal = _client_in_words(client)
    # A comment, not the `tls` clause of RFC 8314 7.4: that one has no place for the version.
    how = b" (%b)" % _NOT_IN_TLS.sub(b"?", tls[:MAX_TLS]) if tls else b""
    return b"Received: from %b (%b)\r\n\tby %b with %b%b id %b%b; %b\r\n" % (
        name, literal, host, _NOT_IN_A_NAME.sub(b"?", protocol), how, queue_id, _for(forward_path, mark), date_time(moment),
    )  # fmt: skip


def received_from_ourselves(*, host: bytes, queue_id: bytes, forward_path: bytes, moment: int) -> bytes:
    """The `Received` field of a message that this host wrote itself, with its line end."""
    return b"Received: by %b id %b%b; %b\r\n" % (host, queue_id, _for(forward_path), date_time(moment))


def _client_in_words(client: bytes) -> bytes:
    user = user_of(client)
    if user is not None:
        return b"uid %d" % user
    return b"[IPv6:%b]" % client if b":" in client else b"[%b]" % client


def passing_mark(key: bytes, forward_path: bytes) -> bytes:
    """What says to whoever has *key*, and to nobody else, that a message was here for *forward_path* before."""
    digest = hashlib.blake2b(forward_path.lower(), digest_size=MARK_OCTETS // 2, key=key, person=b"postern passed")
    return digest.hexdigest().encode()


def _for(forward_path: bytes, mark: bytes = b"") -> bytes:
    if not _PATH_THAT_FITS.match(forward_path):
        return b""
    return b"\r\n\tfor <%b> (passed %b)" % (forward_path, mark) if mark else b"\r\n\tfor <%b>" % forward_path
