"""What the compiler wants said to tenants' web servers, each to the one it names.

A reader would otherwise get wrong: the address is judged here, after the name was looked up and right before it is called, and
the connection goes to that address. Whoever judged the name, or looked it up once more to connect, would leave its owner the
moment between (DNS rebinding).
"""

import contextlib
import ipaddress
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import h11

from mta.record import dataclass
from mta.roles.fetcher.addresses import usable
from mta.roles.fetcher.exchange import Exchange, Place, Request
from mta.roles.fetcher.visit import HTTPS_PORT
from mta.vocabulary import is_domain
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

MAX_POSTS: Final = 100  # that are under way at once
MAX_ADDRESSES: Final = 3  # of one server that are tried
LOOK_UP_SECONDS: Final = 5.0
SECONDS: Final = 15.0  # for one address, all in all
MAX_ANSWER: Final = 64 * 1024  # octets of an answer's body; nobody reads them
HOSTS: Final = "outbound.webhook_hosts"

Listed = Collection[tuple[str, int]]


def listed(settings: Mapping[str, bytes]) -> frozenset[tuple[str, int]]:
    """The hosts and ports that the operator lets webhooks call although they are in his own network."""
    pairs = (text.rpartition(":") for text in settings.get(HOSTS, b"").decode().split())
    return frozenset((host.strip("[]").lower(), int(port)) for host, _, port in pairs)


@dataclass(slots=True)
class _Errand:
    """One post, on its way."""

    channel: Channel
    post: m.Post
    host: str
    began: float
    addresses: list[str]
    awaited: int = 0  # answers of the resolver


class Posts:
    """Sends what is asked for. *own*: places that may be private, and at another port than that of HTTPS."""

    def __init__(self, loop: Loop, asking: Asking, authorities: ssl.SSLContext, own: Listed = ()) -> None:
        self._loop, self._asking, self._authorities, self._own = loop, asking, authorities, own
        self._under_way = 0

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Post` of the compiler."""
        post = packet[0]
        if not isinstance(post, m.Post):
            channel.close()
            return
        host = post.host.decode("ascii", "replace").lower()
        errand = _Errand(channel, post, host, time.monotonic(), [])
        self._under_way += 1
        why = self._objection(errand)
        if why:
            self._conclude(errand, 0, why)
        elif _is_literal(host):
            errand.addresses = [host]
            self._go(errand, "")
        else:
            self._look_up(errand)

    def _objection(self, errand: _Errand) -> str:
        """Why it may not be sent."""
        if self._under_way > MAX_POSTS:
            return "too much is under way"
        if (errand.host, errand.post.port) in self._own:
            return ""
        if errand.post.port != HTTPS_PORT or not is_domain(errand.host):
            return "the operator has not listed this host and port"
        return ""

    def _look_up(self, errand: _Errand) -> None:
        name, private_too = errand.host.encode(), (errand.host, errand.post.port) in self._own

        def hear(answer: m.Message | None) -> None:
            errand.awaited -= 1
            records = answer.records if isinstance(answer, m.Found) else ()
            found = (usable(record, private_too=private_too) for record in records)
            errand.addresses += [address for address in found if address]
            if not errand.awaited:
                # Those of four octets first: more hosts have no way to the others than to these.
                errand.addresses = sorted(errand.addresses, key=lambda address: ":" in address)[:MAX_ADDRESSES]
                self._go(errand, "its name leads to no public address")

        errand.awaited = 2
        for kind in (b"A", b"AAAA"):
            if not self._asking.ask("resolver", _question(name, kind), LOOK_UP_SECONDS, hear):
                hear(None)

    def _go(self, errand: _Errand, why: str) -> None:
        """Try the next address; *why* the one before it, if any, could not be reached."""
        if not errand.addresses:
            self._conclude(errand, 0, why)
            return
        post, fields = errand.post, errand.post.fields
        place = Place(errand.host, errand.addresses.pop(0), post.port)
        request = Request(b"POST", post.target, tuple(zip(fields[::2], fields[1::2], strict=False)), post.body)

        def hear(status: int, why: str, is_sent: bool) -> None:
            # What was sent may have been taken; at another address it would be said twice.
            if status or is_sent or not errand.addresses:
                self._conclude(errand, status, why)
            else:
                self._go(errand, why)

        Errand(self._loop, self._authorities, place, request, hear)

    def _conclude(self, errand: _Errand, status: int, why: str) -> None:
        self._under_way -= 1
        spent = int(1000 * (time.monotonic() - errand.began))
        answer = m.Posted(errand.post.tag, status, spent, why.encode()[:500])
        with contextlib.suppress(
            ChannelClosed
        ):  # The compiler was replaced; its successor sends what was not answered.
            errand.channel.send(answer)


class Errand(Exchange):
    """One attempt at one address. *hear* is told once: the status, or why there is none, and whether it was sent."""

    def __init__(
        self, loop: Loop, authorities: ssl.SSLContext, place: Place, request: Request,
        hear: Callable[[int, str, bool], None],
    ) -> None:  # fmt: skip
        self._hear, self._status, self._read = hear, 0, 0
        super().__init__(loop, authorities, place, request, SECONDS)

    def judge(self, response: h11.Response) -> None:
        """As `Exchange.judge`. The rest is waited for so that no server finds its answer cut off."""
        self._status = response.status_code

    def take(self, octets: bytes) -> None:
        """As `Exchange.take`."""
        self._read += len(octets)
        if self._read > MAX_ANSWER:
            self.end()
            self.finish()

    def finish(self) -> None:
        """As `Exchange.finish`."""
        self._hear(self._status, "", True)

    def fail(self, why: str, *, is_doubted: bool = False) -> None:  # noqa: ARG002 - why says it
        """As `Exchange.fail`; once there is a status, what follows it does not matter."""
        self._hear(self._status, "" if self._status else why, self.is_sent)


def _question(name: bytes, kind: bytes) -> Callable[[int], m.Message]:
    return lambda tag: m.LookUp(tag, name, kind)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
