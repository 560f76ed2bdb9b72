"""Names of hosts to addresses, through the role resolver.

A reader would otherwise get wrong: a name that a customer typed must lead into the Internet. Whoever relays to a machine of
the house writes its address, which only the operator may do; otherwise a customer's name server could send us anywhere.
"""

import functools
import ipaddress
from collections.abc import Callable

from mta.wire import messages as m
from mta.wire.asking import Asking

LOOK_UP_SECONDS = 2.5
MAX_NAME = 255  # octets; RFC 1035 2.3.4

Hear = Callable[[str], None]  # an IP address, or empty: there is none


class Places:
    """Asks `asking`'s peer resolver."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def find(self, host: str, hear: Hear, *, public_only: bool) -> None:
        """An address of *host*; *hear* may be told before this returns. *public_only*: of a name, none of a private network."""
        try:
            hear(str(ipaddress.ip_address(host)))
        except ValueError:
            self._look_up(host, b"A", hear, public_only)

    def _look_up(self, host: str, kind: bytes, hear: Hear, public_only: bool) -> None:
        heard = functools.partial(self._heard, host, kind, hear, public_only)
        name = host.encode()
        if len(name) > MAX_NAME or not self._asking.ask(
            "resolver", lambda tag: m.LookUp(tag, name, kind), LOOK_UP_SECONDS, heard
        ):
            hear("")

    def _heard(self, host: str, kind: bytes, hear: Hear, public_only: bool, answer: m.Message | None) -> None:
        for record in answer.records if isinstance(answer, m.Found) else ():
            address = _usable(record, public_only)
            if address:
                hear(address)
                return
        if kind == b"A":
            self._look_up(host, b"AAAA", hear, public_only)
        else:
            hear("")


def _usable(record: bytes, public_only: bool) -> str:
    try:
        address = ipaddress.ip_address(record.decode())
    except ValueError:
        return ""
    return str(address) if address.is_global or not public_only else ""


def split_host_port(text: str, default: int) -> tuple[str, int]:
    """Host and port of `host:port`, `[IPv6]:port` or a host alone.

    Raises:
        ValueError: the port is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    number = int(port)
    if not 0 < number < 1 << 16:
        raise ValueError("not a port")
    return host.removeprefix("[").removesuffix("]"), number
