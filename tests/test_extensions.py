"""Parts of a user's own, found by every kind of name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kosum_pl import extensions
from kosum_pl.data import Columns, make_cleaner, read_dialogues
from kosum_pl.decode import Charset
from kosum_pl.decode.postprocess.steps import Postprocessor
from kosum_pl.extensions import UnknownExtensionError, find_extension, open_plugin_modules
from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.metrics.settings import ScoreSettings, find_metrics
from kosum_pl.types import Prediction


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An importable module with one of each, opened as a plug-in."""
    (tmp_path / "my_parts.py").write_text(
        "import re\n\n\ndef drop_urls(text):\n    return re.sub(r'https?://\\S+', '', text)\n\n\n"
        "def end_with_da(text, row):\n    return text.replace('해요.', '한다.') if row.is_finished else text\n\n\n"
        "def piped(path):\n"
        "    for line in path.read_text().splitlines():\n"
        "        yield dict(zip(('dialogue', 'summary'), line.split('|')))\n\n\n"
        "greek = 'αβγ'\nrunes = [(0x16A0, 0x16EA)]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_parts

    open_plugin_modules([my_parts])
    yield my_parts
    open_plugin_modules([])
    sys.modules.pop("my_parts")


def test_a_cleaning_step_by_short_name_and_by_dotted_path(module: ModuleType) -> None:
    for name in ("drop_urls", "my_parts.drop_urls"):
        assert make_cleaner([name, "spaces"])("여기  https://a.kr/b 봐") == "여기 봐"


def test_a_reader_and_a_step_give_rows_and_an_edited_step_other_ones(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "chat.log").write_text("비가 와 https://a.kr|비가 온다.\n", encoding="utf-8")

    def read() -> str:
        source = {"path": str(tmp_path / "chat.log"), "format": "piped"}
        table = read_dialogues(
            source, columns=Columns(example_id=None), cleaning=["drop_urls", "spaces"], on_bad_rows="error",
            needs_summary=True, cache_dir=tmp_path / "cache", split="train",
        )  # fmt: skip
        return table[0].text

    assert read() == "비가 와"
    path = Path(str(module.__file__))
    path.write_text(path.read_text(encoding="utf-8").replace("https?", "ftp"), encoding="utf-8")
    importlib.reload(module)
    assert read() == "비가 와 https://a.kr"


def test_a_postprocessing_step_sees_text_and_row(module: ModuleType) -> None:
    postprocess = Postprocessor(["end_with_da", "complete_sentence"])
    final = postprocess("운동해요.", dialogue="#Person1#: 운동해요.")
    assert (final.text, final.changed) == ("운동한다.", ("end_with_da",))
    cut = postprocess("운동해요. 둘은", dialogue="#Person1#: 운동해요.", is_finished=False)
    assert (cut.text, cut.changed) == ("운동해요.", ("complete_sentence",))


def test_a_charset_of_characters_or_of_ranges(module: ModuleType) -> None:
    charset = Charset(name="korean+greek+my_parts.runes")
    assert ["가" in charset, "β" in charset, "ᚠ" in charset, "δ" in charset] == [True, True, True, False]


def test_a_shipped_name_wins_and_imported_names_do_not_count(module: ModuleType) -> None:
    assert find_extension("cleaning_steps", "re", shipped={"re": 1}, argument="x") == 1
    module.Path = Path  # type: ignore[attr-defined]
    with pytest.raises(UnknownExtensionError, match=r"^x: unknown step 'Path'; known: nfc; "):
        find_extension("cleaning_steps", "Path", shipped={"nfc": str}, argument="x")


def test_two_plug_ins_of_one_name_want_a_dotted_path(module: ModuleType) -> None:
    other = ModuleType("other_parts")
    other.greek = "αβ"  # type: ignore[attr-defined]
    open_plugin_modules([module, other])
    with pytest.raises(ValueError, match=r"'greek' is in my_parts\.greek and other_parts\.greek"):
        find_extension("charsets", "greek", shipped={}, argument="charset")


def test_a_dotted_path_that_does_not_import_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^data\.cleaning: 'no\.such' cannot be imported: "):
        make_cleaner(["no.such"])


def test_an_entry_point_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[kosum_pl.cleaning_steps]\nshout = textwrap:dedent\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make_cleaner(["shout"])("  a") == "a"
    assert extensions._modules == []


class QuestionRate:
    names = ("question_rate",)

    def row_values(self, prediction: Prediction) -> list[tuple[int, int]]:
        return [("?" in prediction.text, 1)]


def test_a_metric_is_a_score_like_any_other(module: ModuleType) -> None:
    module.QuestionRate = QuestionRate  # type: ignore[attr-defined]
    settings = ScoreSettings(rouge_tokenizer="char", metrics=find_metrics(["my_parts.QuestionRate"]))
    rows = [
        Prediction(
            example_id=str(number), text=text, raw_text=text, dialogue="갈까? 가자.", references=("간다.",), profile={},
            log_prob=0.0, num_tokens=3, reached_eos=True, attempts=1, preset="fast",
        )
        for number, text in enumerate(["갈까?", "간다.", "가자.", "왜?"])
    ]  # fmt: skip
    table = ScoreTable.of(rows, settings)
    assert table.scores()["question_rate"] == 0.5
    low, high = table.intervals()["question_rate"]
    assert 0 <= low < 0.5 < high <= 1
    assert "question_rate" in settings.score_names


def test_what_is_no_metric_is_refused(module: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^model\.metrics: 'my_parts\.greek' is no metric; "):
        find_metrics(["my_parts.greek"])
