"""The spool: which files a message is, what is in them, and which combinations may exist. ARCHITECTURE.md has the table."""
