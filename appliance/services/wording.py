"""Records of the snapshot and messages between roles in words, for `explain`."""

from mta.snapshot.records import (
    LOGGING_IN,
    RECEIVING,
    SENDING_OUT,
    Alias,
    Domain,
    Mailbox,
    Pattern,
    Record,
    Rules,
    Tenant,
)
from mta.wire import messages as m


def of_record(record: Record) -> str:  # noqa: PLR0911 - one for each kind
    """What *record* says of whoever it is about."""
    match record:
        case Mailbox(_, store, quota, _, keep_copy, targets):
            some = " what meets its conditions" if record.conditions is not None else ""
            forwarding = (
                f", forwards{some} to {_list(targets)}{', keeps a copy' if keep_copy else ''}" if targets else ""
            )
            return f"mailbox {text(store)}, quota {quota or 'none'}{_suspended(record)}{forwarding}"
        case Alias(targets, open_to, listed):
            kept = f", open to {text(open_to)} alone {_list(listed)}".rstrip() if open_to else ""
            return f"alias for {_list(targets) or 'nobody at the moment'}{kept}"
        case Pattern(mailbox):
            return f"all that begins so, and nobody holds, is of {text(mailbox)}"
        case Domain() if record.alias_of:
            return f"another name of {text(record.alias_of)}{_suspended(record)}"
        case Domain():
            kind = f"relayed to {text(record.next_hop)}" if record.next_hop else "hosted"
            catch_all = f", catch-all {text(record.catch_all)}" if record.catch_all else ""
            signed = ", return paths are signed" if record.batv else ""
            inside = f", mail stays inside ({text(record.local_only)})" if record.local_only else ""
            return f"{kind}, validation {text(record.validation)}{catch_all}{signed}{inside}{_suspended(record)}"
        case Tenant():
            state = _suspended(record).removeprefix(", ") or "active"
            return state if record.forwards_outside else f"{state}, forwards nothing to other hosts"
        case Rules(entries):
            return "; ".join(
                f"{text(verb)} {text(pattern)}" for verb, pattern in zip(entries[::2], entries[1::2], strict=True)
            )
        case _:
            return type(record).__name__.lower()


def of_answer(question: m.Message, answer: m.Message) -> tuple[str, str]:
    """What one role asked another, and what came back."""
    match question, answer:
        case m.UsageOf(_, mailbox), m.Usage(_, stored, reserved):
            return f"usage of {text(mailbox)}", f"{stored} octets stored, {reserved} on their way"
        case m.Exists(_, address), m.Existence(_, word, seconds):
            return f"source of {text(address)}", f"{text(word)}, for {seconds} seconds"
        case m.Grey(), m.Greyed(_, wait_seconds):
            return "greylist", f"wait {wait_seconds} seconds" if wait_seconds else "passes"
        case m.PathOf(_, token), m.KeptPath(_, path):
            return f"whose return path {text(token)} is", text(path) or "nobody's"
        case m.LookUp(_, name, kind), m.Found(_, outcome, _, records):
            return f"DNS {text(kind)} of {text(name)}", f"{text(outcome)} {_list(records)}".strip()
        case _:
            return type(question).__name__, type(answer).__name__


def in_brackets(detail: bytes) -> str:
    """What stands behind a verdict when there is something to say."""
    return f" ({text(detail)})" if detail else ""


def text(value: bytes | str | int) -> str:
    """*value* as one can read it, whatever its octets are."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _suspended(record: Mailbox | Domain | Tenant) -> str:
    if record.suspended or not record.stops:
        return ", suspended" if record.suspended else ""
    words = {RECEIVING: "receiving", SENDING_OUT: "sending", LOGGING_IN: "logging in"}
    return ", suspended: " + ", ".join(word for bit, word in words.items() if record.stops & bit)


def _list(parts: tuple[bytes, ...]) -> str:
    return " ".join(map(text, parts))
