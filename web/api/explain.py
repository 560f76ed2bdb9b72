"""Explanations: is an address taken, why, and where does its mail go?"""

from typing import Annotated

from fastapi import APIRouter, Query

from appliance.services import foretelling, rehearsing
from web.api.dependencies import Asking, refusals
from web.api.schemas import ADDRESS, IPV4, documented
from web.api.schemas.explain import Exchange, Explanation, Step

router = APIRouter(prefix="/explain")

To = Annotated[
    str,
    Query(
        max_length=1000, json_schema_extra=documented(f"^{ADDRESS}$", 254, 3), examples=["anna@example.com"],
        description="the address that mail is for",
    ),
]  # fmt: skip


From = Annotated[
    str,
    Query(
        alias="from", max_length=1000, json_schema_extra=documented(f"^({ADDRESS})?$", 254), examples=["ben@example.net"],
        description="the sender's address; empty: none, as notifications have",
    ),
]  # fmt: skip
Client = Annotated[
    str,
    Query(
        max_length=45, json_schema_extra=documented(IPV4, 39, 3), examples=["192.0.2.1"],
        description="the address that it comes from",
    ),
]  # fmt: skip


@router.get("", summary="Explain an address", responses=refusals(404, 422))
def explain(asking: Asking, to: To, sender: From = "", client: Client = rehearsing.EXAMPLE_CLIENT) -> Explanation:
    """As the database has it, and the SMTP port within a second: where its mail goes, and the dialogue that a client would have.

    The dialogue is by the directory's own code. What a running house remembers of clients - how much they sent, who has to come
    back - and what name servers say is no part of it; `postern explain` asks those, too.
    """
    with asking.wiring.reading() as session:
        told = foretelling.foretell(session, to, actor=asking.actor)
        heard = rehearsing.rehearse(session, asking.wiring.settings, sender, to, client, actor=asking.actor)
    return Explanation(
        address=told.address, accepted=told.accepted, steps=[Step.model_validate(each) for each in told.steps],
        recipients=told.recipients, word=heard.word, undecided=heard.undecided,
        dialog=[Exchange.model_validate(each) for each in heard.dialog],
        decision=[Step.model_validate(each) for each in heard.steps],
    )  # fmt: skip
