"""submissionspawn - forks a cell for each user's conversation: a process with a uid of its own that ends with its client.

Serves     listener: takes the sockets of ports 587 and 465, each with the session's id and token; says when a cell was reaped
Holds      for a moment each client's socket and token; the right to become a uid of its own cells' range, and no other;
           channels to authenticator, directory, who takes charge of messages, tlsspawn and journal, over which it only
           introduces its cells. No files, no network, no keys; no password passes through it
Believes   the listener about who the client is. Cells tell it nothing, and it reads nothing that a client wrote
Fails      as smtpdspawn; on port 465, where nothing may be said in the clear, a client that gets no cell is hung up on
Standards  those of submissiond in its cells: the same core holds the conversation

Exists with `smtpd.isolation = "connection"`, instead of the submissionds, where a port for users is listened on. A cell that is
taken over has the password of the one user whom it serves, and its channels are bound to the one session.
"""
