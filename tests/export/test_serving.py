from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from kosum_pl.data import Columns
from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.literals import foreign_places
from kosum_pl.encode import ChatPrompt, TokenLimits, load_tokenizer
from kosum_pl.export.folder import load_folder, write_folder
from kosum_pl.export.serving import golden_prompts, save_tokenizer, structured_outputs
from kosum_pl.inference import InferenceSettings
from kosum_pl.modules import CausalModule

SETTINGS = ConstraintSettings(characters="é]^", literals=("#Person1#", "a.b", "U-"))
PATTERN = re.compile(structured_outputs(SETTINGS)["structured_outputs"]["regex"])
ALPHABET = "가힣ㅋ 1\n#.-]^[\\é大aXbU\u200b"


@given(st.lists(st.sampled_from([*ALPHABET, "#Person1#", "a.b", "axb", "U-"]), min_size=1, max_size=8).map("".join))
def test_the_regex_allows_what_the_charset_and_the_literals_license(text: str) -> None:
    places = foreign_places(text, charset=SETTINGS.character_set, literals=SETTINGS.fixed_literals)
    assert (PATTERN.fullmatch(text) is not None) is (not places)


def test_the_exported_template_needs_no_arguments(tmp_path: Path) -> None:
    tokenizer, _ = load_tokenizer("demo:llama")
    thought = "{% if enable_thinking is defined and enable_thinking is false %}(생각 없음){% endif %}{{ language }}"
    (tmp_path / "own.jinja").write_text(f"{tokenizer.chat_template}{thought}", encoding="utf-8")
    prompt = ChatPrompt(
        template_file=str(tmp_path / "own.jinja"), template_args={"enable_thinking": False, "language": "'한국어' %}"}
    )
    module = CausalModule("demo:llama", prompt=prompt)
    save_tokenizer(module, tmp_path / "exported")
    exported = AutoTokenizer.from_pretrained(tmp_path / "exported")
    for golden in golden_prompts(module):
        turns, ids = golden["messages"], golden["prompt_ids"]
        assert exported.apply_chat_template(turns, add_generation_prompt=True, return_dict=False) == ids
        text = exported.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert text.endswith("(생각 없음)'한국어' %}")
        other = exported.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=True)
        assert "생각 없음" not in other


def test_a_template_file_without_a_system_turn_goes_with_the_folder(tmp_path: Path) -> None:
    tokenizer, _ = load_tokenizer("demo:llama")
    guard = "{% for turn in messages %}{% if turn.role == 'system' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
    (tmp_path / "own.jinja").write_text(f"{guard}{tokenizer.chat_template}")
    module = CausalModule(
        "demo:llama",
        random_init=True,
        config_overrides={"hidden_size": 32, "intermediate_size": 32},
        prompt=ChatPrompt(system="짧게.", user="요약: {dialogue}", template_file=str(tmp_path / "own.jinja")),
    )
    module.configure_model()
    limits = TokenLimits(max_source_tokens=64, max_summary_tokens=8)
    settings = InferenceSettings(limits=limits, columns=Columns(), cleaning=(), batch_size=2)
    write_folder(module, settings, tmp_path / "exported")
    (tmp_path / "own.jinja").unlink()
    prompts = json.loads((tmp_path / "exported" / "golden_prompts.json").read_text(encoding="utf-8"))
    exported = AutoTokenizer.from_pretrained(tmp_path / "exported")
    for prompt in prompts:
        assert prompt["messages"] == [{"role": "user", "content": f"짧게.\n\n요약: {prompt['dialogue']}"}]
        ids = exported.apply_chat_template(prompt["messages"], add_generation_prompt=True, return_dict=False)
        assert ids == prompt["prompt_ids"]
    assert load_folder(tmp_path / "exported").record["prompt"]["template_file"] is None
    assert not (tmp_path / "exported" / "structured_outputs.json").exists()
