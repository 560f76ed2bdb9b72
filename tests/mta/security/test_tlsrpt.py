"""To whom a domain wants reports about TLS sent (RFC 8460 3)."""

import pytest

from mta.security.tlsrpt import MAX_ADDRESSES, addresses_of


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        ([b"v=TLSRPTv1; rua=mailto:tls@example.com"], [b"tls@example.com"]),
        ([b"v=TLSRPTv1;rua=mailto:tls@Example.COM;"], [b"tls@example.com"]),
        ([b"v=TLSRPTv1; rua=https://reports.example.com/v1/tlsrpt"], []),
        (
            [b"v=TLSRPTv1; rua=https://a.example/x,mailto:a@example.com , mailto:b@example.com"],
            [b"a@example.com", b"b@example.com"],
        ),
        ([b"v=TLSRPTv1; x=y; rua=mailto:a%2Bb@example.com?subject=x"], [b"a+b@example.com"]),
        ([b"v=TLSRPTv1; rua=MAILTO:a@example.com"], [b"a@example.com"]),
        ([b"v=spf1 -all", b"v=TLSRPTv1; rua=mailto:a@example.com"], [b"a@example.com"]),
    ],
)
def test_what_a_record_asks_for(texts, addresses):
    assert list(addresses_of(texts)) == addresses


@pytest.mark.parametrize(
    "texts",
    [
        [], [b""], [b"v=TLSRPTv1"], [b"v=TLSRPTv1; rua="], [b"v=TLSRPTv2; rua=mailto:a@example.com"],
        [b"v=TLSRPTv10; rua=mailto:a@example.com"], [b" v=TLSRPTv1; rua=mailto:a@example.com"],
        [b"v=TLSRPTv1; rua=mailto:a@example.com"] * 2,
        [b"v=TLSRPTv1; rua=mailto:a@localhost"], [b"v=TLSRPTv1; rua=mailto:@example.com"], [b"v=TLSRPTv1; rua=a@example.com"],
        [b"v=TLSRPTv1; rua=mailto:a%0D%0ABcc:x@example.com"], [b"v=TLSRPTv1; rua=mailto:%22a%22@example.com"],
        [b"v=TLSRPTv1; rua=mailto:a>b@example.com"], [b"v=TLSRPTv1; rua=mailto:\xff@example.com"],
        [b"v=TLSRPTv1; rua=mailto:" + b"a" * 65 + b"@example.com"],
    ],
)  # fmt: skip
def test_what_is_none_asks_for_nothing(texts):
    """Two records, another version, an address that is none, or one that would end a header field."""
    assert addresses_of(texts) == ()


def test_a_record_that_names_a_crowd_reaches_the_first_of_it():
    """Once each."""
    crowd = b",".join(b"mailto:a%d@example.com,mailto:a%d@example.com" % (each, each) for each in range(50))
    assert addresses_of([b"v=TLSRPTv1; rua=" + crowd]) == (b"a0@example.com", b"a1@example.com")
    assert MAX_ADDRESSES == 2
