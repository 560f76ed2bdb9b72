"""Mailboxes, their passwords and their forwarding."""

from pydantic import ConfigDict, Field

from web.api.schemas import (
    AddressText,
    Asked,
    AsTyped,
    Failing,
    Hash,
    Instant,
    LongText,
    MaybeName,
    Moment,
    Octets,
    Secret,
    SenderPattern,
    Subject,
    Targeted,
    Targets,
    Told,
    Words,
)


class NewMailbox(Asked):
    """A mailbox to make. With neither password nor hash it receives, and nobody can log in yet."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["password", "password_hash"]}})

    address: AddressText = Field(examples=["anna@example.com"])
    password: Secret | None = Field(None, examples=["three plain words together"])
    password_hash: Hash | None = Field(
        None,
        description="a hash instead of a password: argon2id in its usual text form, or one with Dovecot's {SCHEME} before it",
    )
    quota_bytes: Octets | None = Field(
        None, description="octets of mail it may hold; 0: no limit; left out: the host's default"
    )
    display_name: MaybeName = Field("", examples=["Anna Example"])
    discard: bool = Field(
        False, description="one that was removed under this name cannot be had back any more, and its mail goes"
    )


class MailboxChange(Asked):
    """What is left out stays as it is."""

    quota_bytes: Octets | None = Field(None, description="octets; 0: no limit")
    display_name: MaybeName | None = None


class NewPassword(Asked):
    """A new password, or its hash; exactly one of the two."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    password: Secret | None = Field(None, examples=["three other plain words"])
    password_hash: Hash | None = Field(None, description="a hash, as for a new mailbox")


class Mailbox(Told):
    """A mailbox."""

    address: AsTyped
    display_name: str
    quota_bytes: int
    used_bytes: int
    suspended: bool
    suspended_for: list[str] = Field(description="what stands still: receive, send, log_in")
    has_password: bool
    created_at: Moment
    version: int


class Conditions(Asked):
    """Which messages go on: those of which all that is said here is so. The others stay in the mailbox.

    So does what cannot be judged, such as a subject in letters that nobody knows.
    """

    senders: list[SenderPattern] | None = Field(
        None, max_length=20, examples=[["ann@away.example", ".shop.example"]],
        description="addresses, domains, or .domain for one and all below it; the reverse-path is one of them",
    )  # fmt: skip
    subjects: list[Words] | None = Field(
        None, max_length=20, examples=[["invoice"]], description="the subject contains one of these, capitals or not"
    )
    larger_than: Octets | None = Field(None, description="octets")
    smaller_than: Octets | None = Field(None, description="octets")
    spam: bool | None = Field(None, description="true: only what a filter marked as spam; false: only what none did")


class NewForwarding(Asked):
    """Where the mailbox's mail goes besides its store, or instead of it."""

    targets: Targeted = Field(examples=[["ben@example.com"]])
    keep_copy: bool = Field(True, description="also store it in the mailbox")
    enabled: bool = Field(True, description="false keeps the targets for later")
    conditions: Conditions | None = Field(None, description="which messages go on; null or left out: all")


class AskedAgain(Asked):
    """Whose owner is asked once more."""

    target: AddressText = Field(examples=["ben@example.net"])


class Forwarding(Told):
    """A mailbox's forwarding; without targets there is none."""

    targets: Targets
    failing: list[Failing]
    waiting: list[str] = Field(
        description="targets at other hosts whose owners were asked and have not agreed: they get nothing yet"
    )
    keep_copy: bool
    enabled: bool
    conditions: Conditions | None


class NewAutoreply(Asked):
    """What the mailbox answers by itself, to mail that is stored in it and names it in To or Cc: to each sender once a week.

    Never to lists, notifications, or what is marked as spam.
    """

    text: LongText = Field(examples=["I am away until Monday. Ben Example answers at ben@example.com."])
    subject: Subject = Field("", description="left out: `Auto: ` and the subject that is answered", examples=["Away"])
    starts_at: Instant | None = Field(None, description="with its time zone; null or left out: now")
    ends_at: Instant | None = Field(None, description="with its time zone; null or left out: until it is taken back")
    enabled: bool = Field(True, description="false keeps the words for later")


class Autoreply(Told):
    """What a mailbox answers by itself."""

    text: str
    subject: str
    starts_at: Moment | None
    ends_at: Moment | None
    enabled: bool
