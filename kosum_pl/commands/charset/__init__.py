"""The command `charset`."""
