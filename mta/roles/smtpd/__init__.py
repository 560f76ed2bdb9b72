"""smtpd - one SMTP conversation with each of many strangers (RFC 5321), and nothing else.

Serves     listener: takes clients' sockets, each with the session's id and token; says when a conversation ended
Holds      those sockets, a channel to directory, one to enqueuer, one to journal; no files, no network, no keys, nothing
           that outlives a message. Several of these processes run; each holds many conversations
Believes   nothing a client says. Directory's word on recipients and enqueuer's word on messages, as they come
Fails      a peer that is away or silent: 451 4.3.0, never a 250 or 550 of its own. An error of ours in one conversation:
           451 4.3.0 with a line in the journal, and that conversation ends. The supervisor gone: ends
Standards  RFC 5321 (SMTP), RFC 1870 (SIZE), RFC 2034 and 3463 (status codes), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING),
           RFC 3207 (STARTTLS), RFC 3461 (DSN), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 8689 (REQUIRETLS), RFC 9422 (LIMITS)

All judgement is in `mta.smtp.server`, which does no I/O. `mta.shells.session` carries it out for one client, `mta.shells.peers`
speaks with the other roles on asyncio's loop; submissiond has the same code and nothing else in common with us. Taken over, this
process can offer messages that it makes up to recipients it was told yes for, as the clients it has, and no others: directory and
enqueuer check the listener's token with each question.
"""
