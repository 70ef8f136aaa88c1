"""Topic clusters in a run: fitted once, kept with it, seen by presets and slices of every split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kosum_pl.data import TopicSettings
from kosum_pl.data.topics.clusters import load_clusters
from kosum_pl.datamodule import SummarizationDataModule
from tests.modules_fixtures import attached, small_module

TOPICS = TopicSettings(num_clusters=3)


def opened(stage: str, data: SummarizationDataModule, *, folder: Path) -> SummarizationDataModule:
    """A data module set up for a stage, as a Trainer would."""
    preset = folder / "by_topic.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    preset.write_text("when: {topic_cluster: [topic2]}\nnum_beams: 1\nmax_new_tokens: 8\n", encoding="utf-8")
    settings = {"presets": [str(preset), "default"], "slices": ["topic_cluster"]}
    return attached(stage, small_module("seq2seq", **settings), data, default_root_dir=folder)


def test_a_run_keeps_its_clusters_and_is_evaluated_by_them(
    cut_demo: Callable[[int, int], dict[str, str]], tmp_path: Path
) -> None:
    files, run_dir = cut_demo(120, 40), tmp_path / "run"
    fit = opened("fit", SummarizationDataModule(**files, batch_size=8, topics=TOPICS), folder=run_dir)
    kept = load_clusters(run_dir / "topics.json")
    assert fit.topics is not None
    assert fit.topics.words == kept.words
    for split in ("train", "val"):
        found = [row.profile["topic_cluster"] for row in fit.tables[split]]
        assert found == kept.assign([row.text for row in fit.tables[split]])
    assert len({row.profile["topic_cluster"] for row in fit.tables["train"]}) == 3
    # Without train_file: what is written under a run goes by the run's clusters.
    data = SummarizationDataModule(val_file=files["val_file"], batch_size=8, eval_batch_size=8, topics=TOPICS)
    validate = opened("validate", data, folder=run_dir / "eval" / "validate")
    found = [row.profile["topic_cluster"] for row in validate.tables["val"]]
    assert found == [row.profile["topic_cluster"] for row in fit.tables["val"]]
    assert not (run_dir / "eval" / "validate" / "topics.json").exists()
    router = validate.trainer.lightning_module.active_router  # type: ignore[union-attr]
    for batch in validate.val_dataloader():
        assert batch.dialogues is not None
        served = {router.preset_for(dialogue.profile).name for dialogue in batch.dialogues}
        assert served == {"by_topic" if batch.dialogues[0].profile["topic_cluster"] == "topic2" else "default"}


def test_a_fit_goes_by_its_own_train_whatever_lies_in_the_folder(
    cut_demo: Callable[[int, int], dict[str, str]], tmp_path: Path
) -> None:
    files = cut_demo(120, 40)
    first = opened("fit", SummarizationDataModule(**files, batch_size=8, topics=TOPICS), folder=tmp_path / "run")
    other = {"train_file": files["val_file"], "val_file": files["val_file"]}
    second = opened("fit", SummarizationDataModule(**other, batch_size=8, topics=TOPICS), folder=tmp_path / "run")
    assert first.topics is not None
    assert second.topics is not None
    assert (sum(first.topics.sizes), sum(second.topics.sizes)) == (120, 40)
    assert load_clusters(tmp_path / "run" / "topics.json").sizes == second.topics.sizes
