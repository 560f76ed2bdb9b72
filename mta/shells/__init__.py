"""What holds conversations around the core of `mta.smtp`: a client's socket, the peers, the clock. Shared by the roles that do.

A reader would otherwise get wrong: two kinds of shell, two kinds of role, and they cross. *worker* (`serving`, `worker`,
`session`, `peers`) has many conversations on an event loop; *connection* (`spawning`, `spawner`, `cell`, `rehearsal`) forks a
process for each. Port 25 (smtpd, smtpdspawn) and submission (submissiond, submissionspawn) use the same code and share
nothing else: no process, no uid, no channel. Which peers a shell has follows from the role's edges in the roster.
"""
