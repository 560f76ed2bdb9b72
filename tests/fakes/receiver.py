"""A web server on loopback that is told of events, and answers as a test likes. In threads."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.authorities import Server

Script = Callable[[ssl.SSLSocket], None]


@dataclass(frozen=True)
class Heard:
    """One request."""

    target: str
    fields: dict[str, str]  # names in small letters
    body: bytes


def answering(status: int, fields: bytes = b"", body: bytes = b"") -> Script:
    """Says this, whole."""
    return lambda client: client.sendall(
        b"HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n" % (status, fields, len(body)) + body
    )


class Receiver:
    """Shows the certificate of *server*. The first of *scripts* answers the first request, the last all that follow."""

    def __init__(self, folder: Path, server: Server, *scripts: Script, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._socket = socket.create_server(at)
        self.port: int = self._socket.getsockname()[1]
        self.scripts = list(scripts) or [answering(204)]
        self.heard: list[Heard] = []
        self._context = server.context(folder, f"receiver-{self.port}")
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody is let in any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as client:
            octets = b""
            while b"\r\n\r\n" not in octets:
                octets += _more(client)
            head, _, body = octets.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            while len(body) < int(fields.get("content-length", "0")):
                body += _more(client)
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            self.heard.append(Heard(first.split(" ")[1], fields, body))
            script(client)
            client.unwrap()


def _more(client: ssl.SSLSocket) -> bytes:
    octets = client.recv(16_384)
    if not octets:
        raise ConnectionResetError
    return octets
