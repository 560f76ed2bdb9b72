"""Certificates."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from web.api.schemas import Asked, Moment, Told

Names = Annotated[list[str], BeforeValidator(list)]  # a view of other rows, as a row's targets are


class NewCertificate(Asked):
    """A certificate to show. The key is sealed at once, and nobody can read it here again."""

    chain: str = Field(max_length=64 * 1024, description="PEM: the certificate itself, then each one's issuer")
    key: str = Field(max_length=16 * 1024, description="PEM: its private key, without a passphrase")


class Certificate(Told):
    """A certificate, without its key."""

    id: int
    names: Names
    origin: str
    tenant_id: int
    fingerprint: str = Field(description="SHA-256, hexadecimal")
    not_before: Moment
    not_after: Moment
    chain: str
    created_at: Moment
    version: int
