"""dkimpy believes what we sign, and we believe what dkimpy signs: on messages that are odd in every way we know."""

import itertools
import time

import pytest

from mta.message.dkim.canonical import BodyHash, Form, split_fields
from mta.message.dkim.signing import sign
from mta.message.dkim.verifying import verify
from mta.message.header import header_section
from tests.mta.message.dkim import _corpus, _oracle

MESSAGES = _corpus.messages()
FORMS = tuple(itertools.product(Form, Form))


def signed(message: bytes, form: tuple[Form, Form]) -> bytes:
    """*message* with a signature of each of our keys, as signer and submitter make them."""
    header = header_section(message)
    body = BodyHash(form[1])
    text = message[len(header) :].removeprefix(b"\r\n")
    for start in range(0, len(text), 997):
        body.update(text[start : start + 997])
    digest, fields = body.digest(), split_fields(header)
    made = [
        sign(fields, digest, key, _oracle.DOMAIN, int(time.time()), 3600, header_form=form[0], body_form=form[1])
        for key in _oracle.key_pair()
    ]
    return b"".join(made) + message


def test_there_are_enough_of_them() -> None:
    assert len(MESSAGES) >= 200


@pytest.mark.parametrize("name", MESSAGES)
def test_dkimpy_believes_us(name: str) -> None:
    """Both algorithms; each message in one of the four pairs of canonical forms, and in the one that we use."""
    message = MESSAGES[name]
    for form in {FORMS[len(name) % 4], (Form.RELAXED, Form.RELAXED)}:
        ours = signed(message, form)
        assert [_oracle.dkimpy_verifies(ours, place) for place in (0, 1)] == [True, True]
        assert [result.word for result in verify(ours, _oracle.look_up, int(time.time()))][:2] == ["pass", "pass"]


@pytest.mark.parametrize("name", MESSAGES)
def test_we_believe_dkimpy(name: str) -> None:
    """Both algorithms, in turn; a part of the body only (l=) in every seventh."""
    message = MESSAGES[name]
    form = FORMS[len(name) % 4]
    key = _oracle.key_pair()[len(name) // 4 % 2]
    field = _oracle.dkimpy_signs(message, key, (form[0].value, form[1].value), length=len(name) % 7 == 0)
    first, *_ = verify(field + message, _oracle.look_up, int(time.time()))
    assert (first.word, first.why, first.domain) == ("pass", "", _oracle.DOMAIN)


@pytest.mark.parametrize("name", list(MESSAGES)[::4])
def test_what_is_changed_is_noticed_by_both(name: str) -> None:
    """An octet of the body, and one more field of a name that was signed once more than it was there."""
    ours = signed(MESSAGES[name], (Form.RELAXED, Form.RELAXED))
    header = header_section(ours)
    added = b"Subject: another\r\n" + ours
    longer = (header + b"\r\n" + b"x" + ours[len(header) + 2 :]) if ours != header else header + b"\r\nx\r\n"
    for changed in (added, longer):
        words = [result.word for result in verify(changed, _oracle.look_up, int(time.time()))][:2]
        assert words == ["fail", "fail"]
        for place in (0, 1):
            try:
                assert not _oracle.dkimpy_verifies(changed, place)
            except _oracle.dkim.ValidationError:
                continue
