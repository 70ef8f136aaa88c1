"""Shipped Lightning callbacks, one a file, with their meters in folders beside them.

Python knows this folder as `kosum_pl.callbacks`; inside it imports are relative. Nothing in kosum_pl imports it:
`kosum_pl.cli.plugins` loads every file, so that a config may name a callback by its class alone. A callback of yours
goes into `callbacks/` of the folder you work in.
"""
