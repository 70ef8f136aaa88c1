"""Files or a hub id → clean, checked dialogues on disk → batches of row numbers.

In: what the user wrote under `data:`. Out: `DialogueTable` and the batch samplers. No model and no tokenizer is known
here: lengths come in as numbers.
"""

from kosum_pl.data.batching import TokenBudgetBatchSampler
from kosum_pl.data.clean import CLEANING_STEPS, DEFAULT_CLEANING, make_cleaner
from kosum_pl.data.columns import Columns
from kosum_pl.data.evaluation_batching import EvaluationBatchSampler
from kosum_pl.data.read import read_dialogues
from kosum_pl.data.table import DialogueTable, count_leakage, write_rejected

__all__ = [
    "CLEANING_STEPS",
    "DEFAULT_CLEANING",
    "Columns",
    "DialogueTable",
    "EvaluationBatchSampler",
    "TokenBudgetBatchSampler",
    "count_leakage",
    "make_cleaner",
    "read_dialogues",
    "write_rejected",
]
