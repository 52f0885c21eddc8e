"""The page in the browser: what it is made of, a folder of it, a server for it, its recordings.

Its own sources are those of `web/`.
"""
