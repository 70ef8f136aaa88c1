"""The embedded default: a corpus of Korean dialogues, a tokenizer and tiny models, all made here from a seed.

In: the situations of `situations/`. Out: `files/`, which configs name as `demo:train.csv`, `demo:bart` and so on.
A share of the training references says foreign words on purpose (`foreign.py`), and so does a model trained on them.
"""
