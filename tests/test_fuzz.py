"""Whatever comes in: values, or one line that says what is wrong. Short in the suite, long where `slow` runs.

Readers, cleaners, tag repair, post-processing, charset and automaton, presets, gate rules, prompts, files of a run.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kosum_pl.commands.gate.grammar import parse_rule
from kosum_pl.commands.gate.rules import read_rules
from kosum_pl.commands.gate.scores import read_scores
from kosum_pl.commands.gate.verdict import judge
from kosum_pl.data import DEFAULT_CLEANING, Columns, make_cleaner, read_dialogues
from kosum_pl.decode import Charset, foreign_places, load_preset, row_literals
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.postprocess.steps import DEFAULT_STEPS, POSTPROCESS_STEPS, Postprocessor
from kosum_pl.decode.postprocess.tag_repair import repair_tags
from kosum_pl.encode import CausalEncoder, ChatPrompt, Seq2SeqEncoder, SourcePrompt, TokenLimits, load_tokenizer
from kosum_pl.errors import user_error_line
from kosum_pl.lookup import resolve_path
from kosum_pl.report.page import html_page, score_runs
from kosum_pl.report.redact import redact, redacted
from kosum_pl.runs.files import read_steps
from kosum_pl.runs.run import open_run
from kosum_pl.types import Dialogue

# What has been trouble somewhere, beside what hypothesis thinks of by itself.
PIECES = (
    *("\\", "n", "r", "<", "br", "/", ">", "<br>", "\\n", " ", "\n", "\r", "\t", "\x0b", "\x1c", "\x85", "\u2028"),
    *("\xa0", "\u3000", "\u3164", "\u200b", "\u200d", "\ufeff", "\u00ad", "\u180e", "\u202e", "\u0301", "\u1100"),
    *(
        "\u1161",
        "\u11a8",
        "가",
        "a",
        "K",
        "3",
        ".",
        "?",
        "#",
        "＃",
        "#Person1#",
        "Person1",
        "#person 1",
        "#PhoneNumber",
    ),
    *(
        "明",
        "é",
        "ì•ˆ",
        "&amp;",
        "\x00",
        "\x1b[2J",
        "\ud83d",
        "\udc00",
        "{",
        "}",
        "{dialogue}",
        "[",
        "]",
        ",",
        ";",
        ":",
    ),
    *('"', "'", "|", "=", "-", "*", "null", "NaN", "Infinity", "1e999", "-0.0", "9" * 400, "slice weekday=7 "),
    *("baseline", "val/rouge_sum", ">=", "&a *a"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text(max_size=40)
WHOLE = TEXTS.map(lambda text: text.encode("utf-8", "replace").decode())  # without half characters
NUMBERS = st.integers() | st.floats() | st.just(10**400) | st.booleans()
JSON = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DIALOGUES = WHOLE | st.just("#Person1#: KTX 타자.\n#Person2#: 네, Jimmy.")


def refuses_in_one_line(action: Callable[[], Any]) -> Any:
    """What an action gives; None where it refuses with a line of ours; anything else is an error of the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return action()
        except (ValueError, FileNotFoundError) as error:
            line = user_error_line(error)
            if not line:
                raise
            assert "\n" not in line
            return None


def written(name: str, content: bytes | str, folder: str) -> Path:
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def json_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


# Cleaning, tags, post-processing.


@given(text=TEXTS)
def cleaning_twice_is_cleaning_once(text: str) -> None:
    clean = make_cleaner(DEFAULT_CLEANING)
    assert clean(clean(text)) == clean(text)


@given(text=TEXTS, dialogue=TEXTS)
def tags_are_mended_once(text: str, dialogue: str) -> None:
    tags = ("#Person1#", "#Person12#", "#PhoneNumber#")
    mended = repair_tags(text, tags=tags, dialogue=dialogue)
    assert repair_tags(mended, tags=tags, dialogue=dialogue) == mended


@given(
    text=TEXTS, dialogue=TEXTS, steps=st.sampled_from([DEFAULT_STEPS, tuple(POSTPROCESS_STEPS)]), ended=st.booleans()
)
def postprocessing_twice_is_postprocessing_once(text: str, dialogue: str, steps: tuple[str, ...], ended: bool) -> None:
    postprocess = partial(Postprocessor(steps), dialogue=dialogue, is_finished=ended)
    done = postprocess(text).text
    assert postprocess(done).text == done


@given(text=TEXTS)
def redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


# Charset and automaton.


@given(
    name=st.sampled_from(["korean", "latin", "korean+latin"]) | TEXTS,
    ranges=st.lists(st.sampled_from(["U+4E00-U+4E10", "U+10-U+0", "U+110000-U+110001", "a-b"]) | TEXTS, max_size=2),
    characters=TEXTS,
    literals=st.lists(TEXTS, max_size=2),
    text=WHOLE,
)
def an_automaton_accepts_what_its_charset_and_literals_say(
    name: str, ranges: list[str], characters: str, literals: list[str], text: str
) -> None:
    charset = refuses_in_one_line(lambda: Charset(name=name, ranges=tuple(ranges), characters=characters))
    if charset is None:
        return
    foreign = foreign_places(text, charset=charset, literals=literals, row_words=row_literals(text, charset))
    assert all(0 <= place < len(text) for place in foreign)
    automaton = refuses_in_one_line(lambda: build_automaton(charset, literals))
    if automaton is not None and not any(literals):
        assert automaton.accepts(text.encode()) == all(char in charset for char in text)


# Presets, rules, prompts.

FIELDS = ("name", "when", "num_beams", "do_sample", "temperature", "top_p", "max_new_tokens", "bad_words", "seed")


@given(content=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4).map(json_of) | TEXTS | st.binary(max_size=30))
def a_preset_is_read_or_refused(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written("a.yaml", content, folder)
        preset = refuses_in_one_line(lambda: load_preset(str(path)))
    if preset is not None:
        assert isinstance(preset.matches({"weekday": "7"}), bool)
        assert preset.most_new_tokens >= 1


RULES = st.lists(
    st.sampled_from(["val/a", "baseline", ">=", "==", "0.98", "*", "/", "(", ")", "-", "min", ",", "1"]), max_size=9
)
RULE = RULES.map(" ".join) | TEXTS


@given(rule=RULE, metrics=st.dictionaries(st.sampled_from(["val/a", "val/a/weekday=7"]) | WHOLE, JSON, max_size=4))
def a_rule_is_judged_or_refused(rule: str, metrics: dict[str, Any]) -> None:
    refuses_in_one_line(lambda: parse_rule(rule))
    with tempfile.TemporaryDirectory() as folder:
        rules = written("rules.yaml", json_of({"rules": [rule]}), folder)
        written("run/metrics.json", json_of(metrics), folder)
        found = refuses_in_one_line(lambda: read_rules(rules))
        scores = refuses_in_one_line(lambda: read_scores(Path(folder) / "run", option="run"))
    if found is not None and scores is not None:
        for one in found.rules:
            assert "\n" not in judge(one, scores, scores).message


@given(content=st.binary(max_size=60) | TEXTS | JSON.map(json_of))
def rules_are_read_or_refused(content: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written("rules.yaml", content, folder)
        refuses_in_one_line(lambda: read_rules(path))


@cache
def tokenizer_of(name: str) -> Any:
    return load_tokenizer(resolve_path(f"demo:{name}"))[0]


LIMITS = TokenLimits(max_source_tokens=256, max_summary_tokens=32)


@given(system=TEXTS, user=TEXTS | TEXTS.map(lambda text: f"{text}{{dialogue}}"), dialogue=DIALOGUES, prefix=TEXTS)
def a_prompt_is_encoded_or_refused(system: str, user: str, dialogue: str, prefix: str) -> None:
    assume(dialogue.strip())
    row = Dialogue(example_id="a", text=dialogue, references=("요약",))

    def causal() -> Any:
        encoder = CausalEncoder(tokenizer_of("llama"), ChatPrompt(system=system, user=user))
        return encoder.encode(row, limits=LIMITS, with_summary=True)

    def seq2seq() -> Any:
        encoder = Seq2SeqEncoder(tokenizer_of("bart"), SourcePrompt(prefix=prefix))
        return encoder.encode(row, limits=LIMITS, with_summary=True)

    for encode in (causal, seq2seq):
        example = refuses_in_one_line(encode)
        assert example is None or 0 < example.prompt_length <= LIMITS.max_source_tokens


# Readers.

COLUMNS = ("fname", "dialogue", "summary", "topic", "weekday", "slots")
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), JSON, min_size=2, max_size=6), max_size=3)
CONTENTS = (
    st.binary(max_size=80)
    | TEXTS
    | TEXTS.map(lambda text: f"fname,dialogue,summary\n{text}")
    | ROWS.map(json_of)
    | ROWS.map(lambda rows: "\n".join(map(json_of, rows)))
)


@given(content=CONTENTS, ending=st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet"]), drop=st.booleans())
def a_file_is_read_or_refused(content: bytes | str, ending: str, drop: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(f"a.{ending}", content, folder)
        table = refuses_in_one_line(
            lambda: read_dialogues(
                str(path),
                columns=Columns(),
                cleaning=DEFAULT_CLEANING,
                on_bad_rows="drop" if drop else "error",
                needs_summary=True,
                cache_dir=Path(folder) / "cache",
                split="train",
            )
        )
        if table is not None:
            assert all(row.text.strip() and row.references and row.example_id for row in table)
            assert drop or table.num_rejected == 0


# Files of a run.

NAMES = ("metrics.json", "metrics.jsonl", "samples.jsonl", "run.json", "predictions.jsonl", "drift.json", "slices.csv")
SAMPLE = st.fixed_dictionaries({"step": JSON, "epoch": JSON, "example_id": JSON, "dialogue": JSON, "prediction": JSON})
RECORD = st.fixed_dictionaries({"schema_version": st.just(1), "arguments": JSON, "hashes": JSON, "state": JSON})


@given(
    name=st.sampled_from(NAMES),
    content=st.binary(max_size=40) | TEXTS | (JSON | SAMPLE | RECORD).map(json_of),
    is_redacted=st.booleans(),
)
def a_run_with_a_bad_file_is_reported_or_refused(name: str, content: bytes | str, is_redacted: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written("config.yaml", "data: {}\n", folder)
        path = written(name, content, folder)
        run = refuses_in_one_line(lambda: open_run(Path(folder)))
        scored = score_runs([run])
        html_page([redacted(one) for one in scored] if is_redacted else scored)
        refuses_in_one_line(lambda: read_scores(Path(folder), option="run"))
        refuses_in_one_line(lambda: read_steps(path, until_step=5))


# Examples of the suite, so that each takes a second or two; the long profile has a hundred times as many at most.
PROPERTIES: dict[Callable[..., None], int] = {
    cleaning_twice_is_cleaning_once: 300,
    tags_are_mended_once: 200,
    postprocessing_twice_is_postprocessing_once: 100,
    redacting_twice_is_redacting_once: 200,
    an_automaton_accepts_what_its_charset_and_literals_say: 15,
    a_preset_is_read_or_refused: 100,
    a_rule_is_judged_or_refused: 100,
    rules_are_read_or_refused: 100,
    a_prompt_is_encoded_or_refused: 40,
    a_file_is_read_or_refused: 25,
    a_run_with_a_bad_file_is_reported_or_refused: 25,
}


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value))


def run(check: Callable[..., None], max_examples: int) -> None:
    settings(max_examples=max_examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)(check)()


@pytest.mark.parametrize(("check", "number"), PROPERTIES.items(), ids=name_of)
def test_short(check: Callable[..., None], number: int) -> None:
    run(check, number)


@pytest.mark.slow
@pytest.mark.parametrize(("check", "number"), PROPERTIES.items(), ids=name_of)
def test_long(check: Callable[..., None], number: int) -> None:
    run(check, 20 * number)
