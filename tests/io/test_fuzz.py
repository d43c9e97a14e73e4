"""Generated inputs of any kind: whatever is wrong with them is a CosupError, and what is read is whole."""

import json
import random

import numpy as np
import pytest

from cosup import CosupError, ImportedLabels, TeacherLabels, read_features, read_labels, read_texts
from cosup.io.labels import from_frame, from_snorkel

WORDS = ["cat", "dog", "Cat", "eel", "", " ", "nan", "None", "-1", "0", "1", "2", "1.0", "2.0", "0.5", "inf", "1e200",
         "TRUE", "true", "caf\u00e9", "cafe\u0301", "a\u00a0b", "a\u200bb", '"', 'x"y', "a,b", "a;b", "\t", "\u2028",
         "\x85", "\ud7ff", "-100", "9" * 30, "4611686018427387904", "[]", '["cat"]', "{}", "a\\b", "x" * 300,
         "\r", "=1+1"]  # fmt: skip
KEYS = ["id", "label", "labels", "teacher", "probabilities", "answer", "accept", "text", "task", "worker", "custom_id",
        "response", "result", "data", "annotations", "predictions", "fields", "responses", "suggestions", "source-ref",
        "job", "job-metadata", "images", "categories", "file_name", "meta", "error", "annotator",
        "annotation_id"]  # fmt: skip
HEADERS = ["id", "ID", "rule", "model", "task", "worker", "label", "performer", "Unnamed: 0", "image", "text",
           "filename", "annotator", "annotation_id", "HITId", "WorkerId", "Answer.x", "Input.y", "INPUT:a", "OUTPUT:b",
           "ASSIGNMENT:worker_id", "", "caf\u00e9", "a,b", "__index_level_0__", "cat", "dog"]  # fmt: skip


def table(rng):
    """A text that is more or less a CSV."""
    width, separator = rng.randint(1, 6), rng.choice([",", ",", ",", ";", "\t", "|", ":", " "])
    header = rng.sample(HEADERS, width)
    few = rng.sample(WORDS, rng.randint(1, 5))
    quote = rng.random() < 0.5

    def cell(text):
        return '"' + text.replace('"', '""') + '"' if quote and not text.isalnum() else text

    rows = [header]
    for row in range(rng.choice([0, 1, 2, 3, 12, 40])):
        cells = [
            str(row) if rng.random() < 0.9 and name.lower() in ("id", "image") else rng.choice(few) for name in header
        ]
        rows.append(cells if rng.random() < 0.99 else cells[1:])
    text = rng.choice(["\n", "\n", "\r\n", "\r"]).join(separator.join(map(cell, row)) for row in rows)
    data = (rng.choice(["", "", "sep=;\n", "\ufeff", "\n"]) + text + rng.choice(["", "\n"])).encode(
        "utf-8", "surrogatepass"
    )
    return data if rng.random() < 0.97 else data[: rng.randint(0, len(data))] + bytes([rng.choice([0, 0xFF, 0xC3])])


def value(rng, depth=0):
    """Any JSON value."""
    kind = rng.randint(0, 9 if depth < 3 else 6)
    if kind <= 3:
        return rng.choice(WORDS)
    if kind == 4:
        return rng.choice([None, True, False, 0, 1, -1, 2, 2**62, 10**30])
    if kind <= 6:
        return rng.choice([0.5, 1.0, -1.0, float("nan"), float("inf"), 1e300])
    if kind == 7:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice([*KEYS, *WORDS]): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def records(rng):
    """A text that is more or less JSON lines, or an array of objects."""
    keys = rng.sample(KEYS, rng.randint(0, 4))
    few = [value(rng) for _ in range(3)]
    out = []
    for row in range(rng.choice([1, 2, 3, 12])):
        record = {"id": row, "label": rng.choice(["cat", "dog", None])} if rng.random() < 0.9 else {}
        record |= {key: rng.choice(few) if rng.random() < 0.8 else value(rng) for key in keys}
        out.append(json.dumps(record, ensure_ascii=rng.random() < 0.5))
    text = "\n".join(out) if rng.random() < 0.7 else "[" + ",".join(out) + "]"
    if rng.random() < 0.03:
        text = text[: rng.randint(0, len(text))] + rng.choice(["", "[" * 100_000, '"\\ud800"'])
    return text.encode("utf-8", "surrogatepass")


def check(labels):
    """What was read is whole."""
    assert isinstance(labels, ImportedLabels)
    assert len(set(labels.class_names)) == labels.n_classes
    assert labels.ids is None or len(set(labels.ids)) == len(labels)
    for name in (*labels.class_names, *labels.names, *(labels.ids or ())):
        assert name == name.strip()
        name.encode("utf-8")
    assert not {"nan", "none", "['cat']"} & {name.lower() for name in labels.class_names}
    str(labels.summary())


def fuzz_tables(rng, folder):
    path = folder / rng.choice(["a.csv", "a.csv", "a.tsv"])
    path.write_bytes(table(rng))
    options = rng.choice([{}, {}, {}, {"class_names": ["cat", "dog", "eel"]}, {"abstain": ["nan", "", "None"]},
                          {"id": "id"}, {"task": "task", "worker": "worker", "label": "label"}])  # fmt: skip
    yield lambda: check(read_labels(path, **options))
    yield lambda: read_features(path)
    yield lambda: read_texts(path)


def fuzz_records(rng, folder):
    path = folder / rng.choice(["a.jsonl", "a.jsonl", "a.json", "a.manifest"])
    path.write_bytes(records(rng))
    options = rng.choice(
        [{}, {}, {"class_names": ["cat", "dog", "eel"]}, {"abstain": ["nan", "None"]}, {"label": "label"}]
    )
    yield lambda: check(read_labels(path, **options))
    if path.suffix != ".manifest":
        yield lambda: read_texts(path)


def fuzz_arrays(rng, folder):
    shape = rng.choice([(3, 2), (5,), (4, 2, 3), (0, 2), (2, 0), (6, 1)])
    numbers = np.random.default_rng(rng.randint(0, 2**31))
    kind = rng.choice(["i", "i", "u1", "f", "big", "odd", "text", "object", "flag", "soft"])
    if kind == "soft":
        values = numbers.dirichlet(np.ones(3), size=(4, 2)).astype(rng.choice(["f2", "f4", "f8"]))
        values[numbers.random((4, 2)) < 0.2] = rng.choice([np.nan, np.nan, 0.5, np.inf])
    elif kind == "text":
        values = numbers.choice(np.array(["cat", "dog", "nan", "", "-1", "1.0"]), shape)
    elif kind == "object":
        values = numbers.choice(np.array([None, 0, 1, "cat", float("nan"), float("inf"), [1, 2]], dtype=object), shape)
    elif kind == "flag":
        values = numbers.random(shape) < 0.5
    else:
        top = {"i": 3, "u1": 3, "f": 3, "big": 2**62, "odd": 3}[kind]
        values = numbers.integers(-1, top, shape, dtype=np.int64)
        values = values.astype({"u1": np.uint8, "f": np.float64}.get(kind, np.int64))
        if kind == "odd":
            values = values + numbers.choice([0, 0.5, np.nan, np.inf, 1e200], shape)
    levels = rng.choice([None, None, [0, 1], [0, 2], "x", [float("nan"), 0], [-1, 0]])
    specialties = rng.choice([None, None, [None, [0]], [[9], None], [[], None], 3, ["ab", None]])
    yield lambda: TeacherLabels(values, levels, specialties)
    yield lambda: check(from_snorkel(values))
    if values.dtype != object:
        np.save(folder / "a.npy", values)
        np.savez(folder / "a.npz", **{rng.choice(["annotations", "x", "classes"]): values},
                 **rng.choice([{}, {"ids": np.arange(len(values))}, {"levels": np.array([0, 1])}, {"n_classes": 3},
                               {"class_names": np.array(["a", "b", "c"])},
                               {"names": np.array([b"r", b"s"])}]))  # fmt: skip
        yield lambda: check(read_labels(folder / "a.npy", abstain=rng.choice([(), ["255", "x"]])))
        yield lambda: check(read_labels(folder / "a.npz"))
        yield lambda: read_features(folder / "a.npz")


def fuzz_frames(rng, folder):
    pandas = pytest.importorskip("pandas")
    cells = [None, "cat", "dog", 1, 1.0, True, float("nan"), float("inf"), ["cat"], ["a", "b"], {}, b"cat", b"\xff",
             pandas.NA, pandas.Timestamp(0), "\ud800"]  # fmt: skip
    few = rng.sample(cells, rng.randint(1, 4))
    frame = pandas.DataFrame({name: pandas.Series([rng.choice(few) for _ in range(5)], dtype=object)
                              for name in rng.sample(HEADERS, rng.randint(1, 4))})  # fmt: skip
    if rng.random() < 0.3:
        frame.index = [rng.choice("abcdefgh") for _ in range(5)]
    yield lambda: check(from_frame(frame))


def play(seed, folder):
    """Generate and read one input of every kind; return how many were read, and how many refused."""
    rng = random.Random(seed)
    counts = [0, 0]
    for kind in (fuzz_tables, fuzz_records, fuzz_arrays, fuzz_frames):
        for read in kind(rng, folder):
            try:
                read()
            except CosupError:
                counts[1] += 1
            else:
                counts[0] += 1
    return counts


def test_generated_inputs_are_read_or_refused(tmp_path):
    read, refused = np.sum([play(seed, tmp_path) for seed in range(60)], axis=0)
    assert read > 50
    assert refused > 50


@pytest.mark.slow
def test_a_hundred_thousand_generated_inputs(tmp_path):
    total, seed = 0, 1000
    while total < 100_000:
        total += sum(play(seed, tmp_path))
        seed += 1
