"""What proves that a server is the one that mail is for: DANE (RFC 7672), MTA-STS (RFC 8461), an operator's demand. No sockets.

dane         TLSA records, and whether a certificate is one that they speak of
sts          policies: the TXT record, the text, which MX they allow
names        is this certificate for that name?
wildcards    names with a star
demands      what is wanted of the next connection, from all of the above; and which hosts are not to be used at all
handshake    the TLS contexts, and the judgement of a handshake that was made
reporting    what RFC 8460 calls the results, counted

A reader would otherwise get wrong: none of it makes mail private by itself. Without a demand every handshake will do, and
no handshake too (RFC 7435); these modules only say when that is not so.

Standards: RFC 6698, 7671 and 7672 (DANE), RFC 8461 (MTA-STS), RFC 8689 (REQUIRETLS), RFC 8460 (TLS-RPT), RFC 9525 (names).
"""
