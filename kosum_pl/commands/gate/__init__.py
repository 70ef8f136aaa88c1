"""The command `gate`."""
