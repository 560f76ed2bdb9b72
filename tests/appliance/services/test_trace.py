"""Stories out of the log: what belongs together is found, wherever it stands; what is claimed leads nowhere."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Invalid
from appliance.services import trace
from appliance.services.trace import Wanted, moment, tell, words

NOW = 1_700_000_000.0


def line(event: str, role: str, at: float = 0.0, **pairs: str) -> str:
    return json.dumps({"time": NOW + at, "role": role, "event": event, **pairs}, separators=(",", ":")) + "\n"


def message(number: int, sender: str = "ann@a.test", to: str = "joe@b.test", at: float = 0.0) -> list[str]:
    """A conversation of its own, one message, delivered."""
    queue_id, session = f"{number:020x}", f"{number:016x}"
    return [
        line("connected", "listener", at, session=session, client="192.0.2.1", service="smtp"),
        line(
            "accepted", "enqueuer", at + 1, queue_id=queue_id, session=session, client="192.0.2.1", reverse_path=sender,
            forward_path=to, recipients="1", size="10",
        ),
        line("delivered", "scheduler", at + 2, queue_id=queue_id, original_recipient=to, final_recipient=to, status="2.0.0"),
    ]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with an older file: a message that bounces, and others beside it."""
    refused = line(
        "refused", "smtpd", 1, session=f"{1:016x}", client="192.0.2.1", reply="550 5.1.1", reverse_path="ann@a.test",
        forward_path="nobody@b.test",
    )  # fmt: skip
    failed = line(
        "failed", "scheduler", 3, queue_id=f"{1:020x}", original_recipient="joe@b.test", final_recipient="joe@b.test",
        status="5.4.6", diagnostic_code="it leads back",
    )  # fmt: skip
    dsn = [
        line("queued", "enqueuer", 4, queue_id=f"{9:020x}", original_queue_id=f"{1:020x}", forward_path="ann@a.test", size="9"),
        line("bounced", "scheduler", 5, queue_id=f"{1:020x}", reverse_path="ann@a.test"),
        line("delivered", "scheduler", 6, queue_id=f"{9:020x}", original_recipient="ann@a.test", final_recipient="ann@a.test",
             status="2.0.0"),
    ]  # fmt: skip
    (tmp_path / "events.1.log").write_text("".join([*message(1)[:2], refused, *message(2, to="bob@b.test")]))
    (tmp_path / "events.log").write_text("".join([failed, *dsn, *message(3, "Zoe@A.test", at=100), '{"torn": ']))
    return tmp_path


def events(log: Path, **wanted: object) -> list[list[str]]:
    return [[entry["event"] for entry in story.in_order()] for story in tell(log, Wanted(**wanted))]


def test_a_message_is_followed_from_its_client_to_the_notification_of_its_failure(log: Path) -> None:
    """Over two files, over its session, and into a second message that bears another queue id."""
    [story] = tell(log, Wanted(reverse_path="ann@a.test", forward_path="joe@b.test"))
    assert [entry["event"] for entry in story.in_order()] == [
        "connected", "accepted", "failed", "queued", "bounced", "delivered",
    ]  # fmt: skip
    assert story.queue_ids == [f"{1:020x}", f"{9:020x}"]
    assert story.client == "192.0.2.1"
    told = [words(entry) for entry in story.in_order()]
    assert told[0] == "connected from 192.0.2.1"
    assert "for joe@b.test failed for good (5.4.6 it leads back)" in told[2]
    assert told[4].startswith("the sender <ann@a.test>")


def test_a_refusal_is_found_by_whom_it_was_for(log: Path) -> None:
    assert events(log, forward_path="<nobody@b.test>") == [["connected", "refused"]]


def test_an_id_is_a_message_or_a_session(log: Path) -> None:
    assert events(log, identity=f"{2:020x}") == [["connected", "accepted", "delivered"]]
    assert events(log, identity=f"{1:016x}")[0][:3] == ["connected", "refused", "accepted"]


def test_addresses_are_found_whatever_their_case_and_times_count(log: Path) -> None:
    assert len(events(log, reverse_path="zoe@a.test")) == 1
    assert events(log, since=NOW + 50) == [["connected", "accepted", "delivered"]]
    assert events(log, reverse_path="nobody@nowhere.test") == []


def test_a_claim_leads_nowhere_and_is_called_one(log: Path) -> None:
    """A taken-over smtpd ties a stranger's message to its own session, and says that it was delivered."""
    session = f"{2:016x}"
    with (log / "events.log").open("a") as file:
        file.write("\n" + line("accepted", "smtpd", 7, queue_id=f"{3:020x}", session=session, reverse_path="x@y.test"))
        file.write(line("delivered", "smtpd", 8, queue_id=f"{2:020x}", final_recipient="evil@y.test"))
    assert tell(log, Wanted(forward_path="evil@y.test")) == []
    [story] = tell(log, Wanted(identity=f"{2:020x}"))
    assert story.queue_ids == [f"{2:020x}"]
    assert words(story.in_order()[-1]).startswith("smtpd claims: ")


def test_what_is_kept_is_bounded_and_the_newest_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_STORIES", 10)
    monkeypatch.setattr(trace, "MAX_EVENTS", 2)
    (tmp_path / "events.log").write_text("".join(text for number in range(50) for text in message(number, at=number)))
    stories = tell(tmp_path, Wanted(reverse_path="ann@a.test"))
    assert [story.queue_ids for story in stories] == [[f"{number:020x}"] for number in range(40, 50)]
    assert all(len(story.events) == 2 for story in stories)


def test_what_one_moment_mixed_up_is_told_in_order(tmp_path: Path) -> None:
    (tmp_path / "events.log").write_text("".join(reversed(message(1))))
    assert events(tmp_path, identity=f"{1:020x}") == [["connected", "accepted", "delivered"]]


def test_the_tls_of_a_message_is_told_before_it_however_late_it_was_heard(tmp_path: Path) -> None:
    """But not when it came too late to be that message's."""
    session = f"{1:016x}"
    late, later = (line("secured", "tls", at, session=session, tls="TLSv1.3") for at in (1.1, 1.5))
    (tmp_path / "events.log").write_text("".join([*message(1), late]))
    assert events(tmp_path, identity=session) == [["connected", "secured", "accepted", "delivered"]]
    (tmp_path / "events.log").write_text("".join([*message(1), later]))
    assert events(tmp_path, identity=session) == [["connected", "accepted", "secured", "delivered"]]


@given(
    st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=6),
    st.sampled_from(["refused", "accepted", "x"]),
)
def test_words_are_one_printable_line_whatever_the_log_holds(pairs: dict[str, str], event: str) -> None:
    assert words({**pairs, "time": NOW, "role": "smtpd", "event": event}).isprintable()


def test_a_moment_is_a_date_or_a_time_ago() -> None:
    now = datetime.fromisoformat("2026-03-01T12:00")
    assert moment("90m", now) == now.timestamp() - 5400
    assert moment("2026-03-01T12:00", now) == now.timestamp()
    with pytest.raises(Invalid):
        moment("yesterday", now)
