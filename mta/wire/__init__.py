"""How roles speak: one packet, one message, netstring fields, nothing to parse twice."""
