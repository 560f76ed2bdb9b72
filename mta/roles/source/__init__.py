"""Does another server know this address? For domains that this host only relays for: LDAP, a call-ahead, an operator's hook.

Serves
    directory: `Exists`, answered by accept, unknown, full or try-later. What was found out is believed for a while; several
    questions about one address at the same time are one question outside.

Holds
    The snapshot of sources, read-only: where to ask, and for LDAP with which name and password. Connections to those
    places, and to operators' sockets below `hooks/`. No key, no mail; of addresses those that were asked about of late.

Believes
    The snapshot. The resolver about names. Of what the places outside answer only the one word about the one address.

Fails
    Towards try-later: a place that is away, slow or talks nonsense is no reason to refuse anybody. It parses what strangers
    send, so it is trusted by nobody beyond its word: taken over, it could say yes or no wrongly about relayed domains, and
    reach what this machine can reach over TCP. When it ends, directory says 451 until there is a new one.

Standards
    RFC 4511 (LDAP) and 4515 (filters); RFC 5321 4.1.1.3 and 4.5.3.2 for the call-ahead, RFC 3463 for what its replies mean.
"""
