"""LightningModules: what is trained, and how its loss, generation and scores are computed."""

from kosum_pl.modules.base import SummarizationModule
from kosum_pl.modules.causal import CausalModule
from kosum_pl.modules.seq2seq import Seq2SeqModule

__all__ = ["CausalModule", "Seq2SeqModule", "SummarizationModule"]
