"""For how long messages are remembered is told to the journal: of each domain, as the nearest tenant upward says."""

import contextlib
from types import SimpleNamespace

from appliance.compile.retention import Retention
from appliance.compile.source import open_source
from appliance.services import domains, tenants
from tests.fixtures.database import HOST, OPERATOR


class Owner:
    """Stands for the compiler."""

    def __init__(self):
        self.told = []
        self.peers = SimpleNamespace(
            event=lambda name, **pairs: self.told.append((name, pairs["domain"], pairs["days"]))
        )

    def read(self, act):
        raise AssertionError(act)

    def later(self, seconds, callback):
        raise AssertionError((seconds, callback))


def test_what_is_different_is_told_and_all_of_it_at_the_start(world):
    owner = Owner()
    retention = Retention(owner)
    source = open_source(world.engine.url.render_as_string(hide_password=False))

    def told():
        owner.told.clear()
        with source.reading() as query:
            retention.look(query)
        return [(domain, days) for name, domain, days in owner.told if name == "trace-days"]

    def say(tenant, days):
        world.do(lambda s: tenants.update(s, tenant, actor=OPERATOR, trace_days=days))

    with contextlib.closing(source):
        assert told() == [("*", 0)]
        say(world.reseller_id, 9)
        assert sorted(told()) == [("foreign.test", 0), (HOST, 0), ("own.test", 9)]
        assert told() == []
        say(world.customer_id, 5)
        assert told() == [("own.test", 5)]
        world.do(lambda s: domains.create(s, "new.test", actor=OPERATOR, tenant_id=world.reseller_id))
        assert told() == [("new.test", 9)]
        for tenant in (world.customer_id, world.reseller_id):
            say(tenant, None)
        assert sorted(told()) == [("new.test", 0), ("own.test", 0)]
