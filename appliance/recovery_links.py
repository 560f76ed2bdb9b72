"""The links in mails to recovery addresses: signed as those of consent are, for another purpose and a shorter while.

Neither SQLAlchemy nor the models are wanted here: the compiler makes links, the panel believes them.
"""

from typing import NamedTuple

from appliance import consent_links
from appliance.consent_links import Question

SECONDS = {"confirm": 24 * 3600, "reset": 3600}
PAGES = {"confirm": "recovery/confirm", "reset": "recovery/reset"}


class Mail(NamedTuple):
    """A row of `recovery_mail`."""

    number: int
    kind: str  # confirm, reset
    account_id: int | None
    mailbox_id: int | None
    target: str
    asked_at: int  # seconds since 1970

    @property
    def question(self) -> Question:
        """As it is signed. No holder of a consent has such a kind, so no link is good for both."""
        whose = "account" if self.account_id is not None else "mailbox"
        return Question(
            self.number, f"{self.kind}-{whose}", self.account_id or self.mailbox_id or 0, self.target, self.asked_at
        )


def token(key: str, mail: Mail) -> str:
    """What stands in the link."""
    return consent_links.token(key, mail.question)


def holds(key: str, mail: Mail, candidate: str, now: int) -> bool:
    """Was *candidate* made for exactly this mail, and is it good at *now* (seconds since 1970)?"""
    is_in_time = now < mail.asked_at + SECONDS.get(mail.kind, 0)
    return consent_links.holds(key, mail.question, candidate, now) and is_in_time
