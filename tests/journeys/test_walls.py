"""The walls tried by the operator's button, in a house of which one role has a wall too few: that one is told of, and no other.

A reader would otherwise get wrong: everything here is real, the missing wall too. The house is made of a copy of the product in
which tracer's system calls are not filtered.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.house import OPERATOR, OPERATOR_PASSWORD, House, wait_until
from tests.fixtures.served import PATIENT
from tests.fixtures.trees import copy_of_product
from tests.journeys.hands import Hand, Keyboard, somebody

pytestmark = [
    pytest.mark.journey,
    pytest.mark.browser,
    pytest.mark.skipif(os.geteuid() != 0, reason="without root, roles have no uid of their own to be told of"),
]
INSTALL = "    _install(role, _pool(role, uid_base) if root else None)\n"
SPARED = '    if role.name != "tracer":\n    ' + INSTALL


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("walls")
    tree = copy_of_product(folder / "copy")
    tree.replace("mta/sandbox/__init__.py", INSTALL, SPARED)
    with House(folder / "house", tree=tree, panel=True, settings=PATIENT) as made:
        yield made


@pytest.fixture
def operator(house: House, browser: Any) -> Iterator[Hand]:
    with somebody(browser, Keyboard) as hand:
        hand.sign_in(f"http://127.0.0.1:{house.port('panel')}", OPERATOR, OPERATOR_PASSWORD)
        yield hand


@pytest.mark.must_show
def test_the_operator_has_the_walls_tried_and_sees_the_one_that_is_missing(house: House, operator: Hand) -> None:
    """By the keyboard alone: who runs, as the kernel knows it; then the test; then what it found, also after web's end."""
    url = f"http://127.0.0.1:{house.port('panel')}"
    operator.open(f"{url}/isolation")
    started = list(dict.fromkeys(entry["role"] for entry in house.status()["roles"]))  # also those that sleep
    assert [
        name for name in started if f"\n{name}\n" not in operator.read() and f"\n{name} ×" not in operator.read()
    ] == []
    assert "None was run yet" in operator.read()
    operator.follow("Try the walls now")
    tested = (
        house.state / "run/selftest.json"
    )  # Written when the last one was tried; a page costs more than a look there.
    wait_until(tested.exists, 90, house.said)
    told = json.loads(tested.read_text())
    page = wait_until(lambda: over(operator, f"{url}/isolation"), 20, house.said)
    assert "tracer: " in page
    through = {
        role: [probe for probe, outcome, _ in probes if outcome == "open"] for role, _, probes in told["results"]
    }
    assert {role for role, found in through.items() if found} == {"tracer"}
    assert {"execute", "channel", "code"} <= set(through["tracer"])
    assert set(through) == set(started)
    assert all(whole for _, whole, _ in told["results"])
    operator.follow("tracer", "main")
    assert "Its system calls are not filtered." in operator.read(), "the live process has no filter either"
    operator.open(f"{url}/isolation/web")
    web = next(one for one in house.status()["roles"] if one["role"] == "web")
    assert str(house.pid("web")) in operator.read()
    assert str(web["uid"]) in operator.read()
    operator.open(url)
    assert "A wall of tracer does not stand." in operator.read()
    house.wait_for_restart("web", house.kill("web"))
    operator.open(f"{url}/isolation")
    assert "A wall does not stand." in operator.read()
    findings = json.loads(house.postern("check", "--json", check=False).stdout)["findings"]
    assert [found["what"] for found in findings if "a wall of tracer does not stand" in found["what"]]


def over(operator: Hand, url: str) -> str:
    """What the page says when the test is over; nothing before."""
    operator.open(url)
    page = operator.read()
    return page if "still to come" not in page and "attempts of" in page else ""
