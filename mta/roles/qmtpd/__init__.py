"""qmtpd - mail from hosts that the administrator listed: over QMTP, over QMQP, and from this machine's own programs.

Serves    listener: Accepted, whose client is on the list of its service (or is a program on this machine) already
Asks      directory: Question -> Verdict; enqueuer: Offer, OfferRecipient, Content, Withdraw -> Taken or Declined
Holds     the connections, and whole messages: both protocols send the content before they say whose it is
Believes  nobody: the directory judges each recipient, and the enqueuer takes nothing without its ticket
Fails     directory or enqueuer away: Z, come back later. Killed: its clients have no answer and send again

Standards  QMTP and QMQP as their author described them in 1997; netstrings
"""
