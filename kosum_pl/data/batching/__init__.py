"""Lengths → batches of row numbers, for training and for evaluation."""
