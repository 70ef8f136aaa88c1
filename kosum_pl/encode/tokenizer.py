"""A tokenizer, loaded and put in order once.

In: a local folder, `demo:NAME` or a hub id. Out: the tokenizer and one line for each thing that was changed. What is
changed is the least that generation needs: a pad token where there is none, and no clean-up of spaces. The padding
side stays as it is, because the collator pads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kosum_pl.lookup import resolve_path

# Names under which vocabularies keep a token for padding, the plainest first.
_PAD_TOKENS: Final = (
    *("<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]"),
    *("<PAD>", "<|padding|>", "<|pad_token|>", "<|endoftext|>"),
)


def load_tokenizer(
    model_name: str, *, gguf_file: str | None = None, trust_remote_code: bool = False
) -> tuple[Any, list[str]]:
    """A tokenizer that has a pad token and does not clean up spaces, and one line for each thing that was changed.

    Args:
        model_name: A local folder, `demo:NAME`, or a hub id `owner/name`.
        gguf_file: Name of a GGUF file in that folder or repository, which has the tokenizer.
        trust_remote_code: Whether code that comes with the model may run.

    Raises:
        ValueError: No tokenizer could be loaded from there.
    """
    source = resolve_path(model_name)
    _check_source(model_name, source)
    if gguf_file is not None and Path(source).is_dir() and not (Path(source) / gguf_file).is_file():
        there = ", ".join(sorted(path.name for path in Path(source).glob("*.gguf"))) or "there is none"
        raise ValueError(f"model.gguf_file is '{gguf_file}', and no such file is in {source} (GGUF files: {there})")
    from transformers import AutoTokenizer  # 2 s: wait until a tokenizer is wanted

    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code, **options)
    except Exception as error:  # a hub client, parsers and remote code may raise anything
        lines = str(error).strip().splitlines()
        raise _load_error(model_name, lines[0].rstrip(" .:;") if lines else type(error).__name__) from error
    notes = [_choose_pad_token(tokenizer)] if tokenizer.pad_token_id is None else []
    if getattr(tokenizer, "clean_up_tokenization_spaces", False):
        notes.append("tokenizer: clean_up_tokenization_spaces switched off, it would damage tags such as '#Person1#'")
    tokenizer.clean_up_tokenization_spaces = False
    return tokenizer, notes


def add_new_tokens(tokenizer: Any, tokens: Sequence[str]) -> dict[int, list[int]]:
    """Make strings such as `#Person1#` tokens of their own; what is a token already stays as it is.

    Returns:
        Id of every token, in order, to the ids that spelt it before; none for what was a token already.

    Raises:
        ValueError: A token is empty, has space around it, or is given twice.
    """
    from transformers import AddedToken

    for token in tokens:
        if not token or token != token.strip() or list(tokens).count(token) > 1:
            raise ValueError(f"model.new_tokens holds {token!r}; give every token once, without space around it")
    known = tokenizer.get_vocab()
    # Spelt before any is added: one may be part of another.
    pieces = [[] if token in known else tokenizer(token, add_special_tokens=False)["input_ids"] for token in tokens]
    # Not special: `skip_special_tokens` would take them out of a summary.
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens if token not in known])
    return dict(zip(tokenizer.convert_tokens_to_ids(list(tokens)), pieces, strict=True))


def _check_source(model_name: str, source: str) -> None:
    """Answer a misspelt path at once; a hub client would first try the network for a while."""
    is_path = model_name.startswith(("/", ".", "~", "demo:"))
    if is_path and not Path(source).exists():
        raise _load_error(model_name, "no such folder")
    if not model_name:
        raise _load_error(model_name, "the name is empty")
    if Path(source).is_file():
        raise _load_error(model_name, "a file, not a folder")


def _load_error(model_name: str, reason: str) -> ValueError:
    is_offline = os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "ON", "YES")
    offline = " (HF_HUB_OFFLINE is set: only what is cached can be used)" if is_offline else ""
    return ValueError(
        f"tokenizer '{model_name}' cannot be loaded: {reason}; set model.model_name to a local folder with "
        f"tokenizer files or to a hub id `owner/name` that is cached or reachable{offline}"
    )


def _choose_pad_token(tokenizer: Any) -> str:
    """Make a token that exists already the pad token; the vocabulary, and so the model, keeps its size."""
    vocabulary = tokenizer.get_vocab()
    candidates = [*_PAD_TOKENS, tokenizer.unk_token, tokenizer.eos_token]
    token = next((token for token in candidates if token is not None and token in vocabulary), None)
    if token is None:
        raise ValueError(
            f"tokenizer '{tokenizer.name_or_path}' has no pad, unknown or eos token; "
            "set pad_token in its tokenizer_config.json"
        )
    tokenizer.pad_token = token
    return f"tokenizer: no pad token, '{token}' (id {tokenizer.pad_token_id}) pads; masks go by length"
