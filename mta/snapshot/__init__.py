"""What the transfer agent knows of domains, mailboxes, aliases and keys: constant generations and what changed since.

A reader would otherwise get wrong: the *reader* owns the format. What a writer of a later version left is refused by
readers, which go on with what they have; a reader of a later version reads the older one.
"""
