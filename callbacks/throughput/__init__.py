"""Tokens and rows a second: counted over batches and ranks, with time, memory and FLOPs."""
