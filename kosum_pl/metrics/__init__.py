"""Room of scores: predictions and references to numbers, each a torchmetrics `Metric` over a pure function.

In: texts. Out: named values without the stage prefix (`rouge_sum`, `tag_recall`). Every metric sums integers, so that
a score is the same to the bit however rows are spread over batches and ranks.
"""

from kosum_pl.metrics.contamination import ContaminationMetric, count_foreign
from kosum_pl.metrics.lead import lead_summary
from kosum_pl.metrics.overlap import OVERLAP_NAMES, OverlapMetric
from kosum_pl.metrics.quality import TextQuality, hangul_letters, is_broken
from kosum_pl.metrics.rouge import RougeMetric, rouge_scores, score_rows
from kosum_pl.metrics.scripts import SCRIPTS, script_of
from kosum_pl.metrics.semantic.bertscore import BERTSCORE_NAMES
from kosum_pl.metrics.semantic.scorer import SemanticMetric, SemanticScorer
from kosum_pl.metrics.semantic.settings import BertScoreSettings, SemanticSettings, SimilaritySettings
from kosum_pl.metrics.semantic.similarity import SIMILARITY_NAMES
from kosum_pl.metrics.slices import slice_names
from kosum_pl.metrics.slots import SlotRecall, find_slots
from kosum_pl.metrics.summary import SummaryStatistics
from kosum_pl.metrics.tags import TagScores, has_swapped_speakers, tag_precision, tag_recall
from kosum_pl.metrics.tokenize import RougeTokenizer, get_tokenizer

__all__ = [
    "BERTSCORE_NAMES",
    "OVERLAP_NAMES",
    "SCRIPTS",
    "SIMILARITY_NAMES",
    "BertScoreSettings",
    "ContaminationMetric",
    "OverlapMetric",
    "RougeMetric",
    "RougeTokenizer",
    "SemanticMetric",
    "SemanticScorer",
    "SemanticSettings",
    "SimilaritySettings",
    "SlotRecall",
    "SummaryStatistics",
    "TagScores",
    "TextQuality",
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
    "slice_names",
    "tag_precision",
    "tag_recall",
]
