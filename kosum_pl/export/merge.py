"""Adapters merged into the weights that they stand beside.

In: a module with an adapter on a base that is not quantized. Out: the same module with plain weights and no adapter:
one model, as fast as its base. A quantized base is loaded again in 16 bit before; four bits could not hold the sum. The
adapter was trained to make up for the quantized values, so it is added to them, unless one asks for the original ones.
"""

from __future__ import annotations

from torch import nn

from kosum_pl.errors import UsageError
from kosum_pl.modules import SummarizationModule


def take_quantized_values(module: SummarizationModule, quantized: SummarizationModule) -> None:
    """Give a module's layers, in place and in their own dtype, the values that a quantized one computes with."""
    from peft.utils.integrations import dequantize_module_weight

    layers = dict(module.language_model.named_modules())
    for name, layer in quantized.language_model.named_modules():
        own = layers[name]
        is_quantized = type(layer).__module__.startswith("bitsandbytes.")
        if is_quantized and isinstance(own, nn.Linear):
            own.weight.data.copy_(dequantize_module_weight(layer))


def merge_adapter(module: SummarizationModule) -> int:
    """Add the adapter's product to its unquantized base and take the adapter away; return how many layers were merged.

    Raises:
        ValueError: The adapter makes numbers that are none, or sits on a weight that another layer shares.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    model = module.language_model
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    _check_shared(model, [layer.get_base_layer() for layer in layers.values()])
    for name, layer in layers.items():
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            raise UsageError(
                f"--merge: the adapter of '{name}' cannot be merged ({error}); export without it"
            ) from error
        model.set_submodule(name, layer.get_base_layer())
    for attribute in ("peft_config", "_hf_peft_config_loaded"):
        if attribute in model.__dict__:
            delattr(model, attribute)
    module.adapter = module.new_token_rows = None  # new tokens' rows stand in the weights already
    return len(layers)


def _check_shared(model: nn.Module, bases: list[nn.Module]) -> None:
    """Refuse to change a weight that a layer without this adapter reads too (tied embeddings)."""
    merged = {id(base) for base in bases}
    weights = {id(getattr(base, "weight", None)) for base in bases}
    for name, layer in model.named_modules():
        if id(layer) not in merged and id(getattr(layer, "weight", ())) in weights and _owns_weight(layer):
            raise UsageError(f"--merge: the adapter changes a weight that '{name}' shares; export without --merge")


def _owns_weight(layer: nn.Module) -> bool:
    return "weight" in layer._parameters
