"""What an exported folder keeps of how it decodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kosum_pl.checkpoints.lineage import EXPORT_RECORD
from kosum_pl.data import Columns
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import TokenLimits
from kosum_pl.export.folder import open_folder, write_folder
from kosum_pl.inference import InferenceSettings
from kosum_pl.modules import Seq2SeqModule


@pytest.mark.parametrize(("is_old", "unit"), [(False, "word"), (True, "token")])
def test_a_folder_of_before_the_unit_goes_on_counting_tokens(tmp_path: Path, is_old: bool, unit: str) -> None:
    module = Seq2SeqModule(
        "demo:bart", random_init=True, presets=["saturday", "default"], regenerator=Regenerator(presets=["retry"])
    )
    module.configure_model()
    limits = TokenLimits(max_source_tokens=64, max_summary_tokens=8)
    settings = InferenceSettings(limits=limits, columns=Columns(), cleaning=(), batch_size=2)
    write_folder(module, settings, tmp_path)
    record = json.loads((tmp_path / EXPORT_RECORD).read_text(encoding="utf-8"))
    if is_old:
        for preset in (*record["presets"], record["default_preset"], *record["regenerator"]["presets"]):
            del preset["no_repeat_ngram_unit"]
        (tmp_path / EXPORT_RECORD).write_text(json.dumps(record), encoding="utf-8")
    presets = open_folder(tmp_path).module.decoding.reachable_presets
    assert {preset.name for preset in presets} == {"saturday", "default", "retry"}
    assert {(preset.no_repeat_ngram_size, preset.no_repeat_ngram_unit) for preset in presets} == {(3, unit)}


@pytest.mark.parametrize("is_old", [False, True])
def test_candidates_are_chosen_among_by_the_exported_folder_too(tmp_path: Path, is_old: bool) -> None:
    settings = MbrSettings(num_candidates=4, method="beam", weights={"rouge2": 1.0})
    module = Seq2SeqModule("demo:bart", random_init=True, mbr=settings)
    module.configure_model()
    limits = TokenLimits(max_source_tokens=64, max_summary_tokens=8)
    write_folder(module, InferenceSettings(limits=limits, columns=Columns(), cleaning=(), batch_size=2), tmp_path)
    if is_old:  # of before there were any
        record = json.loads((tmp_path / EXPORT_RECORD).read_text(encoding="utf-8"))
        del record["mbr"]
        (tmp_path / EXPORT_RECORD).write_text(json.dumps(record), encoding="utf-8")
    assert open_folder(tmp_path).module.decoding.mbr == (None if is_old else settings)
