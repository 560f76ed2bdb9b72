"""SMTP (RFC 5321) without sockets: octets in; replies, questions and events out.

A reader would otherwise get wrong: nothing in here waits, knows the time or does I/O, and `server` and what it imports
leave asyncio, ssl and email alone. So the same judgement runs in a worker with a thousand conversations and in a bare
process with one.
"""
