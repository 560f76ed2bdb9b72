"""A name server on loopback that answers as the name wants it: truly, late, cut short, forged, or with junk.

A reader would otherwise get wrong: it answers the same name in the same way always, so what a test sees does not hang on who
asked before. `asked` says how often each name was asked about, over which transport.
"""

import socket
import threading
import time
from collections import Counter
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

LATE_SECONDS = 1.0
SOA = "a.root.test. hostmaster.root.test. 1 3600 600 86400 {minimum}"


def one_port() -> tuple[socket.socket, socket.socket]:
    """Sockets for datagrams and for streams, bound to the same port of 127.0.0.1."""
    while True:
        udp, tcp = (socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.bind(udp.getsockname())
        except OSError:  # Free for datagrams; but just now somebody else's for streams.
            udp.close()
            tcp.close()
        else:
            return udp, tcp


class NameServer:
    """UDP and TCP at one port of 127.0.0.1; used as a context."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()  # first label, "udp" or "tcp"
        self.sources: list[int] = []  # the ports that datagrams came from
        self.names: list[str] = []  # as they were written
        self._udp, self._tcp = one_port()
        self._tcp.listen()
        self._over = False
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._datagrams, self._streams)]

    @property
    def address(self) -> str:
        """As the setting has it."""
        host, port = self._udp.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._udp.getsockname())
        with socket.create_connection(self._tcp.getsockname()):
            pass
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _datagrams(self) -> None:
        while True:
            octets, client = self._udp.recvfrom(65_535)
            if self._over:
                return
            self.sources.append(client[1])
            late = self._first_label(octets) == "late"
            for answer in self._answers(octets, "udp"):
                if late:
                    threading.Timer(LATE_SECONDS, self._udp.sendto, (answer, client)).start()
                else:
                    self._udp.sendto(answer, client)

    def _streams(self) -> None:
        while True:
            client, _ = self._tcp.accept()
            with client:
                if self._over:
                    return
                client.settimeout(5)
                octets = client.recv(65_535)[2:]
                for answer in self._answers(octets, "tcp"):
                    framed = len(answer).to_bytes(2, "big") + answer
                    client.sendall(framed[:5])  # Two pieces: nobody may count on one.
                    time.sleep(0.01)
                    client.sendall(framed[5:])

    def _first_label(self, octets: bytes) -> str:
        name = dns.message.from_wire(octets).question[0].name
        return name.labels[0].decode().lower()

    def _answers(self, octets: bytes, transport: str) -> list[bytes]:
        query = dns.message.from_wire(octets)
        label = self._first_label(octets)
        self.asked[label, transport] += 1
        self.names.append(query.question[0].name.to_text())
        true = self._true(query, label, transport)
        junk = {
            "silent": [],
            "garbage": [octets[:2] + b"\x84\x00" + b"\xff" * 40],
            "loop": [octets[:2] + bytes.fromhex("84000001000100000000c00cc00c00010001")],
            "short": [octets[:2]],
            "wrong-id": [bytes([octets[0] ^ 1, octets[1]]) + true[2:]],
            "forged-then-true": [bytes([octets[0] ^ 1]) + true[1:], true],
            "guessed": [true]
            if transport == "tcp"
            else [bytes([octets[0], octets[1] ^ each]) + true[2:] for each in range(1, 30)],
            "other-name": [self._about_another(query)],
        }  # fmt: skip
        return junk.get(label, [true])

    def _about_another(self, query: dns.message.Message) -> bytes:
        other = dns.message.make_query("another.test.", "A", id=query.id)
        answer = dns.message.make_response(other)
        answer.answer.append(dns.rrset.from_text("another.test.", 60, "IN", "A", "192.0.2.99"))
        return answer.to_wire()

    def _true(self, query: dns.message.Message, label: str, transport: str) -> bytes:
        name = query.question[0].name
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        minimum = dns.rrset.from_text("test.", 300, "IN", "SOA", SOA.format(minimum=120))
        if label == "nothing":
            answer.authority.append(minimum)
        elif label == "nobody":
            answer.set_rcode(dns.rcode.NXDOMAIN)
            answer.authority.append(minimum)
        elif label in ("unable", "refused"):
            answer.set_rcode(dns.rcode.SERVFAIL if label == "unable" else dns.rcode.REFUSED)
        elif label == "truncated" and transport == "udp":
            answer.flags |= dns.flags.TC
        elif label == "alias":
            answer.answer.append(dns.rrset.from_text(name, 30, "IN", "CNAME", "canonical.test."))
            answer.answer.append(dns.rrset.from_text("canonical.test.", 60, "IN", "A", "192.0.2.7"))
        else:
            self._fill(answer, label)
        if label == "lower-case":
            answer.question[0].name = dns.name.from_text(name.to_text().lower())
        if label == "secure":
            answer.flags |= dns.flags.AD
        return answer.to_wire(max_size=65_535)

    def _fill(self, answer: dns.message.Message, label: str) -> None:
        question = answer.question[0]
        records = {
            dns.rdatatype.A: ["192.0.2.1", "192.0.2.2"],
            dns.rdatatype.AAAA: ["2001:db8::1"],
            dns.rdatatype.PTR: ["Mail.Example.TEST."],
            dns.rdatatype.MX: ["10 Mail.Example.TEST.", "20 other.test."],
            dns.rdatatype.TXT: ['"v=x " "y"', '"second"'],
        }[question.rdtype]
        if label == "truncated":
            records = [f"192.0.2.{number}" for number in range(1, 120)]
        answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", question.rdtype, records))
