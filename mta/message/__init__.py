"""Messages as bytes (RFC 5322, 3464): our own fields, the edges of a header section, notifications. Parses no more than that."""
