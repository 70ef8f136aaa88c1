"""Texts of train → topic clusters.

In: texts and `data.topics`. Out: `TopicClusters`, the same ones for the same texts. The only file that needs
scikit-learn, which is imported when clusters are fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.topics.clusters import TopicClusters, TopicSettings
from kosum_pl.data.topics.words import fragments, telling_words

_DECIMALS: Final = 6


def fit_clusters(texts: Sequence[str], *, settings: TopicSettings) -> TopicClusters:
    """Clusters of texts by k-means over TF-IDF weights.

    Args:
        texts: Texts of the rows of train; empty ones are left out.
        settings: How many, of what.

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
        raise _not_installed() from None
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: fragments(text, min_length=settings.min_ngram, max_length=settings.max_ngram),
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


def _not_installed() -> ValueError:
    return ValueError("data.topics needs scikit-learn, which is not installed: pip install scikit-learn")
