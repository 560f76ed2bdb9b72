"""Documentation that can fail: what the pages promise exists, and what exists stands on the pages."""

import re
from pathlib import Path

import pytest

from tools import tcb

TREE = Path(__file__).resolve().parents[2]
ARCHITECTURE = (TREE / "ARCHITECTURE.md").read_text()
DRIFT = 0.02  # how far the written figure may be from the counted one


def section(page: str, title: str) -> str:
    """The text below the heading *title*, up to the next of its level."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert match, f"no section {title!r}"
    return match.group(1)


def ways() -> list[tuple[str, str]]:
    """Each way of a message, and the journey that walks it."""
    return re.findall(r"^\*\*(.+?)\*\* \(`(.+?)`\)", section(ARCHITECTURE, "The ways of a message"), re.MULTILINE)


@pytest.mark.parametrize(("way", "journey"), ways())
def test_each_way_of_a_message_has_a_journey(way: str, journey: str) -> None:
    path = TREE / journey
    assert path.is_file(), f"{way}: {journey} does not exist"
    assert "def test_" in path.read_text()


def test_each_way_names_its_journey() -> None:
    """A way that is told without a file behind it in brackets would escape the test above."""
    told = re.findall(r"^\*\*(.+?)\*\*", section(ARCHITECTURE, "The ways of a message"), re.MULTILINE)
    assert told == [way for way, _ in ways()]
    assert len(told) >= 8


def test_each_journey_is_a_way_on_the_map() -> None:
    journeys = {f"tests/journeys/{path.name}" for path in (TREE / "tests/journeys").glob("test_*.py")}
    assert journeys - {journey for _, journey in ways()} == set()


def test_the_map_carries_the_count_of_trusted_code() -> None:
    match = re.search(r"\*\*([\d,]+) lines\*\* of trusted code", ARCHITECTURE)
    assert match, "ARCHITECTURE.md says '**N lines** of trusted code'"
    written = int(match.group(1).replace(",", ""))
    counted = tcb.trusted_lines()
    assert abs(written - counted) <= DRIFT * counted, f"`make tcb` counts {counted:,}"


def test_every_trusted_role_is_marked_on_the_map() -> None:
    drawing = section(ARCHITECTURE, "The processes")
    marked = set(re.findall(r"(\w+) ?\(T\)", drawing))
    assert marked == set(tcb.trusted_roles())


def test_every_promise_names_tests_that_exist() -> None:
    """SECURITY.md: promise -> test. A promise without a test that can fail is advertising."""
    page = (TREE / "SECURITY.md").read_text()
    rows = re.findall(r"^\| P\d+ \|.*$", page, re.MULTILINE)
    assert len(rows) == 8
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        for name in named:
            file, _, function = name.partition("::")
            assert (TREE / file).exists(), name
            assert not function or f"def {function}(" in (TREE / file).read_text(), name


def test_decisions_are_numbered_and_whole() -> None:
    """Context, decision, consequences, alternatives, and what enforces it: the five things the next person asks."""
    page = (TREE / "DECISIONS.md").read_text()
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", page, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    for text in re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]:
        labels = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
        assert labels == ["Context", "Decision", "Consequences", "Alternatives", "Enforced"], text.splitlines()[0]


def test_the_changelog_speaks_in_five_words() -> None:
    page = (TREE / "CHANGELOG.md").read_text()
    assert set(re.findall(r"^### (\w+)", page, re.MULTILINE)) <= {
        "Security",
        "Incompatible",
        "Added",
        "Changed",
        "Fixed",
    }
