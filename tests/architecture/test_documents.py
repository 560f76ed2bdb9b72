"""Documentation that can fail: what the pages promise exists, and what exists stands on the pages."""

import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from appliance import cli, config
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


def settings() -> list[tuple[str, str]]:
    return [
        (section_name, key)
        for section_name, section_field in config.Settings.model_fields.items()
        if isinstance(section_field.annotation, type) and issubclass(section_field.annotation, BaseModel)
        for key in section_field.annotation.model_fields
    ]


@pytest.mark.parametrize(("table", "key"), settings())
def test_each_setting_is_explained_in_the_file_that_init_writes(table: str, key: str) -> None:
    """Above each setting stands what it is for; an administrator has the file, not the source."""
    written = config.render_settings(config.Host(name="mx.example.test"), config.Database())
    text = re.search(rf"^\[{table}\]\n(.*?)(?=^\[|\Z)", written, re.MULTILINE | re.DOTALL)
    assert text
    lines = text.group(1).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(f"{key} = "))
    assert place > 0
    assert re.match(r"# \S+ ", lines[place - 1]), f"{table}.{key} has no comment"


def verbs() -> list[str]:
    """`domain add`, `up` …: each command that a person can type."""
    names = []
    for name, (place, _) in cli.VERBS.items():
        module, _, attribute = place.partition(":")
        below = getattr(importlib.import_module(module), attribute) if attribute == "app" else ()
        names += [f"{name} {verb}" for verb in below if not verb.startswith("-")] or [name]
    return names


@pytest.mark.parametrize("verb", verbs())
def test_each_command_stands_in_the_readme(verb: str) -> None:
    """The table of commands: `postern domain` | `add list show …`."""
    name, _, rest = verb.partition(" ")
    row = re.search(rf"^\| `postern {name}`.*$", (TREE / "README.md").read_text(), re.MULTILINE)
    assert row, f"README.md has no row for `postern {name}`"
    assert not rest or re.search(rf"\b{re.escape(rest)}\b", row.group(0))


@pytest.mark.parametrize("page", sorted(path.name for path in TREE.glob("*.md")))
def test_each_picture_and_file_that_a_page_links_to_exists(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (TREE / page).read_text())
    assert [link for link in links if not (TREE / link).exists()] == []
