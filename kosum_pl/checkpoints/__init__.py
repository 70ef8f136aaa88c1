"""What a checkpoint, an export and a base are, and how weights are read from them.

The package imports nothing heavy: a wrong name is answered at once.
"""
