"""Presets: files, and what reaches transformers."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import GenerationConfig, PreTrainedModel

from kosum_pl.decode import DecodingPreset, DecodingSettings, load_preset

PRESETS = {
    "default": DecodingPreset(name="default", num_beams=4, no_repeat_ngram_size=4, early_stopping=True),
    "greedy": DecodingPreset(name="greedy", max_new_tokens=12),
    "long": DecodingPreset(
        name="long", num_beams=2, min_new_tokens=5, max_new_tokens=9, length_penalty=2.0, early_stopping="never"
    ),
    "warm": DecodingPreset(name="warm", do_sample=True, temperature=0.7, top_p=0.9, top_k=5, seed=1, max_new_tokens=8),
    "plain_sampling": DecodingPreset(name="plain_sampling", do_sample=True, max_new_tokens=8),
    "beam_sampling": DecodingPreset(name="beam_sampling", do_sample=True, num_beams=3, max_new_tokens=8),
    "penalties": DecodingPreset(name="penalties", repetition_penalty=1.3, no_repeat_ngram_size=2, max_new_tokens=12),
}
# Settings of a `GenerationConfig` that a preset leaves alone, and why.
SPECIAL_TOKENS = {"pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"}
NO_EFFECT_ON_TEXT = {
    *("output_attentions", "output_hidden_states", "output_logits", "output_scores", "return_dict_in_generate"),
    *("cache_implementation", "cache_config", "max_cache_len", "prefill_chunk_size", "compile_config"),
    *("disable_compile", "continuous_batching_config", "low_memory", "transformers_version", "_from_model_config"),
}
ASSISTANT_ONLY = {
    *("is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight", "max_matching_ngram_size"),
    "speculation_type",
}


@contextmanager
def no_complaints() -> Iterator[None]:
    """Fail on any warning, by Python or in transformers' log."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    # What transformers says once a process must be heard in every test.
    logging.Logger.warning_once.cache_clear()  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeHandler(handler)
    assert messages + [str(warning.message) for warning in caught] == []


def generate(model: PreTrainedModel, **kwargs: Any) -> list[list[int]]:
    ids = torch.tensor([[5, 6, 7, 8, 9], [11, 12, 13, 14, 15]])
    torch.manual_seed(3)
    result: list[list[int]] = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **kwargs).tolist()
    return result


@pytest.fixture(params=["bart", "llama"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    make: Callable[[], PreTrainedModel] = request.getfixturevalue(f"make_{request.param}")
    return make()


def test_no_complaints_hears_transformers(model: PreTrainedModel) -> None:
    with pytest.raises(AssertionError, match="temperature"), no_complaints():
        generate(model, do_sample=False, temperature=0.5, max_new_tokens=2)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("as_config", [False, True])
def test_transformers_has_nothing_to_complain_of(model: PreTrainedModel, name: str, as_config: bool) -> None:
    kwargs = PRESETS[name].generation_kwargs()
    with no_complaints():
        generate(model, **({"generation_config": GenerationConfig(**kwargs)} if as_config else kwargs))


def test_every_setting_is_said_or_known_not_to_matter() -> None:
    given = set(PRESETS["default"].generation_kwargs())
    known = set(vars(GenerationConfig()))
    assert given <= known
    assert known - given == SPECIAL_TOKENS | NO_EFFECT_ON_TEXT | ASSISTANT_ONLY
    assert given == set(PRESETS["warm"].generation_kwargs())


POISON: dict[str, Any] = {
    "forced_eos_token_id": 7,
    "forced_bos_token_id": 9,
    "max_length": 7,
    "min_length": 11,
    "min_new_tokens": 9,
    "num_beams": 3,
    "num_return_sequences": 2,
    "do_sample": True,
    "no_repeat_ngram_size": 1,
    "encoder_no_repeat_ngram_size": 1,
    "repetition_penalty": 9.0,
    "encoder_repetition_penalty": 9.0,
    "exponential_decay_length_penalty": (1, 5.0),
    "suppress_tokens": list(range(3, 38)),
    "begin_suppress_tokens": list(range(3, 38)),
    "sequence_bias": {(n,): 50.0 for n in (4, 8)},
    "bad_words_ids": [[n] for n in range(3, 38)],
    "renormalize_logits": True,
    "max_time": 0.0,
}


def poison(model: PreTrainedModel, setting: str) -> None:
    """Let the model's checkpoint ask for a setting."""
    if setting == "num_return_sequences":  # an error without beams
        model.generation_config.num_beams = 2
    setattr(model.generation_config, setting, POISON[setting])


@pytest.mark.parametrize("name", ["greedy", "default"])
@pytest.mark.parametrize("setting", POISON)
def test_a_checkpoint_s_own_settings_change_nothing(model: PreTrainedModel, setting: str, name: str) -> None:
    kwargs = PRESETS[name].generation_kwargs()
    expected = generate(model, **kwargs)
    poison(model, setting)
    with no_complaints():
        assert generate(model, **kwargs) == expected


def test_a_checkpoint_s_settings_would_change_the_text(model: PreTrainedModel) -> None:
    """The test above could not fail if the poison were none."""
    biting = set()
    plain = generate(model, max_new_tokens=12)
    for setting in POISON:
        poisoned = copy.deepcopy(model)
        poison(poisoned, setting)
        if generate(poisoned, max_new_tokens=12) != plain:
            biting.add(setting)
    # max_length gives way to max_new_tokens, renormalised scores keep their order, the least lengths have a test below.
    harmless = {"max_length", "renormalize_logits", "min_length", "min_new_tokens"}
    # Forced only behind a prompt of one token, which a decoder's start token is.
    harmless |= set() if model.config.is_encoder_decoder else {"forced_bos_token_id"}
    assert set(POISON) - biting <= harmless


def end_at_once(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return scores + 1000.0 * (torch.arange(scores.shape[1]) == 2)


@pytest.mark.parametrize("setting", ["min_length", "min_new_tokens"])
def test_a_checkpoint_s_least_length_changes_nothing(model: PreTrainedModel, setting: str) -> None:
    kwargs = PRESETS["greedy"].generation_kwargs()
    expected = generate(model, logits_processor=[end_at_once], **kwargs)
    assert [row[-1] for row in expected] == [2, 2]
    poison(model, setting)
    assert generate(model, logits_processor=[end_at_once], **kwargs) == expected
    assert generate(model, logits_processor=[end_at_once], max_new_tokens=12) != expected


def test_lengths_hold(make_llama: Callable[[], PreTrainedModel]) -> None:
    model = make_llama()
    short = DecodingPreset(name="short", max_new_tokens=3, min_new_tokens=3)
    assert [len(row) - 5 for row in generate(model, **short.generation_kwargs())] == [3, 3]


def test_sampling_without_limits_draws_from_everything(make_llama: Callable[[], PreTrainedModel]) -> None:
    kwargs = PRESETS["plain_sampling"].generation_kwargs()
    assert (kwargs["top_k"], kwargs["top_p"], kwargs["temperature"]) == (0, 1.0, 1.0)
    model = make_llama()
    # transformers' default of 50 must not slip in: with 40 tokens it would not show, so a checkpoint asks for 1.
    model.generation_config.update(do_sample=True, top_k=1)
    torch.manual_seed(0)
    ids = torch.full((64, 2), 5)
    drawn = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **{**kwargs, "max_new_tokens": 1})
    assert len(set(drawn[:, -1].tolist())) > 5


def test_repetition_is_left_to_the_processors() -> None:
    kwargs = PRESETS["penalties"].generation_kwargs()
    assert (kwargs["no_repeat_ngram_size"], kwargs["repetition_penalty"]) == (0, 1.0)


class LetterTokenizer:
    """A letter a token; behind a space another one; '?' is unknown."""

    unk_token_id = 3

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        shift = 10 if text.startswith(" ") else 0
        return [3 if letter == "?" else 4 + shift + ord(letter) - ord("a") for letter in text.strip()]


def test_bad_words_reach_generation(make_llama: Callable[[], PreTrainedModel]) -> None:
    model = make_llama()
    free = generate(model, **DecodingPreset(name="a", max_new_tokens=3).generation_kwargs())
    first = free[0][5]
    letter = chr(ord("a") + first - 4)
    banned = DecodingPreset(name="b", max_new_tokens=3, bad_words=(letter, "?"))
    kwargs = banned.generation_kwargs(tokenizer=LetterTokenizer())
    assert kwargs["bad_words_ids"] == [[first], [first + 10]]
    assert first not in generate(model, **kwargs)[0][5:]


def test_bad_words_need_a_tokenizer() -> None:
    with pytest.raises(ValueError, match=r"^preset 'a': bad_words need a tokenizer; pass tokenizer= "):
        DecodingPreset(name="a", bad_words=("욕",)).generation_kwargs()


def test_presets_are_values() -> None:
    preset = DecodingPreset(name="a", when={"weekday": 7}, bad_words=("욕",))
    assert pickle.loads(pickle.dumps(preset)) == preset == copy.deepcopy(preset)
    assert {preset: 1}[DecodingPreset(name="a", when={"weekday": 7}, bad_words=("욕",))] == 1
    with pytest.raises(AttributeError):
        preset.num_beams = 2  # type: ignore[misc]


def test_shipped_presets(repository: Path) -> None:
    folder = repository / "configs" / "presets"
    shipped = {path.stem: load_preset(str(path)) for path in folder.glob("*.yaml")}
    assert set(shipped) == {"default", "fast", "retry", "saturday", "topic_medical", "topics"}
    assert (shipped["retry"].do_sample, shipped["retry"].seed) == (True, 0)
    default, fast, saturday = shipped["default"], shipped["fast"], shipped["saturday"]
    assert (default.num_beams, default.do_sample) == (4, False)
    sizes = {name: (preset.no_repeat_ngram_size, preset.no_repeat_ngram_unit) for name, preset in shipped.items()}
    assert sizes == {name: (0 if name.startswith("topic") else 3, "word") for name in shipped}
    assert not default.when
    assert (fast.num_beams, fast.do_sample, dict(fast.when)) == (1, False, {})
    assert saturday.matches({"weekday": "7"})
    assert not saturday.matches({"weekday": "6"})
    assert saturday.max_new_tokens > default.max_new_tokens
    assert shipped["topic_medical"].matches({"topic": "의사 상담"})
    assert not shipped["topic_medical"].matches({"topic": "여행"})
    for path in folder.glob("*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# python -m kosum_pl validate --config kobart.yaml --preset {path.stem} --ckpt_path best"


def test_found_by_name_in_the_working_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs" / "presets").mkdir(parents=True)
    (tmp_path / "configs" / "presets" / "fast.yaml").write_text("max_new_tokens: 5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_preset("fast") == DecodingPreset(name="fast", max_new_tokens=5)
    assert load_preset("default").name == "default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_beam: 4\n", "unknown field 'num_beam'; did you mean 'num_beams'? known: name, when, num_beams, "),
        ("길이: 4\n", "unknown field '길이'; known: name, when, "),
        ("", "holds NoneType instead of fields; write lines such as 'num_beams: 4'"),
        ("- num_beams: 4\n", "holds list instead of fields"),
        ("num_beams: [4\n", "2:1: not YAML: expected ',' or ']'"),
        ("num_beams: 1\nnum_beams: 4\n", "2: key 'num_beams' stands twice in one mapping"),
        ("num_beams: 100000\n", "preset 'mine': num_beams is 100000; write a whole number of at most 256"),
        (
            "max_new_tokens: 1000000\n",
            "preset 'mine': max_new_tokens is 1000000; write a whole number of at most 131,072",
        ),
        (f"seed: 1{'0' * 400}\ndo_sample: true\n", "preset 'mine': seed is 1000"),
        (f"repetition_penalty: 1{'0' * 400}\n", "preset 'mine': repetition_penalty is 1000"),
        ("length_penalty: .nan\nnum_beams: 2\n", "preset 'mine': length_penalty is nan; write a number above -1000"),
        ("repetition_penalty: .inf\n", "preset 'mine': repetition_penalty is inf; write a number above 0"),
    ],
)
def test_broken_files_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="mine") as caught:
        load_preset(str(path))
    line = str(caught.value).removeprefix(str(path)).lstrip(": ")
    assert line.startswith(message)
    assert "\n" not in str(caught.value)


def test_other_encodings_and_unknown_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("when: {topic: 여행}\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"mine\.yaml: not UTF-8 at byte 14"):
        load_preset(str(path))
    path.write_bytes(b"\xef\xbb\xbf" + "when: {topic: 여행}\n".encode())
    assert load_preset(str(path)).matches({"topic": "여행"})
    with pytest.raises(
        ValueError, match=r"^preset 'satturday' .*known: default, fast, retry, saturday, topic_medical, topics$"
    ):
        load_preset("satturday")


def test_yaml_types_arrive(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    fields = {"name": "other", "when": {"weekday": 7.0, "topic": ["여행"]}, "num_beams": 2, "bad_words": ["욕"]}
    path.write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    preset = load_preset(str(path))
    assert (preset.name, preset.num_beams, preset.bad_words) == ("other", 2, ("욕",))
    assert preset.matches({"weekday": "7", "topic": "여행"})


def test_presets_load_without_torch() -> None:
    code = (
        "import sys; from kosum_pl.decode import PresetRouter, load_preset; PresetRouter(); load_preset('saturday'); "
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("no_repeat_ngram_size: 4", True),
        ("no_repeat_ngram_size: 0", False),
        ("num_beams: 2", False),
        ("no_repeat_ngram_size: 4\nno_repeat_ngram_unit: token", False),
    ],
)
def test_a_preset_of_old_is_told_that_words_are_counted(tmp_path: Path, lines: str, says: bool) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(lines)
    expected = (
        f"{path}: no_repeat_ngram_size: 4 counts words now, it counted tokens before; "
        "add no_repeat_ngram_unit: word or token"
    )
    assert DecodingSettings.load(presets=[str(path)]).notes == ((expected,) if says else ())
