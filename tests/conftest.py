"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kosum_pl.lookup import resolve_path

pytest_plugins = ["tests.modules_fixtures"]

# Read when torch is imported: models of a few thousand weights are slower on several threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when the hub's client is imported: no test asks a hub.
os.environ["HF_HUB_OFFLINE"] = "1"

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with real rows and tokenizers; a test that needs it is skipped by name where there is none."""
    folder = Path(os.environ.get("KOSUM_SHARED_DIR", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set KOSUM_SHARED_DIR)")
    return folder


@pytest.fixture(autouse=True)
def _isolated_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own caches and runs."""
    monkeypatch.setenv("KOSUM_CACHE", str(tmp_path / "kosum-cache"))
    for name in ("KOSUM_DEBUG", "KOSUM_RUNS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def write_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Writes a BERT of random wide weights over single characters, which reads 40 tokens; returns its folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    characters = "가나다라마바사아자차카타파하비눈이온다를먹었고갔에서은의요했#Person12.,?"

    def write(*, num_layers: int = 3, max_tokens: int = 40, seed: int = 0) -> str:
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(characters)]
        tokenizer = Tokenizer(models.WordLevel({token: n for n, token in enumerate(tokens)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
        )
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
        shape = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.6}
        config = BertConfig(vocab_size=len(tokens), num_hidden_layers=num_layers, max_position_embeddings=64, **shape)
        folder = str(tmp_path_factory.mktemp("encoder"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_tokens, **special)
        fast.save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_encoder(write_encoder: Callable[..., str]) -> str:
    """Folder of one such encoder of 3 layers."""
    return write_encoder()


@pytest.fixture
def cut_demo(tmp_path: Path) -> Callable[[int, int], dict[str, str]]:
    """Writes the first rows of the demo's training and dev split; returns the data module's file arguments."""

    def cut(num_train: int, num_val: int) -> dict[str, str]:
        paths = {}
        for split, name, num_rows in (("train", "train.csv", num_train), ("val", "dev.csv", num_val)):
            with Path(resolve_path(f"demo:{name}")).open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[: num_rows + 1]
            path = tmp_path / name
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(rows)
            paths[f"{split}_file"] = str(path)
        return paths

    return cut
