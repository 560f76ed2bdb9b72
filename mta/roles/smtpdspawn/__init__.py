"""smtpdspawn - forks a cell for each conversation: a process with a uid of its own that ends with its client.

Serves     listener: takes clients' sockets, each with the session's id and token; says when a cell was reaped
Holds      for a moment each client's socket and token; the right to become a uid of the cells' range, and no other; channels
           to directory, enqueuer and journal, over which it only introduces its cells. No files, no network, no keys
Believes   the listener about who the client is. Cells tell it nothing, and it reads nothing that a stranger wrote
Fails      no process, no uid or too many conversations: 421. A peer that is away: cells begun meanwhile answer 451 4.3.0.
           Stopped or killed: cells finish what is in hand, say 421 and end. On anything else exits 111
Standards  RFC 5321 3.8 and 4.2.3 (421); in the cells what smtpd has: the same core holds the conversation

Exists with `smtpd.isolation = "connection"`, instead of the smtpds. A cell that is taken over has the one client, and can
offer messages in that one session's name to recipients it was told yes for: its channels are bound to the session at their
other ends. It shares no uid, no memory and no descriptor with any other conversation.
"""
