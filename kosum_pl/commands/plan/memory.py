"""How much memory a training step takes, before anything is loaded.

In: the shape of a model, the settings of a run and the size of its largest batch. Out: bytes by kind, and the peak.
Pure arithmetic, so that it can be compared with real tensors one kind at a time; `activations.py` has the layers and
`storage.py` what lies there between the steps.

A step has four moments that can be its peak: the loss, where all activations and the logits lie side by side; the
first layer of the backward pass, where the activations begin to be used up; its end, where all gradients are there;
and the optimizer's step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.commands.plan.activations import layer_bytes, norm_bytes, working_bytes
from kosum_pl.commands.plan.shapes import FP32, BatchShape, LayerShape, ModelShape, StepSettings
from kosum_pl.commands.plan.storage import optimizer_bytes, weight_bytes

CONTEXT_BYTES: Final = 500_000_000  # CUDA context, kernels and cuBLAS workspaces; not in `max_memory_allocated`


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes of a training step, by kind.

    Attributes:
        weights: The base.
        adapter: Trained weights beside it.
        optimizer: Moments.
        gradients: Of all trained weights.
        activations: Kept from the forward pass, with 16-bit copies of weights under autocast.
        logits: Of the supervised positions, at their largest, in the loss's backward pass.
        working: Of one layer's backward pass: its gradients, what checkpointing computes again, weights unpacked.
        step: Temporaries of the optimizer's step.
        moments: Bytes at each moment that can be the peak.
    """

    weights: int
    adapter: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    working: int
    step: int
    moments: dict[str, int]

    @property
    def peak_moment(self) -> str:
        """Which moment is the peak."""
        return max(self.moments, key=lambda name: self.moments[name])

    @property
    def peak(self) -> int:
        """What `torch.cuda.max_memory_allocated` would say."""
        return self.moments[self.peak_moment]

    @property
    def total(self) -> int:
        """The peak and the CUDA context: what has to fit."""
        return self.peak + CONTEXT_BYTES


def estimate(shape: ModelShape, batch: BatchShape, step: StepSettings) -> MemoryEstimate:
    """Bytes of one training step, not the first, on its largest batch."""
    weights, adapter = weight_bytes(shape, step), sum(shape.adapter) * step.adapter_bytes
    moments = optimizer_bytes(shape.trained, optimizer=step.optimizer, parameter_bytes=step.trained_bytes)
    gradients = sum(shape.trained) * step.trained_bytes
    activations = activation_bytes(shape, batch, step)
    copies = weight_copy_bytes(shape, step)
    forward, backward = logit_bytes(shape, batch, step)
    decoder = _working(shape.decoder, batch, step, length=batch.target_length)
    working = max(decoder, _working(shape.encoder, batch, step, length=batch.source_length))
    # Without checkpointing an encoder's turn comes when the decoder's activations are gone.
    first = working if step.is_checkpointed else decoder
    update = gradients if step.optimizer == "adamw" else 0  # foreach computes the update of all tensors at once
    static = weights + adapter + moments
    earlier = gradients if step.is_accumulated else 0
    # The head's gradient is there before the layers', and a tied embedding adds its own to it at the end.
    head = shape.vocab_size * shape.hidden * step.trained_bytes if step.is_base_trained else 0
    kept_copies = 0 if step.is_checkpointed else copies
    return MemoryEstimate(
        weights=weights,
        adapter=adapter,
        optimizer=moments,
        gradients=gradients,
        activations=activations + copies,
        logits=max(forward, backward),
        working=working,
        step=update,
        moments={
            "loss": static + earlier + activations + max(copies + forward, kept_copies + backward),
            "first layer backward": static + max(earlier, head) + activations + kept_copies + first,
            "end of backward": static + gradients + max(head if shape.is_tied else 0, working),
            "optimizer step": static + gradients + update,
        },
    )


def activation_bytes(shape: ModelShape, batch: BatchShape, step: StepSettings) -> int:
    """Bytes kept from the forward pass, without copies of weights and without logits."""
    total = 0
    for layers, length in ((shape.encoder, batch.source_length), (shape.decoder, batch.target_length)):
        if not layers:
            continue
        total += sum(number * _kept(layer, batch, step, length=length) for layer, number in Counter(layers).items())
        # Outside the layers: a norm after the embedding (LayerNorm models) or after the last layer, and a dropout.
        outside = norm_bytes(layers[0], shape.hidden, step)
        outside += shape.hidden * step.mask_bytes * bool(layers[0].num_dropouts)
        total += batch.num_rows * length * outside
    if shape.encoder:
        total += batch.num_rows * batch.source_length * shape.hidden * step.stream_bytes(shape.encoder[0])
    return total + (batch.num_supervised * shape.hidden * step.compute_bytes if step.is_base_trained else 0)


def weight_copy_bytes(shape: ModelShape, step: StepSettings) -> int:
    """Bytes of the 16-bit copies that autocast makes of fp32 weights, all of them where they live through the loss."""
    if not step.has_weight_copies or step.quantization != "none":
        return 0
    # Copies of frozen weights are not cached: with checkpointing they go with their layer.
    is_one_layer = step.is_checkpointed and not step.is_base_trained
    in_layers = 0 if is_one_layer else sum(layer.num_parameters for layer in (*shape.encoder, *shape.decoder))
    return (in_layers + shape.vocab_size * shape.hidden) * step.compute_bytes


def logit_bytes(shape: ModelShape, batch: BatchShape, step: StepSettings) -> tuple[int, int]:
    """Bytes of the logits and what the loss makes of them, forward and backward."""
    num_logits = batch.num_supervised * shape.vocab_size
    widened = FP32 if step.compute_bytes < FP32 else 0
    # Forward: logits, their fp32 copy, log-probabilities. Backward: log-probabilities and two gradients of them.
    return num_logits * (step.compute_bytes + widened + FP32), num_logits * FP32 * (3 + step.is_smoothed)


def _kept(layer: LayerShape, batch: BatchShape, step: StepSettings, *, length: int) -> int:
    if step.is_checkpointed:
        return batch.num_rows * length * layer.hidden * step.stream_bytes(layer)
    return layer_bytes(layer, step, num_rows=batch.num_rows, length=length, memory_length=batch.source_length)


def _working(layers: Sequence[LayerShape], batch: BatchShape, step: StepSettings, *, length: int) -> int:
    """The largest layer's backward pass."""
    largest = 0
    for layer in set(layers):
        total = working_bytes(layer, step, tokens=batch.num_rows * length)
        if step.is_checkpointed:
            total += layer_bytes(layer, step, num_rows=batch.num_rows, length=length, memory_length=batch.source_length)
            total += layer.num_parameters * step.compute_bytes * step.has_weight_copies
        if step.quantization != "none":
            total += layer.largest_linear * step.compute_bytes
        largest = max(largest, total)
    return largest
