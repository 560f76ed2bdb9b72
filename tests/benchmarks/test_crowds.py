"""The two crowds in small: many who do nothing or next to it, and many who guess. What is promised holds here too."""

import os
import shutil
from pathlib import Path

import pytest

from benchmarks import flood, idle

pytestmark = [
    pytest.mark.alone,
    pytest.mark.must_show,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="descriptors beyond the limit, and roles with their own uids, need root"
    ),
]
FULL = bool(os.environ.get("POSTERN_FULL"))


def test_idle_and_slow_connections_cost_little_and_delay_nobody(tmp_path: Path) -> None:
    """Under 60 KiB each, and a fresh message is delivered within a second among the idle and among the slow."""
    connections, slow = (10_000, 1000) if FULL else (500, 50)
    figures = idle.measure(tmp_path, connections, slow)
    print(figures)
    assert figures.kib_each < idle.MOST_KIB_EACH
    assert figures.fresh_seconds_idle < idle.MOST_SECONDS
    assert figures.fresh_seconds_slow < idle.MOST_SECONDS
    assert figures.is_met or not FULL  # In small, what the processes need anyhow is shared by few.


@pytest.mark.skipif(shutil.which("smtp-source", path="/usr/sbin") is None, reason="needs Postfix's smtp-source")
def test_a_flood_of_guesses_leaves_room_for_others(tmp_path: Path) -> None:
    """Half the undisturbed rate at least; the guessers meet 550, then the tarpit, then 421."""
    messages, clients, tarpit_seconds = (5000, 50, 5) if FULL else (500, 20, 1)
    figures = flood.measure(tmp_path, messages, clients, tarpit_seconds)
    print(figures)
    assert figures.ratio >= flood.AT_LEAST
    assert figures.slow_replies > 0
    assert figures.replies["421"] > 0
    assert figures.replies["550"] > 0
