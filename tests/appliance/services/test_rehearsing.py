"""The dialogue over what stands in the database, on both kinds of it."""

import pytest

from appliance.config import Host, Settings
from appliance.errors import NotFound
from appliance.services import aliases, forwardings
from appliance.services.rehearsing import rehearse
from tests.fixtures.database import HOST, OPERATOR

EVE = "eve@client.test"


@pytest.fixture
def settings(tmp_path):
    return Settings(host=Host(name=HOST), file=tmp_path / "postern.toml")


def test_each_record_is_made_of_the_rows_under_its_key(world, settings) -> None:
    """Host, tenants, domain, alias, mailbox and its forwarding; and where all of it leads."""
    world.do(lambda s: aliases.create(s, "team@own.test", ["joe@own.test"], actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@own.test", [f"postmaster@{HOST}", "ann@away.example"], actor=OPERATOR))
    told = world.do(lambda s: rehearse(s, settings, EVE, "team@own.test", actor=OPERATOR))
    assert (told.accepted, told.word) == (True, "accept")
    assert "ann@away.example" in told.recipients
    assert {"domain own.test", "address team@own.test", "address joe@own.test"} <= {step.what for step in told.steps}


@pytest.mark.parametrize(("to", "word"), [("nobody@own.test", "unknown"), ("joe@own.test", "accept")])
def test_a_customer_hears_the_dialogue_alone(world, settings, to, word) -> None:
    """And of what is another's not even that there is something."""
    told = world.do(lambda s: rehearse(s, settings, EVE, to, actor=world.customer))
    assert (told.word, told.steps, told.recipients) == (word, [], [])
    with pytest.raises(NotFound):
        world.do(lambda s: rehearse(s, settings, EVE, "joe@foreign.test", actor=world.customer))
