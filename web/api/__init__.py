"""The REST API under /api/v1: JSON, one module per noun, its shapes beside it in schemas/.

A reader would otherwise get wrong: a cookie opens nothing here. Only a key in the Authorization header does, which no other
site can make a browser send, so there is nothing to forge and no form token.
"""
