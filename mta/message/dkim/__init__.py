"""DKIM: what is hashed (`canonical`), what a signature says (`tags`, `signature`), making one and checking one.

A reader would otherwise get wrong: a signature is over *canonical* octets, so the role that canonicalises decides what is
signed. That is why header and body take different ways: the submitter hashes the body, which may be fifty megabytes of
anything, and the signer hashes the header itself, where the author stands.

Only `signing` and `verifying` need the library of keys; who merely hashes imports `canonical`.

Standards  RFC 6376, RFC 8301 (no SHA-1, no short keys), RFC 8463 (Ed25519)
"""
