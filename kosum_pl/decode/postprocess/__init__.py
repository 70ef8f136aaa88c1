"""From what the model said to what the user gets, by named steps."""
