"""The role source in this process, its neighbours' ends in the test's hands, and servers on loopback for it to call."""

import contextlib
import socket
import threading
import time

from mta.seal import make_key_pair
from mta.snapshot.records import Source, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import messages as m

INSTANCE = b"i" * 16
PRIVATE, PUBLIC = make_key_pair()


def octets(value):
    """As a record of the snapshot has it."""
    return value if isinstance(value, bytes) else str(value).encode()


class Server:
    """Listens on loopback and lets *script* answer each connection in a thread of its own."""

    def __init__(self, script):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections, self.heard = 0, []
        self._script = script
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            self._script(self, client)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def smtp(replies, hello=b"250-next\r\n250 PIPELINING\r\n", greeting=b"220 next\r\n", most=1000, delay=0.0):
    """A next hop that answers RCPT by *replies* (local-part to reply, else 550 5.1.1) and ends after *most* of them."""

    def script(server, client):
        client.sendall(greeting)
        lines, asked = client.makefile("rb"), 0
        for line in lines:
            server.heard.append(line.strip())
            verb = line[:4].upper()
            if verb == b"RCPT":
                local_part = line.partition(b"<")[2].partition(b"@")[0]
                time.sleep(delay)
                client.sendall(replies.get(local_part, b"550 5.1.1 who?") + b"\r\n")
                asked += 1
            elif verb == b"RSET" and asked >= most:
                return
            else:
                client.sendall(hello if verb == b"EHLO" else b"250 2.0.0 ok\r\n")

    return script


class Rig:
    """The role in this process, and its neighbours' ends."""

    def __init__(self, folder, house):
        self._folder, self.house = folder, house
        self._change = 0
        self.directory, self.resolver = house.client("directory"), house.server("resolver")
        self.journal = house.server("journal")
        self._tag = 0

    def publish(self, **sources):
        """`domain_example={...}`: kind and settings of the domain `domain.example`."""
        self._change += 1
        records = []
        for name, (kind, settings) in sources.items():
            pairs = tuple(octets(part) for pair in settings.items() for part in pair)
            records.append((b"s:" + name.replace("_", ".").encode(), pack_record(Source(kind, pairs))))
        SnapshotWriter(self._folder).publish_all(INSTANCE, self._change, records)

    def ask(self, *addresses, names=None, seconds=5.0):
        """The words about *addresses*, all asked at once; the resolver answers from *names*."""
        first = self._tag + 1
        for address in addresses:
            self._tag += 1
            self.directory.send(m.Exists(self._tag, address))
        words, end = {}, time.monotonic() + seconds
        while len(words) < len(addresses) and time.monotonic() < end:
            self.house.serve_for(0.01)
            asked = self.house.hear(self.resolver)
            for look_up in asked:  # those that follow from an answer are added to it
                records = (names or {}).get((look_up.name, look_up.kind), ())
                found = m.Found(look_up.tag, b"answer" if records else b"nxdomain", False, records)
                asked += self.house.ask(self.resolver, found)
            words |= {answer.tag: Word(answer.word) for answer in self.house.hear(self.directory)}
        return [words.get(first + number) for number in range(len(addresses))]
