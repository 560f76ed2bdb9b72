"""Sheets that are taken in."""

from typing import Annotated, Literal

from pydantic import Field

from web.api.schemas import Asked, Told

LONGEST_SHEET = 4_000_000  # characters
_EXAMPLE = (
    "kind,address,display_name,targets\r\nmailbox,anna@sheet.example,Anna,\r\n"
    "alias,sales@sheet.example,,anna@sheet.example\r\n"
)


class NewImport(Asked):
    """A sheet of domains, mailboxes, aliases and forwardings (CSV, RFC 4180)."""

    csv: Annotated[str, Field(max_length=LONGEST_SHEET)] = Field(
        description="the first line names the columns, some of `kind` (domain, mailbox, alias or forward), `address`, "
        "`display_name`, `quota_bytes`, `password_hash`, `targets` (by spaces), `keep_copy` (yes or no), `expires_at`",
        examples=[_EXAMPLE],
        json_schema_extra={
            "pattern": r"^kind,address,targets\n(alias,[a-z]{1,9}@example[.]com,anna@example[.]com\n){0,3}$"
        },
    )
    atomic: bool = Field(False, description="all or nothing: when one line is refused, none is carried out")


class Line(Told):
    """What became of one line."""

    line: int
    kind: Literal["domain", "mailbox", "alias", "forward"]
    address: str
    status: int = Field(description="as of the operation of its own; 424: refused because another line was")
    code: str | None = Field(description="why it was refused")
    detail: str | None


class Imported(Told):
    """What became of each line, in their order."""

    committed: bool = Field(
        description="false: a dry run; or of an atomic sheet one line was refused, and nothing was changed"
    )
    done: int
    refused: int
    lines: list[Line]
