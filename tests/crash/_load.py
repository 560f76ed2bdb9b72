"""A client that keeps sending and remembers which messages got 250. It believes nothing but the digits.

A reader would otherwise get wrong: each try has a token of its own. A try whose reply never came may be in a mailbox or not;
only one that got 250 must be.
"""

import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

REPLY_SECONDS = 20.0


class Load:
    """Threads that send to *recipients* in turn until told to stop."""

    def __init__(self, port: int, recipients: list[str], *, threads: int = 8, octets: int = 1000) -> None:
        self._port, self._recipients, self._octets = port, recipients, octets
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
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
            for _ in range(10):
                if self._stopping.is_set() or not self._message(sock, reader):
                    return

    def _message(self, sock: socket.socket, reader) -> bool:
        number = next(self._numbers)
        token, recipient = f"token-{number:08}-token", self._recipients[number % len(self._recipients)]
        for line in (b"MAIL FROM:<a@client.test>\r\n", b"RCPT TO:<%b>\r\n" % recipient.encode(), b"DATA\r\n"):
            reply = self._say(sock, reader, line)
            if reply not in (b"250", b"354"):
                time.sleep(0.05)
                return False
        filling = b"x" * 70 + b"\r\n"
        content = b"Subject: load\r\n\r\n%b\r\n" % token.encode() + filling * (self._octets // len(filling)) + b".\r\n"
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


def tokens_in(new: Path) -> Counter[str]:
    """How often each token is in the Maildir folder *new*."""
    found: Counter[str] = Counter()
    for path in new.iterdir() if new.is_dir() else ():
        _, _, rest = path.read_bytes().partition(b"token-")
        found["token-" + rest[:14].decode()] += 1
    return found
