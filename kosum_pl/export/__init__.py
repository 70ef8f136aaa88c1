"""Room of exported folders: a trained model as other programs read it.

In: a module with weights. Out: a folder for transformers, peft and vLLM, and the way back into a module.
"""
