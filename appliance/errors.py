"""What the control plane refuses, and why.

    ApplianceError
    ├── Refused                      a rule says no; nothing was changed
    │   ├── Invalid                  a value makes no sense          `field` says which
    │   ├── NotFound                 there is none, or not for you
    │   ├── Forbidden                you see it, but this is not yours to do
    │   ├── Conflict                 it contradicts what is there
    │   │   ├── Taken                the name or address is in use
    │   │   └── LimitReached         a tenant's limit, at whatever level
    │   └── NotSignedIn              no session, no key, or a wrong password
    └── Unable                       it would be right, but cannot be done now
        ├── SettingsError            postern.toml
        └── DatabaseUnavailable      missing, locked, full, unreachable
            ├── SchemaTooNew
            └── SchemaTooOld

A reader would otherwise get wrong: `code` is what programs compare and never changes; the text is a sentence to show to
people and may. HTTP's numbers are chosen in `web.errors` and nowhere else.
"""

from typing import ClassVar


class ApplianceError(Exception):
    """Base of all: a stable *code*, a sentence fit to show, and the *field* at fault when there is one."""

    default_code: ClassVar[str] = "error"

    def __init__(self, sentence: str, *, code: str = "", field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.default_code
        self.field = field


class Refused(ApplianceError):
    """A rule says no; nothing was changed."""

    default_code = "refused"


class Invalid(Refused):
    """A value makes no sense."""

    default_code = "invalid"


class NotFound(Refused):
    """There is none - or not for this actor, who must not be able to tell the difference."""

    default_code = "not_found"


class Forbidden(Refused):
    """The actor sees it, but this is not his to do."""

    default_code = "forbidden"


class Conflict(Refused):
    """It contradicts what is there."""

    default_code = "conflict"


class Taken(Conflict):
    """The name or address is in use; *holder*, such as `mailboxes/anna@example.net`, where the actor may see it."""

    default_code = "taken"

    def __init__(self, sentence: str, *, code: str = "", field: str | None = None, holder: str = "") -> None:
        super().__init__(sentence, code=code, field=field)
        self.holder = holder


class LimitReached(Conflict):
    """A tenant's limit, at whatever level upward."""

    default_code = "limit_reached"


class NotSignedIn(Refused):
    """No session, no key, or one that is no longer good."""

    default_code = "not_signed_in"


class Unable(ApplianceError):
    """It would be right, but cannot be done now."""

    default_code = "unable"


class SettingsError(Unable):
    """postern.toml says something that cannot be; the sentence names file, key and what it takes."""

    default_code = "settings"


class DatabaseUnavailable(Unable):
    """The database is missing, locked, full or unreachable."""

    default_code = "database_unavailable"


class SchemaTooNew(DatabaseUnavailable):
    """A newer Postern wrote this database; this one would misread it."""

    default_code = "schema_too_new"


class SchemaTooOld(DatabaseUnavailable):
    """The database wants `postern migrate` first."""

    default_code = "schema_too_old"
