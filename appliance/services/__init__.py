"""What one may do, and its rules: a file per noun.

A reader would otherwise get wrong: a service never commits, never hashes a password (17 ms would be spent holding the write
lock) and never tells an actor of what is not his. Every change writes its audit entry and its change entries into the
caller's transaction.
"""
