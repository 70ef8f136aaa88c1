"""The topic clusters that a checkpoint's presets go by, where no data module reads the rows.

In: a config's `data.topics` and a checkpoint, or an exported folder. Out: the clusters that `fit` has kept, so that
`summarize` routes a row to the preset that `predict` would.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kosum_pl.data.topics.clusters import TOPICS_FILE, TopicClusters, load_clusters
from kosum_pl.runs.folders import run_of


def run_topics(settings: Mapping[str, Any] | None, *, checkpoint: Path | None) -> TopicClusters | None:
    """Clusters of `data.topics.file`, else of the checkpoint's run; None where the config asks for none.

    Raises:
        ValueError: The clusters are asked for, and not to be found.
    """
    if settings is None:
        return None
    run_dir = run_of(checkpoint) if checkpoint is not None else None
    if settings["file"] is None and run_dir is None:
        raise ValueError(f"data.topics: no run with {TOPICS_FILE} is at hand; set data.topics.file, or topics to null")
    path = Path(settings["file"]).expanduser() if settings["file"] else (run_dir or Path()) / TOPICS_FILE
    return load_clusters(path)


def exported_topics(folder: Path) -> TopicClusters | None:
    """Clusters of an exported folder; None where its rows have none."""
    path = folder / TOPICS_FILE
    return load_clusters(path) if path.is_file() else None
