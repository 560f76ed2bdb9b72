"""remote - speaks SMTP (or LMTP) to the hosts of one destination: one process a destination, under a uid of its own.

Serves     remotespawn: Transmit with the content's descriptor, and its recipients -> a Sent for each, then SendDone
Asks       resolver, over a channel that remotespawn hands it: MX, A, AAAA
Holds      for the length of a transaction the content of messages for this destination, to read; of a route its password.
           No file, no key, no other message, no way to be called
Believes   the hosts nothing but what becomes of the recipients that they were told of. Whatever they say is bounded, and each
           wait for them too; of remotespawn everything
Fails      ended or killed: remotespawn answers what it had in hand as delayed. The resolver away: delayed, 4.4.3
Standards  RFC 5321, 1870, 2033, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 7504, 7505, 8689

Not started by itself: the nursery of remotespawn forks it.
"""
