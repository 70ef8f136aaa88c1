"""Topic clusters: a profile column for data that has no topic, or one of free text.

In: texts of the rows of train. Out: clusters `topic1` (the largest), `topic2`, … with the words that tell them apart,
and the cluster of any other text. They are kept as one JSON file that a reader can look into and any machine can load;
fitting (`topic_fit.py`) needs scikit-learn, using them does not.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.topics.words import fragments
from kosum_pl.files import write_atomically
from kosum_pl.types import Dialogue, profile_text

TOPIC_COLUMN: Final = "topic_cluster"
"""Profile column that holds a row's cluster."""

TOPICS_FILE: Final = "topics.json"
"""Name of the clusters in a run directory."""

FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class TopicSettings:
    """How rows are put into topic clusters, which presets and slices see as the profile column `topic_cluster`.

    Attributes:
        num_clusters: How many clusters.
        text: What is clustered: `dialogue`, or the name of a profile column of free text.
        min_ngram: Least characters of the n-grams, which are taken from the beginning of each word.
        max_ngram: Most characters of them.
        max_features: The most frequent n-grams are used, at most so many.
        max_share: An n-gram that more than this share of the rows has tells of manners, not of a topic.
        seed: Of k-means.
        file: Clusters that were fitted before (`topics.json` of a run), instead of fitting on train_file.
    """

    num_clusters: int = 8
    text: str = "dialogue"
    min_ngram: int = 2
    max_ngram: int = 4
    max_features: int = 20000
    max_share: float = 0.1
    seed: int = 42
    file: str | None = None

    def __post_init__(self) -> None:
        if self.num_clusters < 2:
            raise ValueError(f"data.topics.num_clusters is {self.num_clusters}; set 2 or more")
        if not 1 <= self.min_ngram <= self.max_ngram:
            raise ValueError(
                f"data.topics.min_ngram is {self.min_ngram} and max_ngram {self.max_ngram}; set 1 <= min <= max"
            )
        if self.max_features < 1 or not 0 < self.max_share <= 1:
            raise ValueError(
                f"data.topics: max_features is {self.max_features}, max_share {self.max_share}; "
                "set a positive number, and a share above 0 and up to 1"
            )

    def text_of(self, dialogue: Dialogue) -> str:
        """What of a row is clustered."""
        return dialogue.text if self.text == "dialogue" else profile_text(dialogue.profile.get(self.text, ""))


@dataclass(frozen=True, eq=False, kw_only=True)
class TopicClusters:
    """Fitted clusters, C of them, over V fragments; the largest comes first.

    Attributes:
        settings: What they were fitted with.
        vocabulary: The fragments.
        idf: Inverse document frequency of each, (V,).
        centroids: Mean of each cluster's rows, (C, V), float32.
        sizes: Rows of train in each cluster.
        words: Fragments by which a reader knows each cluster.
    """

    settings: TopicSettings
    vocabulary: tuple[str, ...]
    idf: NDArray[np.float32]
    centroids: NDArray[np.float32]
    sizes: tuple[int, ...]
    words: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """`topic1` to `topicC`."""
        return tuple(f"topic{number + 1}" for number in range(len(self.sizes)))

    def lines(self) -> list[str]:
        """A line for each cluster: name, rows of train, words."""
        return [
            f"{name} ({size:,} rows of train): {', '.join(words)}"
            for name, size, words in zip(self.names, self.sizes, self.words, strict=True)
        ]

    def assign(self, texts: Sequence[str]) -> list[str]:
        """Name of the nearest cluster of each text; an empty text is in none and gets an empty name.

        Args:
            texts: Any texts of the kind that the clusters were fitted on.
        """
        return [self.names[place] if place >= 0 else "" for place in self._places(texts)]

    def _places(self, texts: Sequence[str]) -> Iterator[int]:
        place_of = {fragment: place for place, fragment in enumerate(self.vocabulary)}
        centroids = self.centroids.astype(np.float64)
        squares = (centroids**2).sum(axis=1)
        columns = np.ascontiguousarray(centroids.T)
        for text in texts:
            if not text.strip():
                yield -1
                continue
            places, weights = self._weights(text, place_of)
            # |x - c|² without |x|², which is the same for every cluster.
            yield int(np.argmin(squares - 2 * (weights @ columns[places])))

    def _weights(self, text: str, place_of: Mapping[str, int]) -> tuple[list[int], NDArray[np.float64]]:
        """Places and TF-IDF weights of the known fragments of a text, (K,), of length 1 together."""
        settings = self.settings
        counts = Counter(
            place_of[fragment]
            for fragment in fragments(text, min_length=settings.min_ngram, max_length=settings.max_ngram)
            if fragment in place_of
        )
        places = list(counts)
        tf = np.array([1 + math.log(count) for count in counts.values()], dtype=np.float64)
        weights = tf * self.idf[places]
        norm = float(np.linalg.norm(weights))
        return places, weights / norm if norm else weights

    def save(self, path: Path) -> None:
        """Write them as JSON, names and words first; the file is replaced in one step."""
        clusters = [
            {"name": name, "num_rows": size, "words": list(words)}
            for name, size, words in zip(self.names, self.sizes, self.words, strict=True)
        ]
        # As written, the shortest decimals that give the same float32 again.
        centroids = [[float(str(value)) for value in row] for row in self.centroids]
        values = {
            "clusters": clusters,
            "format": FORMAT,
            "settings": asdict(self.settings) | {"file": None},
            "vocabulary": list(self.vocabulary),
            "idf": [float(str(value)) for value in self.idf],
            "centroids": [_sparse(row) for row in centroids],
        }
        text = ",\n".join(f"{json.dumps(key)}: {_json(value)}" for key, value in values.items())
        write_atomically(path, f"{{\n{text}\n}}\n")


def load_clusters(path: Path) -> TopicClusters:
    """Clusters that `TopicClusters.save` has written.

    Raises:
        ValueError: There is no such file, or it is something else.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise KeyError(f"format {values['format']}")
        vocabulary, idf = tuple(values["vocabulary"]), np.array(values["idf"], dtype=np.float32)
        centroids = np.zeros((len(values["clusters"]), len(vocabulary)), dtype=np.float32)
        for row, sparse in zip(centroids, values["centroids"], strict=True):
            row[sparse["places"]] = sparse["weights"]
        if idf.shape != (len(vocabulary),):
            raise KeyError("idf")
        return TopicClusters(
            settings=TopicSettings(**values["settings"]),
            vocabulary=vocabulary,
            idf=idf,
            centroids=centroids,
            sizes=tuple(int(cluster["num_rows"]) for cluster in values["clusters"]),
            words=tuple(tuple(cluster["words"]) for cluster in values["clusters"]),
        )
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); give topics.json of a run that fit made"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path}: holds no topic clusters ({type(error).__name__}); give topics.json of a run that fit made"
        ) from None


def _sparse(row: Sequence[float]) -> dict[str, list[float]]:
    places = [place for place, value in enumerate(row) if value]
    return {"places": places, "weights": [row[place] for place in places]}  # type: ignore[dict-item]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
