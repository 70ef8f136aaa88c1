"""Options and configs that Lightning, torch, transformers or numpy would refuse, or would take for something else."""

from __future__ import annotations

from tests.bad_inputs.row import BadInput, fit, refused

TRAINER = [
    refused("trainer.val_check_interval", "0", "is 0; write a whole number from 1 on"),
    refused("trainer.accumulate_grad_batches", "0", "is 0; write a whole number from 1 on"),
    refused("trainer.accelerator", "qpu", "is qpu", "cpu"),
    refused("trainer.accelerator", "tpu", "is tpu", "use auto, gpu or cpu"),
    refused("trainer.accelerator", "mps", "is mps", "['cpu']"),
    refused("trainer.accelerator", "hpu", "is hpu", "cpu"),
    refused("trainer.strategy", "warp", "is warp", "ddp"),
    refused("trainer.strategy", "fsdp", "needs a GPU", "use auto or ddp"),
    refused("trainer.strategy", "ddp_spawn", "keeps no scores of its processes", "use ddp"),
    refused("trainer.strategy", "ddp_notebook_find_unused_parameters_false", "use ddp"),
    refused("trainer.strategy", "deepspeed", "needs a GPU", "use auto or ddp"),
    refused("trainer.precision", "64bits", "is 64bits", "bf16-mixed"),
    refused("trainer.devices", "-4", "is -4", "int > 0"),
    refused("trainer.devices", "0", "is 0"),
    refused("trainer.devices", "9999", "is 9999: on a CPU that is as many processes", "write a number up to"),
    refused("trainer.devices", "many", "is many", "int > 0"),
    refused("trainer.barebones", "true", "set it to false"),
    refused("trainer.max_epochs", "0", "would train nothing"),
    refused("trainer.max_epochs", "1.5", "expected int"),
    refused("trainer.max_steps", "-7", "from -1 on"),
    refused("trainer.max_time", "banana", "is 'banana'; write DD:HH:MM:SS"),
    refused("trainer.max_time", "{a: 1}", "is {'a': 1}", "hours"),
    refused("trainer.val_check_interval", "{a: 1}", "is {'a': 1}", "hours"),
    refused("trainer.gradient_clip_val", "-1", "from 0 on"),
    refused("trainer.gradient_clip_val", "nan", "expected"),
    refused("trainer.gradient_clip_algorithm", "cut", "value", "norm"),
    refused("trainer.limit_train_batches", "-1", "from 0 on"),
    refused("trainer.limit_val_batches", "2.5", "a share"),
    refused("trainer.fast_dev_run", "-1", ">= 0"),
    refused("trainer.profiler", "magic", "is magic", "simple"),
    refused("trainer.enable_checkpointing", "false", "is False"),
    refused("trainer.default_root_dir", "x", "use --runs_dir"),
    refused("seed_everything", "-1", "from 0 to 4294967295"),
    refused("seed_everything", "abc", "expected"),
]

MODEL = [
    refused("model.learning_rate", "-1", "above 0"),
    refused("model.learning_rate", ".inf", "above 0"),
    refused("model.gguf_file", "x.gguf", "no such file is in", "there is none"),
    refused("model.learning_rate", "null", "is null; write a value"),
    refused("model.schedule", "null", "is null; write a value"),
    refused("model.new_tokens", "null", "is null; write a value"),
    refused("model.constraint", "{charset: null}", "charset is null; write a value"),
    refused("model.adapter.rank", "null", "expected int"),
    refused("trainer.callbacks.save_top_k", "null", "of RougeSumCheckpoint is null; write a value"),
    refused("model.warmup_ratio", "2", "from 0 to below 1"),
    refused("model.schedule", "cosinus", "cosine"),
    refused("model.label_smoothing", "1.5", "below 1"),
    refused("model.model_name", "/no/such", "no such folder"),
    refused("model.model_name", "train.csv", "a file, not a folder"),
    refused("model.dtype", "float8", "bfloat16"),
    refused(
        "model.config_overrides", "{d_model: abc}", "model.config_overrides.d_model is 'abc'; write a whole number"
    ),
    refused("model.config_overrides", "{d_model: -4}", "model.config_overrides.d_model is -4; write a whole number"),
    refused(
        "model.config_overrides", "{d_model: 16.5}", "model.config_overrides.d_model is 16.5; write a whole number"
    ),
    refused(
        "model.config_overrides", "{encoder_layers: 0}", "model.config_overrides.encoder_layers is 0; write a whole"
    ),
    refused("model.config_overrides", "{vocab_size: -5}", "model.config_overrides.vocab_size is -5; write a whole"),
    refused(
        "model.config_overrides",
        "{d_model: 30}",
        "encoder_attention_heads of 'demo:bart' is 4, and model.config_overrides.d_model 30, which 4 does not divide",
    ),
    refused("model.config_overrides", "{dropout: x}", "model.config_overrides.dropout: a bart config refuses this"),
    refused("model.config_overrides", "{model_type: nope}", "nope"),
    refused("model.config_overrides", "{nope: 1}", "no field nope"),
    refused("model.quantization", "nf5", "nf4"),
    refused("model.adapter", "{rank: 0}", "at least 1"),
    refused("model.rouge_tokenizer", "nope", "kiwi"),
    refused("model.postprocess", "[nope]", "unknown step 'nope'"),
    refused("model.constraint", "{charset: klingon}", "klingon"),
    refused("model.constraint", "{ranges: [U+9FFF-U+4E00]}", "lower end first"),
    refused("model.constraint", "{literals: ['']}", "none of them empty"),
    refused("model.nonsense", "1", "unknown key"),
]

DATA = [
    refused("data.num_workers", "-1", "from 0 to"),
    refused("data.batch_size", "0", "from 1 on"),
    refused("data.eval_batch_size", "0", "from 1 on"),
    refused("data.num_eval_samples", "0", "from 1 on"),
    refused("data.seed", "-1", "from 0 to"),
    refused("data.max_source_tokens", "-5", "positive"),
    refused("data.max_summary_tokens", "0", "at least 2"),
    refused("data.max_batch_tokens", "100", "data.batch_size", "set exactly one"),
    refused("data.cleaning", "[nope]", "unknown step 'nope'"),
    refused("data.truncation", "newest", "oldest"),
    refused("data.topics", "{num_clusters: 0}", "2 or more"),
]

CLASSES = [
    BadInput(
        name="a module that is none",
        words=fit("--model.class_path", "subprocess.Popen"),
        says=("model is subprocess.Popen, which is no SummarizationModule; known: CausalModule, Seq2SeqModule",),
    ),
    BadInput(
        name="a callback that is none",
        words=fit("--trainer.callbacks+=subprocess.Popen"),
        says=("trainer.callbacks is subprocess.Popen, which is no Callback",),
    ),
    refused("trainer.logger", "subprocess.Popen", "is subprocess.Popen, which is no Logger"),
    refused("trainer.strategy", "subprocess.Popen", "is subprocess.Popen"),
    refused("model.mbr", "{num_candidates: 2}", "num_candidates is 2; write a number from 3"),
    refused("model.mbr", "{method: draw}", "expected sample, beam"),
    refused("model.mbr", "{weights: {rouge3: 1}}", "known: rouge1, rouge2, rougeL"),
    refused("model.regenerator", "{class_path: subprocess.Popen}", "which is no Regenerator"),
    refused("trainer.plugins", "subprocess.Popen", "is subprocess.Popen"),
    BadInput(
        name="a callback's mode that is none",
        words=fit(
            "--trainer.callbacks+=EarlyStopping",
            "--trainer.callbacks.monitor=val/rouge_sum",
            "--trainer.callbacks.mode=up",
        ),
        says=("trainer.callbacks: `mode` can be min, max, got up",),
    ),
    BadInput(
        name="a callback's literal that is none",
        words=fit("--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=hour"),
        says=("trainer.callbacks.logging_interval is hour; expected step, epoch or null",),
    ),
    BadInput(
        name="a callback's number out of range",
        words=fit("--trainer.callbacks+=RougeSumCheckpoint", "--trainer.callbacks.save_top_k=-5"),
        says=("trainer.callbacks: ", "save_top_k=-5"),
    ),
]

ROWS = [*TRAINER, *MODEL, *DATA, *CLASSES]
