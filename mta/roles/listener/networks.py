"""Addresses and networks, as numbers. Values in, values out.

A reader would otherwise get wrong: an IPv6 client is its /64 and its network the /48, since that is what one customer and
one site are given; by single address a limit would mean nothing.
"""

import ipaddress
import socket
from typing import NamedTuple

_V4_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 2.5.5.2: an IPv4 client in IPv6 clothes must not be another client


class Who(NamedTuple):
    """A client, at three distances. Keys of clients and networks differ in length, so one table may hold both."""

    packed: bytes  # 4 or 16 octets
    client: bytes  # what counts as one client: IPv4 all 4 octets, IPv6 the first 8
    network: bytes  # what counts as one network: IPv4 the first 3 octets, IPv6 the first 6


def who_is(address: str) -> Who:
    """The client at *address*, as the kernel or a PROXY header writes it.

    Raises:
        OSError: not an IP address.
    """
    if ":" not in address:
        packed = socket.inet_pton(socket.AF_INET, address)
        return Who(packed, packed, packed[:3])
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(_V4_MAPPED):
        return Who(packed[12:], packed[12:], packed[12:15])
    return Who(packed, packed[:8], packed[:6])


class Networks:
    """A set of networks, such as a setting names; asking costs a look-up for each length of prefix that occurs."""

    __slots__ = ("_prefixes",)

    def __init__(self, text: str = "") -> None:
        """Read `192.0.2.0/24 2001:db8::/32`.

        Raises:
            ValueError: not networks.
        """
        found: dict[tuple[int, int], set[int]] = {}  # octets of an address, bits behind the prefix: prefixes
        for each in text.split():
            network = ipaddress.ip_network(each)
            behind = network.max_prefixlen - network.prefixlen
            key = (network.max_prefixlen // 8, behind)
            found.setdefault(key, set()).add(int(network.network_address) >> behind)
        self._prefixes = [(*key, frozenset(prefixes)) for key, prefixes in found.items()]

    def __contains__(self, packed: bytes) -> bool:
        octets, number = len(packed), int.from_bytes(packed, "big")
        return any(octets == length and number >> behind in prefixes for length, behind, prefixes in self._prefixes)

    def __bool__(self) -> bool:
        return bool(self._prefixes)
