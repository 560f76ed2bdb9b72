"""What became of handshakes, in the words of RFC 8460, counted: the matter that a report is made of.

A reader would otherwise get wrong: successes count too. A domain that is told of failures alone cannot say how many that is.
"""

import enum
from collections import Counter
from collections.abc import Iterator

from mta.wire.messages import TlsResults, TlsSeen

TLSA, STS, NO_POLICY = "tlsa", "sts", "no-policy-found"  # RFC 8460 4.4, policy-type
POLICIES = frozenset(policy.encode() for policy in (TLSA, STS, NO_POLICY))
OPTIONAL = "optional"  # what is demanded of TLS for mail that tells of trouble with TLS (RFC 8460 3)
MAX_COUNTED = 1000  # combinations that are kept apart until they are told
MAX_SESSIONS = 10_000  # the same over all domains


class Result(enum.Enum):
    """RFC 8460 4.3, and `success`."""

    SUCCESS = "success"
    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    FETCH_ERROR = "sts-policy-fetch-error"
    POLICY_INVALID = "sts-policy-invalid"
    WEBPKI_INVALID = "sts-webpki-invalid"


RESULTS = frozenset(result.value.encode() for result in Result)
_WORDS = (
    ("expired", Result.EXPIRED), ("not yet valid", Result.EXPIRED),
    ("mismatch", Result.HOST_MISMATCH), ("not valid for", Result.HOST_MISMATCH), ("is not for", Result.HOST_MISMATCH),
    ("self-signed", Result.NOT_TRUSTED), ("self signed", Result.NOT_TRUSTED), ("unable to get", Result.NOT_TRUSTED),
    ("not offer", Result.STARTTLS_NOT_SUPPORTED), ("refuses", Result.STARTTLS_NOT_SUPPORTED),
)  # fmt: skip


def result_of(why: str) -> Result:
    """What the reason why a session has no TLS, or none that is good enough, is called; empty: it has."""
    if not why:
        return Result.SUCCESS
    lowered = why.lower()
    return next((result for words, result in _WORDS if words in lowered), Result.VALIDATION_FAILURE)


class Tally:
    """Sessions with the hosts of one domain, until somebody takes the counts."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, Result]] = Counter()

    def count(self, policy: str, mx: str, result: Result) -> None:
        """One more session with the host *mx* ended so."""
        key = policy, mx, result
        if key in self._counts or len(self._counts) < MAX_COUNTED:
            self._counts[key] += 1

    def take(self) -> Iterator[TlsResults]:
        """What was counted since the last time; begins anew."""
        counts, self._counts = self._counts, Counter()
        for (policy, mx, result), sessions in counts.items():
            yield TlsResults(policy.encode(), mx.encode(), result.value.encode(), sessions)


class Sessions:
    """The same with the hosts of many domains, by the day (since 1970, UTC) in which they were, until somebody takes them."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, bytes, bytes, bytes, bytes]] = Counter()

    def add(self, day: int, domain: bytes, results: TlsResults) -> None:
        """So many more; where there are too many kinds already, they are left out."""
        key = day, domain, results.policy, results.mx, results.result
        if key in self._counts or len(self._counts) < MAX_SESSIONS:
            self._counts[key] += results.sessions

    def take(self) -> Iterator[TlsSeen]:
        """What was counted since the last time; begins anew."""
        counts, self._counts = self._counts, Counter()
        for key, sessions in counts.items():
            yield TlsSeen(*key, sessions)

    def put_back(self, seen: TlsSeen) -> None:
        """Nobody was there to be told."""
        self.add(seen.day, seen.domain, TlsResults(seen.policy, seen.mx, seen.result, seen.sessions))
