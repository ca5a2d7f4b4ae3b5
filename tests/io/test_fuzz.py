"""Files with random faults: an error of ours or the right answer, nothing else.

`ENCODING_FUZZ` sets the number of examples of each kind; the suite tries few, a long run many. The right answer is that
of a reader of a few lines, which knows cells between tabs and nothing else. `ENCODING_FUZZ_RESULTS` names a JSON file
into which the numbers of examples go.
"""

import json
import os
import re
import tempfile
import time
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoding.core import EncodingError, FeatureSpace, Samples
from encoding.embedding import FeatureTable, embed
from encoding.io.arrays import open_npy
from encoding.io.bids.confounds import read_confounds, read_own_confounds
from encoding.io.bids.sidecars import read_sidecar, seconds_of
from encoding.io.judgments.files import read_judgments
from encoding.io.judgments.triplets import read_triplets
from encoding.io.label_tables import read_label_rows
from encoding.io.region_tables import read_table as read_regions
from encoding.io.store import describe, load, save
from encoding.io.tables import read_stimuli
from encoding.loading.events import read_presentations

EXAMPLES = int(os.environ.get("ENCODING_FUZZ", "40"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES < 100,
)
PIECES = [
    *(b'"', b"'", b"\t", b"\n", b"\r", b"\r\n", b"\0", b",", b";", b" ", b"\xc2\xa0", b"n/a", b"NaN", b"inf"),
    *(b"-", b"1e999", b"-1", b"0", b"007", b"1e9", b"99999999999999999999", b"{", b"}", b"[", b"]", b":", b"../"),
    *(b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"true", b"null", b"#", b"\\", b"stim_id", b"onset", b"x" * 300),
]
edits = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace", "swap"]),
        st.floats(0, 1),
        st.sampled_from(PIECES),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def spoiled(content, changes):
    """Apply random edits to the bytes of a good file."""
    for kind, share, piece, length in changes:
        at = int(share * len(content))
        if kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + length :]
        elif kind == "replace":
            content = content[:at] + piece + content[at + len(piece) :]
        else:
            content = (
                content[:at]
                + content[at + length : at + 2 * length]
                + content[at : at + length]
                + content[at + 2 * length :]
            )
    return content


def lines_of(content):
    """Count the lines of a table, as an editor shows them."""
    return len(content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").splitlines())


TALLY = {}


def outcome(read, *arguments, **options):
    """Return the result, or None after an error of ours, and count which of the two it was."""
    kind = os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[-1].split(" ")[0]
    tally = TALLY.setdefault(kind, Counter())
    try:
        found = read(*arguments, **options)
    except EncodingError:
        tally["refused"] += 1
        return None
    tally["read"] += 1
    return found


@pytest.fixture(autouse=True)
def cpu_seconds(request):
    begin = time.process_time()
    yield
    TALLY.setdefault(request.node.name, Counter())["cpu_seconds"] += time.process_time() - begin


@pytest.fixture(scope="module", autouse=True)
def results():
    """Write how many examples each kind of file was given, beside kinds that were run before."""
    yield
    if place := os.environ.get("ENCODING_FUZZ_RESULTS"):
        path = Path(place)
        kinds = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for kind, tally in TALLY.items():
            kinds[kind.removeprefix("test_")] = {name: round(n) for name, n in sorted(tally.items())}
        path.write_text(json.dumps(dict(sorted(kinds.items())), indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(page_of(kinds), encoding="utf-8")


def page_of(kinds):
    """Write the numbers of examples as a page."""
    total = {name: sum(tally.get(name, 0) for tally in kinds.values()) for name in ("read", "refused", "cpu_seconds")}
    n, minutes = total["read"] + total["refused"], total["cpu_seconds"] / 60
    lines = [
        "# Fuzz",
        "",
        f"Files with random faults, made by `tests/io/test_fuzz.py`: {n:,} readings in {minutes:.1f}",
        "processor minutes. Each was refused with an error of ours, or read as what it is by a second reader of a few",
        "lines; nothing else.",
        "",
        "| Kind of file | Refused | Read right | Processor seconds |",
        "| --- | --- | --- | --- |",
    ]
    for kind, tally in sorted(kinds.items()):
        cells = (kind.replace("_", " "), *(f"{tally.get(name, 0):,}" for name in ("refused", "read", "cpu_seconds")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cells_of(content, separator="\t"):
    """Read a table as an editor shows it: header, and rows of cells."""
    text = content.decode("utf-8-sig").rstrip("\r\n")
    rows = [[cell.strip() for cell in line.split(separator)] for line in re.split("\r\n|\n|\r", text)]
    return rows[0], rows[1:]


def column_of(content, name, separator="\t"):
    header, rows = cells_of(content, separator)
    return [row[header.index(name)] for row in rows]


def numbers(cells):
    return np.array([float(cell) if cell not in ("", "n/a") else np.nan for cell in cells])


@pytest.fixture(scope="module")
def top():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def table(columns, n, separator="\t"):
    rows = [
        separator.join(columns),
        *(
            separator.join(f"{name[0]}{i}" if name.startswith("s") else str(i + 0.5) for name in columns)
            for i in range(n)
        ),
    ]
    return ("\n".join(rows) + "\n").encode()


@fuzzed
@given(edits)
def test_events(top, changes):
    content = spoiled(table(("onset", "duration", "stim_id"), 6), changes)
    (top / "events.tsv").write_bytes(content)
    found = outcome(read_presentations, top / "events.tsv", "run-1")
    if found is not None:
        assert len(found) <= lines_of(content) - 1
        assert np.isfinite(found.onset).all()
        assert (found.duration >= 0).all()
        assert all(name and name == name.strip() for name in found.stimulus.tolist())
        assert (np.diff(found.onset) >= 0).all()
        header, _ = cells_of(content)
        shown = column_of(content, "stim_id" if "stim_id" in header else "stim_file")
        rows = [row for row, name in enumerate(shown) if name not in ("", "n/a")]
        onset, duration = (numbers(column_of(content, name))[rows] for name in ("onset", "duration"))
        order = np.argsort(onset, kind="stable")
        assert found.stimulus.tolist() == [unicodedata.normalize("NFC", shown[rows[k]]) for k in order]
        np.testing.assert_allclose(found.onset, onset[order], rtol=1e-12)
        np.testing.assert_allclose(found.duration, duration[order], rtol=1e-12)


@fuzzed
@given(edits, st.sampled_from([".tsv", ".csv"]))
def test_feature_tables(top, changes, suffix):
    content = spoiled(table(("stimulus", "x", "y"), 6, "\t" if suffix == ".tsv" else ","), changes)
    (top / f"f{suffix}").write_bytes(content)
    found = outcome(embed, FeatureTable("f", f"f{suffix}"), top)
    if found is not None:
        assert len(found.samples) == lines_of(content) - 1
        assert len(set(found.samples.stimulus.tolist())) == len(found.samples)
        assert np.isfinite(found.values).all()
        if suffix == ".tsv":
            for name, column in zip(found.features, found.values.T, strict=True):
                truth = [{"True": "1", "False": "0"}.get(cell, cell) for cell in column_of(content, name)]
                np.testing.assert_allclose(column, numbers(truth), rtol=1e-6)


@fuzzed
@given(edits)
def test_stimulus_tables(top, changes):
    content = spoiled(b"stimulus\tduration\tduplicate_of\na\t1\tn/a\nb\t2\ta\nc\tn/a\tn/a\n", changes)
    (top / "stimuli.tsv").write_bytes(content)
    found = outcome(read_stimuli, top / "stimuli.tsv")
    if found is not None:
        assert len(found) == lines_of(content) - 1


@fuzzed
@given(edits)
def test_region_tables(top, changes):
    content = spoiled(b"index\tname\themi\tcolor\n1\tV1\tL\t#ff0000\n2\tV2\tR\t#00ff00\n3\tV3\tn/a\tn/a\n", changes)
    (top / "atlas_dseg.tsv").write_bytes(content)
    found = outcome(read_regions, top / "atlas_dseg.tsv")
    if found is not None:
        assert len(set(found.index)) == len(found.index) == len(found.region) <= lines_of(content) - 1


LABELS = {
    ".tsv": b"index\tname\themi\n1\tV1\tL\n2\tV2\tR\n3\tV3\tn/a\n",
    ".csv": b'index,name,color\n1,"V1, left",#ff0000\n2,V2,#00ff00\n3,V3,\n',
    ".txt": b"1 V1\n2 V2\n3 V3\n",
    ".lut": b"0 Unknown 0 0 0 0\n1 V1 255 0 0 0\n2 V2 0 255 0 0\n",
    ".xml": b"<?xml version='1.0'?><atlas><header><type>Label</type></header><data>"
    b"<label index='1'>V1</label><label index='2'>V2</label></data></atlas>",
}


@fuzzed
@given(edits, st.sampled_from(list(LABELS)))
def test_label_tables(top, changes, suffix):
    content = spoiled(LABELS[suffix], changes)
    path = top / f"labels{suffix}"
    path.write_bytes(content)
    found = outcome(read_label_rows, path)
    if found is not None:
        assert suffix == ".xml" or len(found) <= lines_of(content)
        if suffix in (".tsv", ".csv"):  # a row is a line
            text = content.decode("utf-8-sig")
            assert len(found) == sum(1 for line in re.split("\r\n|\r|\n", text) if line.strip()) - 1
        assert all({"index", "name"} <= set(row) and "\n" not in row["name"] for row in found if suffix != ".xml")


@fuzzed
@given(edits, st.sampled_from([".tsv", ".csv", ".txt", ".1D"]))
def test_confounds_of_ones_own(top, changes, suffix):
    separator = {".tsv": "\t", ".csv": ","}.get(suffix, " ")
    lines = ["a0 b0 c0", *(f"{k}.25 {k * k} -{k}e-2" for k in range(2, 8))][suffix in (".txt", ".1D") :]
    content = spoiled("\n".join(lines).replace(" ", separator).encode() + b"\n", changes)
    (top / f"own{suffix}").write_bytes(content)
    found = outcome(read_own_confounds, top / f"own{suffix}", None)
    if found is not None:
        assert np.isfinite(found.values).all()
        if suffix == ".tsv":
            _, rows = cells_of(content)
            np.testing.assert_allclose(found.values, [numbers(row) for row in rows], rtol=1e-12)


@fuzzed
@given(edits, st.sampled_from(["\t", ",", ";", " "]), st.sampled_from([".tsv", ".csv", ".txt"]))
def test_judgments_with_a_header(top, changes, separator, suffix):
    rows = ["item_1 item_2 item_3 choice probability_1 probability_2 probability_3", "a b c b 0.25 0.5 0.25",
            "d b a d 0.5 0.25 0.25", "c d e n/a n/a n/a n/a"]  # fmt: skip
    content = spoiled("\n".join(rows).replace(" ", separator).encode() + b"\n", changes)
    (top / f"h{suffix}").write_bytes(content)
    found = outcome(read_judgments, top / f"h{suffix}")
    if found is not None:
        assert len(found) <= lines_of(content)
        assert all(name.strip() for name in found.stimuli)
        known = np.flatnonzero(np.isfinite(found.probabilities).all(axis=1) & (found.choice >= 0))
        assert (found.probabilities[known, found.choice[known]] > 0).all()


@fuzzed
@given(edits)
def test_triplets(top, changes):
    content = spoiled(b"item_1\titem_2\titem_3\todd\na\tb\tc\tc\nb\tc\td\tb\n", changes)
    (top / "triplets.tsv").write_bytes(content)
    found = outcome(read_triplets, top / "triplets.tsv", list("abcd"), odd="odd")
    if found is not None:
        names = np.array(list("abcd"))
        for column, items in zip(("item_1", "item_2", "item_3"), found[0].T, strict=True):
            assert names[items].tolist() == column_of(content, column)
        assert names[found[1]].tolist() == column_of(content, "odd")


@fuzzed
@given(edits)
def test_confounds(top, changes):
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    content = spoiled(table((*names, "cosine00", "non_steady_state_outlier00"), 8).replace(b"s0", b"0"), changes)
    path = top / "sub-01_desc-confounds_timeseries.tsv"
    path.write_bytes(content)
    for strategies in ([], ["motion"]):
        found = outcome(read_confounds, path, strategies, {"motion": "basic"} if strategies else {})
        if found is not None:
            assert len(found.kept) == len(found.values) == lines_of(content) - 1
            assert np.isfinite(found.values[found.kept]).all()
        if found is not None and strategies:
            truth = np.stack([numbers(column_of(content, name)) for name in sorted(names)], axis=1)
            np.testing.assert_allclose(found.values, truth, rtol=1e-12)


@fuzzed
@given(edits, st.sampled_from([".txt", ".csv", ".tsv"]))
def test_judgments_as_numbers(top, changes, suffix):
    separator = {".txt": b" ", ".csv": b",", ".tsv": b"\t"}[suffix]
    content = spoiled(separator.join([b"0", b"1", b"2"]) + b"\n" + separator.join([b"3", b"1", b"10"]) + b"\n", changes)
    (top / f"j{suffix}").write_bytes(content)
    found = outcome(read_judgments, top / f"j{suffix}")
    if found is not None:
        assert len(found.stimuli) <= 10_001
        assert len(found) <= max(lines_of(content), 1)


@pytest.fixture(scope="module")
def parquet(top):
    rows = {"item_1": ["a", "b"], "item_2": ["b", "c"], "item_3": ["c", "a"], "choice": [0, 2]}
    rows |= {f"probability_{slot}": [0.2, 0.4] if slot < 3 else [0.6, 0.2] for slot in (1, 2, 3)}
    pd.DataFrame(rows).to_parquet(top / "good.parquet", compression=None)
    return (top / "good.parquet").read_bytes()


@fuzzed
@given(edits)
def test_judgments_in_parquet(top, parquet, changes):
    (top / "j.parquet").write_bytes(spoiled(parquet, changes))
    found = outcome(read_judgments, top / "j.parquet")
    if found is not None:
        assert ((found.choice >= -1) & (found.choice <= 2)).all()


@fuzzed
@given(edits)
def test_feature_tables_in_parquet(top, changes):
    path = top / "good.f.parquet"
    if not path.is_file():
        pd.DataFrame({"stimulus": ["a", "b"], "x": [1.5, 2.5]}).to_parquet(path, compression=None)
    (top / "f.parquet").write_bytes(spoiled(path.read_bytes(), changes))
    found = outcome(embed, FeatureTable("f", "f.parquet"), top)
    if found is not None:
        assert np.isfinite(found.values).all()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@fuzzed
@given(edits, values)
def test_sidecars(top, changes, value):
    path = top / "sub-01_task-x_bold.json"
    good = json.dumps({"RepetitionTime": 2.0, "VolumeTiming": value, "EchoTime": value}).encode()
    path.write_bytes(spoiled(good, changes))
    found = outcome(read_sidecar, top / "sub-01_task-x_bold.nii.gz", top)
    t_r = None if found is None else outcome(seconds_of, found, "RepetitionTime", "run-1")
    assert t_r is None or isinstance(t_r, float)


@fuzzed
@given(edits, values, st.booleans())
def test_saved_objects(top, changes, value, structured):
    folder = top / "saved"
    space = FeatureSpace("f", np.eye(3), Samples.of_stimuli(np.array(["a", "b", "c"])), ("x", "y", "z"))
    if not (folder / "object.json").is_file():
        save(space, folder)
    path = folder / "object.json"
    good = path.read_bytes()
    try:
        if structured:
            content = json.loads(good)
            fields = content["object"]["fields"]
            name = list(fields)[len(changes) % len(fields)]
            fields[name] = value
            path.write_text(json.dumps(content))
        else:
            path.write_bytes(spoiled(good, changes))
        outcome(describe, folder)
        found = outcome(load, folder)
        assert found is None or type(found).__name__ in ("FeatureSpace", "Samples")
    finally:
        path.write_bytes(good)


@fuzzed
@given(edits)
def test_arrays(top, changes):
    np.save(top / "good.npy", np.arange(12.0).reshape(4, 3))
    (top / "x.npy").write_bytes(spoiled((top / "good.npy").read_bytes(), changes))
    found = outcome(open_npy, top / "x.npy")
    if found is not None:
        assert found.nbytes <= 200
