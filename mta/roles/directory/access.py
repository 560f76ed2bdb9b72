"""Access rules: whom a host, a domain or a mailbox takes mail from. Values in, values out.

A reader would otherwise get wrong: `allow` opens no mailbox. It only spares a client the checks that look at the client
itself; whether the recipient exists, and has room, is asked all the same.
"""

import ipaddress
from collections.abc import Iterable

_Matcher = tuple[bool, int, int, int]  # allow?, IP version, network, mask


class Scope:
    """The rules of one host, domain or mailbox, in their order; the first that fits decides."""

    __slots__ = ("_rules",)

    def __init__(self, entries: tuple[bytes, ...]) -> None:
        """*entries* as `Rules` has them. A pattern that is none fits nobody: the control plane refuses to save it."""
        self._rules: list[tuple[bool, bytes] | _Matcher] = [
            _parsed(verb == b"allow", pattern) for verb, pattern in zip(entries[::2], entries[1::2], strict=True)
        ]

    def __bool__(self) -> bool:
        """Is there any rule?"""
        return bool(self._rules)

    def decide(self, client: bytes, reverse_path: bytes) -> bool | None:
        """Is mail with *reverse_path* from the address *client* (text) let in (True), kept out (False), or neither?"""
        version, number = _address(client)
        sender = reverse_path.lower()
        domain = sender.rpartition(b"@")[2]
        for rule in self._rules:
            if len(rule) == 4:
                allow, of_version, network, mask = rule
                if version == of_version and number & mask == network:
                    return allow
            elif _fits(rule[1], sender, domain):
                return rule[0]
        return None


def decide(scopes: Iterable[Scope], client: bytes, reverse_path: bytes) -> bool | None:
    """What the first of *scopes*, the most specific first, says that says anything."""
    for scope in scopes:
        decision = scope.decide(client, reverse_path)
        if decision is not None:
            return decision
    return None


def _parsed(allow: bool, pattern: bytes) -> tuple[bool, bytes] | _Matcher:
    if b"@" not in pattern and (b"/" in pattern or b":" in pattern or pattern.replace(b".", b"").isdigit()):
        try:
            network = ipaddress.ip_network(pattern.decode(), strict=False)
        except ValueError:
            return allow, b"\0"  # No reverse-path has a NUL.
        return allow, network.version, int(network.network_address), int(network.netmask)
    return allow, pattern.lower()


def _fits(pattern: bytes, sender: bytes, domain: bytes) -> bool:
    if b"@" in pattern:
        return pattern == sender
    if not domain:
        return False
    return domain == pattern.removeprefix(b".") or (pattern.startswith(b".") and domain.endswith(pattern))


def _address(client: bytes) -> tuple[int, int]:
    try:
        address = ipaddress.ip_address(client.decode().partition("%")[0])
    except ValueError:
        return 0, 0
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (4, int(mapped)) if mapped else (address.version, int(address))
