"""The role fetcher in this process, its neighbours' ends in the test's hands, and a web server on loopback."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mta.wire import messages as m
from tests.fakes.house import House, events
from tests.fixtures.authorities import Server

TEXT = b"version: STSv1\r\nmode: enforce\r\nmx: mx.remote.test\r\nmx: *.remote.test\r\nmax_age: 86400\r\n"
DOMAIN, HOST = b"remote.test", "mta-sts.remote.test"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

Script = Callable[[ssl.SSLSocket], None]


def page(text: bytes = TEXT, head: bytes = HEAD) -> bytes:
    """A whole answer."""
    return head + b"Content-Length: %d\r\n\r\n" % len(text) + text


def says(*parts: bytes, seconds: float = 0.0) -> Script:
    """Answers each request with *parts*, so far apart."""

    def script(client: ssl.SSLSocket) -> None:
        for part in parts:
            client.sendall(part)
            time.sleep(seconds)

    return script


def cut_off(*parts: bytes) -> Script:
    """Answers with *parts*, and then somebody on the way ends the connection."""

    def script(client: ssl.SSLSocket) -> None:
        for part in parts:
            client.sendall(part)
        raise OSError

    return script


class WebServer:
    """Shows the certificate of *server*, and answers by *script* once the request is there."""

    def __init__(self, folder: Path, server: Server, script: Script, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._socket = socket.create_server(at)
        self.port = self._socket.getsockname()[1]
        self.script = script
        self.requests: list[bytes] = []
        self._context = server.context(folder)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain) -> None:
        with contextlib.suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as client:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                octets = client.recv(4096)
                if not octets:
                    return
                request += octets
            self.requests.append(request)
            self.script(client)
            client.unwrap()  # close_notify: that was all

    def close(self) -> None:
        """Nobody is let in any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Rig:
    """The role, whom it is asked by, and what the name servers say."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.remote, self.resolver, self.journal = (
            house.client("remote"),
            house.server("resolver"),
            house.server("journal"),
        )
        self.record: tuple[bytes, ...] | None = (b"v=STSv1; id=1;",)  # None: nobody knows
        self.addresses: dict[bytes, tuple[bytes, ...]] = {b"A": (b"127.0.0.1",)}
        self.asked: list[tuple[bytes, bytes]] = []
        self._tag = 0

    def fetch(self, *domains: bytes, seconds: float = 10.0) -> list[m.Fetched]:
        """What is answered about *domains*, all asked at once."""
        first = self._tag + 1
        for domain in domains:
            self._tag += 1
            self.remote.send(m.Fetch(self._tag, domain))
        told: dict[int, m.Fetched] = {}
        end = time.monotonic() + seconds
        while len(told) < len(domains) and time.monotonic() < end:
            self.house.serve_for(0.01)
            self.resolve()
            told |= {answer.tag: answer for answer in self.house.hear(self.remote) if isinstance(answer, m.Fetched)}
        return [told[first + number] for number in range(len(domains))]

    def resolve(self) -> None:
        """Answer what the role asks about names."""
        asked = self.house.hear(self.resolver)
        for look_up in asked:  # those that follow from an answer are added to it
            assert isinstance(look_up, m.LookUp)
            self.asked.append((look_up.name, look_up.kind))
            records = self.record if look_up.kind == b"TXT" else self.addresses.get(look_up.kind, ())
            outcome = b"failed" if records is None else b"answer" if records else b"none"
            asked += self.house.ask(self.resolver, m.Found(look_up.tag, outcome, False, records or ()))

    def told(self, event: str) -> list[dict[bytes, bytes]]:
        """What the journal was told under this name."""
        return [pairs for name, pairs in events(self.journal, self.house) if name == event.encode()]

    def troubles(self) -> list[bytes]:
        """What the journal was told went wrong."""
        return [pairs[b"why"] for name, pairs in events(self.journal, self.house) if name == b"policy-trouble"]
