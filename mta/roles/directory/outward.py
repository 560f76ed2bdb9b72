"""The way out: what stands behind an address that is at another host, and by which route it goes there. Values in, values out.

A reader would otherwise get wrong: a U-label becomes an A-label here without any mapping. `split_path` has folded it already,
and of a folded label IDNA makes nothing but its punycode (RFC 5891 4.4); what is no label then is refused by length and form.
"""

from collections.abc import Callable

from mta.record import dataclass
from mta.snapshot.records import ROUTED, SMARTHOST
from mta.vocabulary import MAX_LABEL, MAX_PATH, is_domain

Get = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Beyond:
    """An end of a way at another host."""

    recipient: bytes
    domain: bytes  # A-label
    is_relayed: bool = False  # for a domain that we pass mail on for: it has a route of its own
    is_forwarded: bool = False  # not the address that the sender wrote: an alias or a forwarding of ours led there


def beyond(path: bytes, domain: bytes, *, is_forwarded: bool = False) -> Beyond | None:
    """The end that *path* in the folded *domain* is; None when no mail could ever go there."""
    if path.startswith(b"@"):
        path = path.partition(b":")[2]  # RFC 5321 3.3: a source route is not followed, and not passed on.
    found = a_label(domain)
    return Beyond(path, found, is_forwarded=is_forwarded) if found and len(path) <= MAX_PATH else None


def a_label(domain: bytes) -> bytes:
    """The folded *domain* (UTF-8) in ASCII, as DNS has it; empty when it is no domain name."""
    try:
        text = domain.decode()
        labels = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in text.split(".")]
    except UnicodeError:
        return b""
    if any(len(label) > MAX_LABEL for label in labels) or not is_domain(".".join(labels)):
        return b""
    return ".".join(labels).encode()


def route_of(get: Get, end: Beyond, sender_domain: bytes) -> bytes:
    """The key of the route to *end*, or empty: by MX. *sender_domain* is that of the reverse-path when it is ours.

    The order stands at `Routed`: the recipient's domain, the sender's, everything.
    """
    if end.is_relayed:
        return end.domain
    for key in (end.domain, b"@" + sender_domain if sender_domain else b"", SMARTHOST):
        if key and get(ROUTED + key) is not None:
            return key
    return b""
