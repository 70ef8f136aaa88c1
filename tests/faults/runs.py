"""Fits of the shipped configs, shrunk by size alone, in processes of their own, and what they leave.

In: a config's name, and where to stop it. Out: the ids of every batch in order, the weights, the scores.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from kosum_pl.checkpoints.content import read_checkpoint
from kosum_pl.files import read_json, read_json_lines

TAPE = '''"""Notes every training batch as soon as it is learnt from."""

import json
import os

from lightning.pytorch import Callback


class Tape(Callback):
    """One JSON line a batch, also of a validation, and one where that begins."""

    def _write(self, **values) -> None:
        with open(os.environ["TAPE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\\n")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._write(step=trainer.global_step, epoch=trainer.current_epoch, batch=batch_idx, rows=list(batch.rows))

    def on_validation_start(self, trainer, pl_module) -> None:
        self._write(validation=trainer.global_step)

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        self._write(generated=batch_idx)
'''
_BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
_BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "dropout": 0.1}
_LLAMA = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
_LLAMA |= {"num_key_value_heads": 1, "head_dim": 16}
_SEQ2SEQ = {"model_name": "demo:bart", "config_overrides": _BART}
_CAUSAL = {"model_name": "demo:llama", "config_overrides": _LLAMA}
SHRUNK: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # Of each shipped config what is smaller: of the model, and of the data. A paged optimizer needs a GPU.
    "kobart": (_SEQ2SEQ, {"max_batch_tokens": 600}),
    "llama3b": (_CAUSAL, {"max_batch_tokens": 700}),
    "llama8b_qlora": ({**_CAUSAL, "optimizer": "adamw"}, {"max_batch_tokens": 500}),
    "demo": (_SEQ2SEQ, {"batch_size": 4}),
}


def write_config(folder: Path, config: str, files: Mapping[str, str], *, save_every_minutes: float = 0.0) -> list[str]:
    """An overlay that shrinks a config; returns the words that `fit` is given."""
    model, data = SHRUNK[config]
    (folder / "callbacks").mkdir(exist_ok=True)
    (folder / "callbacks" / "tape.py").write_text(TAPE, encoding="utf-8")
    (folder / "short.yaml").write_text("max_new_tokens: 6\n", encoding="utf-8")
    shipped = yaml.safe_load(Path(f"{os.environ['KOSUM_REPOSITORY']}/configs/{config}.yaml").read_text("utf-8"))
    callbacks = [each for each in shipped["trainer"]["callbacks"]]
    callbacks[0]["init_args"]["save_every_minutes"] = save_every_minutes
    values = {
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 3,
            "enable_progress_bar": False,
            "callbacks": [*callbacks, {"class_path": "Tape"}],
        },
        "model": {"init_args": {"random_init": True, "fit_preset": "short.yaml", "rouge_tokenizer": "space", **model}},
        "data": {**files, "test_file": None, "predict_file": None, **data},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return ["fit", "--config", config, "--config", "small.yaml", "--runs_dir", "runs", "--run_name", "run"]


@dataclass
class Job:
    """A running command: one process, or one a rank, each with its tape and its log."""

    pids: list[int]
    tapes: list[Path]
    logs: list[Path]
    server: Server

    def batches(self, rank: int = 0) -> list[dict[str, Any]]:
        """Lines of a rank's tape so far."""
        text = self.tapes[rank].read_text("utf-8") if self.tapes[rank].exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def said(self, rank: int = 0) -> list[str]:
        """Lines on the terminal so far."""
        return self.logs[rank].read_text("utf-8").splitlines() if self.logs[rank].exists() else []

    def wait_for(self, is_there: Callable[[list[dict[str, Any]]], bool], *, seconds: float = 120) -> bool:
        """Wait until the tape says so; False where the command ends before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if is_there(self.batches()):
                return True
            if self._has_ended():
                return is_there(self.batches())
            time.sleep(0.005)
        raise TimeoutError("\n".join(self.said()))

    def wait_for_end(self, *, seconds: float) -> bool:
        """Wait until the first rank has ended; False where it has not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._has_ended():
            time.sleep(0.01)
        return self._has_ended()

    def _has_ended(self) -> bool:
        return Path(f"/proc/{self.pids[0]}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"

    def kill(self, number: signal.Signals = signal.SIGKILL, *, is_group: bool = False) -> None:
        """Send a signal to all ranks, or to their workers too; a killed one takes them along."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if is_group or number is signal.SIGKILL:
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def wait(self) -> int:
        """Exit status of the first rank, once all have ended; negative for the signal that killed it."""
        return self.wait_all()[0]

    def wait_all(self) -> list[int]:
        """Exit status of every rank."""
        return [int(self.server.ask({"wait": pid})) for pid in self.pids]


class Server:
    """The process that forks."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        words = [sys.executable, "-m", "tests.faults.server"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._count = 0

    def ask(self, request: Mapping[str, Any]) -> str:
        """One request, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def start(self, args: Sequence[str], folder: Path, *, num_ranks: int = 1) -> Job:
        """Start a command in a folder; of several ranks each as `torchrun` would."""
        self._count += 1
        job = Job([], [], [], self)
        port = _free_port() if num_ranks > 1 else 0
        for rank in range(num_ranks):
            name = f"{self._count}-{rank}"
            tape, log = folder / f"tape-{name}.jsonl", folder / f"log-{name}.txt"
            environment = {"TAPE": str(tape), "KOSUM_CACHE": str(folder / "cache")}
            if num_ranks > 1:
                environment |= _rank_environment(rank, num_ranks=num_ranks, port=port)
            request = {"args": list(args), "folder": str(folder), "env": environment, "log": str(log)}
            job.pids.append(int(self.ask(request)))
            job.tapes.append(tape)
            job.logs.append(log)
        return job

    def run(self, args: Sequence[str], folder: Path, *, num_ranks: int = 1) -> Job:
        """Run a command to its end, which must be a good one."""
        job = self.start(args, folder, num_ranks=num_ranks)
        status = job.wait()
        assert status == 0, "\n".join(line for rank in range(num_ranks) for line in job.said(rank))
        return job

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _rank_environment(rank: int, *, num_ranks: int, port: int) -> dict[str, str]:
    """What `torchrun` tells a process."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": num_ranks}
    numbers |= {"LOCAL_WORLD_SIZE": num_ranks, "MASTER_PORT": port}
    address = {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "faults"}
    return {name: str(number) for name, number in numbers.items()} | address


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


def rows_of(tape: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, list[int]]]:
    """Of every batch on a tape its epoch, its number and its rows."""
    return [(line["epoch"], line["batch"], line["rows"]) for line in tape if "rows" in line]


def latest(folder: Path) -> Path:
    """The run that was begun last."""
    return (folder / "runs" / "run" / "latest").resolve()


def result_of(run_dir: Path) -> tuple[dict[str, Tensor], list[dict[str, Any]], str]:
    """Final weights, scores of every validation, and the name of the best checkpoint."""
    state = read_checkpoint(run_dir / "checkpoints" / "last.ckpt", is_mapped=False)["state_dict"]
    best = read_json(run_dir / "metrics.json")["best_checkpoint"]
    lines = read_json_lines(run_dir / "metrics.jsonl")
    # Rates, speed and memory are of the process that logged them.
    kept = [{key: line[key] for key in line if key in ("step", "epoch") or key.startswith("val/")} for line in lines]
    return state, kept, best


def same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """To the bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())
