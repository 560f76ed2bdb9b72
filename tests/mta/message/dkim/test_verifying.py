"""Which signatures are believed, and what is said of the others (RFC 6376 6)."""

import base64
import re
from collections.abc import Sequence

import pytest

from mta.message.dkim.canonical import BodyHash, split_fields
from mta.message.dkim.signing import BadKey, load_key, sign
from mta.message.dkim.verifying import MAX_SIGNATURES, Result, verify
from tests.mta.message.dkim import _oracle

NOW = 1_800_000_000
HEADER = b"From: joe@example.org\r\nSubject: hi\r\n"
BODY = b"hello\r\n"


def signature(seconds: int = 0, key: int = 1) -> bytes:
    hashed = BodyHash()
    hashed.update(BODY)
    return sign(split_fields(HEADER), hashed.digest(), _oracle.key_pair()[key], _oracle.DOMAIN, NOW, seconds)


def result(field: bytes, look_up: object = _oracle.look_up, now: int = NOW) -> Result:
    (one,) = verify(field + HEADER + b"\r\n" + BODY, look_up, now)
    return one


def record(text: bytes) -> object:
    return lambda _name: [text]


def own_record(key: int = 1) -> bytes:
    return list(_oracle.records().values())[key]


def test_a_good_one_passes_and_says_for_whom() -> None:
    assert result(signature()) == Result("pass", b"example.org", b"s-ed")


def test_our_field_is_folded_and_bears_every_tag() -> None:
    """No line beyond 78 octets (RFC 5322 2.1.1); From, Subject and what is not there are sealed."""
    field = signature(60, 0)
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))
    tags = dict(re.findall(rb"(\w+)=([^;]*)", re.sub(rb"\s", b"", field)))
    assert (tags[b"v"], tags[b"a"], tags[b"c"], tags[b"d"]) == (b"1", b"rsa-sha256", b"relaxed/relaxed", b"example.org")
    assert (int(tags[b"t"]), int(tags[b"x"])) == (NOW, NOW + 60)
    names = tags[b"h"].split(b":")
    assert [names.count(name) for name in (b"from", b"subject", b"to", b"reply-to")] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"v=1", b"v=2", "version"),
        (b"a=ed25519-sha256", b"a=rsa-sha1", "proves nothing"),
        (b"h=from:", b"h=to:", ""),
        (b"\tbh=", b"\tbx=", "bh= is missing"),
        (b"; d=", b"; d=example.org; d=", "twice"),
        (b"d=example.org", b"d=-example.org", "no name"),
        (b"c=relaxed/relaxed", b"c=relaxed/nofws", "canonical"),
        (b"; d=", b"; i=joe@other.example; d=", "i= is of another"),
        (b"; d=", b"; i=joe@notexample.org; d=", "i= is of another"),
        (b"; d=", b"; q=http; d=", "elsewhere"),
        (b"t=1800000000", b"t=1800009000", "future"),
        (b"t=1800000000", b"t=soon", "not a number"),
        (b"\tbh=", b"\tbh=!", "base64"),
        (b"; d=", b"; l=9999; d=", "longer than the body"),
        (b"; d=", b"; =; d=", "not a list"),
        (b"; d=", b"; z=" + b"x" * 20_000 + b"; d=", "too long"),
        (b"; d=", b";" + b";".join(b"t%d=" % n for n in range(70)) + b"; d=", "too many"),
    ],
)
def test_what_cannot_be_a_signature_is_a_permanent_error(old: bytes, new: bytes, why: str) -> None:
    field = signature()
    assert old in field
    found = result(field.replace(old, new, 1).replace(b"h=to:from", b"h=to"))
    assert found.word == ("permerror" if why else "fail")
    assert why in found.why


def test_without_from_it_is_none() -> None:
    field = re.sub(rb"h=[^;]*;", b"h=subject:to;", signature())
    assert result(field).why == "From is not signed, or too much"


def test_it_ends_when_it_says() -> None:
    """An hour is given to clocks that do not agree."""
    assert result(signature(60), now=NOW + 60 + 3600).word == "pass"
    assert result(signature(60), now=NOW + 60 + 3601) == Result("permerror", why="it has expired")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"v=DKIM1; k=ed25519; p=", "revoked"),
        (b"v=DKIM1; k=ed25519", "no key"),
        (b"v=DKIM2; k=ed25519; p=AAAA", "version"),
        (b"k=ed25519; v=DKIM1; p=AAAA", "version"),
        (b"v=DKIM1; p=AAAA", "another kind"),
        (b"v=DKIM1; k=ed25519; h=sha1; p=AAAA", "hashes"),
        (b"v=DKIM1; k=ed25519; s=web; p=AAAA", "not for mail"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "cannot be read"),
        (b"v=DKIM1; k=ed25519; p=*", "base64"),
        (b"", "key record"),
    ],
)
def test_a_key_record_that_is_not_for_it(text: bytes, why: str) -> None:
    found = result(signature(), record(text))
    assert found.word == "permerror"
    assert why in found.why


def test_a_short_key_proves_nothing() -> None:
    """RFC 8301 3.2."""
    from cryptography.hazmat.primitives import serialization

    short = serialization.load_pem_public_key(_SHORT).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert "too short" in result(signature(key=0), record(b"p=" + base64.b64encode(short))).why


_SHORT = b"""-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALj0wk0dZ3W8ZZrCkE9qgXvPoOgqDRkP
XcTnDmJiE6EIVcwq3zVUWHoExC+7qOMJAuTgdmhAOVxJOeKQKTNbPpECAwEAAQ==
-----END PUBLIC KEY-----
"""


def test_where_the_key_is_not_for_subdomains_one_of_them_cannot_be_signed_for() -> None:
    text = own_record().replace(b"v=DKIM1;", b"v=DKIM1; t=s;")
    assert result(signature(), record(text)).word == "pass"
    assert "subdomains" in result(signature().replace(b"; d=", b"; i=@a.example.org; d="), record(text)).why


def test_a_name_server_that_cannot_be_asked_is_no_verdict() -> None:
    def away(_name: bytes) -> Sequence[bytes]:
        raise KeyError

    assert result(signature(), away).word == "temperror"


def test_no_record_or_two_are_no_key() -> None:
    assert "no key record" in result(signature(), lambda _name: []).why
    assert "several" in result(signature(), lambda _name: [own_record()] * 2).why


def test_a_second_from_that_nobody_signed_makes_it_false() -> None:
    """Even where h= names From only once: what a reader is shown must be what was signed."""
    key, hashed = _oracle.key_pair()[1], BodyHash()
    hashed.update(BODY)
    from mta.message.dkim.canonical import Form, signed_octets

    field = b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=s-ed; h=from; bh=%b; b=\r\n"
    field %= base64.b64encode(hashed.digest())
    made = key.sign(signed_octets(split_fields(HEADER), [b"from"], field, Form.RELAXED))
    field = field[:-2] + base64.b64encode(made) + b"\r\n"
    assert result(field).word == "pass"
    assert result(field + b"From: boss@example.org\r\n").word == "fail"
    assert result(b"From: boss@example.org\r\n" + field).word == "fail"


def test_only_some_signatures_of_a_message_are_looked_at() -> None:
    """Each costs a question to a name server and a check of a key."""
    message = signature() * (MAX_SIGNATURES + 5) + HEADER + b"\r\n" + BODY
    assert len(verify(message, _oracle.look_up, NOW)) == MAX_SIGNATURES


def test_what_is_no_message_has_no_good_signature() -> None:
    (found,) = verify(b"no header at all\r\n\r\n", _oracle.look_up, NOW)
    assert found.word == "permerror"


def test_a_key_of_another_kind_is_not_loaded() -> None:
    from cryptography.hazmat.primitives import serialization

    rsa_key, ed_key = _oracle.key_pair()
    octets = [
        key.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for key in (rsa_key, ed_key)
    ]
    assert load_key(b"s", b"rsa-sha256", octets[0]).private.key_size == 2048
    for algorithm, key in (
        (b"rsa-sha256", octets[1]),
        (b"ed25519-sha256", octets[0]),
        (b"rsa-sha256", b"x"),
        (b"x", octets[0]),
    ):
        with pytest.raises(BadKey):
            load_key(b"s", algorithm, key)
