"""tls - terminates TLS for the roles that speak with strangers, and is the only one that ever holds a certificate's key.

Serves     smtpd (and its cells): takes a client's socket at STARTTLS, makes the handshake, and answers with the end of a
           socket pair; from then on it carries plaintext to and fro until one of the two sides ends
Holds      the private keys of all certificates, opened with keys/tls.key, which it read while it was root; the clients'
           sockets; the snapshot's folder of certificates, read-only. At most some records of each conversation at a time
Believes   the snapshot, which the compiler wrote. Of a client nothing; of smtpd that this socket is a client's
Fails      a handshake that fails or takes too long: the client is hung up on, smtpd told. No certificate: STARTTLS is not
           offered. When it ends, the conversations under TLS end with it; those that ask meanwhile hear 454 and may go on
           in the clear
Standards  RFC 8446 and 5246 (TLS 1.3, 1.2), RFC 8996 (nothing older), RFC 6066 3 (SNI), RFC 3207 (STARTTLS)

The snapshot holds each key sealed to this role; who steals the database, the snapshot or a backup has none of them. Whoever
takes this process over has the keys and reads what its conversations say; it has no file to write, nobody to connect to, and
what it makes up is still only what some client could have said: directory and enqueuer believe it no more than any.
"""
