from __future__ import annotations

import os
import subprocess
import sys

from kosum_pl.encode import CausalEncoder, ChatPrompt, Seq2SeqEncoder, SourcePrompt, load_tokenizer

PROMPT = ChatPrompt(system="대화를 요약합니다.", user="대화:\n{dialogue}")


def test_fingerprint_follows_content(tiny) -> None:
    known = CausalEncoder(tiny.chatml(), PROMPT).fingerprint
    assert CausalEncoder(tiny.chatml(), PROMPT).fingerprint == known
    others = [
        CausalEncoder(tiny.chatml(), ChatPrompt(system="대화를 요약합니다", user=PROMPT.user)).fingerprint,
        CausalEncoder(tiny.chatml(tiny.template.replace("assistant\n", "assistant\n\n")), PROMPT).fingerprint,
        CausalEncoder(tiny.llama(), PROMPT).fingerprint,
    ]
    tokenizer = tiny.chatml()
    tokenizer.add_tokens(["#Person3#"])
    others.append(CausalEncoder(tokenizer, PROMPT).fingerprint)
    assert len({known, *others}) == 5
    prefixed = Seq2SeqEncoder(tiny.bart(), SourcePrompt(prefix="요약: ")).fingerprint
    assert prefixed != Seq2SeqEncoder(tiny.bart(), SourcePrompt()).fingerprint


def test_fingerprint_is_the_same_in_another_process(tiny, tmp_path, repository) -> None:
    tiny.chatml().save_pretrained(tmp_path)
    code = (
        "from kosum_pl.encode import CausalEncoder, ChatPrompt, load_tokenizer; import sys;"
        "print(CausalEncoder(load_tokenizer(sys.argv[1])[0], ChatPrompt()).fingerprint)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert len(printed) == 64
    assert printed == CausalEncoder(load_tokenizer(str(tmp_path))[0], ChatPrompt()).fingerprint
