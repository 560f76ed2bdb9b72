"""Figures: what is counted, who is believed, and that a stranger makes no series of his own."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mta.roles.journal import figures as module
from mta.roles.journal.figures import Figures, Publisher


def values(figures: Figures) -> dict[str, int]:
    lines = [line for line in figures.text().splitlines() if not line.startswith("#")]
    return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_what_becomes_of_messages_is_counted() -> None:
    figures = Figures()
    figures.heard("listener", "connected", {})
    figures.heard("listener", "turned-away", {"reason": "too-many", "connections": "7"})
    figures.heard("enqueuer", "accepted", {})
    figures.heard("smtpd", "refused", {"reply": "550 5.1.1"})
    for outcome in ("delivered", "deferred", "failed"):
        figures.heard("scheduler", outcome, {})
    figures.heard("scheduler", "queue-size", {"messages": "12"})
    found = values(figures)
    assert found["postern_connections_total"] == 1
    assert found['postern_turned_away_total{reason="too-many"}'] == 7
    assert found["postern_messages_accepted_total"] == 1
    assert found['postern_refused_total{reply="550 5.1.1"}'] == 1
    assert [found[f'postern_deliveries_total{{outcome="{o}"}}'] for o in ("delivered", "deferred", "failed")] == [1] * 3
    assert found["postern_queue_messages"] == 12
    assert found["postern_backscatter_total"] == 0, "a figure that must stay zero is there from the start"


def test_nobody_raises_another_s_figures() -> None:
    """A taken-over smtpd says that mail was delivered: it stands among the events, and counts for nothing else."""
    figures = Figures()
    figures.heard("smtpd", "delivered", {})
    figures.heard("smtpd", "queue-size", {"messages": "99"})
    found = values(figures)
    assert found['postern_deliveries_total{outcome="delivered"}'] == 0
    assert "postern_queue_messages" not in found
    assert found['postern_events_total{role="smtpd",event="delivered"}'] == 1


@given(st.lists(st.text(max_size=12), max_size=300))
def test_strangers_words_make_no_series(words: list[str]) -> None:
    """Names and replies that do not exist are one series together."""
    figures = Figures()
    for number, word in enumerate(words):
        figures.heard("smtpd", word, {})
        figures.heard("smtpd", "refused", {"reply": word})
        figures.heard("smtpd", "refused", {"reply": f"550 5.{number % 10}.{number}"})
        figures.heard("listener", "turned-away", {"reason": word, "connections": word})
    text = figures.text()
    assert len([line for line in text.splitlines() if "reply=" in line]) <= module.MAX_REPLIES + 1
    assert len([line for line in text.splitlines() if "reason=" in line]) <= module.MAX_REASONS + 1
    assert all(line.startswith(("#", "postern_")) for line in text.splitlines())
    assert text.isascii()


def test_a_restart_is_a_process_in_the_place_of_another() -> None:
    figures = Figures()
    for instance in (0, 1):
        figures.met("smtpd", instance)
    figures.lost("smtpd")
    assert values(figures)['postern_role_up{role="smtpd"}'] == 1
    figures.met("smtpd", 1)
    found = values(figures)
    assert (found['postern_role_up{role="smtpd"}'], found['postern_role_restarts_total{role="smtpd"}']) == (2, 1)


def test_the_file_is_replaced_as_a_whole_and_not_too_often(tmp_path: Path) -> None:
    now = 100.0
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    figures = Figures()
    publisher = Publisher(figures, folder, lambda: now)
    assert publisher.due_in() is None
    figures.heard("enqueuer", "accepted", {})
    assert publisher.due_in() == 0
    publisher.publish()
    assert publisher.due_in() is None
    figures.heard("enqueuer", "accepted", {})
    assert publisher.due_in() == module.PUBLISH_SECONDS
    now += module.PUBLISH_SECONDS
    before = (tmp_path / module.NAME).stat().st_ino
    publisher.publish()
    assert "postern_messages_accepted_total 2\n" in (tmp_path / module.NAME).read_text()
    assert (tmp_path / module.NAME).stat().st_ino != before
    os.close(folder)
