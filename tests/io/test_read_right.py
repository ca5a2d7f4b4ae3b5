"""Files that could be read as something else are read as what they are, or refused."""

import json
import unicodedata
from fractions import Fraction

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import write_study

from encoding.core import ConfigError, DataError
from encoding.embedding import FeatureTable, embed
from encoding.io.atomic import write_tsv
from encoding.io.bids.confounds import read_confounds
from encoding.io.bids.index import PybidsIndex
from encoding.io.bids.sidecars import read_json
from encoding.io.clips import read_clip
from encoding.io.fetched import is_unfetched, require_fetched
from encoding.io.images.surfaces import _volumes_first
from encoding.io.images.volumes import told_forms
from encoding.io.judgments.files import read_judgments
from encoding.io.label_tables import read_label_rows
from encoding.io.luminance import read_luminance
from encoding.io.tables import read_table, require_no_row_numbers
from encoding.loading import Loader, load_responses, require_files
from encoding.loading.events import read_presentations
from encoding.loading.responses import split_space
from encoding.numerics.cleaning import clean_series, linear_drift, orthonormal

IDS = [f"v{number}" for number in range(6)]


# Tables.


@pytest.mark.parametrize("cell", ['"Oh no', 'says "hi"', '"', '""', "'", "a # b", "café"])
def test_a_row_of_a_tsv_is_a_line_whatever_it_holds(tmp_path, cell):
    lines = ["stimulus\tcaption", *(f"{name}\tclip" for name in IDS)]
    lines[2] = f"v1\t{cell}"
    path = tmp_path / "x.tsv"
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    frame = read_table(path, text=("stimulus", "caption"))
    assert frame["stimulus"].tolist() == IDS
    assert frame["caption"][1] == cell


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    frame = pd.DataFrame({"stimulus": ['a "b"', '"c', "d\te\nf"], "x": [1.5, np.nan, 2.0]})
    read = read_table(write_tsv(tmp_path / "x.tsv", frame), text=("stimulus",))
    assert read["stimulus"].tolist() == ['a "b"', '"c', "d e f"]
    np.testing.assert_array_equal(read["x"], frame["x"])


def test_csv_cells_may_be_quoted_within_a_line(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('stimulus,caption\nv0,"one, two"\nv1,"she said ""stop"""\n')
    assert read_table(path, text=("caption",))["caption"].tolist() == ["one, two", 'she said "stop"']


BAD_TABLES = {
    "short line": ("x.tsv", "a\tb\n1\t2\n3\n", r"line 3 has 1 cells, but the header has 2"),
    "long line": ("x.tsv", "a\tb\n1\t2\t3\n", r"line 2 has 3 cells, but the header has 2"),
    "empty line": ("x.tsv", "a\tb\n\n1\t2\n", r"line 2 is empty"),
    "same header": ("x.tsv", "a\ta\n1\t2\n", r"2 columns are called 'a'"),
    "same header after trimming": ("x.tsv", "a\ta \n1\t2\n", r"2 columns are called 'a'"),
    "no names": ("x.tsv", "a\t\t\n1\t2\t3\n", r"2 columns have no name"),
    "open mark in csv": ("x.csv", 'a,b\n1,"two\n3,four"\n', r"line 2 has a quotation mark without its partner"),
    "text behind a mark": ("x.csv", 'a,b\n1,"two"x\n', r"line 2 has a quotation mark without its partner"),
    "zero bytes": ("x.tsv", "a\tb\n1\t\0\n", r"it holds zero bytes"),
    "nothing": ("x.tsv", "\n\n", r"it is empty"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_are_not_what_they_seem_are_refused(tmp_path, case):
    name, content, message = BAD_TABLES[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def test_other_encodings_are_refused(tmp_path):
    (tmp_path / "x.tsv").write_bytes("a\tb\n1\té\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot be read as a table.*utf-8"):
        read_table(tmp_path / "x.tsv")


def feature_frame():
    values = np.random.default_rng(0).normal(size=(6, 3))
    return pd.DataFrame({"stimulus": IDS, **dict(zip("abc", values.T, strict=True))})


def test_row_numbers_of_pandas_are_no_feature(tmp_path):
    feature_frame().to_csv(tmp_path / "x.tsv", sep="\t")
    with pytest.raises(DataError, match=r"column 1 has no name.*to_csv\(\.\.\., index=False\)"):
        embed(FeatureTable("x", "x.tsv"), tmp_path)
    assert embed(FeatureTable("x", "x.tsv", columns=("a", "b")), tmp_path).features == ("a", "b")
    pd.read_csv(tmp_path / "x.tsv", sep="\t").to_csv(tmp_path / "y.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match=r"column 1 has no name"):
        embed(FeatureTable("y", "y.tsv"), tmp_path)


def test_stimuli_that_pandas_made_the_index_are_found(tmp_path):
    frame = feature_frame()
    frame.set_index("stimulus").to_parquet(tmp_path / "x.parquet")
    space = embed(FeatureTable("x", "x.parquet"), tmp_path)
    assert space.samples.stimulus.tolist() == IDS
    np.testing.assert_allclose(space.values, frame[list("abc")], rtol=1e-6)


def test_blanks_around_names_do_not_make_other_stimuli(tmp_path):
    frame = feature_frame()
    frame.loc[3, "stimulus"] = "v0 "
    write_tsv(tmp_path / "x.tsv", frame)
    with pytest.raises(DataError, match=r"1 stimulus has more than one row \('v0'\)"):
        embed(FeatureTable("x", "x.tsv"), tmp_path)
    (tmp_path / "events.tsv").write_text("onset\tduration\tstim_id\n0\t2\tv0 \n4\t2\tv0\n")
    assert read_presentations(tmp_path / "events.tsv", "run-1").stimulus.tolist() == ["v0", "v0"]


@pytest.mark.parametrize("values", [1.7e9 + np.arange(6.0), np.arange(6) * 1e-50, np.arange(6) * 1e200])
def test_features_that_float32_cannot_hold_are_refused(tmp_path, values):
    feature_frame().assign(a=values).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"1 feature cannot be held in float32, the first is 'a'.*Subtract a constant"):
        embed(FeatureTable("x", "x.parquet"), tmp_path)


def test_usual_offsets_are_no_reason_to_refuse(tmp_path):
    feature_frame().assign(a=2000.0 + np.arange(6), b=1e6 * np.arange(6), c=1.0).to_parquet(tmp_path / "x.parquet")
    assert embed(FeatureTable("x", "x.parquet"), tmp_path).n_features == 3


# Files that were not fetched.


@pytest.mark.parametrize(
    "content",
    [None, "/annex/objects/MD5E-s12--abc.tsv\n", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"],
)
def test_files_that_were_not_fetched_come_with_the_command(tmp_path, content):
    (tmp_path / ".git").mkdir()
    path = tmp_path / "sub-01" / "x.tsv"
    path.parent.mkdir()
    if content is None:
        path.symlink_to("../.git/annex/objects/zz/x.tsv")
    else:
        path.write_text(content)
    assert is_unfetched(path)
    command = "git lfs pull" if content and "lfs" in content else r"datalad get sub-01/x\.tsv"
    with pytest.raises(DataError, match=rf"1 file of the dataset was not fetched.*cd {tmp_path} && {command}"):
        read_table(path)
    with pytest.raises(DataError, match=r"7 files of the dataset were not fetched"):
        require_fetched([path] * 7)


def test_all_subjects_are_looked_at_before_any_work(tmp_path):
    study = write_study(tmp_path, subjects=("01", "02"))
    loader = Loader(space="T1w")
    require_files(loader, study.root, None, ("01", "02"))
    for path in study.root.rglob("sub-02_*run-[12]*preproc_bold.nii.gz"):
        path.unlink()
        path.symlink_to("../../.git/annex/objects/zz/a.nii.gz")
    require_files(loader, study.root, None, ("01",))
    require_files(Loader(space="MNI152NLin2009cAsym"), study.root, None, ("01", "02"))
    with pytest.raises(DataError, match=r"2 files of the dataset were not fetched.*datalad get"):
        require_files(loader, study.root, None, ("01", "02"))
    with pytest.raises(DataError, match=r"sub-02: 2 files of the dataset were not fetched"):
        load_responses(loader, PybidsIndex(study.root), "02", tmp_path / "work")


# Images and names.


def test_the_axis_of_vertices_is_told_by_the_mesh(tmp_path):
    values = np.zeros((30, 10242))
    assert _volumes_first(tmp_path, values).shape == _volumes_first(tmp_path, values.T).shape == (30, 10242)
    assert _volumes_first(tmp_path, np.zeros((500, 30))).shape == (30, 500)
    with pytest.raises(DataError, match=r"shape \(30, 500\), and neither is the number of vertices of a known mesh"):
        _volumes_first(tmp_path, np.zeros((30, 500)))


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "bids")


def loaded(study, **settings):
    return load_responses(Loader(**settings), PybidsIndex(study.root), "01", study.root.parent / "work")


def test_five_axes_are_refused_with_their_shape(study):
    path = study.find("*run-1*preproc_bold.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, :, :, None], image.affine), path)
    with pytest.raises(DataError, match=r"shape \(\d+, \d+, \d+, 1, 60\), but a 3-D or 4-D.*Time must be the fourth"):
        loaded(study)


def write_header_t_r(study, t_r):
    for path in study.root.rglob("*preproc_bold.nii.gz"):
        image = nib.load(path)
        image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
        nib.save(image, path)


def test_sidecars_that_agree_outrank_a_header(study):
    reference = np.array(loaded(study).values)
    write_header_t_r(study, 1.0)
    responses = load_responses(Loader(), PybidsIndex(study.root), "01", study.root.parent / "other")
    assert responses.t_r == 2.0
    np.testing.assert_array_equal(responses.values, reference)
    assert len(responses.warnings) == 3
    assert "2 s by the JSON sidecars, which were followed, but 1 s by the header" in responses.warnings[0]
    write_header_t_r(study, 3.0)
    with pytest.raises(DataError, match=r"2 s by the sidecar, but 3 s by the header.*outranked once the sidecars of"):
        loaded(study, despike=9.0)
    for path in study.root.rglob("*preproc_bold.nii.gz"):
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"RepetitionTime": 2.0}')
    assert loaded(study, despike=9.0).t_r == 2.0


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.cumsum([0, *[2.0, 6.0] * 29, 2.0]).tolist(), r"VolumeTiming in the JSON sidecar gives steps of 2 to 6 s"),
        (
            (np.arange(60) * 3.0).tolist(),
            r"VolumeTiming in the JSON sidecar gives a volume every 3 s, but RepetitionTime is 2 s",
        ),
        (["a", "b"], r"VolumeTiming in the JSON sidecar is no list of numbers"),
    ],
)
def test_volumes_at_unequal_steps_are_refused(study, times, message):
    path = study.find("*run-2_bold.json", raw=True)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"VolumeTiming": times}))
    with pytest.raises(DataError, match=f"run-2: {message}"):
        loaded(study)


def test_equal_steps_of_volume_timing_are_a_repetition_time(study):
    path = study.find("*run-2_bold.json", raw=True)
    path.write_text(json.dumps({"RepetitionTime": 2.0, "VolumeTiming": (np.arange(60) * 2.0).tolist()}))
    assert loaded(study).t_r == 2.0


@pytest.mark.parametrize("per", ["tr", "stimulus"])
def test_what_begins_before_the_run_is_noted(study, per):
    path = study.find("*run-2_events.tsv", raw=True)
    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame.loc[frame["stim_id"].notna().idxmax(), "onset"] = "-6"
    frame.loc[frame["stim_id"].notna().idxmax(), "duration"] = "8"
    frame.to_csv(path, sep="\t", index=False)
    notes = [note.text for note in loaded(study, per=per).exclusions if "before" in note.reason]
    assert len(notes) == 1
    assert "sub-01, run-2: " in notes[0]
    assert "begin before the" in notes[0]


def test_numbers_that_are_skipped_are_said_to_be(tmp_path):
    study = write_study(tmp_path / "bids", runs=(("", "1"), ("", "2"), ("", "4")))
    with pytest.raises(DataError, match=r"run numbers skip task-video_run-3, of which there is no file at all; there "):
        loaded(study)
    assert loaded(study, missing_runs="exclude").samples.runs == ("run-1", "run-2", "run-4")


def test_surfaces_of_fmriprep_20_0_are_found(tmp_path):
    study = write_study(tmp_path / "bids", kinds=("surface",))
    reference = np.array(loaded(study, kind="surface").values)
    for path in list(study.root.rglob("*_bold.func.gii")):
        side = "L" if "hemi-L" in path.name else "R"
        name = path.name.replace(f"_hemi-{side}", "").replace("_bold.func.gii", f"_hemi-{side}.func.gii")
        path.rename(path.with_name(name))
    again = load_responses(Loader("surface"), PybidsIndex(study.root), "01", tmp_path / "again")
    np.testing.assert_array_equal(again.values, reference)
    for path in list(study.root.rglob("*.func.gii")):
        side = "L" if "hemi-L" in path.name else "R"
        path.rename(path.with_name(path.name.replace(f"_hemi-{side}", "").replace(".func", f".{side}.func")))
    with pytest.raises(DataError, match=r"6 files named as by fMRIPrep before 1\.2.*must end in _bold\.func\.gii"):
        loaded(study, kind="surface", despike=9.0)


def test_native_space_and_resolution_are_named_as_fmriprep_does(study):
    for path in list(study.root.rglob("*space-T1w*")):
        path.rename(path.with_name(path.name.replace("_space-T1w", "")))
    for path in list((study.root / "derivatives").rglob("*_desc-preproc_bold.nii.gz")):
        other = path.with_name(path.name.replace("_desc", "_space-MNI_res-2_desc"))
        other.write_bytes(path.read_bytes())
        mask = next(path.parent.glob(f"{path.name.split('_desc')[0]}_desc-brain_mask.nii.gz"))
        mask.with_name(mask.name.replace("_desc", "_space-MNI_res-2_desc")).write_bytes(mask.read_bytes())
    with pytest.raises(DataError, match=r"Set `res` or `space`"):
        loaded(study)
    for name in ("func", "boldref"):
        assert loaded(study, space=name).targets.space == ""
    assert loaded(study, space="MNI:res-2").targets.density == "2"
    with pytest.raises(ConfigError, match=r"'cohort-1' is not understood; res-<label> and den-<label> may follow"):
        split_space("MNIPediatricAsym:cohort-1")
    with pytest.raises(ConfigError, match=r"space = 'MNI:res-2', but res = '3'\. Say it once"):
        loaded(study, space="MNI:res-2", res="3")


def change_events(study, change):
    path = study.find("*run-2_events.tsv", raw=True)
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(frame).to_csv(path, sep="\t", index=False)


@pytest.mark.parametrize(
    ("t_r", "message"),
    [
        (2000, r"repetition time is 2000 s by the sidecar\. BIDS wants seconds"),
        (0, r"RepetitionTime is 0 in the JSON sidecar, but a number of seconds above 0"),
        (float("nan"), r"RepetitionTime is nan in the JSON sidecar"),
    ],
)
def test_repetition_times_that_sidecars_agree_on_must_be_seconds(study, t_r, message):
    for path in study.root.rglob("*preproc_bold.nii.gz"):
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps({"RepetitionTime": t_r}))
    for path in study.root.rglob("*task-video_run-?_bold.json"):
        path.write_text(json.dumps({"RepetitionTime": t_r}))
    with pytest.raises(DataError, match=message):
        loaded(study)


def test_durations_in_milliseconds_and_overlaps_are_said(study):
    assert loaded(study).warnings == ()
    change_events(study, lambda frame: frame.assign(duration=frame["duration"].replace("8.0", "8000")))
    found = loaded(study, despike=9.0)
    notes = [note.text for note in found.exclusions if "beyond the end" in note.reason]
    assert len(notes) == 1
    assert "8 presentations last beyond the end of the run at 120 s" in notes[0]
    assert len(found.warnings) == 1
    assert "sub-01, run-2: 7 presentations go on while the next is shown" in found.warnings[0]


def test_marks_of_windows_editors_are_no_part_of_names_and_numbers(study, tmp_path):
    reference = np.array(loaded(study).values)
    path = study.find("*run-2_bold.json", raw=True)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    np.testing.assert_array_equal(loaded(study, despike=99.0).values, reference)
    np.save(tmp_path / "f.npy", np.eye(6))
    (tmp_path / "f.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(IDS).encode())
    assert embed(FeatureTable("f", "f.npy"), tmp_path).samples.stimulus.tolist() == IDS


def test_accents_in_two_characters_are_the_same_name(tmp_path):
    one, two = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    table, shown = tmp_path / "f.tsv", tmp_path / "events.tsv"
    table.write_text(f"stimulus\tx\n{two}\t1\nb\t2\n")
    shown.write_text(f"onset\tduration\tstim_id\n0\t1\t{one}\n")
    assert one != two
    assert embed(FeatureTable("f", "f.tsv"), tmp_path).samples.stimulus.tolist() == [one, "b"]
    assert read_presentations(shown, "run-1").stimulus.tolist() == [one]
    table.write_text(f"stimulus\tx\n{two}\t1\n{one}\t2\n")
    with pytest.raises(DataError, match="1 stimulus has more than one row"):
        embed(FeatureTable("f", "f.tsv"), tmp_path)


def test_huge_confounds_are_taken_out_like_others():
    columns = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(np.abs(orthonormal(columns * 1e300)), np.abs(orthonormal(columns)), atol=1e-12)


# What is left of a signal that the cleaning takes out.


def test_voxels_of_drift_alone_are_rounding_noise():
    n = 200
    drift = orthonormal(np.concatenate([np.ones((n, 1)), linear_drift(n)], axis=1))
    confound = np.random.default_rng(0).normal(size=(n, 1))
    nuisance = orthonormal(confound, within=drift)
    ramp, noise = linear_drift(n)[:, 0], np.random.default_rng(1).normal(size=n)
    columns = [10_000 + 10 * ramp, 500 + 3 * confound[:, 0], np.full(n, 0.1), 10_000 + 10 * ramp + noise, 1e-3 * noise]
    values = np.stack(columns, axis=1).astype(np.float32)
    assert clean_series(values, drift, nuisance).tolist() == [True, True, True, False, False]
    assert np.isnan(values[:, :3]).all()
    np.testing.assert_allclose(values[:, 3:].std(axis=0, ddof=1), 1, rtol=1e-5)


# Clips.


def write_clip(path, levels, *, audio=0.0, lead=0.0, codec="mpeg4", sound="aac", aspect=None):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        heard = container.add_stream(sound, rate=48000, layout="mono") if audio else None
        for number, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int((lead + number / 10) * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if heard is not None:
            for first in range(0, int(audio * 48000), 960):
                kind = "flt" if sound == "libopus" else "fltp"
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format=kind, layout="mono")
                frame.rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
                container.mux(heard.encode(frame))
            container.mux(heard.encode())
    return path


CLIPS = {
    "plain.mp4": {},
    "lead.mkv": {"lead": 0.3},
    "long-lead.mkv": {"lead": 2.0},
    "lead.ts": {"lead": 0.3},
    "audio.mp4": {"audio": 5.0},
    "audio.webm": {"audio": 5.0, "codec": "libvpx", "sound": "libopus"},
    "audio-lead.mkv": {"audio": 5.0, "lead": 1.0},
}


@pytest.mark.parametrize("name", CLIPS)
def test_the_time_of_a_clip_is_that_of_its_pictures(tmp_path, name):
    path = write_clip(tmp_path / name, [20] * 10 + [220] * 10, **CLIPS[name])
    clip = read_clip(path, 4)
    assert clip.problem == ""
    assert clip.duration == pytest.approx(2.0, abs=0.05)
    assert [frame.mean() > 100 for frame in clip.frames] == [False, False, True, True]
    assert read_luminance(path, 16, 5).shape == (10, 16, 16)


def test_pixels_that_are_not_square_are_widened(tmp_path):
    path = write_clip(tmp_path / "wide.mp4", [20] * 10, aspect=Fraction(4, 3))
    assert read_clip(path, 1).frames[0].shape == (48, 85, 3)


def test_a_clip_that_breaks_off_has_no_motion_energy(tmp_path):
    rng = np.random.default_rng(0)
    path = write_clip(tmp_path / "whole.mkv", [rng.integers(0, 255) for _ in range(100)])
    content = path.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    assert "breaks off" in read_clip(tmp_path / "cut.mkv", 20).problem
    with pytest.raises(DataError, match=r"cut\.mkv: breaks off at"):
        read_luminance(tmp_path / "cut.mkv", 16, 5)


# What ordinary tables hold is not refused


def test_numbers_as_names_of_columns_are_names(tmp_path):
    path = tmp_path / "parcels.csv"
    pd.DataFrame(np.eye(4)).to_csv(path, index=False)
    assert read_table(path).columns.tolist() == ["0", "1", "2", "3"]
    path.write_text("0.5,1.5\n2,3\n")
    with pytest.raises(DataError, match="its first line holds numbers"):
        read_table(path)


def test_a_rating_that_happens_to_be_sorted_is_a_feature(tmp_path):
    frame = pd.DataFrame({"arousal": [3, 1, 2, 5, 4], "valence": [1, 2, 3, 4, 5], "stim_id": list("abcde")})
    require_no_row_numbers(frame, "x", "stim_id")
    with pytest.raises(DataError, match="column 'valence' only numbers the rows"):
        require_no_row_numbers(frame[["valence", "stim_id"]], "x", "stim_id")


def test_drawn_choices_may_have_probabilities_that_round_to_0(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.3] * 3, 2000)
    choice = np.array([rng.choice(3, p=row) for row in p])
    items = np.array([rng.permutation(8)[:3] for _ in p])
    frame = pd.DataFrame({f"item_{k + 1}": [f"s{i}" for i in items[:, k]] for k in range(3)} | {"choice": choice})
    frame["rating"] = 3  # how sure they were: not a rating of similarity
    for k in range(3):
        frame[f"probability_{k + 1}"] = p[:, k].round(2)
    frame.to_csv(tmp_path / "j.tsv", sep="\t", index=False)
    assert (p[np.arange(2000), choice].round(2) == 0).any()
    assert read_judgments(tmp_path / "j.tsv").choice.tolist() == choice.tolist()


def test_names_with_joiners_are_names(tmp_path):
    (tmp_path / "f.tsv").write_text(
        "stim_id\tx\n\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\t1\nb\t2\n", encoding="utf-8"
    )
    assert len(embed(FeatureTable("f", "f.tsv"), tmp_path).samples) == 2


def test_a_repeated_key_matters_where_it_is_a_time(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"RepetitionTime": 2, "Note": 1, "Note": 2}')
    assert read_json(path) == {"RepetitionTime": 2, "Note": 2}
    path.write_text('{"RepetitionTime": 2, "RepetitionTime": 1}')
    with pytest.raises(DataError, match="'RepetitionTime' stands twice"):
        read_json(path)


def test_a_qform_that_is_no_rotation_is_told():
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    image.header["qform_code"], image.header["sform_code"] = 1, 1
    for name, value in (("b", 0.8), ("c", 0.8), ("d", 0.1)):
        image.header[f"quatern_{name}"] = value
    image.set_filename("x.nii")
    (told,) = told_forms(image, "run-01")
    assert "is no rotation; the sform was followed" in told


def test_a_line_ends_where_editors_end_it(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text("index\tname\n1\tV\u20281\n2\tV\x0b2\n", encoding="utf-8")
    assert [row["name"] for row in read_label_rows(path)] == ["V\u20281", "V\x0b2"]


def test_confounds_without_rows_are_refused(tmp_path):
    path = tmp_path / "sub-01_desc-confounds_timeseries.tsv"
    path.write_text("\t".join(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz") + "\n")
    with pytest.raises(DataError, match="no rows"):
        read_confounds(path, ["motion"], {"motion": "basic"})
