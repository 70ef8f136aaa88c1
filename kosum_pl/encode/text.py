"""Text to ids and back, with one rule for text that looks like structure.

In: plain text, or text in which `TextTokenizer.mark` has marked the control tokens that came with the data. Out: ids.
A dialogue may hold `<|im_end|>` or `</s>`; as an id of its own it would end the user's turn in the middle of the
data. Such strings are spelt out as text, everything else is tokenized in one go, as the tokenizer does it by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

_START: Final = "\U000f0000"
_END: Final = "\U000f0001"
_CONTROL_SHAPE: Final = re.compile(r"<.*\w.*>|\[.*\w.*\]|\{.*\w.*\}|\|.*\w.*\|", re.DOTALL)
_PROBE: Final = "가 나 다"


class TextTokenizer:
    """A tokenizer as the encoders use it: nothing added, nothing of the data taken for structure.

    A *control token* is an added token that shapes the input: BOS, EOS, and every special token (or added token that
    the chat `template` writes, such as `<think>`) of the form `<…>`, `[…]`, `{…}` or `|…|`. Tags (`#Person1#`) and
    emoticons are data even where a vocabulary calls them special. The tokenizer's state is neither relied on nor
    changed.
    """

    def __init__(self, tokenizer: Any, *, template: str = "") -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        control = {index: token for index, token in added if _is_control(token, tokenizer, template)}
        self.added_ids = frozenset(index for index, _ in added)
        self._control_ids = frozenset(control)
        self._skipped_ids = frozenset(index for index, token in control.items() if token.special)
        pattern = _any_of(token.content for token in control.values())
        self._control = re.compile(pattern)
        self._special = re.compile(_any_of(token.content for token in control.values() if token.special))
        self._first_characters = sorted({token.content[0] for token in control.values()})
        self._marked = re.compile(f"{_START}({pattern}){_END}|[{_START}{_END}]")
        self._plain: dict[str, list[int]] = {}
        backend = getattr(tokenizer, "backend_tokenizer", None)
        normalizer = getattr(backend, "normalizer", None)
        self._folds_width = normalizer is not None and "<" in normalizer.normalize_str("＜")
        without = self._slow_ids(_PROBE)
        self._has_backend = backend is not None and self._backend_ids(_PROBE) == without
        self.leading_ids, self.trailing_ids = _ends(tokenizer(_PROBE)["input_ids"], without)

    def mark(self, text: str, *, is_answer: bool = False) -> str:
        """Data with its control tokens marked, so that `ids` spells them out.

        Where the text is the assistant's (`is_answer`), who may well write `<think>`, only special tokens are marked.
        """
        control = self._special if is_answer else self._control
        if self._folds_width and not unicodedata.is_normalized("NFKC", text):
            # `＜/s＞` becomes `</s>` inside such a tokenizer, after we looked.
            folded = "".join(map(_fold_width, text))
            if len(control.findall(folded)) > len(control.findall(text)):
                text = folded
        if not any(first in text for first in self._first_characters):
            return text  # a tenth of the time that the search takes
        return control.sub(f"{_START}\\g<0>{_END}", text)

    def ids(self, text: str) -> list[int]:
        """Ids (T,) of a text whose control tokens count as such, except for marked ones; nothing is put around it."""
        if _START not in text and _END not in text:
            return self._ids(text)
        ids: list[int] = []
        for position, piece in enumerate(self._marked.split(text)):
            if piece:  # odd pieces are marked ones; None stands for a lone mark, from the data or a pair cut in two
                ids += self._plain_ids(piece) if position % 2 else self._ids(piece)
        return ids

    def completion_ids(
        self, summary: str, *, terminator_id: int, max_tokens: int, example_id: str
    ) -> tuple[list[int], int]:
        """Ids (U,) of a summary that is learnt, at most `max_tokens`, and how many of them were cut.

        A whole summary ends with the terminator. Behind a cut one nothing follows, and the terminator counts as cut: a
        model must not learn to stop in mid-sentence.
        """
        whole = [*self.ids(self.mark(summary.strip(), is_answer=True)), terminator_id]
        if 1 < len(whole) <= max_tokens:
            return whole, 0
        kept = whole[:-1][:max_tokens]
        # A byte-level token may end inside a syllable; a model must not learn to write half of one.
        while kept and self.decode(kept).endswith("\ufffd"):
            kept = kept[:-1]
        if not kept:
            raise ValueError(
                f"example '{example_id}': nothing is left of its summary to learn from; fill it in, or raise "
                f"data.max_summary_tokens={max_tokens}"
            )
        return kept, len(whole) - len(kept)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids: control tokens left out, tags and emoticons kept, spaces as they are, stripped."""
        kept = [index for index in map(int, ids) if index not in self._skipped_ids]
        text: str = self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text.strip()

    def fingerprint(self, parts: Sequence[Any]) -> str:
        """Hash (hex) of everything that decides ids: the tokenizer's content and JSON-like `parts`."""
        content = hashlib.sha256(_content(self.tokenizer).encode())
        rest = [sorted(self._control_ids), *parts]
        content.update(json.dumps(rest, ensure_ascii=False, sort_keys=True, default=str).encode())
        return content.hexdigest()

    def _ids(self, text: str) -> list[int]:
        return self._backend_ids(text) if self._has_backend else self._slow_ids(text)

    def _backend_ids(self, text: str) -> list[int]:
        backend = self.tokenizer.backend_tokenizer
        # A call of the tokenizer elsewhere leaves its settings behind in the backend.
        if backend.encode_special_tokens or backend.padding is not None or backend.truncation is not None:
            return self._slow_ids(text)
        # A batch of one: `encode` also computes offsets, for a third of the time.
        ids: list[int] = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids

    def _slow_ids(self, text: str, *, is_plain: bool = False) -> list[int]:
        encoding = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=is_plain, truncation=False, verbose=False
        )
        return list(encoding["input_ids"])

    def _plain_ids(self, control: str) -> list[int]:
        """Ids of a control token's text, spelt out."""
        if control not in self._plain:
            forbidden = self._control_ids - {self.tokenizer.unk_token_id}
            # Unigram vocabularies hold `</s>` as a piece like any other: cut it until no piece is a control token.
            for pieces in ([control], [control[0], control[1:]], list(control)):
                ids = [index for piece in pieces for index in self._spelt_ids(piece)]
                if forbidden.isdisjoint(ids):
                    break
            self._plain[control] = [index for index in ids if index not in forbidden]
        return self._plain[control]

    def _spelt_ids(self, text: str) -> list[int]:
        """Ids of a text in which no added token is looked for."""
        if not self._has_backend:
            return self._slow_ids(text, is_plain=True)
        # The backend's own pipeline; its switch (`encode_special_tokens`) would stay on and spares only special ones.
        backend = self.tokenizer.backend_tokenizer
        text = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
        splits = [(text, None)] if backend.pre_tokenizer is None else backend.pre_tokenizer.pre_tokenize_str(text)
        return [token.id for split, _ in splits for token in backend.model.tokenize(split)]


def _fold_width(character: str) -> str:
    """A fullwidth or small form as the ASCII it stands for; any other character as it is."""
    folded = unicodedata.normalize("NFKC", character)
    return folded if folded.isascii() else character


def _any_of(strings: Iterable[str]) -> str:
    """A pattern of these strings, the longest first, or one would be taken for another that it begins with."""
    return "|".join(map(re.escape, sorted(strings, key=len, reverse=True))) or "(?!)"


def _is_control(token: Any, tokenizer: Any, template: str) -> bool:
    content = str(token.content)
    if not content.strip():
        return False
    if content in (tokenizer.bos_token, tokenizer.eos_token, tokenizer.cls_token, tokenizer.sep_token):
        return True
    return is_control_shaped(content) and (bool(token.special) or content in template)


def is_control_shaped(content: str) -> bool:
    """Whether a token has the form of a control token: `<…>`, `[…]`, `{…}` or `|…|`.

    Example:
        >>> [is_control_shaped(token) for token in ("<think>", "[SEP]", "#Person1#", "^^")]
        [True, True, False, False]
    """
    return _CONTROL_SHAPE.fullmatch(content) is not None


def _ends(with_special: Sequence[int], without: Sequence[int]) -> tuple[list[int], list[int]]:
    """What the tokenizer's post-processor puts before and behind a text."""
    width = len(without)
    for start in range(len(with_special) - width + 1):
        if list(with_special[start : start + width]) == list(without):
            return list(with_special[:start]), list(with_special[start + width :])
    return [], []


def _content(tokenizer: Any) -> str:
    """The tokenizer as text, without the padding and truncation that a call may have left in it."""
    names = json.dumps({name: str(token) for name, token in tokenizer.special_tokens_map.items()}, sort_keys=True)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        added = {index: str(token) for index, token in tokenizer.added_tokens_decoder.items()}
        return names + json.dumps([sorted(tokenizer.get_vocab().items()), sorted(added.items())])
    text: str = backend.to_str()
    return names + text[max(text.find('"added_tokens":'), 0) :]
