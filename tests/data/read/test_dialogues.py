from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import CLEANING_STEPS, Columns, DialogueTable
from kosum_pl.data.read import dialogues
from kosum_pl.types import Dialogue, Message
from tests.data.tables import error_line, read_table

HEADER = "fname,dialogue,summary,topic\n"
GOOD = 'train_0,"#Person1#: 안녕!\n#Person2#: 응.",둘이 인사한다.,인사\n'


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def load(source: Any, **options: Any) -> DialogueTable:
    return read_table(source, Path.cwd().parent / "cache", **options)


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def error_of(source: Any, **options: Any) -> str:
    return error_line(lambda: load(source, **options))


def test_a_contest_row_becomes_a_dialogue(work: Path) -> None:
    table = load(write("train.csv", HEADER + GOOD))
    assert list(table) == [table[0]]
    assert table[0] == Dialogue(
        example_id="train_0",
        text="#Person1#: 안녕!\n#Person2#: 응.",
        references=("둘이 인사한다.",),
        profile={"topic": "인사"},
    )
    assert table.profile_columns == ("topic",)
    assert (table.num_rejected, table.rejected, table.row_weights) == (0, [], None)


BAD_ROW = HEADER + GOOD + "\n"
DROP = ", or set data.on_bad_rows=drop"
BAD_ROWS = {
    "empty summary": ("train_1,가, ,나\n", "column 'summary' is empty; fill it", "summary"),
    "empty dialogue": ("train_1,<br>,가,나\n", "column 'dialogue' is empty; fill it", "dialogue"),
    "empty id": (" ,가,나,다\n", "column 'fname' is empty; give every row an id", "fname"),
    "duplicate id": (
        "train_0,가,나,다\n",
        "column 'fname' repeats the id 'train_0' of train.csv:2 (row 1); give every row an id of its own",
        "fname",
    ),
    "too many fields": (
        "train_1,네, 그래요,가,나\n",
        "5 fields where the header has 4; put a field that holds a delimiter, a quote or a line break in double quotes",
        None,
    ),
    "too few fields": ("train_1,가\n", "2 fields where the header has 4; add the missing 'summary', 'topic'", None),
    "stray quote": (
        'train_1,"가"나,다,라\n',
        "the row cannot be parsed (',' expected after '\"'); write a quote inside a field twice",
        None,
    ),
}


@pytest.mark.parametrize(("row", "message", "column"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_named_or_dropped(work: Path, row: str, message: str, column: str | None) -> None:
    # The dialogue of row 1 takes lines 2 and 3, line 4 is blank.
    name = write("train.csv", BAD_ROW + row + "train_9,가,나,다\n")
    assert error_of(name) == f"train.csv:5 (row 2): {message}{DROP}"
    table = load(name, on_bad_rows="drop")
    assert [dialogue.example_id for dialogue in table] == ["train_0", "train_9"]
    (rejected,) = table.rejected
    assert (rejected["file"], rejected["row"], rejected["line"], rejected["column"]) == ("train.csv", 2, 5, column)
    assert message.startswith(rejected["reason"])
    assert table.num_rejected == 1


def test_a_rejected_row_keeps_its_content(work: Path) -> None:
    rows = "train_1,가, ,나\n" + "train_2,1,2,3,4,5\n"
    rejected = load(write("train.csv", HEADER + GOOD + rows), on_bad_rows="drop").rejected
    assert rejected[0]["content"] == {"fname": "train_1", "dialogue": "가", "summary": " ", "topic": "나"}
    assert rejected[1]["content"]["(more fields)"] == ["4", "5"]


BAD_FILES = {
    "missing column": (
        "fname,dialog,summary\na,b,c\n",
        "train.csv: no column 'dialogue'; columns: 'fname', 'dialog', 'summary'; rename the column or set "
        "data.columns.dialogue",
    ),
    "missing id column": (
        "id,dialogue,summary\na,b,c\n",
        "train.csv: no column 'fname'; columns: 'id', 'dialogue', 'summary'; rename the column or set "
        "data.columns.example_id (null makes ids of the row numbers)",
    ),
    "missing summary column": (
        "fname,dialogue\na,b\n",
        "train.csv: no column 'summary'; columns: 'fname', 'dialogue'; rename the column or set data.columns.summary",
    ),
    "no rows": (HEADER, "train.csv: the file is empty: it has no rows; add some, or check the path"),
    "no bytes": ("", "train.csv: the file is empty; write a header and rows into it, or check data.train_file"),
    "blank": ("\n\n", "train.csv: the file is empty; write a header and rows into it"),
    "column twice": (
        "fname,summary,summary\na,b,c\n",
        "train.csv:1: the header names column 'summary' twice; rename one of the two",
    ),
    "semicolons": (
        "fname;dialogue;summary\na;b;c\n",
        "train.csv:1: the header 'fname;dialogue;summary' is one column, it seems to be divided by a semicolon; the "
        "ending .csv means a comma: rename or convert the file",
    ),
    "open quote": (
        HEADER + GOOD + 'train_1,"가,나,다\n' + "train_2,가,나,다\n" * 3,
        "train.csv:4: a double quote opens a field here that is never closed; close it, and write a quote inside a "
        "quoted field twice",
    ),
    "UTF-16": (
        (HEADER + GOOD).encode("utf-16"),
        "train.csv:1: the file is UTF-16, not UTF-8 (byte order mark at byte 0); save it as UTF-8",
    ),
    "CP949 header": (
        "fname,대화,요약\na,b,c\n".encode("cp949"),
        "train.csv:1: the header is not UTF-8 (byte 0xb4 at offset 6, line 1): it reads as CP949, the default of "
        "Excel's CSV on Korean Windows; save it as UTF-8 (in Excel: 'CSV UTF-8')",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
@pytest.mark.parametrize("on_bad_rows", ["error", "drop"])
def test_a_bad_file_is_named_whatever_happens_to_bad_rows(
    work: Path, content: str | bytes, message: str, on_bad_rows: str
) -> None:
    assert error_of(write("train.csv", content), on_bad_rows=on_bad_rows) == message


def test_a_row_in_another_encoding_is_named_with_its_byte(work: Path) -> None:
    content = (HEADER + GOOD).encode() + "train_1,안녕하세요,요약,나\n".encode("cp949")
    offset = len((HEADER + GOOD).encode()) + len("train_1,")
    assert error_of(write("train.csv", content)) == (
        f"train.csv:4 (row 2): column 'dialogue' is not UTF-8 (byte 0xbe at offset {offset}, line 4): it reads as "
        f"CP949, the default of Excel's CSV on Korean Windows; save it as UTF-8 (in Excel: 'CSV UTF-8'){DROP}"
    )
    table = load("train.csv", on_bad_rows="drop")
    assert (len(table), table.num_rejected) == (1, 1)
    assert table.rejected[0]["content"]["dialogue"].encode("utf-8", "surrogateescape").decode("cp949") == "안녕하세요"


def test_a_broken_byte_is_not_taken_for_another_encoding(work: Path) -> None:
    row = "train_1,안녕하세요,요약,나\n".encode().replace("하".encode(), b"\xed\x95")
    assert "most of the row is, so a few bytes are broken" in error_of(write("train.csv", HEADER.encode() + row))


def test_dropping_everything_is_an_error(work: Path) -> None:
    name = write("train.csv", HEADER.encode() + "train_1,안녕,요약,나\ntrain_2,안녕,요약,나\n".encode("cp949"))
    message = error_of(name, on_bad_rows="drop")
    assert message.startswith(
        "train.csv: dropping bad rows left nothing of 2; the first: train.csv:2 (row 1): column 'dia"
    )
    assert message.endswith("save it as UTF-8 (in Excel: 'CSV UTF-8')")


def test_ids_are_unique_within_an_entry_only(work: Path) -> None:
    Path("shards").mkdir()
    for name in ("shards/0.csv", "shards/1.csv", "again.csv"):
        write(name, HEADER + GOOD)
    assert "repeats the id 'train_0' of shards/0.csv:2 (row 1)" in error_of("shards")
    assert len(load(["shards/0.csv", "again.csv"])) == 2


def test_ids_can_be_made_of_row_numbers(work: Path) -> None:
    columns = Columns(example_id=None)
    write("a.csv", "dialogue,summary\n가,나\n다,라\n")
    write("b.csv", "dialogue,summary\n마,바\n")
    table = load(["a.csv", "b.csv"], columns=columns, split="val")
    assert [dialogue.example_id for dialogue in table] == ["val_1", "val_2", "val_3"]
    assert load(["a.csv", "b.csv"], columns=columns, split="test")[0].example_id == "test_1"


def test_a_split_without_summaries_may_have_some(work: Path) -> None:
    write("test.csv", "fname,dialogue\na,가\n")
    table = load("test.csv", needs_summary=False, split="test")
    assert (table[0].references, table.absent_columns) == ((), ("summary",))
    write("some.csv", "fname,dialogue,summary\na,가,나\nb,다,\n")
    some = load("some.csv", needs_summary=False, split="test")
    assert [dialogue.references for dialogue in some] == [("나",), ()]


def test_several_references_come_from_columns_and_lists(work: Path) -> None:
    columns = Columns(summary=["summary", "summary2", "summary3"])
    table = load(write("a.csv", "fname,dialogue,summary3,summary\na,가,셋,하나\nb,나,,둘\n"), columns=columns)
    assert [dialogue.references for dialogue in table] == [("하나", "셋"), ("둘",)]
    assert table.absent_columns == ("summary2",)
    rows = [{"fname": "a", "dialogue": "가", "summary": ["하나", "둘<br>셋", " "]}]
    assert load(write("a.json", json.dumps(rows)))[0].references == ("하나", "둘\n셋")
    message = "a.csv:2 (row 1): columns 'summary' and 'summary3' are all empty; fill it"
    assert error_of(write("a.csv", "fname,dialogue,summary3,summary\na,가,,\n"), columns=columns).startswith(message)


def test_profiles_and_slots(work: Path) -> None:
    header = "fname,dialogue,summary,weekday,slots,기분\n"
    write("a.csv", header + "a,가,나,7.0,지민|오후 3시,좋음\nb,다,라,,,\n")
    table = load("a.csv")
    assert [dialogue.profile for dialogue in table] == [{"weekday": "7"}, {}]
    assert [dialogue.slots for dialogue in table] == [("지민", "오후 3시"), ()]
    named = load("a.csv", columns=Columns(profile=["기분", "weekday"]))
    assert named[0].profile == {"기분": "좋음", "weekday": "7"}
    assert named.profile_columns == ("기분", "weekday")


def test_a_named_profile_column_must_exist_where_summaries_must(work: Path) -> None:
    write("a.csv", HEADER + GOOD)
    columns = Columns(profile=["weekdya"])
    assert error_of("a.csv", columns=columns).startswith(
        "a.csv: no column 'weekdya'; columns: 'fname', 'dialogue', 'sum"
    )
    assert load("a.csv", columns=columns, needs_summary=False).absent_columns == ("weekdya",)


def test_a_conversation_column_is_the_dialogue(work: Path) -> None:
    turns = [{"speaker": "2", "utterance": "안녕"}, {"speaker": "1", "utterance": "응"}]
    rows = [{"id": "x-1", "input": {"conversation": turns}, "output": "인사한다."}]
    columns = Columns(example_id="id", conversation="input.conversation", summary="output")
    table = load(write("a.json", json.dumps(rows, ensure_ascii=False)), columns=columns)
    assert (table[0].text, table[0].references) == ("#Person1#: 안녕\n#Person2#: 응", ("인사한다.",))
    bad = write("b.jsonl", json.dumps({"id": "x", "input": {"conversation": "글"}, "output": "가"}))
    assert error_of(bad, columns=columns) == (
        "b.jsonl:1 (row 1): column 'input.conversation' is not a list of objects; write a list of objects with a "
        f"speaker and an utterance, or a role and a content{DROP}"
    )


def test_a_messages_column_gives_dialogue_and_summary(work: Path) -> None:
    columns = Columns(messages="messages")
    chat = [("system", "요약"), ("user", "가"), ("assistant", "나"), ("user", "다"), ("assistant", "라")]
    messages = [{"role": role, "content": content} for role, content in chat]
    write("a.jsonl", json.dumps({"fname": "a", "messages": messages}))
    (dialogue,) = load("a.jsonl", columns=columns)
    assert (dialogue.text, dialogue.references) == ("다", ("라",))
    assert dialogue.messages == tuple(Message(role=role, content=content) for role, content in chat)
    write("b.jsonl", json.dumps({"fname": "a", "messages": messages[:-1]}))
    assert error_of("b.jsonl", columns=columns) == (
        f"b.jsonl:1 (row 1): column 'messages' does not end with an assistant message; end it with the summary{DROP}"
    )
    (open_ended,) = load("b.jsonl", columns=columns, needs_summary=False)
    assert (open_ended.text, open_ended.references) == ("다", ())
    write("c.jsonl", json.dumps({"fname": "a", "messages": messages[2:3]}))
    assert "column 'messages' has no user message" in error_of("c.jsonl", columns=columns)


def test_weights_are_of_rows_and_do_not_change_them(work: Path) -> None:
    write("a.csv", HEADER + GOOD + "train_1,가,나,다\n")
    write("b.csv", HEADER + GOOD)
    plain = load(["a.csv", "b.csv"])
    weighted = load([{"path": "a.csv", "weight": 0.5}, {"path": "b.csv"}])
    assert plain.row_weights is None
    assert weighted.row_weights is not None
    assert weighted.row_weights.tolist() == [0.5, 0.5, 1.0]
    assert weighted.fingerprint == plain.fingerprint


def test_the_second_start_does_not_parse_again(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.csv", HEADER + GOOD + "bad\n")
    first = load("a.csv", on_bad_rows="drop")
    Path("a.csv").rename("renamed.csv")
    monkeypatch.setattr(dialogues, "open_rows", None)
    second = load("renamed.csv", on_bad_rows="drop", split="val")
    assert second.fingerprint == first.fingerprint
    assert list(second) == list(first)
    assert second.rejected == [{**first.rejected[0], "file": "renamed.csv"}]


@pytest.mark.parametrize(
    "change",
    [
        {"columns": Columns(profile=["topic"])},
        {"cleaning": ("nfc",)},
        {"on_bad_rows": "drop"},
        {"needs_summary": False},
        {"columns": Columns(example_id=None)},
    ],
)
def test_every_setting_is_in_the_fingerprint(work: Path, change: dict[str, Any]) -> None:
    write("a.csv", HEADER + GOOD)
    assert load("a.csv", **change).fingerprint != load("a.csv").fingerprint


def test_one_changed_byte_is_another_table(work: Path) -> None:
    before = load(write("a.csv", HEADER + GOOD))
    after = load(write("a.csv", HEADER + GOOD.replace("안녕", "반갑")))
    assert before.fingerprint != after.fingerprint
    assert "반갑" in after[0].text
    assert "안녕" in before[0].text


def test_an_edited_plug_in_makes_another_table(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.csv", HEADER + GOOD)
    fingerprints = []
    for code in ("return text", "return text.upper()"):
        Path("step.py").write_text(f"def shout(text):\n    {code}\n")
        names: dict[str, Any] = {}
        exec(compile(Path("step.py").read_text(), str(Path("step.py").resolve()), "exec"), names)
        monkeypatch.setitem(CLEANING_STEPS, "shout", names["shout"])
        fingerprints.append(load("a.csv", cleaning=["shout"]).fingerprint)
    assert len(set(fingerprints)) == 2


def test_an_unknown_way_with_bad_rows(work: Path) -> None:
    assert error_of("a.csv", on_bad_rows="skip") == "data.on_bad_rows is 'skip'; set it to error or drop"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conversation": "a", "messages": "b"}, "data.columns: conversation and messages are both set"),
        ({"summary": []}, "data.columns.summary is empty"),
    ],
)
def test_columns_that_contradict(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Columns(**options)


def test_memory_that_runs_out_while_a_file_is_read_names_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dialogue: Dialogue) -> dict[str, Any]:
        raise MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)")

    monkeypatch.setattr(dialogues, "stored_row", refuse)
    said = "Unable to allocate 7.45 GiB for an array with shape (1000000000,)"
    assert error_of(write("train.csv", HEADER + GOOD)) == (
        f"memory ran out while train.csv was read ({said}): end what else uses it, or split the file"
    )
