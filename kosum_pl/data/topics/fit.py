"""Texts of train → topic clusters, and tables whose rows know theirs.

In: `data.topics`, and the rows of train. Out: one `TopicClusters`, from a file, from the run that is evaluated, or
fitted on train: `topic2` of a preset must mean the same in `fit`, in `predict` a week later, and on every rank. Equal
texts give equal clusters. The only file that needs scikit-learn, which is imported when clusters are fitted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.cache import load_or_build
from kosum_pl.data.table import DialogueTable
from kosum_pl.data.topics.clusters import (
    FORMAT,
    TOPIC_COLUMN,
    TOPICS_FILE,
    TopicClusters,
    TopicSettings,
    load_clusters,
    parse_clusters,
)
from kosum_pl.types import Dialogue

_DECIMALS: Final = 6
_NUM_CANDIDATES: Final = 80
# A longer fragment stands for a shorter one of nearly its weight.
_NEARLY: Final = 0.7


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
        ValueError: The file has no clusters, or there is nothing to fit them on.
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

    def fit() -> bytes:
        return fit_clusters([settings.text_of(dialogue) for dialogue in table], settings=settings).to_json().encode()

    return load_or_build(path, build=fit, read=lambda content: parse_clusters(content.decode()))


def add_topics(dialogues: Sequence[Dialogue], *, clusters: TopicClusters) -> list[Dialogue]:
    """Rows that stand in no table, with the profile column `topic_cluster`."""
    return [
        replace(dialogue, profile={**dialogue.profile, TOPIC_COLUMN: name})
        for dialogue, name in zip(dialogues, clusters.assign_rows(dialogues), strict=True)
    ]


def with_topics(table: DialogueTable, *, clusters: TopicClusters) -> DialogueTable:
    """A table whose rows have the profile column `topic_cluster`."""
    return table.with_profile(TOPIC_COLUMN, values=clusters.assign_rows(table))


def fit_clusters(texts: Sequence[str], *, settings: TopicSettings) -> TopicClusters:
    """Clusters of the rows' texts by k-means over TF-IDF weights; empty texts are left out.

    Raises:
        ValueError: scikit-learn is not installed, or the texts are too few or too much alike.

    Source:
        scikit-learn's `TfidfVectorizer(sublinear_tf=True)` and `KMeans`.
    """
    filled = [text for text in texts if text.strip()]
    if len(filled) < settings.num_clusters:
        raise ValueError(
            f"data.topics: {len(filled)} rows of train have a {settings.text} for {settings.num_clusters} clusters; "
            "lower data.topics.num_clusters"
        )
    vocabulary, idf, weights = _tf_idf(filled, settings)
    labels, centers = _k_means(weights, settings)
    sizes = np.bincount(labels, minlength=len(centers))
    order = np.argsort(-sizes, kind="stable")
    # Rounded before they are used, so that the file says exactly what train was labelled with.
    centroids = np.round(centers[order], _DECIMALS).astype(np.float32)
    mean = np.asarray(weights.mean(axis=0)).ravel()
    return TopicClusters(
        settings=settings,
        vocabulary=vocabulary,
        idf=idf,
        centroids=centroids,
        sizes=tuple(int(size) for size in sizes[order]),
        words=tuple(telling_words(row - mean, vocabulary=vocabulary) for row in centroids),
    )


def _tf_idf(texts: Sequence[str], settings: TopicSettings) -> tuple[tuple[str, ...], NDArray[np.float32], Any]:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError("data.topics needs scikit-learn, which is not installed: pip install scikit-learn") from None
    vectorizer = TfidfVectorizer(
        analyzer=settings.fragments,
        max_features=settings.max_features,
        min_df=2,
        max_df=max(2, int(settings.max_share * len(texts))),
        sublinear_tf=True,
    )
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:
        raise ValueError(
            f"data.topics: no n-gram stands in two rows of train and in fewer than {settings.max_share:.0%}; "
            "raise data.topics.max_share"
        ) from None
    return tuple(map(str, vectorizer.get_feature_names_out())), vectorizer.idf_.astype(np.float32), weights


def _k_means(weights: Any, settings: TopicSettings) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    found = KMeans(n_clusters=settings.num_clusters, n_init=10, random_state=settings.seed).fit(weights)
    return found.labels_, found.cluster_centers_


def telling_words(weights: NDArray[Any], *, vocabulary: Sequence[str], num_words: int = 8) -> tuple[str, ...]:
    """Fragments that weigh most in a cluster, (V,), one of each family of common beginnings.

    Example:
        >>> telling_words(np.array([0.5, 0.45, 0.1]), vocabulary=["비행", "비행기", "호텔"])
        ('비행기', '호텔')
    """
    indices = [index for index in np.argsort(-weights, kind="stable")[:_NUM_CANDIDATES] if weights[index] > 0]
    weight_of = {vocabulary[index]: float(weights[index]) for index in indices}
    named: list[str] = []
    for fragment, weight in weight_of.items():
        if any(fragment.startswith(word) or word.startswith(fragment) for word in named):
            continue
        longer = [word for word in weight_of if word.startswith(fragment) and weight_of[word] >= _NEARLY * weight]
        named.append(max(longer, key=lambda word: (len(word), weight_of[word])))
        if len(named) == num_words:
            break
    return tuple(named)
