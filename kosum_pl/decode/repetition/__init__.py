"""Rules on repetition within what was generated: bans on n-grams of words or tokens, and the penalty."""
