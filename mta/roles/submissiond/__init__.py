"""submissiond - one SMTP conversation with each of many users who send mail (RFC 6409), and nothing else.

Serves     listener: takes the sockets of ports 587 and 465, each with the session's id and token; says when a conversation ended
Holds      those sockets, a channel to authenticator, one to directory, one to who takes charge of messages, one to tls, one to
           journal; for a moment the password that its user types. No files, no network, no keys. It shares no process, no
           uid and no channel with smtpd: whoever takes over a process that strangers talk to meets no user's password
Believes   nothing a client says. Authenticator's word on who it is and from which addresses it may write, directory's on
           recipients; the proofs that come with them go along with each question and message, and whoever has to believe
           this process checks them
Fails      a peer that is away or silent: 454 4.7.0 at AUTH, 451 4.3.0 elsewhere, never a yes of its own. tls away: port 587
           says 530, port 465 hangs up. An error of ours in one conversation: 451 4.3.0 with a line in the journal, and that
           conversation ends. The supervisor gone: ends
Standards  RFC 6409 (submission), RFC 8314 (implicit TLS), RFC 4954 (AUTH), RFC 4616 (PLAIN), RFC 5802 and 7677
           (SCRAM-SHA-256), and those of smtpd

The shell and the core are smtpd's (`mta.shells`, `mta.smtp.server`); AUTH is `mta.smtp.auth`. Taken over, this process learns
the passwords of those who log in at it from then on, and can send as them while their log-ins hold; it cannot log in as
anybody else, nor make up that somebody did.
"""
