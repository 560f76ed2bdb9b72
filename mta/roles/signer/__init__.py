"""signer - signs users' mail (DKIM), and is the only one that ever holds a key to do it with.

Serves     submitter: Sign, bouncer: SignReply -> Signed
           reporter: SignReport -> Signed, where the one author is the address of `outbound.tls_reports`
Holds      the private keys of all domains, opened with keys/signer.key, which it read while it was root; the ticket key, to
           check with; the snapshot's folder of signing keys, read-only
Believes   the authenticator's sender ticket: this mailbox, logged in in this session, may write as this address until then.
           Of the submitter nothing: it hashes the header itself, and looks there that the one author is the ticket's address.
           The body is the submitter's word: its hash is signed as it comes. The directory's ticket for what a mailbox
           answers by itself covers the body's hash, too: of the bouncer's own words only the header is signed
Fails      no key for the domain: `none`, and the message goes unsigned. A ticket that does not hold, or another author:
           `refused`, with a line in the journal. Nonsense hangs up
Standards  RFC 6376 (relaxed/relaxed), RFC 8301 (rsa-sha256), RFC 8463 (ed25519-sha256: each message is signed with both)

Whoever takes submitter over can have signed what the user whose log-in passes there could have sent at that moment, in his
name and in nobody else's. Whoever takes this process over has the keys of all domains: it parses a header section of at most
60 KiB and nothing else, and has nobody to send it to.
"""
