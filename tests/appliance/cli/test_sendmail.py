"""What `postern sendmail` makes of its arguments and of a message; the conversation itself is a journey's."""

import io
import re

import pytest

from appliance.cli import sendmail
from appliance.cli.sendmail import DATA, USAGE, Refused, Wanted
from mta.roles.submitter.draft import examine

HOST = "mx.example.test"


def test_options_as_callers_of_sendmail_write_them() -> None:
    wanted = sendmail.read_arguments(
        ["-oi", "-f", "ann@example.test", "-FAnn Example", "-N", "success,failure", "-oem", "-t", "joe@example.test"]
    )
    assert wanted == Wanted(
        ["joe@example.test"], "ann@example.test", "Ann Example", True, False, {"N": "success,failure"}
    )  # fmt: skip
    assert sendmail.read_arguments(["-fann@example.test", "-i", "--", "-odd@example.test"]).recipients == [
        "-odd@example.test"
    ]
    assert not sendmail.read_arguments(["-ti"]).dot_ends


def test_an_option_without_its_value_is_wrong_usage() -> None:
    with pytest.raises(Refused) as refused:
        sendmail.read_arguments(["-f"])
    assert refused.value.code == USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["-F", "Joe\r\nBcc: all@example.org"],
        ["-fjoe@example.org\nRCPT TO:<x@example.org>"],
        ["x@example.org\n"],
        ["-V", "a\0"],
    ],
)
def test_an_argument_of_several_lines_is_nothing_to_send(arguments: list[str]) -> None:
    """A form on a web page that hands one over would otherwise send to whom its visitor likes."""
    with pytest.raises(Refused) as refused:
        sendmail.read_arguments([*arguments, "-t"])
    assert refused.value.code == USAGE


def test_a_user_without_a_name_has_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As programs in containers have."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 123_456_789)
    content = sendmail.mend(b"Subject: x\r\n\r\n", Wanted(), "mx.test")
    assert b"From: uid-123456789@mx.test\r\n" in content


@pytest.mark.parametrize(
    ("typed", "dot_ends", "read"),
    [
        (b"a\nb", True, b"a\r\nb\r\n"),
        (b"a\r\nb\rc\n", True, b"a\r\nb\r\nc\r\n"),
        (b"a\n.\nb\n", True, b"a\r\n"),
        (b".\nb\n", True, b""),
        (b"a\n.\nb\n", False, b"a\r\n.\r\nb\r\n"),
        (b"a\n..\n", True, b"a\r\n..\r\n"),
        (b"", True, b""),
    ],
)
def test_lines_end_with_cr_lf_and_a_lone_dot_is_the_end(typed: bytes, dot_ends: bool, read: bytes) -> None:
    assert sendmail.read_content(io.BytesIO(typed), dot_ends=dot_ends) == read


def test_what_a_header_must_have_is_added_and_nothing_else_touched() -> None:
    typed = b"Subject: hello\r\n folded\r\nX-Odd:  kept \r\n\r\nbody\r\n"
    mended = sendmail.mend(typed, Wanted(sender="ann@example.test", name='Ann "A" Example'), HOST)
    header, _, body = mended.partition(b"\r\n\r\n")
    assert mended.startswith(b"Subject: hello\r\n folded\r\nX-Odd:  kept \r\n")
    assert b'From: "Ann \\"A\\" Example" <ann@example.test>' in header
    assert re.search(rb"\r\nDate: \w{3}, ", header)
    assert re.search(rb"\r\nMessage-ID: <[^>]+@mx\.example\.test>", header)
    assert body == b"body\r\n"
    assert sendmail.mend(mended, Wanted(), HOST) == mended


@pytest.mark.parametrize(
    ("typed", "qualified"),
    [
        (b"From: root (Cron Daemon)", b"From: root@mx.example.test (Cron Daemon)"),
        (b"From:root", b"From:root@mx.example.test"),
        (b"To: Joe <joe>", b"To: Joe <joe@mx.example.test>"),
        (b'sender: "a, b" <www-data> ', b'sender: "a, b" <www-data@mx.example.test> '),
        (b"From: joe@example.org", b"From: joe@example.org"),
        (b"From: Joe <joe@example.org>", b"From: Joe <joe@example.org>"),
        (b"Subject: root", b"Subject: root"),
        (b"To: root, joe", b"To: root, joe"),
    ],
)
def test_a_user_of_this_machine_gets_its_name_behind_his(typed: bytes, qualified: bytes) -> None:
    """RFC 6409 8.4: as cron writes them; submitter refuses an author that nobody could answer."""
    mended = sendmail.mend(
        b"From: joe@example.org\r\n" * (typed[:4] != b"From") + typed + b"\r\n\r\nbody\r\n", Wanted(), HOST
    )
    assert qualified in mended.split(b"\r\n")
    examine(mended.partition(b"\r\n\r\n")[0] + b"\r\n")


def test_a_message_without_a_header_gets_one() -> None:
    mended = sendmail.mend(b"just words: no, these are none\r\n", Wanted(sender="a@b.test"), HOST)
    assert mended.endswith(b"\r\n\r\njust words: no, these are none\r\n")


def test_recipients_of_the_header() -> None:
    content = b"To: Ann <ann@example.test>,\r\n joe\r\nCc: team: x@example.test;\r\nBCC: hidden@example.test\r\n\r\n"
    assert sendmail.recipients_of(content) == ["ann@example.test", "joe", "x@example.test", "hidden@example.test"]
    assert b"hidden" not in sendmail.without_hidden(content)
    again = b"Resent-To: new@example.test\r\nTo: old@example.test\r\n\r\n"
    assert sendmail.recipients_of(again) == ["new@example.test"]


def test_recipients_that_cannot_be_read_send_nothing() -> None:
    with pytest.raises(Refused) as refused:
        sendmail.recipients_of(b"To: <<>, x@example.test\r\n\r\n")
    assert refused.value.code == DATA
