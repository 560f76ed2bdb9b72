"""Events as lines: who spoke is not the speaker's choice, and text stays text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mta.roles.journal.lines import record, said, sentence

PAIRS = st.lists(st.binary(max_size=60), max_size=9)


@given(PAIRS)
def test_one_event_is_one_line_of_json_whatever_it_says(pairs: list[bytes]) -> None:
    """No octets break a line, and none replace time, role or event."""
    line = record(12.5, "smtpd", "refused", said(pairs))
    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert (read["time"], read["role"], read["event"]) == (12.5, "smtpd", "refused")


def test_a_claim_to_be_another_is_kept_as_a_claim() -> None:
    """Readable, under another key."""
    assert said([b"role", b"scheduler"]) == {"said_role": "scheduler"}
    assert said([b"odd"]) == {"odd": ""}


@given(st.text(max_size=100))
def test_a_terminal_is_told_nothing_but_text(text: str) -> None:
    """Escape sequences, line ends and the like are shown, not obeyed."""
    line = sentence(0, "smtpd", "refused", {"reason": text, text[:20]: "x"})
    assert line.endswith(b"\n")
    assert line.decode()[:-1].isprintable()


def test_what_is_no_news_is_not_told() -> None:
    """It stands in the file; enqueuer has said it already."""
    assert sentence(0, "compiler", "published", {"change": "1"}) == b""
    assert b"queue_id=x" in sentence(0, "enqueuer", "accepted", {"queue_id": "x", "session": "y", "empty": ""})
    assert b"session" not in sentence(0, "enqueuer", "accepted", {"queue_id": "x", "session": "y"})
