"""The way from an empty appliance to the first message: told from what is there, and to its operator alone."""

from appliance.database.session import Session, reading, unit_of_work
from appliance.services import domains, first_steps, mailboxes, tenants
from appliance.services.actor import Actor
from appliance.services.first_steps import FirstSteps
from tests.fixtures.panel import SYSTEM, Office


def told(session: Session) -> FirstSteps | None:
    return first_steps.look(session, actor=SYSTEM)


def test_each_step_that_is_done_is_told_until_there_is_more_than_one_mailbox(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        assert told(session) == FirstSteps("", "")
        domains.create(session, "garden.test", actor=SYSTEM)
        assert told(session) == FirstSteps("garden.test", "")
        mailboxes.create(session, "Anna@garden.test", actor=SYSTEM)
        assert told(session) == FirstSteps("garden.test", "Anna@garden.test")
        mailboxes.create(session, "ben@garden.test", actor=SYSTEM)
        assert told(session) is None


def test_whoever_has_two_domains_or_relays_needs_no_guide(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "one.test", actor=SYSTEM)
        domains.create(session, "two.test", actor=SYSTEM)
        assert told(session) is None


def test_a_customer_is_not_led_through_the_operators_steps(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        customer = tenants.create(session, "Customer", actor=SYSTEM).id
    with reading(office.engine) as session:
        assert first_steps.look(session, actor=Actor("customer", "c", customer)) is None
    office.account("carl", customer)
    browser = office.client().log_in("carl")
    assert "First steps" not in browser.get("/").text
    assert "First steps" in office.client().log_in().get("/").text
