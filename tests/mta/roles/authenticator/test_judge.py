"""As whom a mailbox may write by a tag or a pattern: whenever mail for that name comes to it, and never as another's name."""

import pytest

from mta.roles.authenticator.judge import may_use
from mta.snapshot.records import Domain, Login, Pattern, Senders, Tenant, pack_record

ANN, BEN = b"ann@one.example", b"ben@one.example"
RECORDS = {
    b"t:1": Tenant(b""),
    b"d:one.example": Domain(b"1"),
    b"d:hyphen.example": Domain(b"1", tag_separator=b"-"),
    b"d:none.example": Domain(b"1", tag_separator=b""),
    **{
        b"m:" + part + b"@" + name: Login(b"sealed", suspended=False, domain=name, tenant=b"")
        for name in (b"one.example", b"hyphen.example", b"none.example")
        for part in (b"ann", b"ben", b"ann-maria")
    },
    b"x:ann-@one.example": Pattern(ANN),
    b"x:ann-shop-@one.example": Pattern(BEN),
    b"f:ann-sales@one.example": Senders((BEN,)),  # an alias
    b"f:ann-dark@one.example": Senders(()),  # a mailbox that nobody logs in to
    b"f:mary-ann@hyphen.example": Senders(()),
    b"m:mary@hyphen.example": Login(b"sealed", suspended=False, domain=b"hyphen.example", tenant=b""),
}


def rule(identity, address):
    found = {key: pack_record(record) for key, record in RECORDS.items()}
    yes, words = may_use(identity, address, found.get)
    return words if yes else b""


@pytest.mark.parametrize(
    ("identity", "address", "words"),
    [
        (ANN, b"ann-list@one.example", b"pattern"),
        (ANN, b"Ann-LIST@one.example", b"pattern"),
        (BEN, b"ann-shop-7@one.example", b"pattern"),
        (BEN, b"ann-sales@one.example", b"alias"),
        (b"ann@hyphen.example", b"ann-list@hyphen.example", b"tag"),
        (b"ann-maria@hyphen.example", b"ann-maria-x@hyphen.example", b"tag"),
        (ANN, b"ann+x@one.example", b"tag"),
    ],
)
def test_what_comes_to_a_mailbox_it_may_write_as(identity, address, words):
    """In words that tell which rule it was."""
    assert words in rule(identity, address)


@pytest.mark.parametrize(
    ("identity", "address"),
    [
        (BEN, b"ann-list@one.example"),
        (ANN, b"ann-shop-7@one.example"),  # the longer pattern is another's
        (ANN, b"ann-sales@one.example"),
        (ANN, b"ann-dark@one.example"),
        (ANN, b"ann-maria@one.example"),
        (ANN, b"ann-@one.example"),
        (ANN, b"ann-list@hyphen.example"),
        (b"ann@hyphen.example", b"ann-maria@hyphen.example"),
        (b"ann@hyphen.example", b"ann-maria-x@hyphen.example"),
        (b"mary@hyphen.example", b"mary-ann-x@hyphen.example"),
        (b"ann@hyphen.example", b"ann+x@hyphen.example"),
        (b"ann@none.example", b"ann+x@none.example"),
    ],
)
def test_what_comes_to_another_it_may_not(identity, address):
    """An exact name, a longer pattern or tag; another domain's rules."""
    assert rule(identity, address) == b""
