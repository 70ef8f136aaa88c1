"""The embedded default: a corpus of Korean dialogues, a tokenizer and tiny models, all made here from a seed.

In: the situations of `situations/`. Out: `files/`, which configs name as `demo:train.csv`, `demo:bart` and so on.
"""
