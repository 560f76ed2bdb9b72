"""Keys that somebody's devices keep for him, by which he signs in (WebAuthn Level 2).

A reader would otherwise get wrong: a passkey is two things at once. The device signs only after it has made sure who holds it
(user verification, which is demanded), so whoever signs in by one needs no password beside it. Nothing is believed of what a
browser says about itself: challenge, place and signature are all checked against what lies here.
"""

import binascii
import hashlib
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

import cbor2
import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from sqlalchemy import select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_attestation_object
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.parse_authentication_credential_json import parse_authentication_credential_json
from webauthn.helpers.parse_registration_credential_json import parse_registration_credential_json
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, LimitReached, NotFound, NotSignedIn
from appliance.models import Account, Instance, Mailbox, Passkey
from appliance.models.base import now
from appliance.services import login_steps, persons, second_factors
from appliance.services.actor import Actor
from appliance.services.common import check_name
from appliance.services.login_steps import Step
from appliance.services.persons import Person, columns_of, is_his

__all__ = ["Passkey", "Place", "add", "begin_adding", "begin_login", "of", "owner_of", "place_of", "remove"]

MAX_PASSKEYS = 20
LONGEST_NAME = 60
LONGEST_ANSWER = 16 * 1024  # octets of what a browser posts; a key with its signature takes one or two thousand
# What the library lets through when a browser - or somebody who is none - posts nonsense.
_NONSENSE = (
    WebAuthnException, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error, binascii.Error,
    OverflowError, RecursionError, cbor2.CBORError, UnsupportedAlgorithm,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where the panel is, as keys are bound to it (WebAuthn 5.1.2: a scheme, a host, perhaps a port)."""

    origin: str
    name: str

    @property
    def host(self) -> str:
        """The relying party's id."""
        return urlsplit(self.origin).hostname or ""


def place_of(panel: str, host: str, asked: str) -> Place | None:
    """The place for whoever *asked* for a page at this origin; None: there, no key can be had.

    *panel*: where the panel is, as people outside reach it; *host*: what the machine calls itself. Besides, a panel that is tried
    out at `localhost` has its keys there: nobody else is.
    """
    place = Place(panel or f"https://{host}", host)
    if urlsplit(asked).hostname == "localhost":
        return Place(asked, host)
    return place if asked == place.origin else None


def of(session: Session, person: Person) -> list[Passkey]:
    """His, the oldest first."""
    return list(session.scalars(select(Passkey).where(is_his(Passkey, person)).order_by(Passkey.id)))


def begin_adding(session: Session, place: Place, token: str, *, actor: Actor) -> str:
    """What a browser needs to make a key, as JSON (WebAuthn 5.4); good once, for the session whose cookie is *token*.

    Raises:
        NotFound, Forbidden: as `persons.own`.
        LimitReached: he has as many as one may have.
    """
    person = persons.own(session, actor)
    mine = of(session, person)
    if len(mine) >= MAX_PASSKEYS:
        raise LimitReached(f"you have {MAX_PASSKEYS} passkeys; remove one first", code="limit_passkeys")
    options = webauthn.generate_registration_options(
        rp_id=place.host,
        rp_name=place.name,
        user_name=persons.name_of(person),
        user_id=_handle(session, person),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[_descriptor(key) for key in mine],
    )
    challenge = bytes_to_base64url(options.challenge)
    login_steps.begin(session, "new-passkey", person=person, challenge=challenge, token=token)
    return webauthn.options_to_json(options)


def add(
    session: Session, place: Place, token: str, answer: str, name: str, *, actor: Actor, keep_session: int | None = None
) -> list[str]:
    """Keep the key that a browser made, under a *name*. Backup codes, when it is the first second factor; other sessions end.

    Raises:
        Invalid: what the browser says does not hold, or a name that is none.
        NotSignedIn: it was not asked, or took too long.
        Conflict: this key is somebody's already.
        NotFound, Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    step = login_steps.end(session, token, "new-passkey")
    if step.person != person:
        raise Invalid("this page is too old; begin anew", code="bad_passkey")
    name = check_name(name, "name", LONGEST_NAME)
    try:
        credential = parse_registration_credential_json(_bounded(answer))
        # Which make of device it is nobody asks, and so nobody has to read the certificates that would tell.
        if parse_attestation_object(credential.response.attestation_object).fmt != AttestationFormat.NONE.value:
            raise Invalid("your browser tells more than it was asked", code="bad_passkey")
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(step.challenge),
            expected_rp_id=place.host,
            expected_origin=place.origin,
            require_user_verification=True,
        )
    except _NONSENSE as error:
        raise Invalid("what your browser says of this passkey does not hold", code="bad_passkey") from error
    was_on = second_factors.is_on(session, person)
    identity = bytes_to_base64url(made.credential_id)
    if session.scalar(select(Passkey.id).where(Passkey.credential_id == identity)) is not None:
        raise Conflict("this passkey is here already", code="passkey_taken")
    session.add(
        Passkey(
            credential_id=identity, public_key=bytes_to_base64url(made.credential_public_key), sign_count=made.sign_count,
            name=name, **columns_of(person),
        )
    )  # fmt: skip
    session.flush()
    persons.tell(session, actor, "passkey.added", person, {"name": name})
    return second_factors.first_codes(session, person, was_on=was_on, keep_session=keep_session)


def remove(session: Session, number: int, *, actor: Actor, keep_session: int | None = None) -> str:
    """Take the key away; its name. Whoever lets him must have seen his password and a code.

    Raises:
        NotFound: he has no such key.
        Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    key = session.scalar(select(Passkey).where(Passkey.id == number, is_his(Passkey, person)))
    if key is None:
        raise NotFound("that passkey is gone already")
    session.delete(key)
    session.flush()
    persons.tell(session, actor, "passkey.removed", person, {"name": key.name})
    second_factors.settle(session, person, keep_session=keep_session)
    return key.name


def begin_login(session: Session, place: Place, token: str, second: Step | None = None) -> str:
    """What a browser needs to sign with a key, as JSON; good once, for the browser whose cookie is *token*.

    With *second*, whose password was right: one of that person's.
    """
    mine = of(session, second.person) if second is not None and second.person is not None else []
    options = webauthn.generate_authentication_options(
        rp_id=place.host,
        user_verification=UserVerificationRequirement.REQUIRED,
        allow_credentials=[_descriptor(key) for key in mine],
    )
    challenge = bytes_to_base64url(options.challenge)
    login_steps.begin(session, "passkey", challenge=challenge, token=token)
    return webauthn.options_to_json(options)


def owner_of(session: Session, place: Place, challenge: str, answer: str) -> Person:
    """Whose key has signed the *challenge*.

    Raises:
        NotSignedIn: none of those that are known here, or not this, or not here; or a copy of it signed before (WebAuthn 6.1.1).
    """
    refused = NotSignedIn("This passkey is not good here.", code="bad_passkey")
    try:
        credential = parse_authentication_credential_json(_bounded(answer))
        identity = bytes_to_base64url(credential.raw_id)
        key = session.scalar(select(Passkey).where(Passkey.credential_id == identity))
        person = _owner(session, key)
        if key is None or person is None:
            raise refused
        handle = credential.response.user_handle
        if handle is not None and handle != _handle(session, person):
            raise refused
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=place.host,
            expected_origin=place.origin,
            credential_public_key=base64url_to_bytes(key.public_key),
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )
    except _NONSENSE as error:
        raise refused from error
    key.sign_count, key.used_at = verified.new_sign_count, now()
    session.flush()
    return person


def _owner(session: Session, key: Passkey | None) -> Person | None:
    if key is None:
        return None
    if key.account_id is not None:
        return session.get(Account, key.account_id)
    return session.get(Mailbox, key.mailbox_id)


def _handle(session: Session, person: Person) -> bytes:
    """By what a key knows its owner (WebAuthn 5.4.3): nothing that tells who he is."""
    instance = session.scalars(select(Instance.instance_id).order_by(Instance.id)).first() or ""
    ((column, number),) = columns_of(person).items()
    return hashlib.sha256(f"passkey {instance} {column} {number}".encode()).digest()


def _descriptor(key: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.credential_id))


def _bounded(answer: str) -> str:
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("longer than any key's answer")
    return answer
