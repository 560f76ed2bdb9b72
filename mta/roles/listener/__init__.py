"""listener - accepts connections, judges and counts the clients, and hands each socket to an smtpd.

Serves     the Internet, one system call at a time; nobody inside asks it anything
Holds      the listening sockets, the sockets of those who wait, and the session key: what it says about a client's address
           is believed
Believes   the kernel about addresses, and the PROXY header of a load balancer in smtpd.proxy_clients; an smtpd only about its
           own conversations being finished
Fails      too many connections: 421 and a closed door, never a queue of its own. No smtpd there: it stops accepting and
           the kernel keeps the callers. On anything else exits 111; conversations go on without it
Standards  RFC 5321 3.1, 3.8 and 4.2.3 (554, 421), RFC 3463 (4.7.0, 4.3.2, 5.5.1, 5.7.1), the PROXY protocol 1 and 2

`proxy` reads headers, `door` knows the rules, `counting` and `buckets` count, all without sockets; `foyer` is where clients wait.
A stranger that waits for its greeting costs a descriptor here and no smtpd; no stranger may hold more places than are left. Of
what a client says nothing is read but the PROXY header, octet for octet; that it speaks too early is seen without reading it.
"""
