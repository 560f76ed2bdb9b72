"""Messages by the hour: all of them, or those that concern somebody; and no more of them than can be counted at once."""

import sqlite3
from pathlib import Path

import pytest

from appliance.services import traffic
from appliance.services.messages import EVERYTHING, Scope
from mta.roles.tracer.store import Store
from mta.traces import RECIPIENT, REVERSE_PATH

HOUR = traffic.HOUR_SECONDS
UNTIL = 1000 * HOUR + 1800.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    file = tmp_path / "trace.db"
    Store(file).close()
    return file


def put(file: Path, number: int, hours_ago: int, state: str, recipients: list[str]) -> None:
    """A message, as tracer would have it."""
    at = UNTIL - hours_ago * HOUR
    with sqlite3.connect(file) as database:
        row = (number, f"{number:020x}", "s", at, "192.0.2.1", "ann@away.test", "", 1, len(recipients), None, state)
        database.execute(f"INSERT INTO message VALUES ({', '.join('?' * 11)})", row)
        parties = [(number, REVERSE_PATH, "ann@away.test", "away.test")]
        parties += [(number, RECIPIENT, address, address.partition("@")[2]) for address in recipients]
        database.executemany("INSERT INTO party VALUES (?, ?, ?, ?)", parties)
    database.close()


def told(file: Path, scope: Scope, hours: int = 4) -> list[dict[str, int] | None]:
    """The hours, oldest first, without what there was none of."""
    found = traffic.by_hour(file, scope, hours=hours, until=UNTIL)
    return [
        None if hour.counts is None else {kind: count for kind, count in hour.counts.items() if count} for hour in found
    ]


def test_every_message_is_counted_in_its_hour_by_what_became_of_it(store: Path) -> None:
    for number, (ago, state) in enumerate(
        [(0, "delivered"), (0, "relayed"), (0, "refused"), (2, "deferred"), (9, "failed")]
    ):
        put(store, number + 1, ago, state, ["jan@one.test"])
    assert told(store, EVERYTHING) == [{}, {"waiting": 1}, {}, {"delivered": 2, "refused": 1}]


def test_others_are_told_of_their_own_once_and_not_from_before_it_was_theirs(store: Path) -> None:
    put(store, 1, 3, "delivered", ["jan@one.test"])
    put(store, 2, 0, "failed", ["jan@one.test", "ina@one.test", "ben@two.test"])
    put(store, 3, 0, "refused", ["ben@two.test"])
    put(store, 4, 0, "refused", ["ina@one.test"])
    since = int(UNTIL) - HOUR
    # What became of one that went to several may be about somebody else.
    assert told(store, Scope(False, {"one.test": since}, {})) == [{}, {}, {}, {"delivered": 1, "refused": 1}]
    both = Scope(False, {"one.test": since}, {"ina@one.test": 0})
    assert told(store, both) == [{}, {}, {}, {"delivered": 1, "refused": 1}]
    assert told(store, Scope(False, {}, {"ben@two.test": 0})) == [{}, {}, {}, {"delivered": 1, "refused": 1}]
    assert told(store, Scope()) == [{}, {}, {}, {}]


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(False, {"one.test": 0}, {})])
def test_hours_that_nobody_looked_at_are_not_called_quiet(
    store: Path, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "EXAMINED", 2)
    for number, ago in enumerate((3, 2, 1, 0)):
        put(store, number + 1, ago, "delivered", ["jan@one.test"])
    assert told(store, scope) == [None, None, None, {"delivered": 1}]


def test_where_no_message_was_ever_seen_all_hours_are_quiet(tmp_path: Path) -> None:
    assert told(tmp_path / "none.db", EVERYTHING) == [{}, {}, {}, {}]
