"""Clusters against scikit-learn, through their file, and on every split."""

from __future__ import annotations

import csv
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

from kosum_pl.data import DialogueTable, find_clusters, with_topics
from kosum_pl.data.topics.clusters import TopicClusters, TopicSettings, load_clusters
from kosum_pl.data.topics.fit import fit_clusters
from kosum_pl.types import Dialogue
from tests.data.tables import read_table

STEMS = {
    "travel": ["비행기", "공항", "여권", "호텔", "관광", "여행"],
    "health": ["병원", "의사", "기침", "감기", "진료", "처방"],
    "school": ["시험", "수업", "숙제", "교수님", "도서관", "학점"],
}
ALL_STEMS = [stem for stems in STEMS.values() for stem in stems]
PARTICLES = ["은", "을", "에서", "이요", ""]
SETTINGS = TopicSettings(num_clusters=3, max_share=0.5)


def topical(number: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Topic and text of rows: half of the rows are of travel, a third of health."""
    generator = random.Random(seed)
    made = []
    for index in range(number):
        topic = ["travel", "travel", "travel", "health", "health", "school"][index % 6]
        words = [generator.choice(STEMS[topic]) + generator.choice(PARTICLES) for _ in range(8)]
        made.append(
            (topic, f"#Person1#: 그런데 {' '.join(words[:4])} 있어요.\n#Person2#: 네, {' '.join(words[4:])} 했어요.")
        )
    return made


@pytest.fixture(scope="module")
def clusters() -> TopicClusters:
    return fit_clusters([text for _, text in topical(240)], settings=SETTINGS)


def write_table(folder: Path, *, number: int = 60, seed: int = 0, name: str = "train") -> DialogueTable:
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["fname", "dialogue", "summary", "topic"])
        writer.writerows(
            [f"{name}_{n}", text, "요약", topic] for n, (topic, text) in enumerate(topical(number, seed=seed))
        )
    return read_table(path, folder / "cache", cleaning=(), split=name)


def test_topics_are_found_and_named_by_size(clusters: TopicClusters) -> None:
    rows = topical(120, seed=5)
    names = {"travel": "topic1", "health": "topic2", "school": "topic3"}
    assert clusters.assign([text for _, text in rows]) == [names[topic] for topic, _ in rows]
    assert clusters.sizes == (120, 80, 40)
    for words, stems in zip(clusters.words, STEMS.values(), strict=True):
        assert all(any(word.startswith(stem[:2]) for stem in stems) for word in words[:4])
    assert clusters.lines()[0].startswith("topic1 (120 rows of train): ")


def test_clusters_are_those_of_scikit_learn() -> None:
    generator = random.Random(3)
    texts = [" ".join(generator.choices(ALL_STEMS, k=9)) for _ in range(150)]
    settings = TopicSettings(num_clusters=4, max_share=1.0, seed=7, max_features=40)
    ours = fit_clusters(texts, settings=settings)
    vectorizer = TfidfVectorizer(analyzer=settings.fragments, max_features=40, min_df=2, sublinear_tf=True)
    weights = vectorizer.fit_transform(texts)
    theirs = KMeans(4, n_init=10, random_state=7).fit(weights)
    order = np.argsort(-np.bincount(theirs.labels_), kind="stable")
    names = {int(label): f"topic{rank + 1}" for rank, label in enumerate(order)}
    assert ours.assign(texts) == [names[label] for label in theirs.labels_]
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_[order], atol=1e-6)
    unseen = [" ".join(generator.choices(ALL_STEMS, k=9)) for _ in range(50)]
    assert ours.assign(unseen) == [names[label] for label in theirs.predict(vectorizer.transform(unseen))]


def test_the_same_texts_give_the_same_file_and_the_file_the_same_clusters(
    clusters: TopicClusters, tmp_path: Path
) -> None:
    texts = [text for _, text in topical(240)]
    clusters.save(tmp_path / "a.json")
    fit_clusters(texts, settings=SETTINGS).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    loaded = load_clusters(tmp_path / "a.json")
    assert loaded.assign(texts) == clusters.assign(texts)
    assert (loaded.words, loaded.sizes, loaded.settings) == (clusters.words, clusters.sizes, clusters.settings)
    np.testing.assert_array_equal(loaded.centroids, clusters.centroids)
    np.testing.assert_array_equal(loaded.idf, clusters.idf)
    first = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["clusters"][0]
    assert (first["name"], first["num_rows"], first["words"]) == ("topic1", 120, list(clusters.words[0]))


def test_an_empty_text_is_in_no_cluster(clusters: TopicClusters) -> None:
    assert clusters.assign(["", " \n", "비행기"]) == ["", "", "topic1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_clusters": 1}, "num_clusters is 1"),
        ({"min_ngram": 3, "max_ngram": 2}, "min_ngram is 3 and max_ngram 2"),
        ({"max_share": 0.0}, "max_share 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TopicSettings(), **change)  # type: ignore[arg-type]


def test_what_cannot_be_fitted_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="1 rows of train have a dialogue for 3 clusters; lower"):
        fit_clusters(["비행기", " "], settings=SETTINGS)
    with pytest.raises(ValueError, match=r"raise data\.topics\.max_share"):
        fit_clusters(["가나", "다라", "마바"], settings=SETTINGS)
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(ValueError, match=r"pip install scikit-learn$"):
        fit_clusters(["비행기", "비행기", "비행기"], settings=SETTINGS)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": 99}', None])
def test_a_file_without_clusters_is_an_error(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "topics.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"topics\.json"):
        load_clusters(path)


def test_a_flipped_bit_is_refused_by_name(clusters: TopicClusters, tmp_path: Path) -> None:
    path = tmp_path / "topics.json"
    clusters.save(path)
    whole = path.read_bytes()
    num_bits = 8 * len(whole)
    bits = [*random.Random(0).sample(range(num_bits), 300), *range(num_bits - 8 * 30, num_bits)]
    num_found = 0
    message = r"topics\.json(: holds no topic clusters| is damaged: its checksum is wrong)"
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=message) as caught:
            load_clusters(path)
        num_found += "is damaged" in str(caught.value)
    assert num_found > 100, "much of what a flip makes is JSON as before"
    path.write_bytes(whole)
    assert load_clusters(path).words == clusters.words


def test_clusters_of_runs_before_there_was_a_checksum_are_read(clusters: TopicClusters, tmp_path: Path) -> None:
    clusters.save(tmp_path / "new.json")
    values = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    assert (values["format"], len(values.pop("checksum"))) == (2, 8)
    (tmp_path / "old.json").write_text(json.dumps({**values, "format": 1}), encoding="utf-8")
    assert load_clusters(tmp_path / "old.json").to_json() == clusters.to_json()
    (tmp_path / "unsealed.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ValueError, match=r"is damaged: its checksum is wrong; copy topics\.json of that run once more"):
        load_clusters(tmp_path / "unsealed.json")


def test_rows_know_their_cluster(clusters: TopicClusters, tmp_path: Path) -> None:
    table = write_table(tmp_path)
    labelled = with_topics(table, clusters=clusters)
    names = clusters.assign([row.text for row in table])
    assert [row.profile["topic_cluster"] for row in labelled] == names
    assert [labelled[index].profile["topic_cluster"] for index in range(len(table))] == names
    assert labelled[0].profile["topic"] == table[0].profile["topic"] == "travel"
    assert labelled.profile_columns == ("topic", "topic_cluster")
    assert "topic_cluster" not in table[0].profile
    with pytest.raises(ValueError, match="has a profile column 'topic_cluster' of its own"):
        with_topics(labelled, clusters=clusters)


def test_where_clusters_come_from(tmp_path: Path) -> None:
    table, cache, run_dir = write_table(tmp_path), tmp_path / "cache", tmp_path / "run"
    num_reads = 0

    def read() -> DialogueTable:
        nonlocal num_reads
        num_reads += 1
        return table

    def found(settings: TopicSettings, *, run: Path | None = run_dir, has_train: bool = True) -> TopicClusters:
        output_dir = run / "eval" / "validate" if run else None
        return find_clusters(settings, output_dir=output_dir, read_train=read if has_train else None, cache_dir=cache)

    fitted = found(SETTINGS)
    assert fitted.assign([table[0].text]) == fit_clusters([row.text for row in table], settings=SETTINGS).assign(
        [table[0].text]
    )
    assert (num_reads, len(list((cache / "topics").iterdir()))) == (1, 1)
    found(SETTINGS)
    assert (num_reads, len(list((cache / "topics").iterdir()))) == (2, 1)
    # What the run keeps goes before train, as long as the settings are the same.
    fitted.save(run_dir / "topics.json")
    assert found(SETTINGS, has_train=False).words == fitted.words
    assert found(replace(SETTINGS, num_clusters=2)).names == ("topic1", "topic2")
    with_file = replace(SETTINGS, num_clusters=2, file=str(run_dir / "topics.json"))
    assert found(with_file, run=None, has_train=False).names == ("topic1", "topic2", "topic3")
    with pytest.raises(ValueError, match=r"set data\.topics\.file"):
        found(SETTINGS, run=None, has_train=False)


def test_a_profile_column_can_be_what_is_clustered() -> None:
    settings = TopicSettings(num_clusters=2, text="topic")
    row = Dialogue(example_id="a", text="네", profile={"topic": " 여행 계획 "})
    assert settings.text_of(row) == "여행 계획"
    assert settings.text_of(Dialogue(example_id="b", text="네")) == ""
