#!/usr/bin/env python3
"""A recipient hook for Postern: answers from a text file with one address a line. `recipient_hook.py SOCKET FILE`.

The protocol is described in docs/recipient-hook.md. The file is read anew when it changes. What cannot be answered is
answered by TEMP, never by NOTFOUND: a false NOTFOUND is mail that comes back to its sender.
"""

import io
import socketserver
import sys
from pathlib import Path

MAX_REQUEST = 2000  # octets; an address has at most a few hundred


def read_netstring(stream: io.BufferedIOBase) -> bytes | None:
    """The next request, or None at the end.

    Raises:
        ValueError: it is no netstring, or too long.
    """
    digits = b""
    while (octet := stream.read(1)) not in (b":", b""):
        digits += octet
        if len(digits) > len(str(MAX_REQUEST)):
            raise ValueError("too long")
    if not octet:
        return None
    length = int(digits)
    if length > MAX_REQUEST:
        raise ValueError("too long")
    request = stream.read(length)
    if stream.read(1) != b",":
        raise ValueError("not a netstring")
    return request


class Recipients:
    """The addresses in *path*."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, -1
        self._addresses: frozenset[bytes] = frozenset()

    def answer(self, address: bytes) -> bytes:
        """The reply for one address."""
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._read:
                self._addresses = frozenset(self._path.read_bytes().lower().split())
                self._read = changed
        except OSError as error:
            return b"TEMP " + str(error.strerror).encode()
        return b"OK " + address if address in self._addresses else b"NOTFOUND "


class Handler(socketserver.StreamRequestHandler):
    """One connection: requests until it ends."""

    server: "Server"

    def handle(self) -> None:
        """Answer until the other side hangs up."""
        try:
            while (request := read_netstring(self.rfile)) is not None:
                table, _, address = request.partition(b" ")
                reply = self.server.recipients.answer(address) if table == b"recipients" else b"PERM no such table"
                self.wfile.write(b"%d:%b," % (len(reply), reply))
        except ValueError:
            return  # whoever speaks so is not Postern


class Server(socketserver.ThreadingUnixStreamServer):
    """Many connections at once."""

    daemon_threads = True

    def __init__(self, where: str, recipients: Recipients) -> None:
        super().__init__(where, Handler)
        self.recipients = recipients


def main(where: str, recipients: str) -> None:
    """Listen on the socket *where*; everybody on this machine may ask, for the answers are no secret to it."""
    Path(where).unlink(missing_ok=True)
    with Server(where, Recipients(Path(recipients))) as server:
        Path(where).chmod(0o666)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
