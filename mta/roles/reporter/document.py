"""A report as RFC 8460 4 wants it: JSON, from counts and what is known of the policies.

A reader would otherwise get wrong: sessions that went well are counted in the summary alone, those that did not in both, and a
policy is an entry of its own however many hosts it was applied to.
"""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mta.record import dataclass, field
from mta.roles.reporter.counts import DAY, Row
from mta.security.reporting import NO_POLICY, STS, TLSA, Result

_SUCCESS: Final = Result.SUCCESS.value.encode()


@dataclass(frozen=True, slots=True)
class Policies:
    """What was in force, as far as it is known now."""

    sts: tuple[str, ...] = ()  # lines of the policy's text (RFC 8461 3.2)
    patterns: tuple[str, ...] = ()  # its MX
    tlsa: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)  # by host: its records (RFC 7671 2.1)


def document_of(
    domain: bytes, day: int, contact: bytes, report_id: bytes, rows: Counter[Row], policies: Policies
) -> bytes:
    """The report about *domain* and *day* (days since 1970), compressed by gzip. The same counts give the same octets."""
    text = {
        "organization-name": contact.rpartition(b"@")[2].decode(),
        "date-range": {"start-datetime": _written(day * DAY), "end-datetime": _written((day + 1) * DAY - 1)},
        "contact-info": contact.decode(),
        "report-id": report_id.decode(),
        "policies": [
            _entry(policy, domain, {row: count for row, count in rows.items() if row[0] == policy.encode()}, policies)
            for policy in (TLSA, STS, NO_POLICY)
            if any(row[0] == policy.encode() for row in rows)
        ],
    }
    return gzip.compress(json.dumps(text, indent=1).encode(), mtime=0)


def _entry(policy: str, domain: bytes, rows: Mapping[Row, int], policies: Policies) -> dict[str, Any]:
    described: dict[str, Any] = {"policy-type": policy, "policy-domain": domain.decode()}
    hosts = sorted({mx for _, mx, _ in rows if mx})
    if policy == STS:
        described |= _named("policy-string", policies.sts) | _named("mx-host", policies.patterns)
    elif policy == TLSA:
        records = [record for mx in hosts for record in policies.tlsa.get(mx, ())]
        described |= _named("policy-string", records) | _named("mx-host", [mx.decode() for mx in hosts])
    good = sum(count for (_, _, result), count in rows.items() if result == _SUCCESS)
    entry: dict[str, Any] = {
        "policy": described,
        "summary": {
            "total-successful-session-count": good, "total-failure-session-count": sum(rows.values()) - good,
        },
    }  # fmt: skip
    return entry | _named("failure-details", list(_failures(rows)))


def _failures(rows: Mapping[Row, int]) -> Iterator[dict[str, Any]]:
    for (_, mx, result), count in sorted(rows.items()):
        if result != _SUCCESS:
            yield (
                {"result-type": result.decode()}
                | _named("receiving-mx-hostname", mx.decode())
                | {"failed-session-count": count}
            )


def _named(name: str, value: str | Sequence[Any]) -> dict[str, Any]:
    """Nothing where there is nothing to be said."""
    return {name: value if isinstance(value, str) else list(value)} if value else {}


def _written(moment: int) -> str:
    """RFC 3339 5.6, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
