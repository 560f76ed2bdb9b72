"""What a domain's policy makes of a host when nobody can tell what it is. resolver and fetcher are the test's."""

import ssl
from types import SimpleNamespace

import pytest

from mta.roles.remote.hosts import Host
from mta.roles.remote.policy import PolicyGuard
from mta.roles.remote.security import Level, Security
from mta.security.reporting import Tally
from mta.wire import messages as m

HOST = Host(b"mx.remote.test", "192.0.2.1", 25)
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def decided(answer, *, is_away=False):
    """What the guard says of HOST when fetcher answers so."""

    def ask(_peer, make, _seconds, hear):
        assert isinstance(make(1), m.Fetch)
        if not is_away:
            hear(answer)
        return not is_away

    contexts, found, tally = SimpleNamespace(trusting=CONTEXT, verifying=CONTEXT), [], Tally()
    guard = PolicyGuard(SimpleNamespace(ask=ask), contexts, tally, b"remote.test", b"", is_fixed=False)
    guard.decide(HOST, found.append)
    [one] = found
    return one, [(each.policy, each.result) for each in tally.take()]


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (m.Fetched(1, b"none", 0, b"", ()), Level.MAY),
        (m.Fetched(1, b"none", 0, b"sts-policy-fetch-error", ()), Level.MAY),
        (m.Fetched(1, b"enforce", 60, b"", (b"mx.remote.test",)), Level.VERIFY),
        (m.Fetched(1, b"enforce", 60, b"sts-policy-fetch-error", (b"mx.remote.test",)), Level.VERIFY),
    ],
)  # fmt: skip
def test_what_fetcher_knows_holds_whatever_went_wrong_since(answer, level):
    """RFC 8461 5.1; and who announces a policy that cannot be had has none."""
    security, _ = decided(answer)
    assert isinstance(security, Security)
    assert security.level is level


def test_without_an_answer_the_host_is_not_used_now():
    """Who can keep fetcher busy, or end it, must not be able to end the demand."""
    outcome, counted = decided(None)
    assert (outcome.is_delay, outcome.status) == (True, b"4.7.5")
    assert counted == [(b"sts", b"sts-policy-fetch-error")]


def test_where_there_is_no_fetcher_at_all_mail_goes_as_without_policies():
    """It was never introduced: nothing that came over the network decides that."""
    security, _ = decided(None, is_away=True)
    assert security.level is Level.MAY


def test_a_report_about_tls_goes_whatever_the_domain_demands_and_is_not_counted():
    """RFC 8460 3: no policy is asked for; TLS is taken where it is there, and nobody is told how it went."""
    contexts, found, tally = SimpleNamespace(trusting=CONTEXT, verifying=CONTEXT), [], Tally()
    guard = PolicyGuard(SimpleNamespace(), contexts, tally, b"remote.test", b"optional", is_fixed=False)
    guard.decide(Host(b"mx.remote.test", "192.0.2.1", 25, is_mx_secure=True, is_address_secure=True), found.append)
    [security] = found
    assert (security.level, security.is_demanded) == (Level.MAY, False)
    security.note("the certificate has expired")
    assert list(tally.take()) == []
