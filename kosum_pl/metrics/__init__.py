"""Room of scores: predictions and references to numbers.

In: predictions. Out: named values without the stage prefix (`rouge_sum`, `tag_recall`), all of them sums and quotients
over one table that holds each row once. A metric of one's own is a class as `RowMetric` describes it.
"""

from kosum_pl.metrics.contamination import count_foreign
from kosum_pl.metrics.lead import lead_summary
from kosum_pl.metrics.overlap import OVERLAP_NAMES
from kosum_pl.metrics.quality import hangul_letters, is_broken
from kosum_pl.metrics.rouge import rouge_scores, score_rows
from kosum_pl.metrics.row_metric import CorpusMetric, RowMetric
from kosum_pl.metrics.score_table import ScoreTable, SliceScore
from kosum_pl.metrics.scripts import SCRIPTS, script_of
from kosum_pl.metrics.semantic.scorer import SemanticScorer
from kosum_pl.metrics.semantic.settings import (
    BERTSCORE_NAMES,
    SIMILARITY_NAMES,
    BertScoreSettings,
    SemanticSettings,
    SimilaritySettings,
)
from kosum_pl.metrics.settings import ScoreSettings
from kosum_pl.metrics.slots import find_slots
from kosum_pl.metrics.tags import has_swapped_speakers, tag_precision, tag_recall
from kosum_pl.metrics.tokenize import RougeTokenizer, get_tokenizer

__all__ = [
    "BERTSCORE_NAMES",
    "OVERLAP_NAMES",
    "SCRIPTS",
    "SIMILARITY_NAMES",
    "BertScoreSettings",
    "CorpusMetric",
    "RougeTokenizer",
    "RowMetric",
    "ScoreSettings",
    "ScoreTable",
    "SemanticScorer",
    "SemanticSettings",
    "SimilaritySettings",
    "SliceScore",
    "count_foreign",
    "find_slots",
    "get_tokenizer",
    "hangul_letters",
    "has_swapped_speakers",
    "is_broken",
    "lead_summary",
    "rouge_scores",
    "score_rows",
    "script_of",
    "tag_precision",
    "tag_recall",
]
