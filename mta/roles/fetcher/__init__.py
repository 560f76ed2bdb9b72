"""fetcher - speaks HTTPS with strangers' web servers, so that nobody has to who has mail, keys or the database in hand.

Serves     remotes: the MTA-STS policy of one domain (`Fetch`), from memory where it still holds;
           compiler: an event to be told to the web server of whoever asked for it (`Post`), signed already
Holds      connections to port 443, and to the places that `outbound.webhook_hosts` lists; policies, in memory and in the one
           file that was opened for it before; it cannot name a file. No key, no mail
Believes   resolver for addresses and for the record that announces a policy; a web server when an authority of this machine
           stands behind its certificate for exactly that name
Fails      nobody answers, the certificate does not hold, the text is no policy: the one known before, as long as it holds,
           else none, and why. Nobody hears an event: the status is 0, and compiler tries again. Taken over, it can take a
           domain's demand for TLS away, keep its mail waiting, read events and keep them back, but not make one up; and it
           can call those ports of any host, where the kernel can tell ports apart
Standards  RFC 8461 (MTA-STS), RFC 9110 and 9112 (HTTP), RFC 8460 4.3.2.1 (the words for what went wrong)

A policy that was known when the process ended is known when it begins again: two seconds after it was fetched it stands in
the file. A domain that nothing was ever sent to has none yet, and an attacker between us and it could hide that it has one.
"""
