"""One process is one folder. Its `__init__` is the manual, `__main__` the wiring, and the modules beside them its judgement.

No role imports another: what two need stands in a library beside this package. The roster says which roles exist.
"""
