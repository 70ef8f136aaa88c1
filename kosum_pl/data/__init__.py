"""Files or a hub id → clean, checked dialogues on disk → batches of row numbers.

In: what the user wrote under `data:`. Out: `DialogueTable` and the batch samplers. No model and no tokenizer is known
here: lengths come in as numbers.
"""

from kosum_pl.data.batching.evaluation import EvaluationBatchSampler, PlainLoader
from kosum_pl.data.batching.training import TokenBudgetBatchSampler
from kosum_pl.data.clean import CLEANING_STEPS, DEFAULT_CLEANING, make_cleaner
from kosum_pl.data.read.columns import Columns
from kosum_pl.data.read.dialogues import read_dialogues
from kosum_pl.data.slices import SliceFilter
from kosum_pl.data.table import DialogueTable, count_leakage, spread_rows
from kosum_pl.data.topics.clusters import TOPICS_FILE, TopicClusters, TopicSettings
from kosum_pl.data.topics.fit import add_topics, find_clusters, with_topics

__all__ = [
    "CLEANING_STEPS",
    "DEFAULT_CLEANING",
    "TOPICS_FILE",
    "Columns",
    "DialogueTable",
    "EvaluationBatchSampler",
    "PlainLoader",
    "SliceFilter",
    "TokenBudgetBatchSampler",
    "TopicClusters",
    "TopicSettings",
    "add_topics",
    "count_leakage",
    "find_clusters",
    "make_cleaner",
    "read_dialogues",
    "spread_rows",
    "with_topics",
]
