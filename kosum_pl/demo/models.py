"""Tiny BART and Llama configurations for the demo.

In: a folder and the trained tokenizer. Out: `config.json`, `generation_config.json` and the tokenizer's files, as a
hub checkpoint has them, but no weights: models are built from the configuration with random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kosum_pl.demo.tokenizer import EOS, MAX_POSITIONS, bart_tokenizer, chat_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BartConfig, LlamaConfig, PreTrainedTokenizerFast


_WIDTH: Final = 128
_MAX_NEW_TOKENS: Final = 96


def _shared(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }


def bart_config(tokenizer: PreTrainedTokenizerFast) -> BartConfig:
    """About a million weights: two layers a side, embeddings shared by encoder, decoder and output."""
    from transformers import BartConfig

    return BartConfig(
        **_shared(tokenizer),
        architectures=["BartForConditionalGeneration"],
        d_model=_WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * _WIDTH,
        decoder_ffn_dim=2 * _WIDTH,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        # BART's 0.02 is for a width of 1,024; at this width it would stall the first epochs. Scaled up, a token's
        # embedding outweighs its position's, and copying names and amounts is learnt in half the steps.
        init_std=_WIDTH**-0.5,
        scale_embedding=True,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
    )


def llama_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Two thirds of a million weights: two layers, input and output embeddings tied."""
    from transformers import LlamaConfig

    return LlamaConfig(
        **_shared(tokenizer),
        architectures=["LlamaForCausalLM"],
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=0.5 * _WIDTH**-0.5,
    )


def write_models(folder: Path, tokenizer: Tokenizer) -> None:
    """Write `bart/` and `llama/` of a trained tokenizer into a folder that exists."""
    from transformers import GenerationConfig

    bart, llama = bart_tokenizer(tokenizer), chat_tokenizer(tokenizer)
    # A chat model may end its turn or the whole text.
    ends = [llama.eos_token_id, llama.convert_tokens_to_ids(EOS)]
    for name, wrapped, config, generation in (
        (
            "bart",
            bart,
            bart_config(bart),
            {"eos_token_id": bart.eos_token_id, "decoder_start_token_id": bart.eos_token_id},
        ),
        ("llama", llama, llama_config(llama), {"eos_token_id": ends}),
    ):
        config.save_pretrained(folder / name)
        wrapped.save_pretrained(folder / name)
        ids = {"bos_token_id": wrapped.bos_token_id, "pad_token_id": wrapped.pad_token_id, **generation}
        GenerationConfig(max_new_tokens=_MAX_NEW_TOKENS, **ids).save_pretrained(folder / name)
