"""tlsspawn - forks a cell for each TLS handshake: a process with a uid of its own that ends with its client.

Serves     smtpdspawn's and submissionspawn's cells: takes a client's socket, and leaves the answer to the cell it forks
Holds      for a moment each client's socket; the right to become a uid of the TLS cells' range, and no other; channels to tls
           and journal, over which it only introduces its cells. No key, no file, no network
Believes   tls about whether there is a certificate. Cells tell it nothing, and it reads nothing that a stranger wrote
Fails      no process, no uid, or tls away: the handshake does not come about, the client is hung up on, its smtpd told.
           Stopped or killed: its cells end when their conversations do
Standards  in the cells what tls has

Exists with `smtpd.isolation = "connection"`. Then role tls speaks with no stranger at all: it only keeps the keys and gives each
cell the one that its client's SNI asks for. What a cell is stands in `mta.roles.tls.cell`. Taken over, it has one client's octets
and one certificate's key; it can ask for no second one.
"""
