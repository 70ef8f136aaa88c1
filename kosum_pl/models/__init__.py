"""The model that is trained: its source, quantization, adapters and new tokens, built in one place."""
