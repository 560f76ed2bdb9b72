"""What domains' mail is signed with: made, shown, exchanged."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from appliance import signing_keys
from appliance.errors import Conflict, Forbidden, NotFound
from appliance.models import DkimKey
from appliance.services import changes, dkim, domains
from mta import seal
from tests.fixtures.database import OPERATOR

PRIVATE, PUBLIC = seal.make_key_pair()


def pair():
    """Ed25519 alone: to make RSA takes its time, and one test does."""
    key = ed25519.Ed25519PrivateKey.generate()
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    sealed = base64.b64encode(seal.seal(PUBLIC, seal.SIGNING_KEY, der)).decode()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return [signing_keys.NewKey(signing_keys.ED25519, public, sealed)]


def rotate(world, name="own.test", actor=OPERATOR, new=None):
    return world.do(lambda s: [(k.selector, k.state) for k in dkim.rotate(s, name, new or pair(), actor=actor)])


def finish(world, name="own.test", actor=OPERATOR):
    return world.do(lambda s: [(k.selector, k.state, k.sealed_key != "") for k in dkim.finish(s, name, actor=actor)])


def test_fresh_keys_are_what_they_say_and_open_for_the_signer_alone():
    """RSA of 2048 bits and Ed25519; the public half of each is that of the sealed private half."""
    rsa_key, ed_key = signing_keys.make(PUBLIC)
    assert (rsa_key.algorithm, ed_key.algorithm) == ("rsa-sha256", "ed25519-sha256")
    opener = seal.Opener(PRIVATE, seal.SIGNING_KEY)
    opened = [
        serialization.load_der_private_key(opener.open(base64.b64decode(key.sealed_key)), None)
        for key in (rsa_key, ed_key)
    ]
    assert opened[0].key_size == 2048
    der = (
        opened[0].public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert base64.b64decode(rsa_key.public_key) == der
    assert base64.b64decode(ed_key.public_key) == opened[1].public_key().public_bytes_raw()
    with pytest.raises(seal.NotOpened):
        seal.Opener(PRIVATE, seal.TLS_KEY).open(base64.b64decode(rsa_key.sealed_key))


def test_a_record_fits_into_the_strings_of_a_zone_file():
    """None is longer than 255 octets, and together they say it all (RFC 1035 3.3)."""
    text = signing_keys.record(signing_keys.RSA, "A" * 392)
    line = signing_keys.zone_line("s._domainkey.own.test", text)
    assert line.startswith('s._domainkey.own.test. IN TXT "v=DKIM1; k=rsa; p=')
    strings = line.split('"')[1::2]
    assert "".join(strings) == text
    assert len(strings) == 2
    assert max(map(len, strings)) == 255


def test_no_selector_is_given_twice():
    """Not on one day, either."""
    taken = set()
    for _ in range(3):
        taken.add(signing_keys.selector(signing_keys.RSA, 1_800_000_000, taken))
    assert taken == {"20270115-rsa", "20270115b-rsa", "20270115c-rsa"}
    everything = {
        signing_keys.selector(signing_keys.RSA, 0, ())[:8] + letter + "-rsa" for letter in signing_keys._LETTERS
    }
    with pytest.raises(ValueError):
        signing_keys.selector(signing_keys.RSA, 0, {name.replace(" ", "") for name in everything})


def test_the_first_keys_sign_at_once_and_the_next_ones_wait_for_their_records(world):
    """Then those before sign never again: their private half is gone, their record is still shown."""
    ((first, state),) = rotate(world)
    assert state == "signing"
    (_, (second, state)) = rotate(world)
    assert state == "next"
    assert second != first
    with pytest.raises(Conflict):
        rotate(world)
    assert finish(world) == [(first, "retired", False), (second, "signing", True)]
    with pytest.raises(Conflict):
        finish(world)


def test_a_retired_key_is_forgotten_when_no_mail_bears_its_signature_any_more(world):
    """A fortnight later, with the next rotation."""
    ((first, _),) = rotate(world)
    rotate(world)
    finish(world)
    assert next(selector for selector, _ in rotate(world)) == first
    finish(world)

    def age(session):
        for key in session.query(DkimKey).filter(DkimKey.state == "retired"):
            key.changed_at -= dkim.KEPT_DAYS * 86400 + 1

    world.do(age)
    assert [state for _, state in rotate(world)] == ["signing", "next"]


def test_a_change_is_announced_and_written_down_without_any_key(world):
    """The audit names selectors."""
    before = world.do(changes.newest)
    rotate(world)
    announced = world.do(lambda s: [(change.kind, change.key) for change in changes.since(s, before)])
    assert announced == [("signing", "own.test")]


def test_whoever_changes_a_domain_changes_its_keys_and_nobody_else(world):
    rotate(world, actor=world.customer)
    world.do(lambda s: domains.create(s, "host.test", actor=OPERATOR))
    with pytest.raises(NotFound):
        rotate(world, "host.test", actor=world.customer)
    with pytest.raises((NotFound, Forbidden)):
        finish(world, "own.test", actor=world.owner)


def test_a_domain_that_goes_takes_its_keys_along(world):
    world.do(lambda s: domains.create(s, "gone.test", actor=OPERATOR))
    rotate(world, "gone.test")
    world.do(lambda s: domains.remove(s, "gone.test", actor=OPERATOR))
    assert world.do(lambda s: s.query(DkimKey).count()) == 0


def test_records_can_be_copied(world):
    """Name, text, and the line of a zone file."""
    rotate(world)
    name, text, line = world.do(
        lambda s: next(
            (dkim.record_name(k), dkim.record(k), dkim.zone_line(k))
            for k in dkim.keys_of(s, "own.test", actor=OPERATOR)
        )
    )
    assert name.endswith("-ed25519._domainkey.own.test")
    assert text.startswith("v=DKIM1; k=ed25519; p=")
    assert line == f'{name}. IN TXT "{text}"'
