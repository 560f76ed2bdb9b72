"""Brings a host into being: folders with their owners and modes, keys, uids.

A reader would otherwise get wrong: this runs as root over folders that untrusted roles may write. So nothing here follows a
symlink that a role could have planted, and it runs before the roles do.
"""
