"""Codes of authenticator apps: as RFC 6238 says, and as another implementation has them."""

import base64
import os
import time

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta import roster
from mta.roles.authenticator import __main__ as authenticator
from mta.roles.authenticator import hashers
from mta.roles.authenticator.codes import STEP_SECONDS, Codes, code_of
from mta.roles.authenticator.credentials import Credentials
from mta.seal import PASSWORD_HASH, SECOND_FACTOR, NotOpened, Opener, seal
from mta.snapshot.reader import Snapshot
from mta.wire import messages as m
from tests.fakes.house import House, events

OPENER = Opener(b"p" * 32, SECOND_FACTOR)
SECRET = b"12345678901234567890"  # RFC 6238 appendix B
NOW = 1_800_000_000
SEALED = base64.b64encode(seal(OPENER.public_key, SECOND_FACTOR, SECRET))


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, b"287082"),
        (1111111109, b"081804"),
        (1111111111, b"050471"),
        (1234567890, b"005924"),
        (2000000000, b"279037"),
        (20000000000, b"353130"),
    ],
)
def test_the_rfcs_own_examples(moment, code):
    """The last six of its eight digits."""
    assert code_of(SECRET, moment // STEP_SECONDS) == code


@given(st.binary(min_size=16, max_size=64), st.integers(0, 1 << 33))
def test_another_implementation_agrees(secret, moment):
    """pyotp, whatever the secret."""
    other = pyotp.TOTP(base64.b32encode(secret).decode())
    assert code_of(secret, moment // STEP_SECONDS).decode() == other.at(moment)


def test_a_code_is_good_a_step_before_and_after_and_no_longer():
    """And the step it belongs to is told, so that nobody takes it twice."""
    codes, present = Codes(OPENER, lambda: float(NOW)), NOW // STEP_SECONDS
    for apart in range(-4, 5):
        expected = present + apart if abs(apart) <= 1 else 0
        assert codes.step_of(SEALED, code_of(SECRET, present + apart)) == expected


@pytest.mark.parametrize(
    "code", [b"", b"12345", b"1234567", b"abcdef", b" 12345", "１２３４５６".encode(), b"\xff" * 6]
)
def test_what_is_no_code_belongs_to_no_step(code):
    """Six ASCII digits, nothing else."""
    assert Codes(OPENER, lambda: float(NOW)).step_of(SEALED, code) == 0


@pytest.mark.parametrize(
    "sealed",
    [
        b"",
        b"not base64!",
        base64.b64encode(b"short"),
        base64.b64encode(seal(OPENER.public_key, PASSWORD_HASH, SECRET)),
        base64.b64encode(seal(OPENER.public_key, SECOND_FACTOR, b"short")),
        base64.b64encode(seal(Opener(b"q" * 32, SECOND_FACTOR).public_key, SECOND_FACTOR, SECRET)),
    ],
    ids=["nothing", "no base64", "too short", "another use", "too short within", "another key"],
)
def test_a_secret_that_is_not_sealed_to_us_for_this_opens_nothing(sealed):
    """Nor does a password's hash, whoever moves it about."""
    with pytest.raises(NotOpened):
        Codes(OPENER, lambda: float(NOW)).step_of(sealed, b"123456")


def test_the_role_answers_web_and_tells_the_journal_of_trouble(tmp_path):
    """0 for what cannot be opened."""
    settings = {roster.TICKET_KEY: b"t" * 32, roster.SESSION_KEY: b"s" * 32}
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.AUTHENTICATOR, settings) as house:
        snapshot, threads, journal = Snapshot(folder), hashers.Hashers(house.loop), house.server("journal")
        authenticator.serve(house.loop, house.start, Credentials(snapshot, OPENER.beside(PASSWORD_HASH)), threads)
        web, code = house.client("web"), pyotp.TOTP(base64.b32encode(SECRET).decode()).now().encode()
        for tag, sealed in ((1, SEALED), (2, b"AAAA")):
            web.send(m.CheckCode(tag, sealed, code))
        first, second = _hear(house, web)
        threads.close()
        told = [name for name, _ in events(journal, house)]
        snapshot.close()
    os.close(folder)
    assert (first.tag, first.step > 0, second.step) == (1, True, 0)
    assert b"credential-wrong" in told


def _hear(house, web):
    heard, end = [], time.monotonic() + 30
    while len(heard) < 2 and time.monotonic() < end:
        house.loop.run_once(0.02)
        heard += house.hear(web)
    return heard
