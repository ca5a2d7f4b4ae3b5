"""A feature table or an atlas that does not suit one participant takes nothing else down, and is never kept quiet."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_config, write_study

from encoding.cli import main
from encoding.config import read_config
from encoding.core import DataError
from encoding.mapping import read_result
from encoding.pipeline import Job, Places, run_compare

OTHER = ('file = "stimuli/feature-abc.tsv"\ncolumns = ["a"]', 'file = "stimuli/other.tsv"\ncolumns = ["a"]')


def run(study, level="participant", *changes):
    config = write_config(study.root.parent, *changes)
    out = study.root.parent / "out"
    command = ["compare"] if level == "participant" else ["run"]
    more = [] if level == "participant" else [level]
    return main([*command, str(study.root), str(out), *more, "--config", str(config), "--device", "cpu"])


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """Two subjects; the second has seen a stimulus that one of the two feature tables does not know."""
    study = write_study(tmp_path_factory.mktemp("isolation") / "bids", subjects=("01", "02"))
    table = pd.read_csv(study.root / "stimuli" / "feature-abc.tsv", sep="\t")
    table.to_csv(study.root / "stimuli" / "other.tsv", sep="\t", index=False)
    more = pd.concat([table, table.iloc[:1].assign(stim_id="new")])
    more.to_csv(study.root / "stimuli" / "feature-abc.tsv", sep="\t", index=False)
    for path in study.root.glob("sub-02/func/*events.tsv"):
        path.write_text(path.read_text().replace("clip3", "new"))
    return study


def test_a_feature_table_that_does_not_suit_one_participant_is_left_out_there(spoiled, capsys):
    assert run(spoiled, "participant", OTHER) == 1
    error = capsys.readouterr().err
    assert (
        "sub-02 is finished, but without feature space 'first' was left out: FeatureSpace 'first': 1 stimuli" in error
    )
    assert "no features ('new')" in error
    results = {subject: read_result(spoiled.root.parent / "out" / f"sub-{subject}") for subject in ("01", "02")}
    assert set(results["01"].summary.models) == {"abc", "first", "joint"}
    assert set(results["02"].summary.models) == {"abc"}
    note = results["02"].exclusions.set_index("what").loc["feature spaces", "reason"]
    assert note.startswith("'first' was left out")
    # What is left is what a study without the table gives.
    config = write_config(spoiled.root.parent, OTHER)
    text = config.read_text()
    text = text.replace(text[text.index('[[features]]\nname = "first"') : text.index("[load]")], "")
    config.write_text(text.replace(text[text.index('[[fit]]\nkind = "banded') : text.index("[map]")], ""))
    top = spoiled.root.parent
    alone = run_compare(Job(read_config(config), Places(spoiled.root, top / "alone", top / "alone/work"), "02", "cpu"))
    np.testing.assert_array_equal(alone.scores["r"].row("abc"), results["02"].scores["r"].row("abc"))


def test_a_group_with_such_a_participant_is_refused(spoiled, capsys):
    run(spoiled, "participant", OTHER)
    capsys.readouterr()
    assert run(spoiled, "group", OTHER) == 1
    error = capsys.readouterr().err
    assert "sub-02 was finished without a part of what was asked for: feature spaces 'first' was left out" in error
    assert "--participant-label" in error


def test_a_table_that_is_mended_is_used(spoiled):
    path = spoiled.root / "stimuli" / "other.tsv"
    before = path.read_text()
    path.write_text((spoiled.root / "stimuli" / "feature-abc.tsv").read_text())
    assert run(spoiled, "participant", OTHER) == 0
    assert set(read_result(spoiled.root.parent / "out" / "sub-02").summary.models) == {"abc", "first", "joint"}
    path.write_text(before)


def test_an_atlas_that_does_not_fit_is_left_out(tmp_path, capsys):
    study = write_study(tmp_path / "bids")
    labels = np.ones((6, 5, 4), np.int16)
    labels[3:] = 2
    for name, shift in (("fits", 0), ("far", 900)):
        affine = AFFINE.copy()
        affine[0, 3] = shift
        nib.save(nib.Nifti1Image(labels, affine), study.root / f"space-T1w_{name}.nii.gz")
        (study.root / f"space-T1w_{name}.tsv").write_text("index\tname\n1\tone\n2\ttwo\n")
    atlases = ("dpi = 50", 'atlases = ["space-T1w_far.nii.gz", "space-T1w_fits.nii.gz"]')
    assert run(study, "participant", atlases) == 1
    assert "sub-01 is finished, but without atlas 'space-T1w_far.nii.gz' was left out" in capsys.readouterr().err
    result = read_result(tmp_path / "out" / "sub-01")
    assert set(result.regions["atlas"].dropna()) == {"", "space-T1w_fits"}
    assert result.exclusions.set_index("what").loc["atlases", "reason"].startswith("'space-T1w_far.nii.gz' was left")


def test_nothing_is_left_where_every_model_needs_the_space(spoiled):
    config = write_config(spoiled.root.parent, OTHER, ('bands = "each"', 'bands = ["first"]'))
    top = spoiled.root.parent
    job = Job(read_config(config), Places(spoiled.root, top / "none", top / "none" / "work"), "02", "cpu")
    with pytest.raises(DataError, match="every model needs a feature space that was left out"):
        run_compare(job)
