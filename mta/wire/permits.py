"""Which message may travel on which channel, as a table. What is not here is not understood: the receiver hangs up.

A reader would otherwise get wrong: permission belongs to the *channel* (who stands at its other end), not to the sender's
claims. A taken-over smtpd cannot send what only the bouncer may, because nobody reads that message from an smtpd.
"""

from mta.wire import messages as m

_Kinds = frozenset[type[m.Message]]

# (client, server): what the client may send, what the server may answer.
_TABLE: dict[tuple[str, str], tuple[_Kinds, _Kinds]] = {
    ("listener", "smtpd"): (frozenset({m.Accepted, m.Retired}), frozenset({m.Finished, m.Retire})),
    ("listener", "smtpdspawn"): (frozenset({m.Accepted}), frozenset({m.Finished})),
    ("listener", "submissionspawn"): (frozenset({m.Accepted}), frozenset({m.Finished})),
    ("submissionspawn", "authenticator"): (frozenset({m.Attach}), frozenset()),
    ("submissionspawn", "directory"): (frozenset({m.Attach}), frozenset()),
    ("submissionspawn", "submitter"): (frozenset({m.Attach}), frozenset()),
    ("submissionspawn", "tlsspawn"): (frozenset({m.Attach}), frozenset({m.Offering})),
    ("submissiond", "tlsspawn"): (frozenset({m.Secure}), frozenset({m.Secured, m.NotSecured})),
    ("listener", "submissiond"): (frozenset({m.Accepted, m.Retired}), frozenset({m.Finished, m.Retire})),
    ("listener", "qmtpd"): (frozenset({m.Accepted}), frozenset({m.Finished})),
    ("qmtpd", "directory"): (frozenset({m.Question}), frozenset({m.Verdict})),
    ("qmtpd", "enqueuer"): (
        frozenset({m.Offer, m.OfferRecipient, m.Content, m.Withdraw}),
        frozenset({m.Taken, m.Declined}),
    ),
    ("smtpdspawn", "directory"): (frozenset({m.Attach}), frozenset()),
    ("smtpdspawn", "enqueuer"): (frozenset({m.Attach}), frozenset()),
    ("smtpdspawn", "tlsspawn"): (frozenset({m.Attach}), frozenset({m.Offering})),
    ("smtpd", "tlsspawn"): (frozenset({m.Secure}), frozenset({m.Secured, m.NotSecured})),
    ("tlsspawn", "tls"): (frozenset({m.Attach}), frozenset({m.Offering})),
    ("tls", "tls"): (frozenset({m.KeyOf}), frozenset({m.Certified})),  # a cell of tlsspawn and the keeper of keys
    ("smtpd", "tls"): (frozenset({m.Secure}), frozenset({m.Secured, m.NotSecured, m.Offering})),
    ("submissiond", "tls"): (frozenset({m.Secure}), frozenset({m.Secured, m.NotSecured, m.Offering})),
    ("submissiond", "directory"): (frozenset({m.Question}), frozenset({m.Verdict})),
    ("smtpd", "directory"): (frozenset({m.Question}), frozenset({m.Verdict})),
    ("smtpd", "enqueuer"): (
        frozenset({m.Offer, m.OfferRecipient, m.Content, m.Withdraw}),
        frozenset({m.Taken, m.Declined}),
    ),
    ("submissiond", "submitter"): (
        frozenset({m.Offer, m.OfferRecipient, m.Content, m.Withdraw}),
        frozenset({m.Taken, m.Declined}),
    ),
    ("submitter", "enqueuer"): (
        frozenset({m.Offer, m.OfferRecipient, m.Content, m.Withdraw}),
        frozenset({m.Taken, m.Declined}),
    ),
    ("submitter", "signer"): (frozenset({m.Sign}), frozenset({m.Signed})),
    ("bouncer", "directory"): (frozenset({m.LanguageOf, m.ReplyOf}), frozenset({m.Language, m.ReplyWords})),
    ("directory", "bouncer"): (frozenset({m.Judge}), frozenset({m.Judged})),
    ("bouncer", "signer"): (frozenset({m.SignReply}), frozenset({m.Signed})),
    ("bouncer", "enqueuer"): (
        frozenset({m.OfferDsn, m.OfferNotice, m.OfferConsent, m.OfferReply, m.OriginalOf, m.Content, m.Withdraw}),
        frozenset({m.Taken, m.Declined, m.Original}),
    ),
    ("directory", "ledger"): (
        frozenset({m.UsageOf, m.Grey, m.Spend, m.Missed, m.KeepPath, m.PathOf, m.MayAnswer}),
        frozenset({m.Usage, m.Greyed, m.Spent, m.KeptPath, m.Answering}),
    ),
    ("ledger", "bouncer"): (frozenset({m.Notice}), frozenset({m.Noticed})),
    ("authenticator", "ledger"): (frozenset({m.Rehash, m.Shown}), frozenset()),
    ("source", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("directory", "source"): (frozenset({m.Exists}), frozenset({m.Existence})),
    ("directory", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("enqueuer", "ledger"): (frozenset({m.Reserve}), frozenset()),
    ("enqueuer", "scheduler"): (frozenset({m.Recovered, m.Queued}), frozenset()),
    ("scheduler", "directory"): (
        frozenset({m.Expand}),
        frozenset({m.Expansion, m.Outward, m.Unresolved}),
    ),
    ("scheduler", "ledger"): (frozenset({m.TargetFailed}), frozenset()),
    ("scheduler", "localspawn"): (frozenset({m.Deliver}), frozenset({m.Attempted})),
    ("scheduler", "bouncer"): (
        frozenset({m.Bounce, m.ReportedRecipient, m.Reply}),
        frozenset({m.Bounced, m.Replied}),
    ),
    ("scheduler", "cleaner"): (frozenset({m.Clean}), frozenset({m.Cleaned})),
    ("scheduler", "remotespawn"): (frozenset({m.Send, m.SendRecipient}), frozenset({m.Sent, m.SendWaits, m.SendDone})),
    ("remotespawn", "nursery"): (frozenset({m.Hatch}), frozenset({m.HatchEnded})),
    ("remotespawn", "remote"): (
        frozenset({m.Destination, m.Peer, m.Transmit, m.SendRecipient, m.Hurry}),
        frozenset({m.Sent, m.SendDone, m.TlsResults}),
    ),
    ("remotespawn", "reporter"): (frozenset({m.TlsSeen}), frozenset()),
    ("reporter", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("reporter", "fetcher"): (frozenset({m.Fetch}), frozenset({m.Fetched})),
    ("reporter", "signer"): (frozenset({m.SignReport}), frozenset({m.Signed})),
    ("reporter", "enqueuer"): (frozenset({m.OfferReport, m.Content}), frozenset({m.Taken, m.Declined})),
    ("remotespawn", "resolver"): (frozenset({m.Attach}), frozenset()),
    ("remote", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("remotespawn", "fetcher"): (frozenset({m.Attach}), frozenset()),
    ("remote", "fetcher"): (frozenset({m.Fetch}), frozenset({m.Fetched})),
    ("fetcher", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("web", "source"): (frozenset({m.Exists}), frozenset({m.Existence})),
    ("web", "resolver"): (frozenset({m.LookUp}), frozenset({m.Found})),
    ("localspawn", "local"): (frozenset({m.Write, m.Stage}), frozenset({m.Attempted, m.Staged})),
    ("localspawn", "storekeeper"): (
        frozenset({m.OpenStore}),
        frozenset({m.Store, m.StoreDone}),
    ),
    ("localspawn", "ledger"): (frozenset({m.Stored, m.Release}), frozenset()),
    ("compiler", "storekeeper"): (
        frozenset({m.MakeStore, m.TrashStore, m.KeepStore, m.RestoreStore, m.DropStore}),
        frozenset({m.StoreDone}),
    ),
    ("compiler", "ledger"): (frozenset({m.Outbox}), frozenset({m.Fact})),
    ("compiler", "fetcher"): (frozenset({m.Post}), frozenset({m.Posted})),
    ("compiler", "bouncer"): (frozenset({m.AskConsent}), frozenset({m.Noticed})),
    ("web", "authenticator"): (frozenset({m.Verify, m.CheckCode}), frozenset({m.Verified, m.CodeChecked})),
    ("submissiond", "authenticator"): (
        frozenset({m.LogIn, m.ScramBegin, m.ScramEnd, m.MayUse}),
        frozenset({m.LoggedIn, m.ScramChallenge, m.ScramDone, m.Using}),
    ),
    ("submitter", "authenticator"): (frozenset({m.MayUse}), frozenset({m.Using})),
    ("web", "scheduler"): (frozenset({m.QueueOrder}), frozenset({m.QueueTold})),
    ("web", "compiler"): (frozenset({m.Poke}), frozenset()),
}

# Who may introduce others, and whom: each of its cells gets a channel of its own, as a client of that kind.
INTRODUCES: dict[str, str] = {
    "smtpdspawn": "smtpd",
    "submissionspawn": "submissiond",
    "tlsspawn": "tls",
    "remotespawn": "remote",
}

FROM_SUPERVISOR: _Kinds = frozenset({m.Begin, m.Peer, m.ListeningSocket, m.Reload, m.Stop, m.QueueOrder, m.Standing})
TO_SUPERVISOR: _Kinds = frozenset({m.Ready, m.QueueTold})
WEB_TO_SUPERVISOR: _Kinds = frozenset({m.Ready, m.StandingOf, m.TryWalls})  # questions without a word in them
TEST_TO_SUPERVISOR: _Kinds = frozenset({m.Probed, m.Ready})
FROM_OPERATOR: _Kinds = frozenset({m.QueueOrder})  # at the supervisor's socket in run/
TO_OPERATOR: _Kinds = frozenset({m.QueueTold})


PAIRS = tuple(_TABLE)  # (client, server): who have anything to say to each other, the journal apart


def to_supervisor(role: str) -> _Kinds:
    """What the supervisor understands from *role*."""
    if role == "web":
        return WEB_TO_SUPERVISOR
    return TO_SUPERVISOR if role == "scheduler" else frozenset({m.Ready})


def readable_by_server(client: str, server: str) -> _Kinds:
    """What *server* understands from *client*.

    Raises:
        KeyError: the two have nothing to say to each other.
    """
    if server == "journal":
        return frozenset({m.Event, m.Attach}) if client in INTRODUCES else frozenset({m.Event})
    return _TABLE[client, server][0]


def readable_by_client(client: str, server: str) -> _Kinds:
    """What *client* understands from *server*.

    Raises:
        KeyError: the two have nothing to say to each other.
    """
    if server == "journal":
        return frozenset()
    return _TABLE[client, server][1]
