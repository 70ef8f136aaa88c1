"""The command `summarize`."""
