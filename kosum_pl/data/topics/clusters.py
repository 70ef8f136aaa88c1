"""Topic clusters: a profile column for data that has no topic, or one of free text.

In: texts of the rows of train, clustered by `fit.py`. Out: clusters `topic1` (the largest), `topic2`, … with the words
that tell them apart, and the cluster of any other text. They are kept as one JSON file that a reader can look into and
any machine can load; fitting needs scikit-learn, using them does not.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.profiles import words
from kosum_pl.files import write_atomically
from kosum_pl.types import Dialogue, profile_text

TOPIC_COLUMN: Final = "topic_cluster"
"""Profile column that has a row's cluster."""

TOPICS_FILE: Final = "topics.json"
"""Name of the clusters in a run directory."""

FORMAT: Final = 2
_WITHOUT_CHECKSUM: Final = 1
"""Format of before there was one; runs of then are read."""
_CHECKSUM_LINE: Final = re.compile(r',\n"checksum": "([0-9a-f]{8})"\n\}\n')


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

    def fragments(self, text: str) -> list[str]:
        """Character n-grams at the beginning of each word, of which clusters are made.

        A Korean word carries its meaning in front, particles and politeness behind: n-grams from anywhere in it make
        clusters of speech levels, those from its front make clusters of topics.

        Example:
            >>> TopicSettings().fragments("#Person1#: 비행기를 타요")
            ['비행', '비행기', '비행기를', '타요']
        """
        lengths = range(self.min_ngram, self.max_ngram + 1)
        return [word[:length] for word in words(text) for length in lengths if len(word) >= length]


@dataclass(frozen=True, eq=False, kw_only=True)
class TopicClusters:
    """Fitted clusters, C of them, over V fragments; the largest comes first.

    Attributes:
        idf: Inverse document frequency of each fragment, (V,).
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

    def values(self) -> list[dict[str, Any]]:
        """Name, size and words of each cluster as plain values."""
        named = zip(self.names, self.sizes, self.words, strict=True)
        return [{"name": name, "num_rows": size, "words": list(words)} for name, size, words in named]

    def lines(self) -> list[str]:
        """A line for each cluster: name, rows of train, words."""
        return [
            f"{name} ({size:,} rows of train): {', '.join(words)}"
            for name, size, words in zip(self.names, self.sizes, self.words, strict=True)
        ]

    def assign_rows(self, dialogues: Iterable[Dialogue]) -> list[str]:
        """Name of each row's cluster; see `assign`."""
        return self.assign([self.settings.text_of(dialogue) for dialogue in dialogues])

    def assign(self, texts: Sequence[str]) -> list[str]:
        """Name of the nearest cluster of each text; an empty text is in none and gets an empty name."""
        index_of = {fragment: index for index, fragment in enumerate(self.vocabulary)}
        centroids = self.centroids.astype(np.float64)
        squares = (centroids**2).sum(axis=1)
        columns = np.ascontiguousarray(centroids.T)

        def nearest(text: str) -> str:
            indices, weights = self._weights(text, index_of)
            # |x - c|² without |x|², which is the same for every cluster.
            return self.names[int(np.argmin(squares - 2 * (weights @ columns[indices])))]

        return [nearest(text) if text.strip() else "" for text in texts]

    def _weights(self, text: str, index_of: Mapping[str, int]) -> tuple[list[int], NDArray[np.float64]]:
        """Indices and TF-IDF weights of the known fragments of a text, (K,), of length 1 together."""
        counts = Counter(index_of[fragment] for fragment in self.settings.fragments(text) if fragment in index_of)
        indices = list(counts)
        tf = np.array([1 + math.log(count) for count in counts.values()], dtype=np.float64)
        weights = tf * self.idf[indices]
        norm = float(np.linalg.norm(weights))
        return indices, weights / norm if norm else weights

    def save(self, path: Path) -> None:
        """Write them as JSON; the file is replaced in one step."""
        write_atomically(path, self.to_json())

    def to_json(self) -> str:
        """All of it, names and words first, and last a CRC-32 of what stands before it."""
        values = {
            "clusters": self.values(),
            "format": FORMAT,
            "settings": asdict(self.settings) | {"file": None},
            "vocabulary": list(self.vocabulary),
            "idf": _decimals(self.idf),
            "centroids": [_sparse(row) for row in self.centroids],
        }
        lines = (
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
            for key, value in values.items()
        )
        text = "{\n" + ",\n".join(lines)
        return f'{text},\n"checksum": "{_checksum(text)}"\n}}\n'


def load_clusters(path: Path) -> TopicClusters:
    """Clusters that `TopicClusters.save` has written.

    Raises:
        ValueError: There is no such file, it is something else, or not what was written.
    """
    try:
        return parse_clusters(path.read_text(encoding="utf-8"))
    except _DamagedError:
        raise ValueError(
            f"{path} is damaged: its checksum is wrong; copy topics.json of that run once more, or fit anew"
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); give topics.json of a run that fit made"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path}: holds no topic clusters ({type(error).__name__}); give topics.json of a run that fit made"
        ) from None


def parse_clusters(text: str) -> TopicClusters:
    """Clusters that `TopicClusters.to_json` has written.

    Raises:
        ValueError, LookupError, TypeError: It is something else, or damaged.
    """
    values: dict[str, Any] = json.loads(text)
    if values["format"] not in (FORMAT, _WITHOUT_CHECKSUM):
        raise KeyError(f"format {values['format']}")
    if values["format"] == FORMAT:
        found = _CHECKSUM_LINE.search(text)
        if found is None or found.end() != len(text) or found[1] != _checksum(text[: found.start()]):
            raise _DamagedError
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


class _DamagedError(ValueError):
    """The clusters are not what was written."""


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def _decimals(values: NDArray[np.float32]) -> list[float]:
    """The shortest decimals that give the same float32 again."""
    return [float(str(value)) for value in values]


def _sparse(row: NDArray[np.float32]) -> dict[str, list[int] | list[float]]:
    indices = np.flatnonzero(row)
    return {"places": indices.tolist(), "weights": _decimals(row[indices])}
