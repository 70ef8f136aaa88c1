"""Train held against other rows: features, divergences, the words for them, plots."""
