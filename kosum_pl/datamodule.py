"""The one data module: joins the data room and the encode room, for every kind of model.

In: file names, limits and batch sizes from the config; the encoder and the preset router from the Trainer's module, or
from `bind`. Out: loaders of `Batch`es. The module owns the encoder and this data module borrows it, so that training
and inference cannot render different prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torchdata.stateful_dataloader import StatefulDataLoader

from kosum_pl.data import (
    DEFAULT_CLEANING,
    TOPICS_FILE,
    Columns,
    DialogueTable,
    EvaluationBatchSampler,
    PlainLoader,
    SliceFilter,
    TokenBudgetBatchSampler,
    TopicClusters,
    TopicSettings,
    count_leakage,
    find_clusters,
    read_dialogues,
    with_topics,
)
from kosum_pl.data.batching.numbers import check_numbers
from kosum_pl.data.read.source import STAGE_SPLITS
from kosum_pl.data.slices import check_slice_columns
from kosum_pl.decode import DecodingSettings
from kosum_pl.decode.constraint.table_cache import default_cache_dir
from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.decode.reachability.split import measure_split
from kosum_pl.decode.router import PresetRouter, idle_conditions
from kosum_pl.encode import Batch, Collator, Encoder, TokenLimits
from kosum_pl.encode.limit_rules import LimitArgument, LimitRules
from kosum_pl.encode.long_rows import LongRowRules, OnLongDialogue, OnLongSummary
from kosum_pl.encode.splits import SplitEncoder
from kosum_pl.encode.table import EncodedRows, EncodedTable
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.modules.arguments import pick
from kosum_pl.modules.step_count import limited_batches

Source = str | list[str | dict[str, Any]]


@runtime_checkable
class LendsEncoder(Protocol):
    """The part of the Trainer's module that is asked here."""

    encoder: Encoder

    @property
    def active_router(self) -> PresetRouter:
        """Decides which preset serves which row, at this stage."""

    def max_positions(self) -> int | None:
        """Positions that the model has for a sequence; None for no such limit."""


@runtime_checkable
class EvaluatesProfiles(Protocol):
    """The part of the Trainer's module that goes by profile columns."""

    evaluation: EvaluationScores
    decoding: DecodingSettings


class SummarizationDataModule(LightningDataModule):
    """Dialogues with summaries from files or a hub, as batches of ids.

    Args:
        train_file: A path, a hub id, `demo:train.csv`, or a list of these, each with an optional `weight`.
        val_file: The same, without weights.
        test_file: The same; needs summaries, as `test` scores them.
        predict_file: The same; summaries are not needed.
        slice: Evaluate only the rows of this slice, such as `[weekday=7]`; all of several conditions must hold.
        columns: Names of the columns.
        topics: Clusters of train, as the profile column `topic_cluster` of every split; null for none.
        cleaning: Names of the cleaning steps, in order.
        on_bad_rows: `error` stops at the first bad row, `drop` goes on and writes `rejected.jsonl`.
        max_source_tokens: Limit of the prompt, instructions included: a number; `auto` for the smallest multiple of 64
            that holds 99.5 % of train, within the model's positions; `{auto_up_to: 1536}` for one with a ceiling.
        max_summary_tokens: Limit of the summary, its terminator included; the same.
        truncation: Which turns of a long dialogue go first: `oldest` or `middle`.
        on_long_dialogue: What of a row whose dialogue is over its limit: `truncate`; `drop` leaves it out of train and
            truncates it elsewhere; `error` stops.
        on_long_summary: What of a row whose summary is over its limit: `cut`; `drop` leaves it out of train and cuts it
            elsewhere, which matters for the loss alone; `error` stops.
        supervised_turns: Assistant turns of a `messages` row that are trained: `last` or `all`.
        max_batch_tokens: Padded tokens of a training batch: rows times the longest.
        batch_size: Rows of a training batch, instead of `max_batch_tokens`.
        eval_batch_size: Rows of an evaluation batch.
        num_workers: Loader processes of training; evaluation reads in the main process.
        num_eval_samples: Rows of the fixed, seeded subset that validation inside `fit` uses; null for all.
        seed: Of the batches' order and of that subset.
        cache_dir: Folder of cached rows; null for `$KOSUM_CACHE`, else `~/.cache/kosum_pl`.

    Attributes:
        tables: Rows by split, once `setup` has run; `encoded` has their ids.
        report_lines: What reading and encoding found, a line each.
        slice_name: The conditions of `slice`; empty without any.
        slice_line: How many rows the slice has, once `setup` has run.
        topics: The clusters, where any are asked for.
        splits: Reads and encodes the splits, and knows their limits.
    """

    def __init__(
        self,
        train_file: Source | None = None,
        *,
        val_file: Source | None = None,
        test_file: Source | None = None,
        predict_file: Source | None = None,
        slice: Sequence[str] = (),
        columns: Columns | None = None,
        topics: TopicSettings | None = None,
        cleaning: Sequence[str] = DEFAULT_CLEANING,
        on_bad_rows: Literal["error", "drop"] = "error",
        max_source_tokens: LimitArgument = 1024,
        max_summary_tokens: LimitArgument = 128,
        truncation: Literal["oldest", "middle"] = "oldest",
        on_long_dialogue: OnLongDialogue = "truncate",
        on_long_summary: OnLongSummary = "cut",
        supervised_turns: Literal["last", "all"] = "last",
        max_batch_tokens: int | None = None,
        batch_size: int | None = None,
        eval_batch_size: int = 32,
        num_workers: int = 1,
        num_eval_samples: int | None = None,
        seed: int = 42,
        cache_dir: str | None = None,
    ) -> None:
        arguments = locals()
        super().__init__()
        if (max_batch_tokens is None) == (batch_size is None):
            raise ValueError(
                f"data.max_batch_tokens is {max_batch_tokens} and data.batch_size is {batch_size}; set exactly one"
            )
        check_numbers(arguments)
        self._files = {"train": train_file, "val": val_file, "test": test_file, "predict": predict_file}
        self._max_batch_tokens = max_batch_tokens
        self._batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        self._num_workers = num_workers
        self._num_eval_samples = num_eval_samples
        self._seed = seed
        self._cache_dir = folder = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self._read = partial(
            read_dialogues,
            columns=columns or Columns(),
            cleaning=tuple(cleaning),
            on_bad_rows=on_bad_rows,
            cache_dir=folder,
        )
        rules, long_rows = pick(LimitRules.parse, arguments), pick(LongRowRules, arguments)
        self.splits = SplitEncoder(self._read, self._files, rules=rules, long_rows=long_rows, cache_dir=folder)
        self._topic_settings = topics
        self._filter = SliceFilter.parse(slice)
        self._slice_rows: dict[str, np.ndarray[Any, Any]] = {}
        self.slice_name, self.slice_line = self._filter.name, ""
        self.tables: dict[str, DialogueTable] = {}
        self.report_lines: list[str] = []
        self.topics: TopicClusters | None = None
        self.encoded: dict[str, EncodedTable] = {}
        self._router = PresetRouter()

    def bind(
        self, encoder: Encoder, *, router: PresetRouter, max_positions: Callable[[], int | None] = lambda: None
    ) -> None:
        """Borrow an encoder, and a router that groups evaluation rows; a Trainer's stages borrow their module's.

        `max_positions` is asked where a limit is `auto`: positions that the model has, None for no such limit.
        """
        self.splits.bind(encoder, max_positions=max_positions)
        self._router = router

    def _bind_to_trainer(self) -> None:
        if self.trainer is not None:
            module = self.trainer.lightning_module
            assert isinstance(module, LendsEncoder), f"{type(module).__name__} has no encoder to borrow"
            self.bind(module.encoder, router=module.active_router, max_positions=module.max_positions)

    @property
    def encoder(self) -> Encoder:
        """What renders the prompts; there once the data module is bound."""
        return self.splits.encoder

    @property
    def limits(self) -> TokenLimits:
        """Limits of every row; those that are `auto` are measured on train, once, at the first look."""
        return self.splits.limits

    def prepare_data(self) -> None:
        """Read and encode once a node, so that the ranks' own `setup` finds everything cached."""
        assert self.trainer is not None
        assert self.trainer.state.fn is not None
        self._bind_to_trainer()
        for split in self._splits(self.trainer.state.fn.value):
            self.load(split)
        self._find_topics(self.trainer.state.fn.value)

    def setup(self, stage: str) -> None:
        """Open the splits of a stage and say what is in them."""
        self._bind_to_trainer()
        self.report_lines = []
        self.topics = self._find_topics(stage)
        for split in self._splits(stage):
            table, self.encoded[split] = self.load(split)
            self.tables[split] = table if self.topics is None else with_topics(table, clusters=self.topics)
            self.report_lines += self.splits.lines(split, self.encoded[split])
            if self._filter:
                self._slice_rows[split] = self._filter.rows(self.tables[split], split=split)
                self.slice_line = self._filter.line(len(self._slice_rows[split]), len(self.tables[split]))
                self.report_lines.append(self.slice_line)
            if self.tables[split].num_rejected:
                self.report_lines.append(f"{split}: {self.tables[split].num_rejected:,} bad rows dropped")
        self._check_profiles()
        self.report_lines[:0] = self.splits.limit_lines
        if stage == "fit" and "val" in self.tables:
            num_leaked = count_leakage(self.tables["train"], self.tables["val"])
            if num_leaked:
                self.report_lines.append(f"warning: {num_leaked:,} dialogues stand in both train and val")

    def _check_profiles(self) -> None:
        """Hold the module's slices and presets against the rows that are evaluated, or predicted."""
        module: object = self.trainer.lightning_module if self.trainer is not None else None
        if not isinstance(module, EvaluatesProfiles):
            return
        for split in [name for name in self.tables if name != "train"]:
            profiles = [row.profile for row in self.tables[split]]
            lines = idle_conditions(module.decoding.router.presets, profiles, split=split)
            self.report_lines += [f"warning: {line}" for line in lines]
            if split != "predict":
                check_slice_columns(module.evaluation.slices, self.tables[split], split=split)

    def _splits(self, stage: str) -> list[str]:
        """Splits that a stage needs; validation is optional inside `fit` alone."""
        if stage == "fit" and self._filter:
            raise ValueError(f"data.slice is {self.slice_name}, and only evaluations have one; set data.slice to []")
        splits = []
        for split in STAGE_SPLITS[stage]:
            if self._files[split]:
                splits.append(split)
            elif not (stage == "fit" and split == "val"):
                raise ValueError(f"{stage} needs data.{split}_file; set it in the config or with --data.{split}_file")
        return splits

    def load(self, split: str) -> tuple[DialogueTable, EncodedTable]:
        """Rows of one split that the config names, and their ids; see `SplitEncoder.load`."""
        return self.splits.load(split)

    def measure_reachability(
        self, split: str, *, decoding: DecodingSettings, max_rows: int
    ) -> tuple[Reachability, Reachability]:
        """How many references of a split can be generated; see `measure_split`. Cached, once `setup` has run."""
        return measure_split(
            self.tables[split],
            encoder=self.encoder,
            limits=self.limits,
            decoding=decoding,
            max_rows=max_rows,
            cache_dir=self._cache_dir,
        )

    def _find_topics(self, stage: str) -> TopicClusters | None:
        """The clusters of the run that is evaluated, or fitted on train; `fit` keeps them with its run."""
        if self._topic_settings is None:
            return None
        source, folder = self._files["train"], getattr(self.trainer, "default_root_dir", None)
        clusters = find_clusters(
            self._topic_settings,
            output_dir=Path(folder) if folder and stage != "fit" else None,
            read_train=partial(self._read, source, needs_summary=True, split="train") if source else None,
            cache_dir=self._cache_dir,
        )
        if folder and stage == "fit" and self._rank == 0:
            clusters.save(Path(folder) / TOPICS_FILE)
        return clusters

    def train_dataloader(self) -> StatefulDataLoader[Batch]:
        """Batches of like length under the token budget; resumes with the very next batch."""
        sampler = self._train_sampler()
        if self.trainer is not None:
            # A resume from an epoch's end restores no loader state, and Lightning sets the epoch of an iterator that
            # it has made already.
            progress = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)  # type: ignore[attr-defined]
            sampler.end_epoch_after(limited_batches(len(sampler), limit=self.trainer.limit_train_batches))
        return StatefulDataLoader(
            EncodedRows(self.encoded["train"], dialogues=None),
            batch_sampler=sampler,
            collate_fn=self._collator(for_generation=False),
            num_workers=self._num_workers,
            pin_memory=torch.cuda.is_available(),
            generator=self._generator(),
        )

    def num_train_batches(self) -> int:
        """Batches that an epoch of `train_dataloader` has on this rank, counted without a loader.

        A loader that is built before a resumed run's loops are restored never gets its saved state. Who overrides
        `train_dataloader` overrides this too.
        """
        return len(self._train_sampler())

    def train_rows(self, position: int, *, epoch: int) -> list[int]:
        """Rows of a training batch on this rank, by its place: what a resumed run is held against."""
        return self._train_sampler().batch_at(position, epoch=epoch)

    def _train_sampler(self) -> TokenBudgetBatchSampler:
        return TokenBudgetBatchSampler(
            self.encoded["train"].lengths,
            max_batch_tokens=self._max_batch_tokens,
            batch_size=self._batch_size,
            seed=self._seed,
            num_replicas=self._world_size,
            rank=self._rank,
            row_weights=self.tables["train"].row_weights,
        )

    def val_dataloader(self) -> StatefulDataLoader[Batch] | list[Any]:
        """Batches sorted by length, every row once over all ranks; a fixed subset inside `fit` if so configured."""
        if "val" not in self.tables:
            return []
        is_fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        return self._evaluation_loader("val", num_rows=self._num_eval_samples if is_fitting else None)

    def test_dataloader(self) -> StatefulDataLoader[Batch]:
        """Batches sorted by length, every row once over all ranks."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> PlainLoader[Batch]:
        """Batches sorted by length, every row once over all ranks."""
        return PlainLoader(self._evaluation_loader("predict"))

    def _evaluation_loader(self, split: str, *, num_rows: int | None = None) -> StatefulDataLoader[Batch]:
        encoded, table = self.encoded[split], self.tables[split]
        rows = self._slice_rows[split] if self._filter else self._evaluated_rows(len(table), num_rows)
        sampler = EvaluationBatchSampler(
            encoded.prompt_lengths[rows],
            batch_size=self._eval_batch_size,
            num_replicas=self._world_size,
            rank=self._rank,
            groups=[self._router.preset_for(table[int(row)].profile).name for row in rows],
        )
        return StatefulDataLoader(
            EncodedRows(encoded, dialogues=table, rows=rows),
            batch_sampler=sampler,
            collate_fn=self._collator(for_generation=True),
            num_workers=0,
            pin_memory=torch.cuda.is_available(),
            generator=self._generator(),
        )

    def _evaluated_rows(self, num_all: int, num_rows: int | None) -> np.ndarray[Any, Any]:
        if num_rows is None or num_rows >= num_all:
            return np.arange(num_all)
        return np.sort(np.random.default_rng(self._seed).choice(num_all, size=num_rows, replace=False))

    def _collator(self, *, for_generation: bool) -> Collator:
        encoder = self.encoder
        return Collator(
            pad_token_id=int(encoder.tokenizer.pad_token_id),
            is_causal=encoder.is_causal,
            for_generation=for_generation,
        )

    def _generator(self) -> torch.Generator:
        """What a loader draws its workers' seed from: never from the stream of dropout, which a resumed run restores.

        Validation makes an iterator, and a run resumed at an epoch's end skips the validation that came before.
        """
        return torch.Generator().manual_seed(self._seed)

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0
