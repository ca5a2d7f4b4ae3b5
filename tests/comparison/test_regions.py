"""Scores of targets to tables of regions, against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest

from encoding.comparison import compare_regions, evaluate, parcels, score_regions
from encoding.core import AlignmentError, DataError, RoiSet, Scores, Targets
from encoding.io.store import load, save

VALUES = np.array(
    [
        [0.1, 0.3, 0.2, np.nan, np.nan, 0.9],
        [0.2, 0.1, 0.1, 0.4, np.nan, 0.8],
    ]
)


@pytest.fixture
def scores():
    return Scores("r", (("a", "all"), ("b", "all")), VALUES, Targets.of_columns([f"t{k}" for k in range(6)]), "01")


def row_of(table, **where):
    found = table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]
    assert len(found) == 1, found
    return found.iloc[0]


def test_parcels_are_regions_networks_and_rois(atlas):
    found = [(p.level, p.set, p.region, p.hemi, np.flatnonzero(p.mask).tolist()) for p in parcels(atlas, atlas.labels)]
    assert found == [
        ("region", "", "LH_Insula", "L", [0, 1]),
        ("region", "", "RH_Insula", "R", [2, 3]),
        ("region", "", "LH_Visual", "L", [4]),
        # RH_Visual has no target here; the network joins both hemispheres.
        ("network", "", "Salience", "", [0, 1, 2, 3]),
        ("network", "", "Vis", "", [4]),
        ("roi_set", "emotion", "insula", "", [0, 1, 2, 3]),
        ("roi_set", "sight", "visual", "", [4]),
    ]


def test_targets_in_several_regions_count_in_each(scores, atlas, tmp_path):
    # Target 1 lies in both insulae, target 5 in the left one and in left visual cortex.
    both = dataclasses.replace(atlas, labels=np.array([3, 20, 7, 7, 9, 21]), overlaps=((20, (3, 7)), (21, (3, 9))))
    found = {p.region: np.flatnonzero(p.mask).tolist() for p in parcels(both, both.labels)}
    assert found == {
        "LH_Insula": [0, 1, 5],
        "RH_Insula": [1, 2, 3],
        "LH_Visual": [4, 5],
        "Salience": [0, 1, 2, 3, 5],
        "Vis": [4, 5],
        "insula": [0, 1, 2, 3, 5],
        "visual": [4, 5],
    }
    table = score_regions(scores, both, both.labels)
    row = row_of(table, region="LH_Insula", model="b")
    assert row["n_targets"] == 3
    assert row["value"] == pytest.approx((0.2 + 0.1 + 0.8) / 3)
    assert load(save(both, tmp_path / "atlas")).overlaps == both.overlaps


def test_without_an_atlas_all_targets_are_one_parcel():
    (parcel,) = parcels(None, np.zeros(6, int))
    assert parcel[:4] == ("brain", "", "all targets", "")
    assert parcel.mask.all()
    assert len(parcel.mask) == 6


def test_scores_of_regions(scores, atlas):
    table = score_regions(scores, atlas, atlas.labels)
    assert list(table.columns) == [
        "subject", "atlas", "level", "set", "region", "hemi", "model", "feature", "metric", "value", "median",
        "n_targets", "n_usable",
    ]  # fmt: skip
    assert len(table) == 7 * 2
    assert set(table["subject"]) == {"01"}
    assert set(table["atlas"]) == {"toy"}
    assert set(table["metric"]) == {"r"}
    left = row_of(table, level="region", region="LH_Insula", model="a")
    assert (left["value"], left["n_targets"], left["n_usable"]) == (pytest.approx(0.2), 2, 2)
    right = row_of(table, level="region", region="RH_Insula", model="a")
    assert (right["value"], right["n_targets"], right["n_usable"]) == (pytest.approx(0.2), 2, 1)
    network = row_of(table, level="network", region="Salience", model="b")
    assert (network["value"], network["median"]) == (pytest.approx(0.2), pytest.approx(0.15))
    assert (network["hemi"], network["n_usable"]) == ("", 4)
    roi = row_of(table, level="roi_set", set="emotion", model="a")
    assert (roi["value"], roi["median"], roi["n_usable"]) == (pytest.approx(0.2), pytest.approx(0.2), 3)
    empty = row_of(table, level="region", region="LH_Visual", model="a")
    assert np.isnan(empty["value"])
    assert np.isnan(empty["median"])
    assert (empty["n_targets"], empty["n_usable"]) == (1, 0)


def test_scores_without_an_atlas(scores):
    table = score_regions(scores, None, np.zeros(6, int))
    assert len(table) == 2
    all_targets = row_of(table, model="a")
    assert all_targets["value"] == pytest.approx((0.1 + 0.3 + 0.2 + 0.9) / 4)
    assert tuple(all_targets[["atlas", "level", "region", "n_usable"]]) == ("", "brain", "all targets", 4)


def test_bands_have_rows_of_their_own(atlas):
    targets = Targets.of_columns([f"t{k}" for k in range(6)])
    parts = Scores("split_r2", (("m", "x"), ("m", "y")), VALUES, targets, "01")
    table = score_regions(parts, atlas, atlas.labels)
    assert row_of(table, region="LH_Insula", feature="y")["value"] == pytest.approx(0.15)


def test_differences_of_models(make_predictions, atlas):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((40, 6))
    # In fold 0 model a is better everywhere, in fold 1 model b by more; target 2 cannot be used.
    good, poor = y + 0.3 * rng.standard_normal(y.shape), y + 3 * rng.standard_normal(y.shape)
    a, b = np.r_[good[:20], -good[20:]], np.r_[poor[:20], good[20:]]
    y[:, 2] = np.nan
    models = [make_predictions("a", y, a[None]), make_predictions("b", y, b[None])]
    scores = evaluate(models, "r2")
    table = compare_regions(models, scores, atlas, atlas.labels, pairs=[("a", "b"), ("b", "a")])
    assert len(table) == 7 * 2
    r2 = [1 - ((y - p) ** 2).sum(0) / (y**2).sum(0) for p in (a, b)]
    one = row_of(table, level="network", region="Salience", model_a="a")
    inside = [0, 1, 3]
    difference = (r2[0] - r2[1])[inside]
    assert one["difference"] == pytest.approx(difference.mean(), rel=1e-5)
    assert one["share_a"] == pytest.approx((difference > 0).mean())
    assert (one["folds_a"], one["n_folds"], one["n_usable"]) == (1, 2, 3)
    other = row_of(table, level="network", region="Salience", model_a="b")
    assert other["difference"] == pytest.approx(-one["difference"])
    assert other["share_a"] == pytest.approx(1 - one["share_a"])
    assert other["folds_a"] == 1


def test_differences_where_no_target_can_be_used(make_predictions, atlas):
    y, p = np.random.default_rng(1).standard_normal((2, 20, 6))
    y[:, 4] = np.nan
    models = [make_predictions("a", y, p[None]), make_predictions("b", y, -p[None])]
    table = compare_regions(models, evaluate(models), atlas, atlas.labels, pairs=[("a", "b")])
    empty = row_of(table, level="region", region="LH_Visual")
    assert np.isnan(empty["difference"])
    assert np.isnan(empty["share_a"])
    assert tuple(empty[["folds_a", "n_folds", "n_usable"]]) == (0, 2, 0)


def test_target_that_is_constant_in_one_fold_does_not_cost_the_region_its_folds(make_predictions):
    rng = np.random.default_rng(2)
    y = rng.standard_normal((20, 3))
    y[:10, 0] = 1.0  # no correlation in the first fold, though R2 exists
    a, b = y + 0.1 * rng.standard_normal(y.shape), -y
    models = [make_predictions("a", y, a[None]), make_predictions("b", y, b[None])]
    table = compare_regions(models, evaluate(models, "r2"), None, np.zeros(3, int), pairs=[("a", "b")])
    assert tuple(table.iloc[0][["folds_a", "n_usable", "share_a"]]) == (2, 3, 1.0)


def test_inputs_that_do_not_fit(scores, make_predictions, atlas):
    y, p = np.random.default_rng(3).standard_normal((2, 20, 6))
    models = [make_predictions("a", y, p[None])]
    with pytest.raises(AlignmentError, match=r"Atlas\('toy'.*: 5 labels for Targets\(6 .*one per target"):
        score_regions(scores, atlas, atlas.labels[:5])
    with pytest.raises(AlignmentError, match="5 labels for"):
        compare_regions(models, scores, None, atlas.labels[:5], pairs=[("a", "b")])
    with pytest.raises(AlignmentError, match=r"no predictions of model 'b' to compare"):
        compare_regions(models, scores, atlas, atlas.labels, pairs=[("a", "b")])
    with pytest.raises(DataError, match=r"no row 'c'. Rows: a, b"):
        compare_regions([*models, make_predictions("c", y, p[None])], scores, atlas, atlas.labels, pairs=[("a", "c")])
    strange = dataclasses.replace(atlas, roi_sets=(RoiSet("s", "amygdala", ("Amygdala",)),))
    with pytest.raises(DataError, match=r"ROI 'amygdala' of 's' names region 'Amygdala', which it lacks"):
        score_regions(scores, strange, atlas.labels)
