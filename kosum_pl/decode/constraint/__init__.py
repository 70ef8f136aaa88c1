"""What may be generated, as an automaton over bytes, and the kinds of constraint built on it.

The package imports nothing, so that settings are checked without torch.
"""
