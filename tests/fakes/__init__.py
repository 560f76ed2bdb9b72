"""Peers that speak the real language over real channels, and do what an address tells them.

A reader would otherwise get wrong: the proofs are real. The fake directory makes tickets, the fake listener session tokens,
and the fake enqueuer refuses what does not carry both, as the real one does. So a program that forgets to pass one on
fails here.
"""
