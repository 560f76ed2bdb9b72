"""Each event that the sources tell the journal stands in `mta.events`, and each that stands there is told by somebody."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.events import ANYBODY, EVENTS

TREE = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("mta", "appliance", "web") for path in sorted((TREE / folder).rglob("*.py"))]
JOURNALS_OWN = {"complaint", "events-lost"}  # told by itself, and by what every role tells its events with
ADDED = {"session", "client"}  # by smtpd to each of its events
SECRETS = {"password", "secret", "token", "ticket", "content", "body", "block", "subject", "key"}


class Told:
    """One place where an event is told: under which names, with which pairs."""

    def __init__(self, place: str, names: list[str], pairs: list[str]) -> None:
        self.place, self.names, self.pairs = place, names, pairs


def told_in(path: Path) -> Iterator[Told]:
    """Every event told in the file *path*."""
    tree = ast.parse(path.read_text())
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    passing_on = {
        id(call)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in {"event", "note"}
        for call in ast.walk(function)
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or id(call) in passing_on or not call.args:
            continue
        method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        place = f"{path.relative_to(TREE)}:{call.lineno}"
        if method == "event":
            yield Told(place, names_in(call.args[0], tables), [word.arg for word in call.keywords if word.arg])
        elif method == "Note":
            yield Told(place, names_in(call.args[0], tables), keys_of(call.args[1], tree))
        elif method == "note" and len(call.args) == 3 and isinstance(call.args[1], ast.Constant):
            yield Told(place, names_in(call.args[1], tables), keys_of(call.args[2], tree))


def names_in(node: ast.expr, tables: dict[str, ast.expr]) -> list[str]:
    """What *node* may be worth: a literal, one of two, or an entry of a table of this module."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return names_in(node.body, tables) + names_in(node.orelse, tables)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        table = tables[node.value.id]
        assert isinstance(table, ast.Dict)
        return [name for value in table.values for name in names_in(value, tables)]
    raise AssertionError(f"line {node.lineno}: the name of an event must be a literal, so that it can be looked up")


def keys_of(node: ast.expr, tree: ast.Module) -> list[str]:
    """The keys of a mapping that is written here, or under a name in this module."""
    if isinstance(node, ast.Dict):
        return [key.value for key in node.keys if isinstance(key, ast.Constant)]
    assert isinstance(node, ast.Name)
    written = [
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Assign | ast.AnnAssign)
        and isinstance(each.value, ast.Dict)
        and node.id
        in {t.id for t in getattr(each, "targets", [getattr(each, "target", None)]) if isinstance(t, ast.Name)}
    ]
    added = [
        each.slice.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Subscript)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == node.id
        and isinstance(each.slice, ast.Constant)
    ]
    return [key for mapping in written for key in keys_of(mapping, tree)] + added


@functools.cache
def all_told() -> list[Told]:
    return [told for path in SOURCES for told in told_in(path)]


def test_each_event_in_the_sources_is_listed_with_what_it_carries() -> None:
    """Whoever adds an event writes into the list what it means; a misspelt name or pair shows here."""
    told = all_told()
    assert len(told) > 30, "the search itself has gone blind"
    unknown = [f"{one.place}: {name}" for one in told for name in one.names if name not in EVENTS]
    assert unknown == []
    unlisted = [
        f"{one.place}: {name} carries {pair}"
        for one in told
        for name in one.names
        for pair in {*one.pairs} - {*EVENTS[name].pairs}
    ]
    assert unlisted == []


def test_each_listed_event_is_told_by_somebody() -> None:
    told = {name for one in all_told() for name in one.names}
    assert EVENTS.keys() - told - JOURNALS_OWN == set()


def test_each_event_is_told_by_roles_that_exist() -> None:
    names = {role.name for role in roster.ROLES} | {"stderr", ANYBODY}
    assert {role for kind in EVENTS.values() for role in kind.roles} <= names


@pytest.mark.parametrize("name", EVENTS)
def test_names_and_pairs_are_spelt_one_way(name: str) -> None:
    """Dashes in names, underscores in pairs; no content and nothing secret."""
    assert name.islower()
    assert name.replace("-", "").isalpha()
    pairs = EVENTS[name].pairs
    assert all(pair.replace("_", "").isalpha() and pair.islower() for pair in pairs)
    assert not SECRETS & {*pairs}
    assert not {"time", "role", "event"} & {*pairs}
