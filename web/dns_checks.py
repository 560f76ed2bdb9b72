"""Looks at what stands in domains' zones, for whoever asks, and a few at a time for those that nobody asks about.

A reader would otherwise get wrong: it is a stroll, never a run. A few domains each half minute are ten thousand in a day, and
the name servers of the operator do not notice.
"""

import logging
import time
from collections.abc import Sequence

from appliance.database.session import Session
from appliance.errors import DatabaseUnavailable
from appliance.peers import ResolverAway
from appliance.services import client_setup, dns_checks, dns_page
from appliance.services.actor import Actor
from appliance.services.dns_page import Judged, Wanted
from appliance.services.domains import Domain
from web.wiring import Wiring

log = logging.getLogger("postern.web")

STEP_SECONDS = 30.0
AT_ONCE = 4  # domains; of each about five names are asked for
_SELF = Actor("system", "dns checks", source="local")


def records_of(wiring: Wiring, session: Session, domain: Domain, actor: Actor) -> list[Wanted]:
    """What should stand in the zone of *domain*."""
    setup = client_setup.setup_of(wiring.settings, domain.name)
    return dns_page.wanted(session, domain, actor=actor, setup=setup)


def check(wiring: Wiring, domain: Domain, records: Sequence[Wanted]) -> list[Judged]:
    """What stands there now in the place of *records*; it is kept beside the *domain*. Outside of any transaction.

    Raises:
        ResolverAway: nobody can ask name servers now.
    """
    [judged] = _look(wiring, [records])
    try:
        if dns_checks.is_news(domain, judged):
            with wiring.changing() as session:
                dns_checks.note(session, domain, judged)
    except DatabaseUnavailable as error:
        log.warning("what stands in the zone of %s is not kept: %s", domain.name, error.sentence)
    return judged


def _look(wiring: Wiring, wanted: Sequence[Sequence[Wanted]]) -> list[list[Judged]]:
    """All of it asked together."""
    asked = list(dict.fromkeys(question for records in wanted for question in dns_page.questions(records)))
    found = dict(zip(asked, wiring.resolver.look_up(asked), strict=True))
    return [dns_page.judge(records, found) for records in wanted]


class Stroll:
    """From one domain to the next, as long as the process lives."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._next = time.monotonic() + STEP_SECONDS

    def go_on(self) -> None:
        """A step, if it is time for one.

        Raises:
            DatabaseUnavailable: what was found is not kept.
        """
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + STEP_SECONDS
            self.step()

    def step(self) -> None:
        """Look at the few domains whose turn it is.

        Raises:
            DatabaseUnavailable: as above.
        """
        with self._wiring.reading() as session:
            due = dns_checks.due(session, AT_ONCE)
            wanted = [records_of(self._wiring, session, domain, _SELF) for domain in due]
        if not due:
            return
        try:
            judged = _look(self._wiring, [[record for record in records if record.required] for records in wanted])
        except ResolverAway as error:
            log.info("zones are not looked at: %s", error.sentence)
            return
        with self._wiring.changing() as session:
            for domain, found in zip(due, judged, strict=True):
                dns_checks.note(session, domain, found)
