"""A recipient of a relayed domain is tried: by our own list, or by who knows it elsewhere."""

import pytest

from appliance.database.session import unit_of_work
from appliance.peers import SourceAway
from appliance.services import domains
from appliance.services.relays import Route
from tests.fixtures.panel import SYSTEM, Api, Office

ELSEWHERE = {"ann@hop.test": "accept", "full@hop.test": "full", "postmaster@hop.test": "try-later"}


class FakeSources:
    """Knows ELSEWHERE, unless it is away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_away = False

    def look_for(self, address: str) -> str:
        if self.is_away:
            raise SourceAway("away")
        self.asked.append(address)
        return ELSEWHERE.get(address, "unknown")


@pytest.fixture
def sources(office: Office):
    fake, wiring = FakeSources(), office.app.state.wiring
    before = wiring.sources
    object.__setattr__(wiring, "sources", fake)
    yield fake
    object.__setattr__(wiring, "sources", before)


@pytest.fixture
def api(office: Office) -> Api:
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        for name, source in (("list.test", "list"), ("hop.test", "call-ahead"), ("any.test", "")):
            route = Route("mail.example.net", source)
            domains.create(session, name, actor=SYSTEM, tenant_id=tenant, route=route)
        domains.create(session, "own.test", actor=SYSTEM, tenant_id=tenant)
    return office.api(tenant)


def tried(api: Api, domain: str, address: str | None = None) -> tuple[str, str, str]:
    query = "" if address is None else f"?address={address}"
    told = api("GET", f"/domains/{domain}/recipients/test{query}").json()
    return told["address"], told["source"], told["word"]


def test_what_our_own_list_says_nobody_else_is_asked(api: Api, sources: FakeSources) -> None:
    """Nor where nobody knows, and all are taken."""
    assert api.client.post("/api/v1/domains/list.test/recipients", content="Ann\n").status_code == 200
    assert tried(api, "list.test", "ANN@list.test") == ("ann@list.test", "list", "accept")
    assert tried(api, "list.test", "ben") == ("ben@list.test", "list", "unknown")
    assert tried(api, "list.test") == ("postmaster@list.test", "list", "accept")
    assert tried(api, "any.test", "whoever") == ("whoever@any.test", "", "accept")
    assert sources.asked == []


def test_who_knows_it_elsewhere_is_asked(api: Api, sources: FakeSources) -> None:
    """As the SMTP port asks; without an address, whether he answers at all."""
    for address, word in {**ELSEWHERE, "nobody@hop.test": "unknown"}.items():
        assert tried(api, "hop.test", address) == (address, "call-ahead", word)
    assert tried(api, "hop.test")[2] == "try-later"
    sources.is_away = True
    away = api("GET", "/domains/hop.test/recipients/test")
    assert (away.status_code, away.json()["code"]) == (503, "source_away")
    assert away.headers["Retry-After"]


def test_what_cannot_be_tried_is_refused(api: Api, sources: FakeSources) -> None:
    """Where mail is stored, an address of another domain, several at once."""
    for path, status, code in (
        ("own.test/recipients/test", 409, "not_relayed"),
        ("hop.test/recipients/test?address=x@else.test", 422, "bad_recipients"),
        ("hop.test/recipients/test?address=a%0Ab", 422, "bad_recipients"),
        ("hop.test/recipients/test?address=%20", 422, "invalid"),
        ("none.test/recipients/test", 404, "not_found"),
    ):
        refused = api("GET", f"/domains/{path}")
        assert (refused.status_code, refused.json()["code"]) == (status, code), path
    assert sources.asked == []
