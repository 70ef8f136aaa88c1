"""The only place where text becomes tokens.

In: `Dialogue` rows, a tokenizer and a prompt. Out: `EncodedExample` rows and, of several of them, a padded `Batch`.
One encoder object serves fit, validate, test and predict, so that no prompt at inference can differ from training.
"""

from kosum_pl.encode.collate import Batch, CollateItem, Collator
from kosum_pl.encode.example import CausalEncoder, Encoder, Seq2SeqEncoder, summary_ids
from kosum_pl.encode.limits import TokenLimits
from kosum_pl.encode.prompt import ChatPrompt, ChatRenderer, SourcePrompt
from kosum_pl.encode.text import TextTokenizer
from kosum_pl.encode.tokenizer import add_new_tokens, load_tokenizer

__all__ = [
    "Batch",
    "CausalEncoder",
    "ChatPrompt",
    "ChatRenderer",
    "CollateItem",
    "Collator",
    "Encoder",
    "Seq2SeqEncoder",
    "SourcePrompt",
    "TextTokenizer",
    "TokenLimits",
    "add_new_tokens",
    "load_tokenizer",
    "summary_ids",
]
