"""Scores beyond words: BERTScore, sentence similarity, overlap, and the encoders that they need."""
