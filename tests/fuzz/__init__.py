"""What strangers' octets are thrown at, by chance and by coverage.

    make fuzz [SECONDS=60] [TARGETS="conversation netstring"]

Each target is a function of octets in `targets`, which returns or fails; the octets that made one fail on the way are kept
in `corpus/<target>/`, and `test_targets.py` runs every file there with every `make test`. `test_conversation.py` is the
same idea with hypothesis: a state machine instead of octets.
"""
