"""The demo's byte-level BPE tokenizer, in a BART and a chat dress.

In: texts to learn merges from. Out: fast tokenizers that `AutoTokenizer.from_pretrained` loads from a folder.

No merge joins a given name with what follows it, so a model that copies `민준` need not know `민준이`, `민준은` and
`민준아` as three words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kosum_pl.decode import DEFAULT_LITERALS
from kosum_pl.demo.values import GIVEN_NAMES, SURNAMES, TITLES

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

VOCAB_SIZE: Final = 2500
MAX_POSITIONS: Final = 512
BOS, PAD, EOS, END_OF_TURN = "<s>", "<pad>", "</s>", "<|end|>"
SPECIAL_TOKENS: Final = (BOS, PAD, EOS, END_OF_TURN, "<|system|>", "<|user|>", "<|assistant|>")
# One token each but not special: `skip_special_tokens` must not remove them from a summary.
TAGS: Final = DEFAULT_LITERALS

_CHAT_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_PIECES: Final = r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]|\s+(?!\S)|\s+"
"""Words, numbers of at most two digits, single marks, spaces: `25만` is a number and a word."""
_TAG: Final = re.compile("|".join(TAGS))
_NAME: Final = re.compile("|".join((*GIVEN_NAMES, *TITLES)))
_MAX_TOKEN_LENGTH: Final = 11  # bytes: a space and three syllables (the trainer's limit is exclusive)
_NAME_WEIGHT: Final = 300
_SYLLABLE_WEIGHT: Final = 3000


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A byte-level BPE tokenizer of `VOCAB_SIZE` tokens, tags and special ones included, which any text survives."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(TAGS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=_MAX_TOKEN_LENGTH,
        show_progress=False,
    )
    # Tags become tokens of their own, so no merge is to be spent on their letters; nor on a name and its particle.
    plain = [_NAME.sub(r"\g<0>\n", _TAG.sub("", text)) for text in texts]
    names = [space + name for name in (*GIVEN_NAMES, *SURNAMES, *TITLES) for space in ("", " ")]
    # Whole syllables come before anything else, or tokens would begin in the middle of one.
    syllables = sorted({letter for text in plain for letter in text if "가" <= letter <= "힣"})
    tokenizer.train_from_iterator([*plain, *names * _NAME_WEIGHT, *syllables * _SYLLABLE_WEIGHT], trainer=trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return tokenizer


def _wrap(tokenizer: Tokenizer, **arguments: str) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        pad_token=PAD,
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        **arguments,
    )


def bart_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A copy of the tokenizer as BART wants it: `<s> text </s>`."""
    from tokenizers import Tokenizer, processors

    dressed = Tokenizer.from_str(tokenizer.to_str())
    tokens = [(token, dressed.token_to_id(token)) for token in (BOS, EOS)]
    dressed.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", pair=f"{BOS} $A {EOS} $B {EOS}", special_tokens=tokens
    )
    return _wrap(dressed, eos_token=EOS)


def chat_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer of a chat model: the template writes `<s>`, roles and `<|end|>`; nothing else is added."""
    wrapped = _wrap(tokenizer, eos_token=END_OF_TURN)
    wrapped.chat_template = _CHAT_TEMPLATE
    return wrapped
