"""What a domain's mail is signed with: the records to publish, and the exchange of keys.

A reader would otherwise get wrong: nothing here asks DNS. Whether the records are published is what its administrator says
by pressing the second button; until then the keys in use go on.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.services import authorisation, dkim, domains
from web.panel.desk import Signed
from web.panel.domains import shown
from web.panel.forms import Form
from web.panel.links import url

router = APIRouter(include_in_schema=False)


@router.get("/domains/{name}/signing")
def page(desk: Signed, name: str) -> Response:
    """Keys and records."""
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        keys = [
            {"selector": key.selector, "state": key.state, "name": dkim.record_name(key), "record": dkim.record(key)}
            for key in dkim.keys_of(session, name, actor=desk.actor)
        ]
        view = shown(session, [domain])[0]
        may_rotate = authorisation.allows(session, desk.actor, "domain.update", domain)
    return desk.page("domains/signing.html", domain=view, keys=keys, kept_days=dkim.KEPT_DAYS, may_rotate=may_rotate)


@router.post("/domains/{name}/signing/rotate")
def rotate(desk: Signed, name: str, form: Form) -> Response:
    """Make the next keys."""
    new = desk.wiring.seals.new_signing_keys()  # Before the transaction: it takes its time.
    with desk.changing() as session:
        dkim.rotate(session, name, new, actor=desk.actor)
    return desk.see_other(url("domains", name, "signing"), "The next keys are made: publish their records.")


@router.post("/domains/{name}/signing/finish")
def finish(desk: Signed, name: str, form: Form) -> Response:
    """Sign with the next keys."""
    with desk.changing() as session:
        dkim.finish(session, name, actor=desk.actor)
    return desk.see_other(url("domains", name, "signing"), "Mail is signed with the new keys from now on.")
