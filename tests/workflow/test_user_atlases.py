"""Atlases and ROI sets of the user, from TOML to the tables and the report of a run."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_config, write_study

from encoding.cli import main
from encoding.config import parse_config, read_config
from encoding.core import ConfigError, DataError
from encoding.pipeline import load_subject
from encoding.workflow.checks import check_dataset
from encoding.workflow.jobs import Job, Places, labelled_targets

SHAPE = (6, 5, 4)
ATLAS = """
[[atlas]]
name = "mine"
file = "rois/sub-{subject}_labels.nii.gz"
labels = "rois/labels.txt"
space = "T1w"
licence = "ours"

[[roi_set]]
name = "own"
atlas = "mine"
confidence = "guess"
regions = { both = ["left", 7] }

[[roi_set]]
name = "deep"
spheres = { ball = [0, 0, 0, 4] }
space = "T1w"
"""


@pytest.fixture
def study(tmp_path):
    study = write_study(tmp_path / "bids", subjects=("01",))
    (study.root / "rois").mkdir()
    (study.root / "rois" / "labels.txt").write_text("3 left\n7 right\n")
    return study


def write_labels(study, shape=SHAPE, affine=AFFINE):
    labels = np.zeros(shape, np.uint8)
    labels[:3], labels[3:] = 3, 7
    nib.save(nib.Nifti1Image(labels, affine), study.root / "rois" / "sub-01_labels.nii.gz")


def config(study, text):
    path = write_config(study.root.parent)
    path.write_text(path.read_text() + text)
    return path


def centre():
    """The middle of the grid in mm, as TOML."""
    return [float(v) for v in AFFINE[:3, :3] @ [2, 2, 2] + AFFINE[:3, 3]]


def check(study, text):
    top = study.root.parent
    places = Places(study.root, top / "out", top / "out" / "work")
    return check_dataset(read_config(config(study, text)), places, ["01"])


def with_ball(text):
    return text.replace("[0, 0, 0, 4]", str([*centre(), 4]))


def test_a_run_uses_them_and_its_tables_say_how_far_to_trust_them(study, capsys):
    write_labels(study)
    path, out = config(study, with_ball(ATLAS)), study.root.parent / "out"
    assert main(["run", str(study.root), str(out), "participant", "--config", str(path)]) == 0
    regions = pd.read_csv(out / "sub-01" / "regions.tsv", sep="\t", na_values=["n/a"], keep_default_na=False)
    rows = regions[regions["metric"] == "r"].drop_duplicates(["atlas", "level", "set", "region"])
    told = {(row.atlas, row.region): row.confidence for row in rows.itertuples()}
    assert told["mine", "both"] == "guess"
    assert told["deep", "ball"] == "low: sphere of 4 mm"
    assert told["mine", "left"] == ""
    page = (out / "sub-01.html").read_text()
    assert "ball (low: sphere of 4 mm)" in page
    assert "both (guess)" in page


def test_a_check_finds_what_does_not_fit_before_anything_is_read(study):
    write_labels(study)
    assert check(study, with_ball(ATLAS)).atlases["mine"] == 2
    write_labels(study, shape=(12, 10, 8))
    with pytest.raises(DataError, match=r"its grid has the shape \(12, 10, 8\), that of .*resample = true"):
        check(study, with_ball(ATLAS))
    assert check(study, with_ball(ATLAS).replace('licence = "ours"', "resample = true")).atlases["mine"] == 2
    with pytest.raises(DataError, match="voxel targets in 'T1w'"):
        check(study, ATLAS.replace('space = "T1w"\nlicence', 'space = "MNI152NLin6Asym"\nresample = true\nlicence'))
    with pytest.raises(DataError, match=r"In TOML: an \[\[atlas\]\] table with file, and labels = "):
        check(study, ATLAS.replace('labels = "rois/labels.txt"\n', ""))
    with pytest.raises(DataError, match=r'reference space is not known.* space = "MNI152NLin2009cAsym"'):
        check(study, ATLAS.replace('space = "T1w"\nlicence', "licence"))
    (study.root / "rois" / "sub-01_labels.nii.gz").unlink()
    with pytest.raises(DataError, match=r"sub-01_labels.nii.gz: no such file"):
        check(study, ATLAS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('["left", 7]', '["lefty"]'), "ROI 'both' names 'lefty', which is no region of atlas 'mine'"),
        (('atlas = "mine"', 'atlas = "mien"'), "atlas 'mien' is not among those that are used. Did you mean 'mine'"),
    ],
)
def test_a_check_knows_the_regions_of_sets(study, change, message):
    write_labels(study)
    with pytest.raises(DataError, match=message):
        check(study, ATLAS.replace(*change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('name = "mine"', 'name = "mi ne"'), r"\[\[atlas\]\] 'mi ne': name = 'mi ne': a name of letters, digits"),
        (("licence", "license"), "unknown key 'license'. Did you mean 'licence'"),
        (('name = "deep"', 'name = "own"'), r"\[\[roi_set\]\]: the name 'own' is used 2 times"),
        (("[0, 0, 0, 4]", "[0, 0]"), "spheres.ball = .*: x, y, z and perhaps a radius above 0"),
        (
            ('space = "T1w"\nlicence', 'both_sides = "split them"\nlicence'),
            "both_sides = 'split them': 'split' or",
        ),
    ],
)
def test_wrong_tables_are_refused_in_words(study, change, message):
    text = write_config(study.root.parent).read_text() + ATLAS.replace(*change)
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


def test_structures_of_cifti_files_are_an_atlas(tmp_path):
    study = write_study(tmp_path / "bids", kinds=("cifti",), space="fsLR")
    places = Places(study.root, tmp_path / "out", tmp_path / "out" / "work")
    path = write_config(tmp_path, ('"volume"', '"cifti"'), ("dpi = 50", 'atlases = ["structures"]'))
    assert check_dataset(read_config(path), places, ["01"]).atlases == {"structures": 19}
    job = Job(read_config(path), places, "01")
    ((_, everything), (atlas, labels)), failed = labelled_targets(job, load_subject(job))
    assert failed == ()
    amygdala = atlas.index[atlas.region.index("Left-Amygdala")]
    assert len(everything) == 30
    assert labels.tolist() == [0] * 22 + [amygdala] * 8
    assert {roi.roi for roi in atlas.roi_sets} >= {"amygdala", "hippocampus"}
    path = write_config(tmp_path, ("dpi = 50", 'atlases = ["structures"]'))
    volumes = write_study(tmp_path / "other")
    with pytest.raises(DataError, match=r"have no structure outside the cortex. It is for CIFTI files of fMRIPrep"):
        check_dataset(read_config(path), Places(volumes.root, tmp_path / "out", tmp_path / "out" / "work"), ["01"])


def test_the_tables_of_the_page_on_atlases_are_good(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "atlases.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.S)
    base = write_config(tmp_path).read_text().replace("\n[map]\ndpi = 50\n", "")
    assert len(blocks) == 4
    for block in blocks:
        study = parse_config(f"{base}\n{block}")
        assert study.atlases or study.roi_sets or study.maps.atlases != ("auto",)
