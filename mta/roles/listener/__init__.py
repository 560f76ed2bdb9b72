"""listener - accepts connections, counts the clients, and hands each socket to an smtpd.

Serves    the Internet, one system call at a time; nobody inside asks it anything
Holds     the listening sockets, and the session key: what it says about a client's address is believed
Believes  the kernel about addresses; an smtpd only about its own conversations being finished
Fails     too many connections: 421 and a closed door, never a queue of its own. No smtpd there: it stops accepting and
          the kernel keeps the callers. On anything else exits 111; conversations go on without it

Standards: RFC 5321 3.8 and 4.2.3 (421), RFC 3463 (4.7.0, 4.3.2).
"""
