"""A host that takes mail, in threads: obedient by default, and as wicked as a test wants it.

A reader would otherwise get wrong: what it was told is kept per conversation, in the order in which conversations began.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

HELLO = (b"PIPELINING", b"8BITMIME", b"SIZE 10000000", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES")


@dataclass
class Heard:
    """One conversation."""

    client: str = ""  # the address that called
    commands: list[bytes] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    is_secured: bool = False
    is_over: bool = False


@dataclass
class Manners:
    """How it behaves. *answers*: verb to a reply, to several in turn (the last one stays), or to what makes one of the line."""

    extensions: tuple[bytes, ...] = HELLO
    greeting: bytes = b"220 mx.stub.test ESMTP"
    answers: dict[bytes, object] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    behave: Callable[[socket.socket, Heard], None] | None = None  # instead of all of this


class StubMx:
    """Listens on *address* until `close`."""

    def __init__(self, manners: Manners | None = None, address: str = "127.0.0.1", port: int = 0) -> None:
        self.manners = manners or Manners()
        self.heard: list[Heard] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listening = socket.socket(family)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((address, port))
        self._listening.listen(64)
        self.address, self.port = self._listening.getsockname()[:2]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop, and end all conversations."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def contents(self) -> list[bytes]:
        """All that was taken, of all conversations."""
        return [content for heard in self.heard for content in heard.contents]

    def _accept(self) -> None:
        while True:
            try:
                sock, client = self._listening.accept()
            except OSError:
                return
            heard = Heard(client[0])
            self.heard.append(heard)
            threading.Thread(target=self._serve, args=(sock, heard), daemon=True).start()

    def _serve(self, sock: socket.socket, heard: Heard) -> None:
        self._open.add(sock)
        try:
            with contextlib.suppress(OSError, ValueError):
                (self.manners.behave or self._obey)(sock, heard)
        finally:
            self._open.discard(sock)
            heard.is_over = True
            sock.close()

    def _obey(self, sock: socket.socket, heard: Heard) -> None:
        sock.sendall(self.manners.greeting + b"\r\n")
        self._serve_commands(sock, heard)

    def _serve_commands(self, sock: socket.socket, heard: Heard) -> None:
        stream = sock.makefile("rb")
        turns: dict[bytes, int] = {}
        while line := stream.readline():
            line = line.rstrip(b"\r\n")
            heard.commands.append(line)
            verb = line.partition(b" ")[0].upper()
            if verb == b"BDAT":
                heard.contents.append(stream.read(int(line.split()[1])))
            reply = self._reply(verb, line, turns, heard)
            if reply is None:
                return
            sock.sendall(reply)
            if verb == b"STARTTLS" and reply.startswith(b"220"):
                assert self.manners.context is not None
                with self.manners.context.wrap_socket(sock, server_side=True) as secured:
                    heard.is_secured = True
                    self._serve_commands(secured, heard)
                return
            if verb == b"DATA" and reply.startswith(b"354"):
                content = _content(stream)
                if content is None:
                    return
                heard.contents.append(content)
                reply = self._reply(b".", b".", turns, heard)
                if reply is None:
                    return
                sock.sendall(reply)
            elif verb == b"QUIT":
                return

    def _reply(self, verb: bytes, line: bytes, turns: dict[bytes, int], heard: Heard) -> bytes | None:
        answer = self.manners.answers.get(verb)
        if isinstance(answer, list):
            turn = turns[verb] = turns.get(verb, -1) + 1
            answer = answer[min(turn, len(answer) - 1)]
        if callable(answer):
            answer = answer(line)
        if answer is None and verb in self.manners.answers:
            return None  # Without a word.
        if answer is None:
            answer = self._usual(verb, heard)
        assert isinstance(answer, bytes)
        return answer + b"\r\n"

    def _usual(self, verb: bytes, heard: Heard) -> bytes:
        if verb in (b"EHLO", b"LHLO"):
            offered = [b"mx.stub.test", *self.manners.extensions]
            if self.manners.context and not heard.is_secured:
                offered.append(b"STARTTLS")
            return b"\r\n".join(b"250-" + each for each in offered[:-1]) + b"\r\n250 " + offered[-1]
        return {
            b"HELO": b"250 mx.stub.test", b"DATA": b"354 go", b"QUIT": b"221 2.0.0 bye", b"STARTTLS": b"220 go",
            b".": b"250 2.0.0 queued as stub",
        }.get(verb, b"250 2.0.0 ok")  # fmt: skip


def _content(stream: BinaryIO) -> bytes | None:
    lines: list[bytes] = []
    while line := stream.readline():
        if line == b".\r\n":
            return b"".join(lines)
        lines.append(line.removeprefix(b"."))
    return None
