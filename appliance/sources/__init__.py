"""Readers of what other programs hold, a file per program. Each has `read`, and tells `Holdings`.

A reader would otherwise get wrong: the files are whatever somebody has at hand. What is not understood becomes a note or one clear
refusal, and is never run, followed outside of what was named, or sent anywhere.
"""
