"""What goes with a domain, and who elsewhere still sends there. `domains` asks who may.

A reader would otherwise get wrong: rows go by statements and not one by one as objects, for there may be a hundred thousand;
each is announced all the same, since the compiler learns of nothing else.
"""

from collections.abc import Iterator

from sqlalchemy import delete, or_, select

from appliance.database.session import Session
from appliance.models import (
    AccessRule,
    Account,
    Alias,
    AliasTarget,
    AppPassword,
    Autoreply,
    DkimKey,
    Domain,
    ForwardingTarget,
    Mailbox,
    Pattern,
    RelayRecipient,
    SenderGrant,
    Sending,
)
from appliance.services import addresses, changes, holders
from mta.vocabulary import CUTTING


def forwarded_by(session: Session, domain: Domain) -> list[str]:
    """Addresses outside *domain* that forward into it, at most a hundred of each kind."""
    ending = f"@{domain.name}"
    senders = holders.senders_to(session, lambda target: target.endswith(ending, autoescape=True), outside=domain)
    return sorted({addresses.show(holder.address) for holder in senders})


def targets_elsewhere(session: Session, domain: Domain) -> Iterator[tuple[str, str]]:
    """What in *domain* sends mail on to another domain, and where to: keys of addresses."""
    ending = f"@{domain.name}"
    of_aliases = select(Alias.folded, AliasTarget.address).join(AliasTarget, AliasTarget.alias_id == Alias.id)
    of_mailboxes = select(Mailbox.folded, ForwardingTarget.address).join(
        ForwardingTarget, ForwardingTarget.forwarding_id == Mailbox.id
    )
    for wanted, model, target in (
        (of_aliases, Alias, AliasTarget.address), (of_mailboxes, Mailbox, ForwardingTarget.address),
    ):  # fmt: skip
        elsewhere = wanted.where(model.domain_id == domain.id, ~target.endswith(ending, autoescape=True))
        for folded, address in session.execute(elsewhere):
            yield f"{folded}{ending}", address


def remove(session: Session, domain: Domain) -> None:
    """Remove all that is in *domain*; its mail is for who asks to put aside."""
    suffix = f"@{domain.name}"
    for model in (Mailbox, Alias):
        changes.announce_each(
            session, changes.ADDRESS, select(model.folded + suffix).where(model.domain_id == domain.id)
        )
    aliases = select(Alias.folded + suffix).where(Alias.domain_id == domain.id)
    changes.announce_each(session, changes.SENDERS, aliases)
    _announce_senders(session, domain)
    _announce_autoreplies(session, domain)
    with_password = select(Mailbox.folded + suffix).where(
        Mailbox.domain_id == domain.id, Mailbox.sealed_hash.is_not(None)
    )
    changes.announce_each(session, changes.PASSWORD, with_password)
    remove_accounts(session, domain)
    _remove_rules(session, domain)
    remove_recipients(session, domain)
    changes.announce_each(
        session, changes.PATTERN, select(Pattern.folded + suffix).where(Pattern.domain_id == domain.id)
    )
    session.execute(delete(Pattern).where(Pattern.domain_id == domain.id))
    changes.announce(session, changes.SIGNING, domain.name)
    session.execute(delete(DkimKey).where(DkimKey.domain_id == domain.id))
    session.execute(delete(Alias).where(Alias.domain_id == domain.id))
    session.execute(delete(Mailbox).where(Mailbox.domain_id == domain.id))


def announce(session: Session, domain: Domain) -> None:
    """All that stands under *domain* in the snapshot is different now."""
    suffix = f"@{domain.name}"
    for kind in (changes.DOMAIN, changes.SIGNING, changes.RULES, changes.ROUTE):
        changes.announce(session, kind, domain.name)
    changes.announce(session, changes.ROUTE, f"@{domain.name}")
    for model in (Mailbox, Alias):
        of_domain = select(model.folded + suffix).where(model.domain_id == domain.id)
        changes.announce_each(session, changes.ADDRESS, of_domain)
        changes.announce_each(session, changes.SENDERS, of_domain)
    changes.announce_each(
        session, changes.PATTERN, select(Pattern.folded + suffix).where(Pattern.domain_id == domain.id)
    )
    listed = select(RelayRecipient.folded + suffix).where(RelayRecipient.domain_id == domain.id)
    changes.announce_each(session, changes.ADDRESS, listed)
    _announce_autoreplies(session, domain)


def _announce_autoreplies(session: Session, domain: Domain) -> None:
    with_one = select(Mailbox.folded + f"@{domain.name}").join(Autoreply, Autoreply.mailbox_id == Mailbox.id)
    changes.announce_each(session, changes.AUTOREPLY, with_one.where(Mailbox.domain_id == domain.id))


def _announce_senders(session: Session, domain: Domain) -> None:
    """What its mailboxes sent and wrote as goes with them; so does what others wrote as in it."""
    suffix = f"@{domain.name}"
    own = Mailbox.domain_id == domain.id
    for model in (AppPassword, Sending):
        with_some = select(Mailbox.folded + suffix).join(model, model.mailbox_id == Mailbox.id).where(own).distinct()
        changes.announce_each(session, changes.SENDERS, with_some)
    # Of any of these it may be written down that it is nobody else's by a tag or a pattern.
    cut = or_(*(Mailbox.folded.contains(sign, autoescape=True) for sign in CUTTING.decode()))
    changes.announce_each(session, changes.SENDERS, select(Mailbox.folded + suffix).where(own, cut))
    granted = select(SenderGrant.address).join(Mailbox, SenderGrant.mailbox_id == Mailbox.id).where(own).distinct()
    changes.announce_each(session, changes.SENDERS, granted)
    into = SenderGrant.address.endswith(suffix, autoescape=True)
    changes.announce_each(session, changes.SENDERS, select(SenderGrant.address).where(into).distinct())
    session.execute(delete(SenderGrant).where(into))


def _remove_rules(session: Session, domain: Domain) -> None:
    own = AccessRule.domain_id == domain.id
    if session.scalar(select(AccessRule.id).where(own).limit(1)) is None:
        return
    changes.announce(session, changes.RULES, domain.name)
    of_mailboxes = select(Mailbox.folded + f"@{domain.name}").join(AccessRule, AccessRule.mailbox_id == Mailbox.id)
    changes.announce_each(session, changes.RULES, of_mailboxes.where(own).distinct())
    session.execute(delete(AccessRule).where(own))


def remove_recipients(session: Session, domain: Domain) -> None:
    """Remove the list of a relayed *domain*."""
    if domain.kind != "relay":
        return
    own = RelayRecipient.domain_id == domain.id
    changes.announce_each(session, changes.ADDRESS, select(RelayRecipient.folded + f"@{domain.name}").where(own))
    session.execute(delete(RelayRecipient).where(own))


def remove_accounts(session: Session, domain: Domain) -> None:
    """Remove who may manage *domain* alone."""
    for account in session.scalars(select(Account).where(Account.domain_id == domain.id)).all():
        changes.announce(session, changes.ACCOUNT, account.name)
        session.delete(account)
    session.flush()
