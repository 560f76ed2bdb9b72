"""Who may send to others' domains without logging in: the networks that the administrator lists, and programs on this machine.

A reader would otherwise get wrong: a program that hands us mail over the socket in inject/ has an address too, so that whoever
counts, limits or writes down clients needs no second way. It is made of its user's uid, in the prefix that RFC 6666 sets aside
for traffic to be thrown away: nothing from there ever comes over a network, and listener denies what pretends to.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

LOCAL_USERS: Final = ipaddress.IPv6Network("100::/64")
SETTINGS: Final = ("smtpd.relay_clients", "smtpd.qmtp_clients", "smtpd.qmqp_clients")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(settings: Mapping[str, bytes]) -> tuple[Network, ...]:
    """The networks of those who may, as *settings* have them.

    Raises:
        ValueError: a setting is no list of networks.
    """
    listed = b" ".join(settings.get(name, b"") for name in SETTINGS).decode().split()
    return (LOCAL_USERS, *map(ipaddress.ip_network, listed))


def client_of(uid: int) -> str:
    """The address under which a program of the user *uid* is known."""
    return str(LOCAL_USERS[uid])


def user_of(client: bytes) -> int | None:
    """The uid of the user whose program is known as *client*; None: it came over a network."""
    try:
        address = ipaddress.ip_address(client.decode())
    except ValueError:
        return None
    return int(address) - int(LOCAL_USERS[0]) if address in LOCAL_USERS else None
