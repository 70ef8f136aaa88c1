"""Train compared with other rows: features, divergences, the words for them, plots."""
