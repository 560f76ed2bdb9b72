"""Whoever has a second factor sends by app passwords alone: from the panel to the role that obeys it."""

from appliance.models import Passkey
from appliance.services import domains, mailboxes, second_factors
from appliance.services.actor import Actor
from mta.snapshot.records import OWN_PASSWORD
from tests.appliance.compile.test_publish import SEALED, place

__all__ = ["place"]

ANN = "ann@one.test"


def test_it_is_in_force_with_the_next_snapshot_and_gone_with_it(place):
    """Change by change; and everything anew is the same."""
    place.step()
    place.do(domains.create, "one.test")
    for name in (ANN, "ben@one.test"):
        place.do(mailboxes.create, name, sealed_hash=SEALED)
    place.step()
    ann = Actor("mailbox", ANN)

    def stops(name: str) -> int:
        return place.contents("credentials")[f"m:{name}".encode()].stops

    assert stops(ANN) == 0
    place.do(lambda session, actor: second_factors.turn_app_on(session, "sealed", 1, actor=ann))
    assert not place.step().full
    assert (stops(ANN), stops("ben@one.test")) == (OWN_PASSWORD, 0)
    logins = place.contents("credentials")
    place.step(full=True)
    assert place.contents("credentials") == logins
    place.do(lambda session, actor: second_factors.turn_app_off(session, actor=ann))
    place.step()
    assert stops(ANN) == 0

    def add(session, actor):
        person = mailboxes.get(session, ANN, actor=actor)
        session.add(Passkey(credential_id="x", public_key="x", name="x", mailbox_id=person.id))
        second_factors.announce(session, person)

    place.do(add)
    place.step()
    assert stops(ANN) == OWN_PASSWORD
    place.do(mailboxes.suspend, ANN)
    place.step()
    assert place.contents("credentials")[b"m:ann@one.test"].suspended
