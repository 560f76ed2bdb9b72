"""What domains' mail is signed with."""

from typing import Literal

from web.api.schemas import Moment, Told


class DkimKey(Told):
    """One key, without its private half."""

    selector: str
    algorithm: Literal["rsa-sha256", "ed25519-sha256"]
    state: Literal["next", "signing", "retired"]
    record_name: str
    record: str
    created_at: Moment
    changed_at: Moment


class DkimKeys(Told):
    """All keys of a domain, the oldest first; none in the first moments of its life."""

    items: list[DkimKey]
