"""The second thing that somebody shows when he signs in: a code of his authenticator app, a backup code, a passkey.

A reader would otherwise get wrong: whether a code is right is the authenticator's word (`appliance.peers`), who alone opens the
secret. Here is kept that no code is taken twice (RFC 6238 5.2): its step has to lie behind that of the last one, and both are one
statement, so that of two who show the same code at once one is let in.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import pyotp
from sqlalchemy import CursorResult, delete, func, select, update

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid
from appliance.models import BackupCode, OwnSettings, Passkey
from appliance.models.base import now
from appliance.services import changes, persons, sessions
from appliance.services.actor import Actor
from appliance.services.persons import Person, columns_of, is_his

__all__ = [
    "BACKUP_CODES",
    "State",
    "address_of",
    "app_secret",
    "is_on",
    "new_backup_codes",
    "new_secret",
    "reset",
    "settings_of",
    "standing",
    "take_backup_code",
    "take_step",
    "turn_app_off",
    "turn_app_on",
]

BACKUP_CODES = 10
SECRET_OCTETS = 20  # RFC 4226 4 (R6): 160 bits
# No letters or digits that are read for one another: these are written down on paper.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 4  # 80 bits


@dataclass(frozen=True, slots=True)
class State:
    """What somebody has."""

    app_since: int | None  # seconds since 1970
    backup_codes: int  # that are left
    passkeys: int

    @property
    def is_on(self) -> bool:
        """Does his password alone open nothing?"""
        return self.app_since is not None or self.passkeys > 0


def standing(session: Session, person: Person) -> State:
    """What *person* has."""
    row = settings_of(session, person)
    counts = [
        session.scalar(select(func.count()).select_from(model).where(is_his(model, person))) or 0
        for model in (BackupCode, Passkey)
    ]
    return State(row.app_since if row is not None and row.sealed_secret else None, *counts)


def is_on(session: Session, person: Person) -> bool:
    """Does his password alone open nothing?"""
    return standing(session, person).is_on


def settings_of(session: Session, person: Person) -> OwnSettings | None:
    """What he has set for himself, if anything."""
    return session.scalars(select(OwnSettings).where(is_his(OwnSettings, person)).order_by(OwnSettings.id)).first()


def own_settings(session: Session, person: Person) -> OwnSettings:
    """The same, to change."""
    row = settings_of(session, person)
    if row is None:
        row = OwnSettings(**columns_of(person))
        session.add(row)
        session.flush()
    return row


def new_secret() -> str:
    """What an app makes codes of, in base32 (RFC 4648 6)."""
    return pyotp.random_base32(SECRET_OCTETS * 8 // 5)


def octets_of(secret: str) -> bytes:
    """The octets of a secret in base32.

    Raises:
        Invalid: it is none that `new_secret` made.
    """
    try:
        octets = pyotp.TOTP(secret).byte_secret() if secret.isascii() else b""
    except ValueError:
        octets = b""
    if len(octets) != SECRET_OCTETS:
        raise Invalid("this page is too old; begin anew", code="bad_secret")
    return octets


def address_of(name: str, host: str, secret: str) -> str:
    """What a picture for the app says (otpauth: as authenticator apps read it)."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=host)


def app_secret(session: Session, person: Person) -> str:
    """The sealed secret of his app; empty: he has none."""
    row = settings_of(session, person)
    return (row.sealed_secret if row is not None else None) or ""


def turn_app_on(
    session: Session, sealed: str, step: int, *, actor: Actor, keep_session: int | None = None
) -> list[str]:
    """From now on codes of the app with the *sealed* secret are asked for; *step* is that of the first one, which was right.

    Answers backup codes, when he had none. His other sessions end.

    Raises:
        NotFound, Forbidden: as `persons.own`.
        Conflict: he has an app already.
    """
    person = persons.own(session, actor)
    row = own_settings(session, person)
    if row.sealed_secret is not None:
        raise Conflict("you have an authenticator app already", code="app_on")
    was_on = is_on(session, person)
    row.sealed_secret, row.app_since, row.last_step = sealed, now(), step
    session.flush()
    persons.tell(session, actor, "second_factor.app_on", person)
    return first_codes(session, person, was_on=was_on, keep_session=keep_session)


def first_codes(session: Session, person: Person, *, was_on: bool, keep_session: int | None) -> list[str]:
    """The second factor was turned on, or another was added: backup codes if it was the first, and other sessions end."""
    sessions.end_of_person(session, person, keep=keep_session)
    if was_on:
        return []
    announce(session, person)
    return _make_codes(session, person)


def take_step(session: Session, person: Person, step: int) -> bool:
    """Let the app's code of this *step* count, if none of it or of a later one did before."""
    ahead = (is_his(OwnSettings, person), OwnSettings.sealed_secret.is_not(None), OwnSettings.last_step < step)
    taken = session.execute(update(OwnSettings).where(*ahead).values(last_step=step))
    return _rows(taken) == 1


def take_backup_code(session: Session, person: Person, code: str) -> bool:
    """Use this backup code up, if it is one of his."""
    digest = _digest(code)
    return (
        _rows(session.execute(delete(BackupCode).where(is_his(BackupCode, person), BackupCode.sha256 == digest))) == 1
    )


def new_backup_codes(session: Session, *, actor: Actor) -> list[str]:
    """Ten other ones; those of before are good no more.

    Raises:
        NotFound, Forbidden: as `persons.own`.
        Conflict: his password alone opens everything anyway.
    """
    person = persons.own(session, actor)
    if not is_on(session, person):
        raise Conflict("backup codes are for those who have an authenticator app or a passkey", code="no_second_factor")
    persons.tell(session, actor, "second_factor.codes_made", person)
    return _make_codes(session, person)


def turn_app_off(session: Session, *, actor: Actor, keep_session: int | None = None) -> None:
    """No code is asked for any more. Whoever lets him must have seen his password and a code.

    Raises:
        NotFound, Forbidden: as `persons.own`.
        Conflict: he has no app.
    """
    person = persons.own(session, actor)
    row = own_settings(session, person)
    if row.sealed_secret is None:
        raise Conflict("you have no authenticator app", code="app_off")
    row.sealed_secret, row.app_since, row.last_step = None, None, 0
    session.flush()
    persons.tell(session, actor, "second_factor.app_off", person)
    settle(session, person, keep_session=keep_session)


def settle(session: Session, person: Person, *, keep_session: int | None = None) -> None:
    """Something was taken away: without app and passkeys there are no backup codes. His other sessions end."""
    sessions.end_of_person(session, person, keep=keep_session)
    if not is_on(session, person):
        session.execute(delete(BackupCode).where(is_his(BackupCode, person)))
        announce(session, person)


def reset(session: Session, name: str, *, actor: Actor) -> State:
    """Take all of it from the owner of *name*, who lost it. His sessions end; what he had is answered.

    Raises:
        Invalid, NotFound, Forbidden: as `persons.to_help`.
        Conflict: he has none.
    """
    person = persons.to_help(session, name, actor=actor)
    had = standing(session, person)
    if not had.is_on:
        raise Conflict(f"{persons.name_of(person)} has no second factor", code="no_second_factor")
    row = own_settings(session, person)
    row.sealed_secret, row.app_since, row.last_step = None, None, 0
    session.execute(delete(Passkey).where(is_his(Passkey, person)))
    session.flush()
    settle(session, person)
    persons.tell(
        session, actor, "second_factor.reset", person, {"app": had.app_since is not None, "passkeys": had.passkeys}
    )
    return had


def announce(session: Session, person: Person) -> None:
    """Whether his password alone is good for sending mail has changed."""
    if "@" in (key := persons.key_of(person)):
        changes.announce(session, changes.PASSWORD, key)


def _make_codes(session: Session, person: Person) -> list[str]:
    session.execute(delete(BackupCode).where(is_his(BackupCode, person)))
    made = ["-".join(_group() for _ in range(_GROUPS)) for _ in range(BACKUP_CODES)]
    session.add_all(BackupCode(sha256=_digest(code), **columns_of(person)) for code in made)
    session.flush()
    return made


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP))


def _digest(code: str) -> str:
    """However it was typed: with other signs between the groups, or in capitals."""
    letters = "".join(letter for letter in code.lower() if letter in _ALPHABET)
    return hashlib.sha256(letters.encode()).hexdigest()


def _rows(result: Any) -> int:  # noqa: ANN401 - of a statement that changes
    return int(result.rowcount) if isinstance(result, CursorResult) else 0
