"""resolver - asks name servers, so that nobody else has to read what they answer.

Serves     directory, source, fetcher, reporter, remotes and web: names looked up, each answered within two seconds, from
           memory where that may be
Holds      the only sockets of the house that lead out: UDP and TCP to the servers of [dns], nothing to listen on; no files
Believes   nothing before it matched the question: source, id, name down to its capitals. That an answer is `secure` only
           from a server on loopback
Fails      no server answers in time, too many questions at once, or more of one remote than its share: `failed`, and
           whoever asked decides what that means
Standards  RFC 1035 (DNS), RFC 2308 (negative answers), RFC 5452 (forged answers), RFC 6840 5.7 and 5.8 (the AD flag),
           RFC 6891 (EDNS), RFC 7766 (TCP), RFC 9520 (failures are remembered)

It follows no delegations and validates no signatures: that is a recursive server's work, best one on loopback. Taken over, it
can lie about names, which costs at most a delayed or refused message, and can send datagrams out; TCP leads, where
the kernel can tell, to the servers' port only. It sees names, never mail.
"""
