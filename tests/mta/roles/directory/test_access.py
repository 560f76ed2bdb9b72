"""Access rules: which pattern fits whom, and whose rules come first."""

import pytest

from mta.roles.directory.access import Scope, decide


@pytest.mark.parametrize(
    ("pattern", "client", "reverse_path", "fits"),
    [
        (b"192.0.2.0/24", b"192.0.2.200", b"a@b.example", True),
        (b"192.0.2.0/24", b"192.0.3.200", b"a@b.example", False),
        (b"192.0.2.7", b"192.0.2.7", b"", True),
        (b"0.0.0.0/0", b"203.0.113.9", b"", True),
        (b"0.0.0.0/0", b"2001:db8::1", b"", False),
        (b"2001:db8::/32", b"2001:db8:1::1", b"a@b.example", True),
        (b"192.0.2.0/24", b"::ffff:192.0.2.1", b"a@b.example", True),
        (b"fe80::/10", b"fe80::1%eth0", b"", True),
        (b"Joe@B.example", b"192.0.2.1", b"joe@b.EXAMPLE", True),
        (b"joe@b.example", b"192.0.2.1", b"jo@b.example", False),
        (b"b.example", b"192.0.2.1", b"joe@B.example", True),
        (b"b.example", b"192.0.2.1", b"joe@sub.b.example", False),
        (b".b.example", b"192.0.2.1", b"joe@sub.b.example", True),
        (b".b.example", b"192.0.2.1", b"joe@b.example", True),
        (b".b.example", b"192.0.2.1", b"joe@notb.example", False),
        (b"b.example", b"192.0.2.1", b"", False),
        (b".", b"192.0.2.1", b"", False),
        (b"300.0.2.0/24", b"192.0.2.1", b"a@b.example", False),
        (b"192.0.2.0/24", b"nonsense", b"a@b.example", False),
    ],
)
def test_a_pattern_fits(pattern, client, reverse_path, fits):
    """A network the client, an address or a domain the reverse-path; the null reverse-path only a network."""
    assert Scope((b"deny", pattern)).decide(client, reverse_path) is (False if fits else None)


def test_inside_a_scope_the_first_that_fits_decides():
    """So an exception stands before its rule."""
    scope = Scope((b"allow", b"boss@bad.example", b"deny", b"bad.example", b"allow", b"0.0.0.0/0"))
    assert scope.decide(b"192.0.2.1", b"boss@bad.example") is True
    assert scope.decide(b"192.0.2.1", b"other@bad.example") is False
    assert scope.decide(b"192.0.2.1", b"other@good.example") is True


def test_the_most_specific_scope_that_says_anything_wins():
    """The mailbox over its domain, the domain over the host."""
    mailbox = Scope((b"allow", b"192.0.2.0/24"))
    domain = Scope((b"deny", b"192.0.0.0/16"))
    host = Scope((b"deny", b"0.0.0.0/0"))
    scopes = (mailbox, domain, host)
    assert decide(scopes, b"192.0.2.1", b"") is True
    assert decide(scopes, b"192.0.3.1", b"") is False
    assert decide(scopes[:2], b"198.51.100.1", b"") is None
    assert decide((), b"192.0.2.1", b"") is None
