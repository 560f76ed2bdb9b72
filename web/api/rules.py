"""Access rules of the host, of a domain and of a mailbox.

A reader would otherwise get wrong: there is one set of endpoints, hung up in three places. Declared before the mailboxes'
own, whose addresses would otherwise take these in.
"""

from collections.abc import Callable
from typing import Annotated, TypedDict
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Response

from appliance.services import access_rules
from web import LARGEST
from web.api.dependencies import Asking, Changing, DryRun, Making, given, refusals, seconds, told
from web.api.schemas.rules import NewRule, Rule, RuleChange, Rules

router = APIRouter()


Number = Annotated[int, Path(ge=0, le=LARGEST, examples=[1])]


class Scope(TypedDict):
    """Whose list it is; of neither, the host's."""

    domain: str | None
    mailbox: str | None


def _host() -> Scope:
    return {"domain": None, "mailbox": None}


def _domain(name: Annotated[str, Path(description="the domain")]) -> Scope:
    return {"domain": name, "mailbox": None}


def _mailbox(address: Annotated[str, Path(description="the mailbox's whole address")]) -> Scope:
    return {"domain": None, "mailbox": address}


def _hang_up(prefix: str, whose: str, scope: Callable[..., Scope]) -> None:
    """The endpoints below *prefix*, for the list that *scope* finds in the path."""
    Where = Annotated[Scope, Depends(scope)]  # noqa: N806 - a type

    @router.get(f"{prefix}/rules", summary=f"List {whose} rules", responses=refusals(404, 422))
    def list_rules(asking: Asking, where: Where) -> Rules:
        """As they are read, from the top. Of mailbox, domain and host, the most special list that has a fit decides."""
        with asking.wiring.reading() as session:
            rows = access_rules.list_rules(session, actor=asking.actor, **where)
            return Rules(items=[Rule.model_validate(row) for row in rows])

    @router.post(
        f"{prefix}/rules", summary=f"Add one of {whose} rules", status_code=201, responses=refusals(403, 404, 409, 422)
    )
    def add(asking: Making, where: Where, body: NewRule, response: Response, dry_run: DryRun = False) -> Rule:
        """In force within a second of the answer."""
        with asking.posting(response, body, dry_run=dry_run) as posting:
            wanted = seconds(body.model_dump())
            rule = Rule.model_validate(access_rules.add(posting.session, actor=asking.actor, **wanted, **where))
            return posting.answer(rule, location=f"{_filled(prefix, where)}/rules/{rule.id}")

    @router.get(f"{prefix}/rules/{{rule}}", summary=f"Show one of {whose} rules", responses=refusals(404, 422))
    def show(asking: Asking, where: Where, rule: Number, response: Response) -> Rule:
        """By its id."""
        with asking.wiring.reading() as session:
            return told(response, Rule.model_validate(access_rules.get(session, rule, actor=asking.actor, **where)))

    @router.patch(
        f"{prefix}/rules/{{rule}}", summary=f"Change one of {whose} rules", responses=refusals(403, 404, 409, 412, 422)
    )
    def change(
        asking: Changing, where: Where, rule: Number, body: RuleChange, response: Response, dry_run: DryRun = False
    ) -> Rule:
        """With a position, it is moved there."""
        with asking.wiring.changing(dry_run=dry_run) as session:
            asking.expect(lambda: access_rules.get(session, rule, actor=asking.actor, **where))
            row = access_rules.update(session, rule, actor=asking.actor, **seconds(given(body)), **where)
            return told(response, Rule.model_validate(row))

    @router.delete(
        f"{prefix}/rules/{{rule}}", summary=f"Remove one of {whose} rules", status_code=204,
        responses=refusals(403, 404, 412, 422),
    )  # fmt: skip
    def remove(asking: Changing, where: Where, rule: Number, dry_run: DryRun = False) -> None:
        """Those below it move up."""
        with asking.wiring.changing(dry_run=dry_run) as session:
            asking.expect(lambda: access_rules.get(session, rule, actor=asking.actor, **where))
            access_rules.remove(session, rule, actor=asking.actor, **where)


def _filled(prefix: str, where: Scope) -> str:
    value = where["domain"] or where["mailbox"]
    return prefix.partition("{")[0] + quote(value, safe="@") if value else prefix


_hang_up("", "the host's", _host)
_hang_up("/domains/{name}", "a domain's", _domain)
_hang_up("/mailboxes/{address:path}", "a mailbox's", _mailbox)
