from __future__ import annotations

import json

import pytest

from kosum_pl.encode import load_tokenizer


@pytest.fixture
def saved(tiny, tmp_path):
    def save(tokenizer, **changes) -> str:
        tokenizer.save_pretrained(tmp_path)
        path = tmp_path / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))
        return str(tmp_path)

    return save


@pytest.mark.parametrize("cleans_up", [False, True])
def test_clean_up_alone_is_switched_off(tiny, saved, cleans_up: bool) -> None:
    folder = saved(tiny.chatml(), padding_side="left", clean_up_tokenization_spaces=cleans_up)
    tokenizer, notes = load_tokenizer(folder)
    assert [note.split(" switched")[0] for note in notes] == ["tokenizer: clean_up_tokenization_spaces"] * cleans_up
    assert (tokenizer.pad_token, tokenizer.padding_side) == ("<|endoftext|>", "left")  # as they came
    assert tokenizer.clean_up_tokenization_spaces is False


@pytest.mark.parametrize(
    ("added", "unknown", "expected"),
    [
        (["<|finetune_right_pad_id|>", "[PAD]"], None, "<|finetune_right_pad_id|>"),
        (["[PAD]"], None, "[PAD]"),
        (["<unk>"], "<unk>", "<unk>"),
        ([], None, "<|eot_id|>"),
    ],
)
def test_pad_token_is_one_that_exists(tiny, saved, added, unknown, expected) -> None:
    tokenizer = tiny.llama()
    tokenizer.add_tokens(added, special_tokens=True)
    size = len(tokenizer)
    loaded, notes = load_tokenizer(saved(tokenizer, pad_token=None, unk_token=unknown))
    assert loaded.pad_token == expected
    assert len(loaded) == size
    assert notes == [f"tokenizer: no pad token, '{expected}' (id {loaded.pad_token_id}) pads; masks go by length"]


def test_no_token_could_pad(tiny, saved) -> None:
    folder = saved(tiny.llama(), pad_token=None, eos_token=None)
    with pytest.raises(ValueError, match="has no pad, unknown or eos token; set pad_token"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/none/such", "no such folder"),
        ("demo:none", "no such folder"),
        ("", "the name is empty"),
        ("none-such/model", "couldn't"),
    ],
)
def test_cannot_be_loaded(monkeypatch, name: str, reason: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read from the environment at import
    with pytest.raises(ValueError, match=reason) as caught:
        load_tokenizer(name)
    message = str(caught.value)
    assert message.startswith(f"tokenizer '{name}' cannot be loaded: ")
    assert "a local folder" in message
    assert "hub id `owner/name`" in message
    assert "HF_HUB_OFFLINE is set" in message
    assert "\n" not in message


def test_folder_without_tokenizer(tmp_path) -> None:
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_tokenizer(str(tmp_path))
    path = tmp_path / "tokenizer.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="a file, not a folder"):
        load_tokenizer(str(path))


def test_options_are_handed_on(monkeypatch, tiny) -> None:
    import transformers

    seen = {}

    def load(source: str, **options):
        seen.update(options, source=source)
        return tiny.chatml()

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", load)
    load_tokenizer("owner/model", gguf_file="model.gguf", trust_remote_code=True)
    assert seen == {"source": "owner/model", "gguf_file": "model.gguf", "trust_remote_code": True}
    seen.clear()
    load_tokenizer("owner/model")
    assert seen == {"source": "owner/model", "trust_remote_code": False}
