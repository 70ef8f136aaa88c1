"""The clusters that a run goes by, and tables whose rows know theirs.

In: `data.topics`, and the rows of train. Out: one `TopicClusters`, from a file, from the run that is evaluated, or
fitted on train. `topic2` of a preset must mean the same in `fit`, in `predict` a week later, and on every rank.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from kosum_pl.data.table import DialogueTable
from kosum_pl.data.topics.clusters import (
    FORMAT,
    TOPIC_COLUMN,
    TOPICS_FILE,
    TopicClusters,
    TopicSettings,
    load_clusters,
)
from kosum_pl.data.topics.fit import fit_clusters
from kosum_pl.types import Dialogue


def find_clusters(
    settings: TopicSettings,
    *,
    output_dir: Path | None,
    read_train: Callable[[], DialogueTable] | None,
    cache_dir: Path,
) -> TopicClusters:
    """The clusters of a run: `data.topics.file`, else those kept with the run, else fitted on train once.

    Args:
        settings: From the config.
        output_dir: Where an evaluation writes: under `eval/` of a run, which keeps its clusters; None in `fit`, where
            train alone decides.
        read_train: Reads train, where clusters have to be fitted; None where the config names no train file.
        cache_dir: Where fitted clusters are kept, under a hash of train's content and the settings.

    Raises:
        ValueError: The file holds no clusters, or there is nothing to fit them on.
    """
    if settings.file is not None:
        return load_clusters(Path(settings.file).expanduser())
    kept = output_dir.parent.parent / TOPICS_FILE if output_dir is not None else None
    if kept is not None and kept.is_file():
        clusters = load_clusters(kept)
        # Other settings on the command line ask for other clusters.
        if clusters.settings == replace(settings, file=None):
            return clusters
    if read_train is None:
        raise ValueError(
            f"data.topics needs the clusters that fit has made; set data.topics.file to a run's {TOPICS_FILE}, "
            "or data.train_file to make them again"
        )
    table = read_train()
    key = json.dumps([FORMAT, table.fingerprint, asdict(settings)], sort_keys=True)
    path = cache_dir / "topics" / f"{sha256(key.encode()).hexdigest()[:32]}.json"
    if not path.is_file():
        fit_clusters([settings.text_of(dialogue) for dialogue in table], settings=settings).save(path)
    return load_clusters(path)


def add_topics(dialogues: Sequence[Dialogue], *, clusters: TopicClusters) -> list[Dialogue]:
    """Rows that stand in no table, with the profile column `topic_cluster`.

    Args:
        dialogues: Rows from anywhere.
        clusters: Fitted on train.
    """
    names = clusters.assign([clusters.settings.text_of(dialogue) for dialogue in dialogues])
    return [
        replace(dialogue, profile={**dialogue.profile, TOPIC_COLUMN: name})
        for dialogue, name in zip(dialogues, names, strict=True)
    ]


def with_topics(table: DialogueTable, *, clusters: TopicClusters) -> DialogueTable:
    """A table whose rows have the profile column `topic_cluster`.

    Args:
        table: Rows of any split.
        clusters: Fitted on train.

    Raises:
        ValueError: The data has a column of this name.
    """
    names = clusters.assign([clusters.settings.text_of(dialogue) for dialogue in table])
    return table.with_profile(TOPIC_COLUMN, values=names)
