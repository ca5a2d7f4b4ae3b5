"""The confidence in a region follows it from its atlas to the tables of a subject and of a group."""

import numpy as np
import pandas as pd

from encoding.comparison import add_confidence, confidence_of, join_confidence
from encoding.core.atlas import Atlas, RoiSet
from encoding.core.axes import Grid, Targets

PLACE = ["atlas", "level", "set", "region", "hemi"]
ROWS = [
    ("a", "region", "", "left", "L"), ("a", "region", "", "ball", ""), ("a", "roi_set", "own", "both", ""),
    ("a", "network", "", "left", ""), ("", "brain", "", "all targets", ""), ("b", "region", "", "left", "L"),
]  # fmt: skip


def atlas():
    targets = Targets("voxel", "T1w", np.arange(2), np.full(2, ""), Grid((2, 1, 1), np.eye(4)))
    sets = (RoiSet("own", "both", ("left", "ball"), "", "guess"),)
    names, sides, colors = ("left", "ball"), ("L", ""), ("#000000",) * 2
    told = ("", "low: sphere of 4 mm")
    return Atlas(
        "a", np.array([1, 2]), targets, np.array([1, 2]), names, sides, ("", ""), colors, roi_sets=sets, confidence=told
    )


def test_every_row_says_what_its_atlas_says():
    table = pd.DataFrame(ROWS, columns=PLACE).assign(subject="01", value=1.0)
    told = add_confidence(table, [(None, np.ones(2)), (atlas(), np.array([1, 2]))])
    assert told["confidence"].tolist() == ["", "low: sphere of 4 mm", "guess", "", "", ""]
    assert told.drop(columns="confidence").equals(table)
    other = pd.DataFrame({"what": ["targets"]})
    assert add_confidence(other, []) is other


def test_a_group_joins_what_its_subjects_say():
    first = pd.DataFrame(ROWS[:2], columns=PLACE).assign(confidence=["", "low: sphere of 4 mm"])
    second = first.assign(confidence=["moved from fsLR", "low: sphere of 4 mm"])
    known = confidence_of(pd.concat([first, second]))
    assert known["confidence"].tolist() == ["moved from fsLR", "low: sphere of 4 mm"]
    winners = pd.DataFrame(ROWS[1::-1], columns=PLACE).assign(best=["x", "y"])
    joined = join_confidence(winners, known)
    assert joined["confidence"].tolist() == ["low: sphere of 4 mm", "moved from fsLR"]
    assert joined["best"].tolist() == ["x", "y"]
    assert join_confidence(winners, confidence_of(winners)) is winners
