"""A key that somebody's device or password manager keeps for him, by which he signs in (WebAuthn Level 2)."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Row
from appliance.models.of_person import OfPerson


class Passkey(OfPerson, Row, Base):
    """Its public half. Removing the row takes it away."""

    __tablename__ = "passkey"

    credential_id: Mapped[str] = mapped_column(unique=True)  # base64url
    public_key: Mapped[str]  # base64url of a COSE key (RFC 9052 7)
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    name: Mapped[str]
    used_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
