"""How much memory a training step takes, before anything is loaded.

In: the shape of a model, the settings of a run and the size of its largest batch. Out: bytes by kind, and the peak.
Pure arithmetic, so that it can be held against real tensors one kind at a time; `activations.py` has the layers.

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
from kosum_pl.commands.plan.shapes import FP32, BatchShape, LayerShape, ModelShape, Numerics
from kosum_pl.commands.plan.storage import linear_bytes, optimizer_bytes

CONTEXT_BYTES: Final = 500_000_000  # CUDA context, kernels and cuBLAS workspaces; not in `max_memory_allocated`


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a run does with its model.

    Attributes:
        numerics: Dtypes.
        quantization: `none`, `nf4` or `int8`.
        is_double: Of nf4: quantize the scales too.
        optimizer: As `model.optimizer` names it.
        is_checkpointed: Whether layers are computed again in the backward pass.
        is_accumulated: Whether gradients of earlier micro-batches are there in the forward pass.
        is_smoothed: Whether the loss has label smoothing.
    """

    numerics: Numerics
    quantization: str = "none"
    is_double: bool = True
    optimizer: str = "adamw"
    is_checkpointed: bool = False
    is_accumulated: bool = False
    is_smoothed: bool = False


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


def estimate(shape: ModelShape, batch: BatchShape, settings: StepSettings) -> MemoryEstimate:
    """Bytes of one training step, not the first, on its largest batch.

    Args:
        shape: The model.
        batch: The batch.
        settings: Dtypes, optimizer and the like.
    """
    numerics = settings.numerics
    trained_bytes = numerics.adapter_bytes if shape.adapter else numerics.weight_bytes
    weights = shape.num_other * numerics.weight_bytes + linear_bytes(
        shape.linears,
        quantization=settings.quantization,
        is_double=settings.is_double,
        weight_bytes=numerics.weight_bytes,
    )
    adapter = sum(shape.adapter) * numerics.adapter_bytes
    moments = optimizer_bytes(shape.trained, optimizer=settings.optimizer, parameter_bytes=trained_bytes)
    gradients = sum(shape.trained) * trained_bytes
    activations = activation_bytes(shape, batch, settings)
    copies = weight_copy_bytes(shape, settings)
    forward, backward = logit_bytes(shape, batch, settings)
    decoder = _working(shape.decoder, batch, settings, length=batch.target_length)
    working = max(decoder, _working(shape.encoder, batch, settings, length=batch.source_length))
    # Without checkpointing an encoder's turn comes when the decoder's activations are gone.
    first = working if settings.is_checkpointed else decoder
    step = gradients if settings.optimizer == "adamw" else 0  # foreach computes the update of all tensors at once
    static = weights + adapter + moments
    earlier = gradients if settings.is_accumulated else 0
    # The head's gradient is there before the layers', and a tied embedding adds its own to it at the end.
    head = 0 if shape.adapter else shape.vocab_size * shape.hidden * trained_bytes
    kept_copies = 0 if settings.is_checkpointed else copies
    return MemoryEstimate(
        weights=weights,
        adapter=adapter,
        optimizer=moments,
        gradients=gradients,
        activations=activations + copies,
        logits=max(forward, backward),
        working=working,
        step=step,
        moments={
            "loss": static + earlier + activations + max(copies + forward, kept_copies + backward),
            "first layer backward": static + max(earlier, head) + activations + kept_copies + first,
            "end of backward": static + gradients + max(head if shape.is_tied else 0, working),
            "optimizer step": static + gradients + step,
        },
    )


def activation_bytes(shape: ModelShape, batch: BatchShape, settings: StepSettings) -> int:
    """Bytes kept from the forward pass, without copies of weights and without logits."""
    numerics = settings.numerics
    total = 0
    for layers, length in ((shape.encoder, batch.source_length), (shape.decoder, batch.target_length)):
        if not layers:
            continue
        total += sum(num * _kept(layer, batch, settings, length=length) for layer, num in Counter(layers).items())
        # Outside the layers: a norm after the embedding (LayerNorm models) or after the last layer, and a dropout.
        is_layer_norm = layers[0].is_layer_norm
        outside = norm_bytes(shape.hidden, numerics, is_layer_norm=is_layer_norm)
        outside += shape.hidden * numerics.mask_bytes * bool(layers[0].num_dropouts)
        total += batch.num_rows * length * outside
    if shape.encoder:
        stream = numerics.stream_bytes(is_layer_norm=shape.encoder[0].is_layer_norm)
        total += batch.num_rows * batch.source_length * shape.hidden * stream
    return total + (batch.num_supervised * shape.hidden * numerics.compute_bytes if numerics.is_base_trained else 0)


def weight_copy_bytes(shape: ModelShape, settings: StepSettings) -> int:
    """Bytes of the 16-bit copies that autocast makes of fp32 weights, all of them where they live through the loss."""
    numerics = settings.numerics
    if not numerics.has_weight_copies or settings.quantization != "none":
        return 0
    layers = (*shape.encoder, *shape.decoder)
    # Copies of frozen weights are not cached: with checkpointing they go with their layer.
    is_one_layer = settings.is_checkpointed and not numerics.is_base_trained
    sizes = [layer.num_parameters for layer in layers]
    in_layers = 0 if is_one_layer else sum(sizes)
    return (in_layers + shape.vocab_size * shape.hidden) * numerics.compute_bytes


def logit_bytes(shape: ModelShape, batch: BatchShape, settings: StepSettings) -> tuple[int, int]:
    """Bytes of the logits and what the loss makes of them, forward and backward."""
    num_logits = batch.num_supervised * shape.vocab_size
    compute = settings.numerics.compute_bytes
    widened = FP32 if compute < FP32 else 0
    smoothing = FP32 if settings.is_smoothed else 0
    # Forward: logits, their fp32 copy, log-probabilities. Backward: log-probabilities and two gradients of them.
    return num_logits * (compute + widened + FP32), num_logits * (3 * FP32 + smoothing)


def _kept(layer: LayerShape, batch: BatchShape, settings: StepSettings, *, length: int) -> int:
    if settings.is_checkpointed:
        stream = settings.numerics.stream_bytes(is_layer_norm=layer.is_layer_norm)
        return batch.num_rows * length * layer.hidden * stream
    return layer_bytes(
        layer, settings.numerics, num_rows=batch.num_rows, length=length, memory_length=batch.source_length
    )


def _working(layers: Sequence[LayerShape], batch: BatchShape, settings: StepSettings, *, length: int) -> int:
    """The largest layer's backward pass."""
    numerics, num_rows = settings.numerics, batch.num_rows
    largest = 0
    for layer in set(layers):
        total = working_bytes(layer, numerics, tokens=num_rows * length)
        if settings.is_checkpointed:
            total += layer_bytes(layer, numerics, num_rows=num_rows, length=length, memory_length=batch.source_length)
            total += layer.num_parameters * numerics.compute_bytes * numerics.has_weight_copies
        if settings.quantization != "none":
            total += layer.largest_linear * numerics.compute_bytes
        largest = max(largest, total)
    return largest
