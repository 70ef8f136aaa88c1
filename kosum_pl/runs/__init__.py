"""The run directory: its folders, its files, its history, and the recorder that writes it.

The package imports nothing heavy.
"""
