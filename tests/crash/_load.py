"""Clients that keep sending and remember which messages got 250. They believe nothing but the digits.

A reader would otherwise get wrong: each try has a token of its own. A try whose reply never came may be in a mailbox or not;
only one that got 250 must be.
"""

import base64
import contextlib
import functools
import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

REPLY_SECONDS = 20.0


class Load:
    """Threads that send to *recipients* in turn until told to stop."""

    sender = "a@client.test"

    def __init__(
        self, port: int, recipients: list[str], *, threads: int = 8, octets: int = 1000, first: int = 0
    ) -> None:
        """*first*: the number in the first token."""
        self._port, self._recipients, self._octets = port, recipients, octets
        self._numbers = itertools.count(first)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.pause = 0.0  # seconds after each message
        self.accepted: dict[str, str] = {}  # token: recipient
        self.unanswered = 0
        self.replies: Counter[bytes] = Counter()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No new messages; wait for the replies that are due."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(REPLY_SECONDS + 10)
            assert not thread.is_alive()

    def wait_for(self, count: int, seconds: float) -> None:
        """Until *count* messages have got 250."""
        deadline = time.monotonic() + seconds
        while len(self.accepted) < count:
            assert time.monotonic() < deadline, f"{len(self.accepted)} of {count} accepted; {self.replies}"
            time.sleep(0.02)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self._port), REPLY_SECONDS) as sock:
                    self._conversation(sock)
                continue
            time.sleep(0.05)  # Nobody listens: a role is being replaced.

    def _conversation(self, sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        with reader:
            if self._reply(reader) != b"220" or self._say(sock, reader, b"EHLO client.test\r\n") != b"250":
                return
            self._messages(sock, reader)

    def _messages(self, sock: socket.socket, reader) -> None:
        for _ in range(10):
            if self._stopping.is_set() or not self._message(sock, reader):
                return
            self._stopping.wait(self.pause)

    def _message(self, sock: socket.socket, reader) -> bool:
        number = next(self._numbers)
        token, recipient = f"token-{number:08}-token", self._recipients[number % len(self._recipients)]
        for line in (f"MAIL FROM:<{self.sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self._say(sock, reader, line.encode() + b"\r\n")
            if reply not in (b"250", b"354"):
                time.sleep(0.05)
                return False
        filling = b"x" * 70 + b"\r\n"
        content = (
            f"From: {self.sender}\r\nSubject: load\r\n\r\n{token}\r\n".encode()
            + filling * (self._octets // len(filling))
            + b".\r\n"
        )
        with self._lock:
            self.unanswered += 1
        if self._say(sock, reader, content) == b"250":
            with self._lock:
                self.accepted[token] = recipient
                self.unanswered -= 1
            return True
        return False

    def _say(self, sock: socket.socket, reader, octets: bytes) -> bytes:
        sock.sendall(octets)
        return self._reply(reader)

    def _reply(self, reader) -> bytes:
        """The digits of the next reply. Raises OSError when the conversation ended instead."""
        while line := reader.readline():
            if line[3:4] != b"-":
                self.replies[line[:3]] += 1
                return line[:3]
        raise ConnectionError("the conversation ended")


class UserLoad(Load):
    """The same by a user who logs in."""

    def __init__(self, port: int, recipients: list[str], login: tuple[str, str], *, threads: int, first: int) -> None:
        """*login*: his address and his password."""
        super().__init__(port, recipients, threads=threads, first=first)
        self.sender = login[0]
        self._plain = base64.b64encode("\0".join(("", *login)).encode())
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def _conversation(self, sock: socket.socket) -> None:
        reader = sock.makefile("rb", buffering=0)  # What comes behind the 220 is not for it.
        if self._reply(reader) != b"220" or self._say(sock, reader, b"EHLO client.test\r\n") != b"250":
            return
        if self._say(sock, reader, b"STARTTLS\r\n") != b"220":
            return  # tls is being replaced.
        with self._context.wrap_socket(sock) as secured, secured.makefile("rb") as reader:
            self._say(secured, reader, b"EHLO client.test\r\n")
            if self._say(secured, reader, b"AUTH PLAIN %b\r\n" % self._plain) == b"235":
                self._messages(secured, reader)


def tokens_in(new: Path) -> Counter[str]:
    """How often each token is in the Maildir folder *new*."""
    return Counter(map(_token_in, new.iterdir() if new.is_dir() else ()))


@functools.cache
def _token_in(path: Path) -> str:
    """Of a file that was delivered, so it stays as it is, and tests look again and again."""
    _, _, rest = path.read_bytes().partition(b"token-")
    return "token-" + rest[:14].decode()
