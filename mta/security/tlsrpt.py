"""SMTP TLS Reporting (RFC 8460 3): to whom a domain wants to be told how handshakes with its hosts ended.

A reader would otherwise get wrong: the record names any address it likes, of any domain, and nobody asks that domain (RFC 8460 has
no counterpart of what DMARC wants there). So few addresses are believed, and each hears of one domain once a day.
"""

import re
from collections.abc import Iterable
from typing import Final

from mta.vocabulary import is_domain

RECORD: Final = "_smtp._tls."  # RFC 8460 3: below which name of the domain it stands
MAX_ADDRESSES: Final = 2  # of one record

_VERSION: Final = re.compile(rb"v=TLSRPTv1[ \t]*(;|\Z)")
_RUA: Final = re.compile(r"[ \t]*rua=(.*)\Z", re.DOTALL)
# RFC 5321 dot-string: a quoted local-part is none that anybody has for reports, and this goes into a header field.
_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_MAX_LOCAL_PART: Final = 64  # RFC 5321 4.5.3.1.1
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")  # RFC 3986 2.1


def addresses_of(texts: Iterable[bytes]) -> tuple[bytes, ...]:
    """The addresses that TXT records of `_smtp._tls.<domain>` want reports mailed to; none where there is more than one record."""
    found = [text for text in texts if _VERSION.match(text)]
    if len(found) != 1:
        return ()  # RFC 8460 3: of several, none counts.
    fields = found[0].decode("ascii", "replace").split(";")[1:]
    targets = [target for field in fields if (match := _RUA.match(field)) for target in match[1].split(",")]
    addresses = (address for target in targets if (address := _mailed_to(target.strip(" \t"))))
    return tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]


def _mailed_to(uri: str) -> bytes:
    """The address of a mailto URI (RFC 6068 2), whose header fields are nobody's business here; empty: it is none."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "mailto":
        return b""
    address = _ENCODED.sub(lambda found: chr(int(found[1], 16)), rest.partition("?")[0])
    local_part, _, domain = address.rpartition("@")
    is_good = len(local_part) <= _MAX_LOCAL_PART and _LOCAL_PART.match(local_part) and is_domain(domain.lower())
    return f"{local_part}@{domain.lower()}".encode() if is_good else b""
