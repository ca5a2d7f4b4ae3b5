"""Damaged bdata files give an error of ours or the right answer, never a wrong one and never another error.

What no reader can see is left out: a number of a voxel that became another number, a label that became another label, a
mask that lost voxels. ENCODING_FUZZ=300 in the environment looks longer.
"""

import os
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from bdata_factory import Brain, pickatlas, rename, replace, set_column, set_row, write_sessions, write_single
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoding.core import DataError, EncodingError, FeatureSpace, Samples
from encoding.io.atlases.matching import match_atlas
from encoding.io.bdata.rois import bdata_atlas
from encoding.io.bids.runs import PlainFolder
from encoding.loading import Loader, align, load_responses

BRAIN = Brain(runs=(3, 2))
DESIGN = ("Session", "Run", "Block", "Label", "stimulus_name")
ROWS = ("VoxelData", *DESIGN, "voxel_x", "voxel_y", "voxel_z", "voxel_i", "voxel_j", "voxel_k")
MASKS = ("hcp180_r_lh.L_V1_ROI", "hcp180_r_rh.R_10v_ROI", "hcp180_r_lh.L_TPOJ1_ROI", "yeo2011_17_r_rh.17Networks_3",
         pickatlas("amygdala", "L"), "amygdala")  # fmt: skip
PLACES = {tuple(np.round(xyz, 3)): column for column, xyz in enumerate(BRAIN.xyz)}
FEATURES = FeatureSpace(
    "f",
    np.random.default_rng(0).standard_normal((len(BRAIN.label), 2)).astype(np.float32),
    Samples.of_stimuli(np.sort(BRAIN.stimulus)),
    ("a", "b"),
)
NUMBERS = st.one_of(
    st.integers(-3, 40).map(float), st.sampled_from([0.5, np.nan, np.inf, -np.inf, 1e9, 1e300, 2**53 + 2.0])
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bdata")
    return write_single(folder, BRAIN), write_sessions(folder, BRAIN)


def answer(folder, file):
    """Everything a user gets of the files: responses, features beside them, and the label of every voxel."""
    loader = Loader(kind="bdata", file=file, per="stimulus", labels="video{label:04d}", scale_rows=False)
    index = PlainFolder(folder, folder)
    responses = load_responses(loader, index, "01", folder / "work")
    aligned = align(FEATURES, responses, centre=False)
    found = {}
    path = folder / file.format(number=1, session=1)
    for what in ("hcp180", "yeo17", "subcortex"):
        atlas = bdata_atlas(path, what, "T1w")
        found[what] = (atlas, match_atlas(atlas, responses.targets))
    return responses, aligned, found


def assert_right(responses, aligned, atlases):
    """Every value, feature and label is the true one of its stimulus, run and place; some may be gone."""
    row_of = {name: row for row, name in enumerate(BRAIN.stimulus.tolist())}
    rows = np.array([row_of[name] for name in responses.samples.stimulus.tolist()])
    grid = responses.targets.grid
    ijk = np.stack(np.unravel_index(responses.targets.index, grid.shape), axis=1)
    xyz = ijk @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    columns = np.array([nearest(place) for place in xyz])
    usable = responses.usable
    expected = BRAIN.values[np.ix_(rows, columns)].astype(np.float32)
    np.testing.assert_allclose(responses.values[:, usable], expected[:, usable], rtol=1e-6)
    names = [f"ses-{s:02d}_run-{r:02d}" for s, r in zip(BRAIN.session[rows], BRAIN.run[rows], strict=True)]
    counted = {name: f"run-{number:02d}" for number, name in enumerate(dict.fromkeys(names), start=1)}
    # Without a row of sessions, runs that are numbered on have numbers only.
    assert responses.samples.run.tolist() in (names, [counted[name] for name in names])
    np.testing.assert_array_equal(aligned.values, FEATURES.values[np.argsort(np.argsort(BRAIN.stimulus))[rows]])
    for what, (atlas, labels) in atlases.items():
        for number, region in zip(atlas.index.tolist(), atlas.region, strict=True):
            np.testing.assert_array_equal(atlas.members(labels, [number]), true_mask(what, region)[columns], region)


def nearest(place):
    distance = np.abs(BRAIN.xyz - place).max(axis=1)
    assert distance.min() < 0.2, place
    return int(distance.argmin())


def true_mask(what, region):
    if what == "subcortex":
        return BRAIN.structure(region)
    if region.startswith("B_"):
        area = region[2:]
        return BRAIN.masks[f"hcp180_r_lh.L_{area}_ROI"] | BRAIN.masks[f"hcp180_r_rh.R_{area}_ROI"]
    family, end = ("hcp180", "_ROI") if what == "hcp180" else ("yeo2011_17", "")
    name = region if what == "hcp180" else region[2:]
    return BRAIN.masks[f"{family}_r_{region[0].lower()}h.{name}{end}"]


def truncate(path, draw):
    content = path.read_bytes()
    path.write_bytes(content[: draw(st.integers(0, len(content)))])


def lose_row(path, draw):
    rename(path, {draw(st.sampled_from(ROWS + MASKS)): draw(st.sampled_from(["", "gone", "Run", "voxel_i", "Label"]))})


def exchange_names(path, draw):
    """Exchange the names of two rows."""
    one, other = draw(st.sampled_from(ROWS)), draw(st.sampled_from(ROWS[:6] + ROWS))
    rename(path, {one: other, other: one})


def exchange_sides(path, draw):
    family = draw(st.sampled_from(["hcp180_r_", "yeo2011_17_r_", "pickatlas_"]))
    only = draw(st.booleans())

    def other_side(key):
        for left, right in (("lh.L_", "rh.R_"), ("lh.1", "rh.1"), ("_L", "_R")):
            if left in key:
                return key.replace(left, right)
            if right in key:
                return key.replace(right, left)
        return key

    with h5py.File(path) as file:
        keys = [key.decode() for key in file["metadata/key"] if key.decode().startswith(family)]
    if keys:
        chosen = draw(st.sampled_from(keys))
        few = {chosen, other_side(chosen)} if only else set(keys)
        rename(path, {key: other_side(key) for key in few})


def change_design(path, draw):
    key, row, value = draw(st.sampled_from(DESIGN[:3])), draw(st.integers(0, 7)), draw(NUMBERS)
    if has(path, key):
        set_column(path, key, lambda column: np.where(np.arange(len(column)) == row, value, column))


def unknown_label(path, draw):
    value = draw(st.one_of(st.just(np.nan), st.just(0.5), st.integers(len(BRAIN.label) + 1, 10**6).map(float)))
    key, place = ("stimulus_name", 0) if has(path, "stimulus_name") else ("Label", 2)
    row = draw(st.integers(0, 7))
    set_column(path, key, lambda column: np.where(np.arange(len(column)) == row, value, column), place)


def change_selector(path, draw):
    """Move, widen or narrow what a row selects."""
    key = draw(st.sampled_from(("VoxelData", *DESIGN)))
    value, fill = draw(st.sampled_from([1.0, 0.0, np.nan, 2.0])), draw(st.booleans())
    place = draw(st.integers(1, 12)) if draw(st.booleans()) else -draw(st.integers(1, 6))
    if not has(path, key):
        return

    def change(row):
        row = np.full_like(row, np.nan) if fill else row
        row[place] = value
        return row

    set_row(path, key, change)


def change_place(path, draw):
    key, voxel = draw(st.sampled_from(ROWS[-6:])), draw(st.integers(0, 50))
    change = draw(st.one_of(NUMBERS, st.floats(-30, 30)))
    set_row(path, key, lambda row: np.where(np.arange(len(row)) == voxel, change, row))


def change_all_places(path, draw):
    key = draw(st.sampled_from(ROWS[-6:]))
    change = draw(st.sampled_from([lambda row: -row, lambda row: row[::-1], lambda row: row * 0, np.roll]))
    set_row(path, key, (lambda row: np.roll(row, 1)) if change is np.roll else change)


def drop(path, draw):
    name, axis = draw(st.sampled_from(["dataset", "metadata/value", "metadata/key", "metadata/description"])), 0
    if name in ("dataset", "metadata/value"):
        axis = draw(st.integers(0, 1))
    place = draw(st.integers(0, 7))
    both = draw(st.booleans()) and axis == 1
    replace(path, name, lambda values: np.delete(values, place, axis=axis))
    if both:
        other = "metadata/value" if name == "dataset" else "dataset"
        replace(path, other, lambda values: np.delete(values, place, axis=axis))


def drop_blocks(path, draw):
    """Lose rows at the end or within a run, as a copy that went wrong would."""
    first = draw(st.integers(1, 7))
    rows = list(range(first, draw(st.integers(first + 1, 9))))
    replace(path, "dataset", lambda values: np.delete(values, [row for row in rows if row < len(values)], axis=0))


def change_type(path, draw):
    name = draw(st.sampled_from(["dataset", "metadata/value"]))
    kind = draw(st.sampled_from([np.float32, np.float16, np.complex128, "S6", np.int16, ">f8"]))
    if name == "dataset" and kind in (np.float16, np.int16):
        kind = np.float32  # fewer digits of a voxel are another number
    with np.errstate(invalid="ignore", over="ignore"):
        replace(path, name, lambda values: np.nan_to_num(values).astype(kind))


def change_shape(path, draw):
    change = draw(st.sampled_from([np.transpose, np.ravel, lambda x: x[None], lambda x: x[:0], lambda x: x[:, :0]]))
    replace(path, draw(st.sampled_from(["dataset", "metadata/value"])), change)


def remove(path, draw):
    names = [
        "dataset",
        "metadata",
        "metadata/key",
        "metadata/value",
        "metadata/description",
        "vmap",
        "vmap/stimulus_name",
    ]
    name = draw(st.sampled_from(names))
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]


def rename_part(path, draw):
    one, other = draw(st.permutations(["dataset", "metadata", "metadata/value", "metadata/key"]))[:2]
    with h5py.File(path, "r+") as file:
        file.move(one, "moved")
        if other in file:
            file.copy(other, one) if draw(st.booleans()) else file.move(other, one)


def lose_names(path, draw):
    number = draw(st.integers(1, len(BRAIN.label)))
    with h5py.File(path, "r+") as file:
        if f"vmap/stimulus_name/{number}.0" in file:
            del file[f"vmap/stimulus_name/{number}.0"]
            if draw(st.booleans()):
                file[f"vmap/stimulus_name/{draw(st.sampled_from(['x', '0.5', '99.0', 'nan', '1e400']))}"] = b"video0001"


def has(path, key):
    with h5py.File(path) as file:
        return key.encode() in file["metadata/key"][()].tolist()


DAMAGES = [
    truncate, lose_row, exchange_names, exchange_sides, change_design, unknown_label, change_selector, change_place,
    change_all_places, drop, drop_blocks, change_type, change_shape, remove, rename_part, lose_names,
]  # fmt: skip


def check(originals, draw, damage, single):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [originals[0]] if single else originals[1]
        paths = [Path(shutil.copy(path, folder)) for path in files]
        damage(draw(st.sampled_from(paths)), draw)
        file = "fmri_Subject{number}.h5" if single else "fmri_Subject{number}_Session{session}.h5"
        try:
            found = answer(folder, file)
        except EncodingError:
            return
        assert_right(*found)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@settings(
    max_examples=int(os.environ.get("ENCODING_FUZZ", "6")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(data=st.data())
def test_damage_gives_an_error_or_the_right_answer(originals, damage, data):
    check(originals, data.draw, damage, data.draw(st.booleans()))


@pytest.mark.parametrize("file", ["fmri_Subject{number}.h5", "fmri_Subject{number}_Session{session}.h5"])
def test_whole_files_give_the_right_answer(originals, tmp_path, file):
    for path in [originals[0], *originals[1]]:
        shutil.copy(path, tmp_path)
    responses, aligned, atlases = answer(tmp_path, file)
    assert len(responses.samples) == len(BRAIN.label)
    assert_right(responses, aligned, atlases)


def test_a_wrong_answer_would_be_seen(originals, tmp_path):
    path = Path(shutil.copy(originals[0], tmp_path))
    set_column(path, "stimulus_name", lambda column: column[::-1])
    with pytest.raises(AssertionError):
        assert_right(*answer(tmp_path, "fmri_Subject{number}.h5"))


def test_bytes_changed_anywhere_never_give_another_error(originals, tmp_path):
    """A changed byte may be a changed number, which is not seen; but whatever is raised names the file."""
    content = originals[0].read_bytes()
    rng, told = np.random.default_rng(0), []
    for _ in range(25):
        damaged = bytearray(content)
        # The structure of the file stands at its beginning and its end.
        for place in rng.integers(0, 4000, 3):
            damaged[place] = rng.integers(256)
            damaged[-place - 1] = rng.integers(256)
        path = tmp_path / originals[0].name
        path.write_bytes(damaged)
        try:
            answer(tmp_path, "fmri_Subject{number}.h5")
        except DataError as error:
            told.append(str(error))
        except EncodingError:
            continue
    assert len(told) > 5
    assert all("fmri_Subject1.h5" in text for text in told)
