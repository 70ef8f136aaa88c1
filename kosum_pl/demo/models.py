"""Tiny BART and Llama configurations for the demo.

In: a folder and the trained tokenizer. Out: `config.json`, `generation_config.json` and the tokenizer's files, as a
hub checkpoint has them, but no weights: models are built from the configuration with random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kosum_pl.demo.tokenizer import EOS, MAX_POSITIONS, bart_tokenizer, chat_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BartConfig, LlamaConfig, PreTrainedTokenizerFast

BART_WIDTH: Final = 128
LLAMA_WIDTH: Final = 128
_MAX_NEW_TOKENS: Final = 96


def bart_config(tokenizer: PreTrainedTokenizerFast) -> BartConfig:
    """About a million weights: two layers a side, embeddings shared by encoder, decoder and output.

    Args:
        tokenizer: Gives the size of the vocabulary and the special ids.
    """
    from transformers import BartConfig

    return BartConfig(
        architectures=["BartForConditionalGeneration"],
        vocab_size=len(tokenizer),
        d_model=BART_WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * BART_WIDTH,
        decoder_ffn_dim=2 * BART_WIDTH,
        max_position_embeddings=MAX_POSITIONS,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        # BART's 0.02 is for a width of 1,024; at this width it would stall the first epochs. Scaled up, a token's
        # embedding outweighs its position's, and copying names and amounts is learnt in half the steps.
        init_std=BART_WIDTH**-0.5,
        scale_embedding=True,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
        tie_word_embeddings=True,
    )


def llama_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Two thirds of a million weights: two layers, input and output embeddings tied.

    Args:
        tokenizer: Gives the size of the vocabulary and the special ids.
    """
    from transformers import LlamaConfig

    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=LLAMA_WIDTH,
        intermediate_size=2 * LLAMA_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=0.5 * LLAMA_WIDTH**-0.5,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )


def write_models(folder: Path, tokenizer: Tokenizer) -> None:
    """Write `bart/` and `llama/` into a folder that exists.

    Args:
        folder: Where the two folders are made.
        tokenizer: What `train_tokenizer` returns.
    """
    from transformers import GenerationConfig

    bart, llama = bart_tokenizer(tokenizer), chat_tokenizer(tokenizer)
    for name, wrapped, config in (("bart", bart, bart_config(bart)), ("llama", llama, llama_config(llama))):
        config.save_pretrained(folder / name)
        wrapped.save_pretrained(folder / name)
        generation = GenerationConfig(
            bos_token_id=wrapped.bos_token_id,
            pad_token_id=wrapped.pad_token_id,
            eos_token_id=wrapped.eos_token_id,
            max_new_tokens=_MAX_NEW_TOKENS,
        )
        if name == "bart":
            generation.decoder_start_token_id = config.decoder_start_token_id
        else:
            # A chat model may end its turn or the whole text.
            generation.eos_token_id = [wrapped.eos_token_id, wrapped.convert_tokens_to_ids(EOS)]
        generation.save_pretrained(folder / name)
