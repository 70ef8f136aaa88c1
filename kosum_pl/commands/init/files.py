"""Texts of a new working folder, but for its config.

In: nothing. Out: what `init` writes. They stand in code, so that the package needs no further data files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CALLBACK_NAME: Final = "ShowSummary"

PRESET: Final = """\
# python -m kosum_pl validate --config summarizer.yaml --preset mine --ckpt_path best
# How summaries are generated. To let it serve some rows only, add for example  when: {weekday: [7]}
num_beams: 4
no_repeat_ngram_size: 3
no_repeat_ngram_unit: word
do_sample: false
max_new_tokens: 128
early_stopping: true
"""

CALLBACK: Final = '''\
"""Shows a summary after every validation: an example of a callback of one's own.

A class in this folder is known by its bare name: `- class_path: ShowSummary` under `trainer.callbacks`. All hooks of
`lightning.pytorch.Callback` are there.
"""

from lightning.pytorch import Callback, LightningModule, Trainer


class ShowSummary(Callback):
    """Print one row's summary beside its reference.

    Args:
        row: Number of the row, from 0.
    """

    def __init__(self, row: int = 0) -> None:
        self.row = row

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show it, once, however many processes train."""
        predictions = pl_module.predictions
        if not trainer.is_global_zero or len(predictions) <= self.row:
            return
        prediction = predictions[self.row]
        reference = prediction.references[0] if prediction.references else ""
        print(f"step {trainer.global_step}: {prediction.text}\\n  reference: {reference}")
'''

_TRAIN: Final = """\
fname,dialogue,summary,topic
train_0,"#Person1#: 내일 오후에 시간 있어요?
#Person2#: 네, 세 시부터 괜찮아요.
#Person1#: 그럼 세 시에 도서관 앞에서 봐요.",#Person1#과 #Person2#는 내일 세 시에 도서관 앞에서 만나기로 한다.,약속
train_1,"#Person1#: 감기 때문에 목이 많이 아파요.
#Person2#: 이 약을 하루 두 번, 식사 후에 드세요.",#Person2#는 목이 아픈 #Person1#에게 약을 준다.,병원
"""
_DEV: Final = """\
fname,dialogue,summary,topic
dev_0,"#Person1#: 이 책은 언제까지 반납해야 하나요?
#Person2#: 다음 주 금요일까지예요.",#Person2#는 #Person1#에게 책을 다음 주 금요일까지 반납하라고 알려 준다.,도서관
dev_1,"#Person1#: 커피 두 잔 주세요.
#Person2#: 따뜻한 걸로 드릴까요?
#Person1#: 아니요, 둘 다 차갑게요.",#Person1#은 차가운 커피 두 잔을 주문한다.,카페
"""
_TEST: Final = """\
fname,dialogue
test_0,"#Person1#: 버스가 왜 이렇게 안 오죠?
#Person2#: 길이 막혀서 십 분쯤 늦는대요."
test_1,"#Person1#: 생일 축하해요! 이건 선물이에요.
#Person2#: 고마워요, 지금 열어 봐도 돼요?"
"""
DATA: Final[Mapping[str, str]] = {"train": _TRAIN, "dev": _DEV, "test": _TEST}
"""By split; with the columns that the config names."""

README: Final = """\
# A summarizer of your own

Everything here is yours to change; `configs/{config}.yaml` began as the shipped `{base}.yaml`.

1. Put your rows into `data/train.csv` and `data/dev.csv` (two rows each stand there as a pattern), and the dialogues to
   be summarized into `data/test.csv`. Other column names go under `data.columns` of the config.
2. Set `model.model_name` to the model to begin with: a hub id, or a folder.
3. Run, in this folder:

```
python -m kosum_pl charset  --config {config}
python -m kosum_pl fit      --config {config}
python -m kosum_pl validate --config {config} --preset {preset} --ckpt_path best
python -m kosum_pl predict  --config {config} --ckpt_path best
```

New rows later: train on from the best weights, with a fresh optimizer and schedule:

```
python -m kosum_pl fit --config {config} --init_from runs/{config}/latest --data.train_file data/new.csv
```

A try without a download or a GPU, on the rows that stand here:

```
python -m kosum_pl fit --config demo --data.train_file data/train.csv --data.val_file data/dev.csv
```

| where | what |
| --- | --- |
| `configs/{config}.yaml` | model, training and data |
| `configs/presets/{preset}.yaml` | how summaries are generated |
| `callbacks/` | Lightning callbacks, known by their class name; `{callback}` is an example |
| `data/` | your rows |
| `runs/{config}/latest/` | the last run: `config.yaml`, `metrics.json`, `checkpoints/`, `reproduce.sh`, … |
"""
