"""One line of advice out of a run's gradient norms.

In: a `NormRecord`. Out: percentiles, and the one setting worth changing next, with the reason. The rules go by cause,
worst first: norms that are no numbers, a learning rate that is too high, a warm-up that is too short, and only then a
clip value, which would hide the others.

How the thresholds were set: on 200 and 300 steps of the demo's BART and Llama, at a learning rate that works and at
ten and thirty times that. At the good rate 0 to 0.3 % of the norms were above twice their running median and none above
three times, and between the first and the last quarter after warm-up the loss fell by 55 to 64 %. At the high ones 1.6
to 5.3 % of the norms were above twice, one to five above three times, and the loss fell by 2 to 21 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from .record import NormRecord
from .shape import GradShape, shape_of

Kind = Literal["nonfinite", "learning_rate", "accumulation", "warmup", "clip", "guard", "fine", "too_few"]
_MIN_STEPS: Final = 20
_MIN_STEADY_STEPS: Final = 50
_FITTING_CLIP_RATE: Final = 0.2  # clipping a fifth of the steps still tells outliers from the rest
_CLIP_QUANTILE: Final = 0.97
_GUARD: Final = 1.5


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What to change next.

    Attributes:
        kind: Which rule spoke.
        reason: Why, in words.
        settings: Names as in a config, without the section, and values; empty where nothing should be changed.
    """

    kind: Kind
    reason: str
    settings: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """E.g. `gradient_clip_val: 1.4 (…)`."""
        changes = " or ".join(f"{name}: {_setting_text(name, value)}" for name, value in self.settings.items())
        return f"{changes or 'no change'} ({self.reason})"


def summarize(record: NormRecord) -> dict[str, float]:
    """Percentiles, clip rate and spikes of a run, flat; percentiles are over finite norms, NaN without any.

    Example:
        >>> from .record import NormStep
        >>> record = NormRecord(gradient_clip_val=1.0)
        >>> spikes = [record.add(NormStep(step=step, norm=step / 10)) for step in range(1, 12)]
        >>> summary = summarize(record)
        >>> summary["p50"], round(summary["clip_rate"], 3), summary["num_steps"]
        (0.6, 0.091, 11.0)
    """
    norms = np.array([step.norm for step in record.steps], dtype=np.float64)
    finite = norms[np.isfinite(norms)]
    quantiles = np.quantile(finite, [0.5, 0.9, 0.99]) if finite.size else np.full(3, math.nan)
    num_clipped = sum(record.is_clipped(norm) for norm in norms.tolist())
    return {
        "num_steps": float(norms.size),
        "p50": float(quantiles[0]),
        "p90": float(quantiles[1]),
        "p99": float(quantiles[2]),
        "max": float(finite.max()) if finite.size else math.nan,
        "clip_rate": num_clipped / norms.size if norms.size else 0.0,
        "num_spikes": float(len(record.spikes)),
        "num_nonfinite": float(norms.size - finite.size),
    }


def advise(record: NormRecord) -> Advice:
    """The setting worth changing next, judged by all steps of a run.

    Example:
        >>> from .record import NormStep
        >>> record = NormRecord(gradient_clip_val=1.0)
        >>> spikes = [record.add(NormStep(step=step, norm=1 + 0.4 * (step % 40) / 39)) for step in range(1, 401)]
        >>> print(advise(record))
        gradient_clip_val: 1.4 (would clip 0% of the steps: outliers only)
    """
    shape = shape_of(record)
    too_few = Advice(kind="too_few", reason=f"{shape.norms.size} steps are too few to judge by")
    return (
        _about_nonfinite(record, shape)
        or (too_few if shape.norms.size < _MIN_STEPS else None)
        or _about_learning_rate(record, shape)
        or _about_warmup(record, shape)
        or _about_clipping(record, shape)
    )


def advice_line(record: NormRecord) -> str:
    """Norms and advice in one line, as the end of a fit shows it."""
    summary, clip = summarize(record), record.gradient_clip_val
    steps = f"{summary['num_steps']:.0f} steps"
    clipped = f"clipped {_percent(summary['clip_rate'])} of {steps} at {clip}" if clip else f"{steps}, no clipping"
    return f"grad norms: median {summary['p50']:.3g}, p99 {summary['p99']:.3g}, {clipped}; advice: {advise(record)}"


# The rules, worst cause first.


def _about_nonfinite(record: NormRecord, shape: GradShape) -> Advice | None:
    bad = [step.step for step in record.steps if not math.isfinite(step.norm)]
    # fp16's loss scaling tries too high a scale every now and then, and skips that step: 1 in 2,000, and some at first.
    if not bad or (record.has_loss_scaling and len(bad) <= 16 + len(record.steps) / 200 and bad[-1] != shape.last_step):
        return None
    where = f"{len(bad)} norms are NaN or inf, the first at step {bad[0]}"
    if bad[-1] == shape.last_step and len(bad) > 1:
        reason = f"{where}, and the run ended so: a tenth of the learning rate"
        return Advice(kind="nonfinite", reason=reason, settings=_lowered(record, 10))
    remedy = "precision: bf16-mixed or 32-true" if record.has_loss_scaling else "see their rows in grad_spikes.csv"
    return Advice(kind="nonfinite", reason=f"{where}; {remedy}, and lower the learning rate if they repeat")


def _about_learning_rate(record: NormRecord, shape: GradShape) -> Advice | None:
    spikes = _in_words(shape.spike_steps, shape.unsteady_share if shape.is_unsteady else 0.0)
    if shape.is_diverging:
        divisor, why = 10, f"the loss rose from {shape.best_loss:.2f} to {shape.end_loss:.2f}"
    elif shape.is_stalled and shape.has_repeated_spikes:
        divisor, why = 10, f"{spikes}, and the loss has stalled at {shape.end_loss:.2f} since the warm-up"
    elif shape.norm_growth >= (3.0 if shape.is_falling else 2.0):
        divisor, why = 3, f"the norm grew {shape.norm_growth:.1f} times between warm-up and end"
    elif not shape.has_repeated_spikes:
        return None
    elif shape.is_falling:
        return Advice(
            kind="accumulation",
            reason=f"{spikes}, without growth while the loss falls: average over more rows, or learn slower",
            settings={"accumulate_grad_batches": 2 * record.accumulate_grad_batches, **_lowered(record, 2)},
        )
    else:
        divisor, why = 3, spikes
    share = {10: "a tenth", 3: "a third"}[divisor]
    return Advice(kind="learning_rate", reason=f"{share}; {why}", settings=_lowered(record, divisor))


def _about_warmup(record: NormRecord, shape: GradShape) -> Advice | None:
    early = [step for step in shape.spike_steps if step <= shape.early_end]
    if not early or len(early) < len(shape.spike_steps):
        return None
    reason = f"{_in_words(early, 0)}, within or right after the warm-up: a longer one"
    return Advice(kind="warmup", reason=reason, settings={"warmup_steps": 2 * max(record.num_warmup_steps, early[-1])})


def _about_clipping(record: NormRecord, shape: GradShape) -> Advice:
    steady = shape.steady if shape.steady.size >= _MIN_STEADY_STEPS else shape.norms
    clip = record.gradient_clip_val
    rate = float(np.mean(steady > clip)) if clip else 0.0
    odd = f"; look at the rows of step {shape.spike_steps[0]} in grad_spikes.csv" if shape.spike_steps else ""
    if clip and 0 < rate <= _FITTING_CLIP_RATE:
        return Advice(kind="fine", reason=f"{clip:g} clips {_percent(rate)} of the steps: outliers only{odd}")
    if clip and rate:
        value = _round_up(float(np.quantile(steady, _CLIP_QUANTILE)))
        reason = f"would clip {_percent(float(np.mean(steady > value)))} of the steps: outliers only{odd}"
        return Advice(kind="clip", reason=reason, settings={"gradient_clip_val": value})
    value = _round_up(_GUARD * float(np.quantile(steady, 0.99)))
    if clip and clip <= 2 * value:
        return Advice(kind="fine", reason=f"{clip:g} clips nothing, and guards against outliers{odd}")
    never = f"{clip:g} never acts" if clip else "nothing is clipped"
    reason = f"{never}; {_GUARD:g} times the p99 guards against outliers{odd}"
    return Advice(kind="guard", reason=reason, settings={"gradient_clip_val": value})


# Words and numbers.


def _lowered(record: NormRecord, divisor: float) -> dict[str, float]:
    return {"learning_rate": (record.learning_rate or math.nan) / divisor}


def _in_words(steps: Sequence[int], unsteady_share: float) -> str:
    """Spikes with their steps, and the share of norms that jump, where there are any."""
    shown = ", ".join(str(step) for step in steps[:4]) + (", …" if len(steps) > 4 else "")
    parts = [f"{len(steps)} {'spikes' if len(steps) > 1 else 'spike'} (step {shown})"] if steps else []
    if unsteady_share:
        parts.append(f"{_percent(unsteady_share)} of the norms above twice their running median")
    return ", ".join(parts)


def _round_up(value: float) -> float:
    """To two significant digits, upwards: 1.388 -> 1.4."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{100 * share:.0f}%"


def _setting_text(name: str, value: float) -> str:
    if name != "learning_rate":
        return f"{value:g}"
    if math.isnan(value):
        return "lower"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
