"""Jobs."""

from typing import Any, Literal

from pydantic import AliasChoices, Field

from web.api.schemas import Moment, Told


class Job(Told):
    """Something that is worked off in the background."""

    id: str = Field(validation_alias=AliasChoices("public_id", "id"))
    kind: Literal["batch", "apply", "import", "bulk", "undo", "export"]
    state: Literal["reading", "looking", "draft", "waiting", "running", "done", "failed"] = Field(
        description="reading, looking, draft: of the panel, where somebody first sees what would become of it"
    )
    tenant_id: int
    total: int = Field(description="operations")
    done: int = Field(description="of these, so far")
    failed: int = Field(description="of those that are done, how many were refused")
    failure: str | None = Field(description="why the whole of it failed")
    created_at: Moment
    ended_at: Moment | None
    version: int


class JobResult(Told):
    """What became of one operation."""

    position: int = Field(description="in the list of operations, from 0")
    status: int
    body: dict[str, Any] | None
