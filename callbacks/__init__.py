"""Shipped Lightning callbacks, one a file; a file dropped in here, or into `./callbacks`, is found by its class name.

They import kosum_pl, it never imports them: `kosum_pl.plugins` loads this folder by its location.
"""
