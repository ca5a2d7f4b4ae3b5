"""Bad inputs and the sentence that each gets; running this file prints the table of docs/bad_inputs.md."""

import gzip
import json
import re
import struct
import tempfile
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from encoding.collection.people import read_people
from encoding.collection.ratings_judge import _table
from encoding.core import EncodingError, FeatureSpace, Samples
from encoding.embedding import FeatureTable, embed
from encoding.io.bids.confounds import read_confounds, read_own_confounds
from encoding.io.bids.sidecars import read_json, seconds_of
from encoding.io.clips import inside
from encoding.io.images.surfaces import read_vertices
from encoding.io.images.volumes import grid_of, open_volume, read_mask, read_voxels, voxel_targets
from encoding.io.judgments.answers import AnswerStore
from encoding.io.judgments.files import read_judgments
from encoding.io.judgments.triplets import read_triplets
from encoding.io.label_tables import read_label_rows
from encoding.io.region_tables import read_table as read_regions
from encoding.io.series_files import read_series
from encoding.io.store import load, save
from encoding.io.tables import read_stimuli
from encoding.loading.events import read_presentations
from encoding.loading.responses import split_space

IDS = ["a", "b", "c", "d"]
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
X = np.arange(8.0).reshape(4, 2)
ROWS = "stimulus\tx\ty\na\t1\t2\nb\t3\t4\n"


def text(name, content, read):
    """Write a text file, and read it."""

    def make(top):
        path = top / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path)

    return make


def features(name, **settings):
    return lambda path: embed(FeatureTable("f", name, **settings), path.parent)


def table(content, name="f.tsv", **settings):
    return text(name, content, features(name, **settings))


def frame(change, **settings):
    def make(top):
        change(pd.DataFrame({"stimulus": IDS, "x": X[:, 0], "y": X[:, 1]})).to_parquet(top / "f.parquet")
        return embed(FeatureTable("f", "f.parquet", **settings), top)

    return make


def array(values, names="a\nb\nc\nd\n", cut=0, **options):
    def make(top):
        np.save(top / "f.npy", values, **options)
        content = (top / "f.npy").read_bytes()
        (top / "f.npy").write_bytes(content[: len(content) - cut])
        if names is not None:
            (top / "f.txt").write_bytes(names if isinstance(names, bytes) else names.encode())
        return embed(FeatureTable("f", "f.npy"), top)

    return make


def promise(top):
    with (top / "f.npy").open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1)}
        np.lib.format.write_array_header_1_0(stream, header)
    (top / "f.txt").write_text("a\n")
    return embed(FeatureTable("f", "f.npy"), top)


def link(top):
    (top / "f.tsv").symlink_to(".git/annex/objects/zz/f.tsv")
    return embed(FeatureTable("f", "f.tsv"), top)


def events(content):
    return text("events.tsv", content, partial(read_presentations, run="run-1"))


def judgments(**columns):
    def make(top):
        rows = {"item_1": ["a", "a"], "item_2": ["b", "b"], "item_3": ["c", "d"], "choice": [0, 1], **columns}
        pd.DataFrame({name: values for name, values in rows.items() if values is not None}).to_parquet(
            top / "j.parquet"
        )
        return read_judgments(top / "j.parquet")

    return make


def probabilities(*row):
    return judgments(**{f"probability_{slot}": [p, 1 / 3] for slot, p in enumerate(row, start=1)})


def numbers(content):
    return text("train_90.txt", content, read_judgments)


def triplets(content):
    return text("t.tsv", content, lambda path: read_triplets(path, IDS, odd="odd"))


def saved(change):
    def make(top):
        save(FeatureSpace("f", X, Samples.of_stimuli(np.array(IDS)), ("x", "y")), top / "f")
        path = top / "f" / "object.json"
        path.write_text(change(path.read_text()))
        return load(top / "f")

    return make


def volume(shape, read=open_volume, cut=0, dtype=np.float32):
    def make(top):
        nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(size=shape).astype(dtype), np.eye(4)), top / "x.nii")
        content = (top / "x.nii").read_bytes()
        (top / "x.nii").write_bytes(content[: len(content) - cut])
        return read(top / "x.nii")

    return make


def surface(*shapes):
    def make(top):
        for side, shape in zip("LR", shapes, strict=True):
            data = [] if shape is None else [nib.gifti.GiftiDataArray(np.zeros(shape, np.float32))]
            nib.save(nib.GiftiImage(darrays=data), top / f"{side}.func.gii")
        return read_vertices((top / "L.func.gii", top / "R.func.gii"), "fsnative")

    return make


def mask(change):
    def make(top):
        inside = change(np.ones((3, 3, 3)))
        nib.save(nib.Nifti1Image(inside.astype(np.float32), np.eye(4)), top / "x.nii")
        return read_mask(top / "x.nii")

    return make


def voxels_of(path):
    """Read all voxels of an image."""
    grid = grid_of(open_volume(path))
    return read_voxels(path, voxel_targets(np.ones(grid.shape, bool), grid, "T1w"))


def scan(top, name, change):
    """Write an image of ten volumes, and change its bytes."""
    data = np.random.default_rng(0).normal(size=(3, 3, 3, 10)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), top / name)
    content = bytearray((top / name).read_bytes())
    change(content)
    (top / name).write_bytes(content)
    return voxels_of(top / name)


def damaged(top):
    def flip(content):
        content[-6] ^= 255  # within the checksum

    return scan(top, "x.nii.gz", flip)


def longer(top):
    return scan(top, "x.nii", lambda content: content.extend(bytes(4 * 27)))


def nowhere(top):
    return scan(top, "x.nii", lambda content: struct.pack_into("<4f", content, 280, *[np.nan] * 4))


def gifti(arrays, steps=("2.0", "2.0")):
    def make(top):
        rng = np.random.default_rng(0)
        data = [
            nib.gifti.GiftiDataArray(rng.integers(0, 4, shape).astype(dtype), intent=f"NIFTI_INTENT_{intent}")
            for intent, shape, dtype in arrays
        ]
        for side, step in zip("LR", steps, strict=True):
            meta = nib.gifti.GiftiMetaData({"TimeStep": step})
            nib.save(nib.GiftiImage(darrays=data, meta=meta), top / f"{side}.func.gii")
        return read_vertices((top / "L.func.gii", top / "R.func.gii"), "fsnative")

    return make


def headed(rows):
    return text("j.csv", f"item_1;item_2;item_3;choice\n{rows}", read_judgments)


def shuffled(top):
    """Choices of the most probable slot, with the columns of probabilities in another order."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=40).round(3)
    p[:, 2] = 1 - p[:, 0] - p[:, 1]
    rows = {"item_1": ["a"] * 40, "item_2": ["b"] * 40, "item_3": ["c"] * 40, "choice": p.argmax(axis=1)}
    rows |= {f"probability_{slot + 1}": p[:, (slot + 1) % 3] for slot in range(3)}
    pd.DataFrame(rows).to_parquet(top / "j.parquet")
    return read_judgments(top / "j.parquet")


def regions(content):
    return text("atlas_dseg.tsv", content, read_regions)


BAD = {
    "Feature table: empty": (table(""), "cannot be read as a table (it is empty)"),
    "Feature table: a line with too few cells": (table("stimulus\tx\na\t1\nb\n"), "line 3 has 1 cells"),
    "Feature table: a line with too many cells": (table("stimulus\tx\na\t1\t2\n"), "line 2 has 3 cells"),
    "Feature table: an empty line": (table("stimulus\tx\n\na\t1\n"), "line 2 is empty"),
    "Feature table: two columns of one name": (table("stimulus\tx\tx\na\t1\t2\n"), "2 columns are called 'x'"),
    "Feature table: columns without names": (table("stimulus\t\t\na\t1\t2\n"), "2 columns have no name"),
    "Feature table: row numbers of pandas": (table("\tstimulus\tx\n0\ta\t1\n1\tb\t2\n"), "index=False"),
    "Feature table: CSV with an open quotation mark": (
        table('stimulus,x\n"a,1\nb,2\n', "f.csv"),
        "without its partner",
    ),
    "Feature table: zero bytes": (table("stimulus\tx\na\t\0\n"), "it holds zero bytes"),
    "Feature table: another encoding": (table("stimulus\tx\né\t1\n".encode("latin-1")), "'utf-8' codec can't decode"),
    "Feature table: an Excel file": (table("", "f.xlsx"), "tables are read from .tsv, .csv or .parquet files"),
    "Feature table: missing": (lambda top: embed(FeatureTable("f", "f.tsv"), top), "no file"),
    "Feature table: a link of git-annex": (link, "1 file of the dataset was not fetched"),
    "Feature table: a pointer of git-annex": (table("/annex/objects/MD5E-s3--x.tsv\n"), "datalad get"),
    "Feature table: a pointer of Git LFS": (table("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "Feature table: text among numbers": (table("stimulus\tx\na\t1\nb\thigh\n"), "column 'x' holds 'high' in row 2"),
    "Feature table: decimal commas": (table("stimulus\tx\na\t0,5\nb\t1\n"), "column 'x' holds '0,5' in row 1"),
    "Feature table: NaN as text": (table("stimulus\tx\na\t1\nb\tNaN\n"), "column 'x' holds 'NaN'"),
    "Feature table: infinity": (table("stimulus\tx\na\t1\nb\tinf\n"), "missing or not finite"),
    "Feature table: a missing value": (table("stimulus\tx\na\t1\nb\tn/a\n"), "1 value is missing"),
    "Feature table: one stimulus twice": (table("stimulus\tx\na\t1\na\t2\n"), "1 stimulus has more than one row"),
    "Feature table: one stimulus twice but for a blank": (table("stimulus\tx\na\t1\na \t2\n"), "more than one row"),
    "Feature table: a row without a stimulus": (table("stimulus\tx\na\t1\nn/a\t2\n"), "row 2 has no stimulus"),
    "Feature table: no column of stimuli": (table("clip\tx\na\t1\n"), "Set `stimulus` to the column"),
    "Feature table: semicolons": (table("stimulus;x\na;1\n", "f.csv"), "There is: stimulus;x"),
    "Feature table: seconds since 1970": (frame(lambda f: f.assign(x=1.7e9 + f.x)), "cannot be held in float32"),
    "Feature table: numbers too large": (frame(lambda f: f.assign(x=1e300 * f.x)), "cannot be held in float32"),
    "Feature table: a header and no rows": (table("stimulus\tx\n"), "0 stimuli and 1 feature;"),
    "Feature table: dates": (frame(lambda t: t.assign(x=pd.date_range("2020", periods=4))), "a number was needed"),
    "Feature table: an index that was reset": (
        frame(lambda t: t.reset_index()),
        "column 'index' only numbers the rows",
    ),
    "Feature table: an unknown column": (table(ROWS, columns=("z",)), "no column 'z'"),
    "Feature table: no feature": (table("stimulus\na\nb\n"), "no column beside 'stimulus'"),
    "Feature table: damaged Parquet": (table("PAR1", "f.parquet"), "cannot be read as a table"),
    "Feature table: Parquet whose index has no name": (
        frame(lambda f: f.set_index("stimulus").rename_axis(None)),
        "no column 'stim_id' or 'stimulus'",
    ),
    "Feature table: UTF-16, as Excel saves Unicode text": (table(ROWS.encode("utf-16")), "can't decode byte 0xff"),
    "Feature table: an Excel file under another name": (table(b"PK\x03\x04\x14\0\x06\0"), "it holds zero bytes"),
    "Feature table: cells in quotation marks": (
        table('"stimulus"\t"x"\n"a"\t"1"\n'),
        "its cells are in quotation marks",
    ),
    "Feature table: names in quotation marks": (
        table('stimulus\tx\n"a"\t1\n"b"\t2\n'),
        "the names of stimuli are in quotation marks",
    ),
    "Feature table: a blank that nobody sees": (table("stimulus\tx\na\u200b\t1\n"), "a character that cannot be seen"),
    "Feature table: numbers in the first line": (table("0.5\t1\n0.25\t2\n"), "its first line holds numbers"),
    "Feature table: a merged header": (table("id\tratings\t\nstimulus\tx\ty\na\t1\t2\n"), "no column 'stim_id'"),
    "Feature table: a row of units": (table("stimulus\tx\nn/a\tHz\na\t1\n"), "column 'x' holds 'Hz'"),
    "Feature table: the header again": (table("stimulus\tx\na\t1\nstimulus\tx\nb\t2\n"), "column 'x' holds 'x'"),
    "Feature table: thousands with commas": (table('stimulus,x\na,"1,000"\n', "f.csv"), "column 'x' holds '1,000'"),
    "Feature table: percentages": (table("stimulus\tx\na\t50%\n"), "column 'x' holds '50%'"),
    "Feature table: NA, as R writes it": (table("stimulus\tx\na\tNA\nb\t1\n"), "column 'x' holds 'NA'"),
    "Feature table: a dash for what is missing": (table("stimulus\tx\na\t-\nb\t1\n"), "column 'x' holds '-'"),
    "Feature table: trial numbers before the stimulus": (
        table("trial\tstimulus\tx\n1\ta\t5\n2\tb\t6\n3\tc\t7\n"),
        "column 'trial' only numbers the rows",
    ),
    "Feature table: a column id that counts": (
        table("stimulus\tid\tx\na\t0\t5\nb\t1\t6\nc\t2\t7\n"),
        "column 'id' only numbers the rows",
    ),
    "Feature table: numbers beyond 2^53": (table("stimulus\tx\na\t9007199254740993\n"), "lose their last digits"),
    "Feature table: compressed": (table(gzip.compress(ROWS.encode(), mtime=0)), "can't decode byte"),
    "Feature array: truncated": (array(X, cut=8), "but 56 follow"),
    "Feature array: a header of 8 TB": (promise, "its header says 8796093022208 bytes"),
    "Feature array: Python objects": (
        array(X.astype(object), allow_pickle=True),
        "Python objects, which are never read",
    ),
    "Feature array: one axis": (array(X[:, 0]), "numbers (n_stimuli, n_features) were needed"),
    "Feature array: without names": (array(X, None), "exactly one is needed to name its rows"),
    "Feature array: other number of names": (array(X, "a\nb\n"), "names 2 stimuli"),
    "Feature array: no rows": (array(X[:0], ""), "0 stimuli and 2 features; at least one is needed"),
    "Feature array: names in another encoding": (array(X, b"\xe9\nb\nc\nd\n"), "Save it as UTF-8 text"),
    "Feature array: not finite": (array(np.where(X == 3, np.nan, X)), "missing or not finite"),
    "MATLAB file: damaged": (table("MATLAB 5.0", "f.mat"), "cannot be read as a MATLAB file"),
    "Stimulus table: one stimulus twice": (
        text("s.tsv", "stimulus\na\na\n", read_stimuli),
        "1 names occur more than once",
    ),
    "Stimulus table: a copy of nothing": (
        text("s.tsv", "stimulus\tduplicate_of\na\tz\n", read_stimuli),
        "duplicate_of names 'z', which is not listed",
    ),
    "Events: an onset that is missing": (
        events("onset\tduration\tstim_id\nn/a\t2\ta\n"),
        "onset of 'a' in row 1 is nan",
    ),
    "Events: an onset with a comma": (events("onset\tduration\tstim_id\n8,5\t2\ta\n"), "column 'onset' holds '8,5'"),
    "Events: a negative duration": (events("onset\tduration\tstim_id\n0\t-2\ta\n"), "a number of at least 0"),
    "Events: no column of stimuli": (events("onset\tduration\n0\t2\n"), "Set `stimulus` in [load]"),
    "Events: no stimulus at all": (events("onset\tduration\tstim_id\n0\t2\tn/a\n"), "no stimulus in column 'stim_id'"),
    "Events: one row twice": (
        events("onset\tduration\tstim_id\n0\t2\ta\n4\t2\tb\n0\t2\ta\n"),
        "rows 1 and 3 both show 'a' at 0 s",
    ),
    "Events: no onset": (events("time\tduration\tstim_id\n0\t2\ta\n"), "no column 'onset'"),
    "Stimulus table: a negative duration": (
        text("s.tsv", "stimulus\tduration\na\t-1\n", read_stimuli),
        "the duration in row 1 is -1 s",
    ),
    "Events: NA, as R writes it": (events("onset\tduration\tstim_id\n0\t2\tNA\n2\t2\ta\n"), "BIDS wants n/a"),
    "Events: None, as Python writes it": (events("onset\tduration\tstim_id\n0\t2\tNone\n"), "1 rows have 'None'"),
    "Events: times of a clock": (events("onset\tduration\tstim_id\n00:00:10\t2\ta\n"), "holds '00:00:10'"),
    "Events: onsets with units": (events("onset\tduration\tstim_id\n1 s\t2\ta\n"), "holds '1 s'"),
    "Events: commas between cells": (events("onset,duration,stim_id\n0,2,a\n"), "no column 'onset'"),
    "Events: cells in quotation marks": (
        events('"onset"\t"duration"\t"stim_id"\n"0"\t"2"\t"a"\n'),
        "its cells are in quotation marks",
    ),
    "Events: UTF-16": (events("onset\tduration\tstim_id\n0\t2\ta\n".encode("utf-16")), "can't decode byte 0xff"),
    "Events: an endless onset": (events("onset\tduration\tstim_id\ninf\t2\ta\n"), "onset of 'a' in row 1 is inf"),
    "Judgments: item 1000000000": (numbers("0 1 1000000000\n"), "only 3 different items occur"),
    "Judgments: a number beyond 32 bits": (numbers("0 1 9000000000\n"), "numbers go up to 9000000000"),
    "Judgments: a negative number": (numbers("0 1 2\n0 -1 2\n"), "row 2 is [0, -1, 2]"),
    "Judgments: a fraction": (numbers("0 1 2.5\n"), "whole numbers of 0 or more were needed"),
    "Judgments: two numbers a row": (numbers("0 1\n1 2\n"), "three whole numbers per row were needed"),
    "Judgments: one item twice": (numbers("0 1 1\n"), "row 1 names ['0', '1', '1'] (1 such row)"),
    "Judgments: text": (numbers("a b c\n"), "whole numbers per row were needed"),
    "Judgments: Parquet without choices": (judgments(choice=None), "no column 'choice'"),
    "Judgments: slot 3": (judgments(choice=[0, 3]), "row 2 has the choice 3, but 0, 1, 2 or -1"),
    "Judgments: choices as text": (judgments(choice=["left", "right"]), "numbers were needed"),
    "Judgments: valid without a choice": (
        judgments(choice=[0, None], outcome=["valid"] * 2),
        "needs a choice of 0, 1 or 2",
    ),
    "Judgments: logarithms": (probabilities(-0.1, -3.0, -4.0), "Are they logarithms?"),
    "Judgments: probabilities of 0": (probabilities(0.0, 0.0, 0.0), "add up to 1 were needed"),
    "Judgments: two probabilities of three": (probabilities(0.5, 0.5, None), "three numbers from 0 to 1"),
    "Judgments: a choice whose probability is 0": (probabilities(0.0, 0.5, 0.5), "whose probability is 0"),
    "Judgments: probabilities in another order": (shuffled, "choices and probabilities contradict"),
    "Judgments: probabilities without a choice": (
        judgments(choice=[None, 1], probability_1=[0.2] * 2, probability_2=[0.4] * 2, probability_3=[0.4] * 2),
        "row 1 has probabilities, but no choice",
    ),
    "Judgments: true and false as choices": (judgments(choice=[True, False]), "holds true and false"),
    "Judgments: the odd item is not the chosen one": (judgments(odd=["c", "b"]), "row 1 calls 'c' odd"),
    "Judgments: an item without a name": (judgments(item_1=[None, "a"]), "row 1 does not name three items"),
    "Judgments: an unknown split": (judgments(split=["Train", "test"]), "split 'Train' is none of"),
    "Judgments: a repeat of one half": (judgments(repeat=[0.5, 0]), "repeat of row 1 is 0.5"),
    "Judgments: an endless weight": (judgments(weight=[np.inf, 1]), "weight of row 1 is inf"),
    "Judgments: a header and no row": (headed(""), "a header, but no row"),
    "Judgments: a cell too few between semicolons": (headed("a;b;c;c\na;b;d\n"), "line 3 has 3 cells"),
    "Judgments: names with blanks between blanks": (
        text("j.txt", "item_1 item_2 item_3 choice\nbig dog b c c\n", read_judgments),
        "line 2 has 5 cells",
    ),
    "Judgments: an empty item": (headed("a;;c;c\n"), "row 1 names ['a', '', 'c']"),
    "Judgments: positions from 0 or from 1": (headed("a;b;c;1\na;b;d;2\n"), "positions may count from 0 or from 1"),
    "Judgments: a refusal with a choice": (
        text("j.csv", "item_1,item_2,item_3,choice,outcome\na,b,c,c,refused\n", read_judgments),
        "1 row contradicts that",
    ),
    "Judgments: a negative repeat": (judgments(repeat=[0, -1]), "repeat of row 2 is -1.0"),
    "Judgments: an unknown format": (text("j.json", "{}", read_judgments), "judgments are read from .parquet"),
    "Store of answers: no database": (text("answers.sqlite", "text" * 500, AnswerStore), "cannot be used as a store"),
    "Store of answers: missing": (lambda top: AnswerStore(top / "a.sqlite", read_only=True), "no answers here yet"),
    "Answers of people: reaction times with commas": (
        text("p.tsv", "item_1\trt\na\t1,234\n", lambda path: read_people(path, {})),
        "holds '1,234' in row 1; a reaction time",
    ),
    "Answers of people: another encoding": (
        text("p.json", '[{"rt": 1, "who": "é"}]'.encode("latin-1"), lambda path: read_people(path, {})),
        "not valid JSON",
    ),
    "Ratings of a judge: row numbers": (
        text("r.csv", ",stimulus,x\n0,a,1\n1,b,2\n", lambda path: _table(path, None, None)),
        "column 1 has no name",
    ),
    "Features in time: decimal commas": (
        text("w.tsv", "onset\tx\n0\t0,5\n1\t0,7\n", read_series),
        "column 'x' holds '0,5' in row 1",
    ),
    "Triplets: an unknown stimulus": (
        triplets("item_1\titem_2\titem_3\todd\na\tb\tz\ta\n"),
        "row 1, item_3: no stimulus 'z'",
    ),
    "Triplets: odd is none of them": (triplets("item_1\titem_2\titem_3\todd\na\tb\tc\td\n"), "none of its three items"),
    "Sidecar: broken": (text("x.json", '{"RepetitionTime": ', read_json), "not valid JSON"),
    "Sidecar: a list": (text("x.json", "[]", read_json), "holds a list, but an object was needed"),
    "Sidecar: nested without end": (text("x.json", "[" * 100_000, read_json), "not valid JSON"),
    "Sidecar: a time as text": (
        lambda _: seconds_of({"RepetitionTime": "2"}, "RepetitionTime", "run-1"),
        "RepetitionTime is '2' in the JSON sidecar",
    ),
    "Sidecar: a key twice": (
        text("x.json", '{"RepetitionTime": 2, "RepetitionTime": 1.5}', read_json),
        "'RepetitionTime' stands twice",
    ),
    "Sidecar: a key in small letters": (
        lambda _: seconds_of({"repetitiontime": 2}, "RepetitionTime", "run-1"),
        "BIDS spells it RepetitionTime",
    ),
    "Sidecar: a time of 400 digits": (
        lambda _: seconds_of({"RepetitionTime": 10**400}, "RepetitionTime", "run-1"),
        "a number of seconds above 0",
    ),
    "Sidecar: UTF-16": (text("x.json", '{"RepetitionTime": 2}'.encode("utf-16"), read_json), "not valid JSON"),
    "Confounds: a gap in the first row": (
        text(
            "x_timeseries.tsv",
            "\t".join(MOTION) + "\n" + "n/a\t1\t1\t1\t1\t1\n" + 2 * "2\t3\t1\t2\t1\t4\n",
            lambda path: read_confounds(path, ["motion"], {"motion": "basic"}),
        ),
        "'trans_x' has no value in its first row",
    ),
    "Confounds of one's own: no header": (
        text("c.tsv", "0.1\t0.2\n0.3\t0.4\n", lambda path: read_own_confounds(path, None)),
        "its first line holds numbers",
    ),
    "Confounds of one's own: row numbers": (
        text("c.tsv", "\ta\n0\t1\n1\t2\n2\t5\n", lambda path: read_own_confounds(path, None)),
        "column 1 has no name",
    ),
    "Confounds: no cosines": (
        text("x_timeseries.tsv", "trans_x\n1\n2\n", lambda path: read_confounds(path, ["high_pass"], {})),
        "no cosine columns",
    ),
    "Confounds: columns are missing": (
        text("x_timeseries.tsv", "a\tb\n1\t2\n", lambda path: read_confounds(path, ["motion"], {})),
        "confounds = ['motion']",
    ),
    "Image: five axes": (volume((3, 3, 3, 1, 4)), "shape (3, 3, 3, 1, 4), but a 3-D or 4-D"),
    "Image: complex voxels": (volume((3, 3, 3), dtype=np.complex64), "one real number per voxel was needed"),
    "Image: truncated": (volume((3, 3, 3), read_mask, cut=40), "cannot be read"),
    "Image: text": (text("x.nii.gz", "not an image", open_volume), "cannot be read"),
    "Image: a damaged byte of its compression": (damaged, "CRC check failed"),
    "Image: more volumes than its header counts": (longer, "1 more volumes follow"),
    "Image: an affine that is not finite": (nowhere, "which places no voxels"),
    "Mask: negative": (mask(lambda x: -x), "a mask holds 0 outside"),
    "Mask: probabilities": (mask(lambda x: x * np.linspace(0, 0.9, 3)), "does not say where the mask ends"),
    "Mask: four axes": (volume((3, 3, 3, 2), read_mask), "a mask must have three dimensions"),
    "Surface: no data": (surface(None, None), "holds no GIFTI data array"),
    "Surface: axes that cannot be told": (surface((5, 30), (5, 30)), "neither is the number of vertices"),
    "Surface: hemispheres of other runs": (surface((30, 5), (30, 6)), "has 5 volumes, but R.func.gii has 6"),
    "Surface: triangles": (
        gifti([("POINTSET", (4, 3), "f4"), ("TRIANGLE", (4, 3), "i4")]),
        "of a surface, but one value per vertex",
    ),
    "Surface: labels": (gifti([("LABEL", (30,), "i4")]), "holds labels"),
    "Surface: arrays of two lengths": (
        gifti([("TIME_SERIES", (30,), "f4"), ("TIME_SERIES", (31,), "f4")]),
        "its data arrays differ in length",
    ),
    "Surface: one hemisphere twice": (gifti([("TIME_SERIES", (30,), "f4")] * 4), "one hemisphere was saved twice"),
    "Surface: time steps that differ": (
        gifti([("TIME_SERIES", (30,), "f4")], ("2.0", "1.5")),
        "has a TimeStep of 2 s, but R.func.gii of 1.5 s",
    ),
    "Surface: a time step in words": (gifti([("TIME_SERIES", (30,), "f4")], ("two", "two")), "TimeStep in its header"),
    "Region table: no names": (regions("index\tlabel\n1\tV1\n"), "column 'name' is missing"),
    "Region table: a number twice": (regions("index\tname\n1\tV1\n1\tV2\n"), "index 1 occurs twice"),
    "Region table: a name twice": (regions("index\tname\n1\tV1\n2\tV1\n"), "name 'V1' occurs twice"),
    "Region table: a short line": (regions("index\tname\n1\n"), "not 2 fields separated by tabs"),
    "Region table: no number": (regions("index\tname\nx\tV1\n"), "index 'x' is not a whole number"),
    "Region table: a number of another notation": (regions("index\tname\n1_0\tV1\n"), "index '1_0' is not a whole"),
    "Region table: a region without a name": (regions("index\tname\n1\t\n"), "region 1 has no name"),
    "Label table: a lone quotation mark": (
        text("a.csv", 'index,name\n1,"V1\n2,V2\n', read_label_rows),
        "a quotation mark without its partner",
    ),
    "Label table: a cell too many": (text("a.csv", "index,name\n1,V1,x\n", read_label_rows), "line 2: 3 cells"),
    "Label table: two columns of names": (
        text("a.csv", "index,name,name\n1,V1,W1\n", read_label_rows),
        "2 columns are called 'name'",
    ),
    "Saved object: a list": (saved(lambda _: "[]"), "holds a list, but an object was needed"),
    "Saved object: nested without end": (saved(lambda _: "[" * 100_000), "not valid JSON"),
    "Saved object: leads out of its folder": (
        saved(lambda t: t.replace("values.npy", "../v.npy")),
        "not in its folder",
    ),
    "Saved object: another version": (saved(lambda t: json.dumps(json.loads(t) | {"format": 9})), "format 9"),
    "Saved object: an unknown type": (saved(lambda t: t.replace("FeatureSpace", "Pickle")), "holds no object"),
    "Saved object: nothing there": (lambda top: load(top), "no saved object here"),
    "Clip: leads out of its folder": (lambda top: inside(top, "../x.mp4"), "leads out of the stimulus folder"),
    "Clip: missing": (lambda top: inside(top, "x.mp4"), "there is no such file"),
    "Settings: a space with an unknown part": (lambda _: split_space("MNI:cohort-1"), "'cohort-1' is not understood"),
}
DOCS = Path(__file__).parent.parent / "docs" / "bad_inputs.md"


def message_of(make, top):
    """Return the message of the error that an input gets."""
    with pytest.raises(EncodingError) as raised:
        make(top)
    return " ".join(str(raised.value).split())


def row_of(name, told, folder):
    """Return the line of the table."""
    for place in (str(folder), str(Path(folder).resolve())):
        told = told.replace(place, "DATA")
    return f"| {name} | {told.replace('|', '/')} |"


def without_libraries(row):
    """Leave out what is in brackets: there, messages repeat what a library said, which changes with its version."""
    while (shorter := re.sub(r"\([^()]*\)", "", row)) != row:
        row = shorter
    return row


@pytest.fixture(scope="module")
def documented():
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ")}


@pytest.mark.parametrize("name", BAD)
def test_bad_inputs_get_one_sentence_that_names_them(tmp_path, name, documented):
    make, fragment = BAD[name]
    told = message_of(make, tmp_path)
    assert fragment in told
    assert without_libraries(row_of(name, told, tmp_path)) == without_libraries(documented.get(name, "")), (
        "write docs/bad_inputs.md again: python tests/test_bad_inputs.py > docs/bad_inputs.md"
    )


def test_the_documentation_lists_nothing_else(documented):
    assert set(documented) - {"Input", "---"} == set(BAD)
    assert len(BAD) >= 60


def print_table():
    """Print the table of docs/bad_inputs.md."""
    print("# Bad inputs\n\nWhat each gets instead of a result; `python tests/test_bad_inputs.py` makes this page.\n")
    print("| Input | Message |\n| --- | --- |")
    for name, (make, _) in BAD.items():
        with tempfile.TemporaryDirectory() as folder:
            print(row_of(name, message_of(make, Path(folder)), folder))


if __name__ == "__main__":
    print_table()
