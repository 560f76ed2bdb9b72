"""From nothing to the first message that is read in the trace, by what the screen says alone, as docs/first-steps.md tells it."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.browser import NARROW, WIDE, stumbling_blocks
from tests.journeys.first_steps import PAGE, PICTURES, STEPS, Newcomers, Walk, picture_of
from tests.journeys.hands import Keyboard, somebody
from tests.web.test_looks import BY_LOOK

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.must_show]

SECONDS = 180  # of a person; what the machine takes of them is the figure


def test_the_first_message_is_read_within_three_minutes(browser: Any, tmp_path: Path, figure: Any) -> None:
    """The keyboard's hand takes every stop that a person does, though not his time to read."""
    begun = time.monotonic()
    house = Newcomers(tmp_path / "house", panel=True, submission=True, by_command=True)
    found = {}
    with house, somebody(browser, Keyboard) as hand:
        Walk(house, hand, lambda name: found.update({name: in_two_looks(hand.page)})).go()
        seconds = time.monotonic() - begun
    assert [blocks for blocks in found.values() if blocks] == []
    assert len(found) == len(STEPS) - 1
    figure("seconds from the first command to the first message read", round(seconds, 1))
    assert seconds < SECONDS


def in_two_looks(page: Any) -> list[str]:
    """What axe finds on *page*, and whether it fits its window, wide by day and narrow by night: there what looks differ in."""
    found = []
    for size, scheme, rules in ((NARROW, "dark", BY_LOOK), (WIDE, "light", ())):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found += stumbling_blocks(page, rules)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.append(f"has to be scrolled sideways at {size}")
    return found


def test_the_page_tells_the_way_that_was_walked() -> None:
    """Step by step, each but the first with its picture."""
    text = PAGE.read_text()
    headings = re.findall(r"(?m)^## (\d+)\. (.+)$", text)
    assert headings == [(str(number), heading) for number, heading in enumerate(STEPS, 1)]
    shown = re.findall(rf"\]\(({PICTURES}/[^)]+)\)", text)
    wanted = [f"{PICTURES}/{picture_of(number, heading)}" for number, heading in enumerate(STEPS, 1)]
    assert shown == wanted[1:]
    assert all((PAGE.parent / name).is_file() for name in shown)
