"""A name server on loopback that knows what it is told, and of everything else that it does not exist. In a thread.

A reader would otherwise get wrong: it is one socket for UDP alone. Whoever asks gets an answer that fits, or none.
"""

import socket
import threading
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = "a.root.test. hostmaster.root.test. 1 3600 600 86400 1"


class Zone:
    """*records*: name without its last dot to kind to texts, e.g. {"out.test": {"MX": ["10 mx.out.test."]}}; may change."""

    def __init__(self, records: dict[str, dict[str, list[str]]] | None = None) -> None:
        self.records = records or {}
        self.silent: set[str] = set()  # names, and what is below them, that nobody answers about
        self.failing: set[str] = set()  # the same, that the servers fail for
        self.signed: set[str] = set()  # the same, that are said to have been validated
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """As the setting has it."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        """Answer nobody any more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                octets, client = self._socket.recvfrom(65_535)
                if not octets:
                    return
                query = dns.message.from_wire(octets)
            except dns.exception.DNSException:
                continue
            answer = self._answer(query)
            if answer is not None:
                self._socket.sendto(answer.to_wire(max_size=65_535), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        parents = {name.split(".", number)[-1] for number in range(name.count(".") + 1)}
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if parents & self.silent:
            return None
        if parents & self.signed:
            answer.flags |= dns.flags.AD
        known = self.records.get(name)
        texts = (known or {}).get(dns.rdatatype.to_text(question.rdtype), [])
        if parents & self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", question.rdtype, texts))
        else:
            if known is None and not any(other.endswith("." + name) for other in self.records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            answer.authority.append(dns.rrset.from_text("test.", 1, "IN", "SOA", SOA))
        return answer
