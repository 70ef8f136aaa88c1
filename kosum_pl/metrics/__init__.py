"""Room of scores: predictions and references to numbers, each a torchmetrics `Metric` over a pure function.

In: texts. Out: named values without the stage prefix (`rouge_sum`, `tag_recall`). Every metric sums integers, so that
a score is the same to the bit however rows are spread over batches and ranks.
"""

from kosum_pl.metrics.lead import lead_summary
from kosum_pl.metrics.rouge import RougeMetric, rouge_scores, score_rows
from kosum_pl.metrics.slots import SlotRecall, find_slots
from kosum_pl.metrics.summary import SummaryStatistics
from kosum_pl.metrics.tags import TagRecall, tag_recall
from kosum_pl.metrics.tokenize import RougeTokenizer, get_tokenizer

__all__ = [
    "RougeMetric",
    "RougeTokenizer",
    "SlotRecall",
    "SummaryStatistics",
    "TagRecall",
    "find_slots",
    "get_tokenizer",
    "lead_summary",
    "rouge_scores",
    "score_rows",
    "tag_recall",
]
