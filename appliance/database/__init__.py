"""The database: how it is opened, and the one place where a transaction begins and ends.

A reader would otherwise get wrong: opening never *makes* a database. An appliance whose database went missing must notice,
not go on with an empty one; only `postern init` and `postern migrate` create.
"""
