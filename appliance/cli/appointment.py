"""`postern appointment`: what somebody may do besides what his account, or his mailbox, gives him."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import Switch, actor, changing, every, looking, say, say_rows
from appliance.services import appointments, authorisation, tenants
from appliance.services.appointments import Appointment

app = App(name="appointment", help="What somebody may do besides what his account, or his mailbox, gives him.")
Rights = Annotated[
    tuple[str, ...],
    Parameter(help=f"over a domain, some of {', '.join(authorisation.DOMAIN_RIGHTS)}; all when not given"),
]


def describe(appointment: Appointment) -> dict[str, Any]:
    """An appointment as plain values."""
    return {
        "id": appointment.id,
        "holder": appointments.holder_of(appointment),
        "kind": appointment.kind,
        "tenant": appointment.tenant.name,
        "tenant_id": appointment.tenant_id,
        "domain": appointment.domain.name if appointment.domain is not None else None,
        "rights": appointment.rights,
    }


@app.command
def add(
    holder: str, *, tenant: str | None = None, domain: str | None = None, support: Switch = False, right: Rights = ()
) -> None:
    """Make an account, or a mailbox's owner, administrator of --tenant or --domain; with --support, one who only looks."""
    rights = [word for part in right for word in part.split(",")] or None
    with changing() as session:
        tenant_id = tenants.find(session, tenant, actor=actor()).id if tenant else None
        made = appointments.appoint(
            session, holder, actor=actor(), tenant_id=tenant_id, domain=domain, support=support, rights=rights
        )
        described = describe(made)
    say(described, f"appointed {described['holder']}, {described['kind']} of {domain or described['tenant']}")


@app.command(name="list")
def list_(*, holder: str | None = None) -> None:
    """List appointments, of all or one."""
    with looking() as session:
        rows = every(appointments.list_appointments, session, holder=holder)
        say_rows(map(describe, rows), "id", "holder", "kind", "tenant", "domain")


@app.command
def end(appointment: int) -> None:
    """Take one away, by its id."""
    with changing() as session:
        described = describe(appointments.get(session, appointment, actor=actor()))
        appointments.dismiss(session, appointment, actor=actor())
    say(described, f"{described['holder']} is {described['kind']} no more")
