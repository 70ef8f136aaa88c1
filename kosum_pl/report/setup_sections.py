"""How a run came to be, and how it grew: samples over validations, config, versions, memory.

In: scored runs. Out: sections. Whoever gets the page alone can still say what ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kosum_pl.report.diff import diff_words, marked_text
from kosum_pl.report.markup import Child, Html, element, join
from kosum_pl.report.scored import ScoredRun
from kosum_pl.report.section import Section, folded, per_run, table

_GB: Final = 1e9
_TELLING: Final = ("torch", "lightning", "transformers", "peft", "bitsandbytes", "kiwipiepy", "tokenizers", "datasets")


def samples(runs: Sequence[ScoredRun]) -> Section:
    """The same rows after every validation."""
    bodies = [_samples_of(scored) for scored in runs]
    missing = "no samples.jsonl, which the callback SampleTable writes"
    return Section(id="samples", title="Summaries over training", body=per_run(runs, bodies), missing=missing)


def _samples_of(scored: ScoredRun) -> Html:
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for line in scored.run.samples:
        by_row.setdefault(str(line.get("example_id")), []).append(line)
    return join([_sample(name, lines) for name, lines in by_row.items()])


def _sample(name: str, lines: Sequence[Mapping[str, Any]]) -> Html:
    lines = sorted(lines, key=lambda line: line.get("step") or 0)
    reference = str(lines[-1].get("reference") or "")
    steps = []
    for line in lines:
        said = str(line.get("prediction") or "")
        text = marked_text(diff_words(said, reference)[0], name="ins") if reference else join(said)
        steps.append(element("li", element("small", f"step {line.get('step', 0):,}"), element("div", text)))
    return element(
        "article",
        element("header", element("span", name, class_="id")),
        element("ol", *steps, class_="steps"),
        element("div", reference, class_="reference") if reference else None,
        folded("dialogue", element("div", str(lines[-1].get("dialogue") or ""), class_="dialogue")),
    )


def memory(runs: Sequence[ScoredRun]) -> Section:
    """What was planned against the highest that was measured."""
    bodies = [_memory_of(scored) for scored in runs]
    missing = "no plan.json (plan --json RUN/plan.json) and no train/memory_peak_gb in metrics.csv"
    return Section(id="memory", title="Memory", body=per_run(runs, bodies), missing=missing)


def _memory_of(scored: ScoredRun) -> Html:
    run = scored.run
    lines: list[list[Child]] = []
    planned = run.plan.get("peak")
    if isinstance(planned, (int, float)):
        lines.append(["planned peak", _gigabytes(planned), str(run.plan.get("peak_moment", ""))])
    peaks = [line["train/memory_peak_gb"] for line in run.log if "train/memory_peak_gb" in line]
    known = run.metrics.get("train/memory_peak_gb")
    peaks += [float(known)] if isinstance(known, (int, float)) else []
    if peaks:
        is_host = any("train/memory_rss_gb" in line for line in run.log) or "train/memory_rss_gb" in run.metrics
        what = "of the whole process, as there was no GPU" if is_host else "allocated on the device"
        lines.append(["measured peak", f"{max(peaks):.2f}", what])
        if isinstance(planned, (int, float)) and planned and not is_host:
            lines.append(["measured over planned", f"{max(peaks) * _GB / planned:.2f}", ""])
    if not lines:
        return Html("")
    kinds = run.plan.get("bytes")
    parts = [table(["memory", "what", "GB"], [[name, what, number] for name, number, what in lines], num_text=2)]
    if isinstance(kinds, Mapping):
        rows: list[list[Child]] = [[name, _gigabytes(size)] for name, size in kinds.items()]
        parts.append(folded("planned, by kind", table(["kind", "GB"], rows)))
    return join(parts)


def setup(runs: Sequence[ScoredRun]) -> Section:
    """Config, versions, hashes and ancestors."""
    bodies = [_setup_of(scored) for scored in runs]
    missing = "no config.yaml and no constraints.txt"
    return Section(id="setup", title="Config and versions", body=per_run(runs, bodies), missing=missing)


def _setup_of(scored: ScoredRun) -> Html:
    run = scored.run
    facts: list[tuple[str, Any]] = [
        ("folder", run.folder),
        ("started as", run.started_as),
        ("best checkpoint", run.metrics.get("best_checkpoint")),
        ("config hash", run.metrics.get("config_hash")),
        *(("data", f"{name}  sha256 {digest[:16]}…") for name, digest in run.data_hashes.items()),
        *(("ancestor", _words(ancestor)) for ancestor in run.config.get("lineage") or ()),
    ]
    lines = [[name, element("code", str(value))] for name, value in facts if value]
    versions = [f"{name} {run.versions[name]}" for name in _TELLING if name in run.versions]
    if versions:
        lines.append(["versions", ", ".join(versions)])
    if not (run.config_text or run.versions):
        return Html("")
    parts = [element("dl", *([element("dt", name), element("dd", value)] for name, value in lines))]
    if run.config_text:
        parts.append(folded("config.yaml", element("pre", run.config_text)))
    if run.versions:
        text = "\n".join(f"{name}=={version}" for name, version in run.versions.items())
        parts.append(folded(f"all {len(run.versions)} versions", element("pre", text)))
    return join(parts)


def _words(ancestor: Any) -> str:
    if isinstance(ancestor, Mapping):
        return ", ".join(f"{name} {value}" for name, value in ancestor.items())
    return str(ancestor)


def _gigabytes(size: Any) -> str:
    return f"{float(size) / _GB:.3g}"
