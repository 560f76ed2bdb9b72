"""Is this the secret of that name?

Serves
    web: `Verify` with a scope (account, mailbox or key), a name and a secret; answered by right or wrong, nothing else.

Holds
    The credential snapshot, read-only, and the private key to which all password hashes are sealed: nobody else can read
    one, neither who writes the database nor who steals a backup. Wrong answers of late, by name.

Believes
    The snapshot, which the compiler wrote. Of web nothing: it may ask about any name, as anybody at a login page may.

Fails
    Closed: without a snapshot, a key or a readable record the answer is wrong, and the journal hears why. When it ends,
    web says that nobody can log in for the moment; mail flows.

Standards
    RFC 9106 (Argon2id); RFC 7748, 5869 and 8439 (the seal).
"""
