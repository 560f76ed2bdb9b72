"""Numbered, reversible steps of the schema. One step, one file: versions/NNNN_what_it_does.py."""
