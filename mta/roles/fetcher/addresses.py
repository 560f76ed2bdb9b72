"""Which of the addresses that name servers tell may be called: those of the Internet, and no machine of ours behind them.

A reader would otherwise get wrong: an IPv6 address may be a way of writing an IPv4 one, which a gateway of the network turns
back. So what is behind such an address is judged, too; else `64:ff9b::a00:1` would be 10.0.0.1, and public.
"""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # RFC 4291 2.4: all of it that was ever given to anybody
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 2.1: how a host without IPv4 writes one


def usable(record: bytes, *, private_too: bool = False) -> str:
    """The address in *record*, empty where it may not be called. *private_too*: it may be anybody's."""
    try:
        address = ipaddress.ip_address(record.decode("ascii", "replace"))
    except ValueError:
        return ""
    # A stranger's zone must not lead us to web servers of this machine or its network, which may trust whoever calls.
    return str(address) if private_too or is_public(address) else ""


def is_public(address: Address) -> bool:
    """Is it a host of the Internet, however it is written?"""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    written = address.ipv4_mapped or (_last(address) if address in _TRANSLATED else None)
    if written is not None:
        return is_public(written)
    behind = (address.sixtofour, *(address.teredo or ()))  # RFC 3056, RFC 4380
    return address in _UNICAST and address.is_global and all(each is None or is_public(each) for each in behind)


def _last(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
