"""Captions of the emotion-video study, by the numbers of its videos."""

import numpy as np
import pandas as pd
import pytest

from encoding.collection.stimuli import Stimuli, read_shown
from encoding.core import ConfigError, DataError


def write_captions(folder, n=2196, each=2, change=None):
    rows = [(str(number), f"clip {number}, writer {k}") for number in range(1, n + 1) for k in range(each)]
    frame = pd.DataFrame(rows, columns=["video_id", "description"])
    (frame if change is None else change(frame)).to_csv(folder / "caption_ck20.csv", index=False)


def settings(**changes):
    return Stimuli(**({"table": "cowen2017", "show": "captions", "captions": "caption_ck20.csv"} | changes))


def test_captions_are_those_of_their_numbers(tmp_path):
    write_captions(tmp_path)
    shown = read_shown(settings(captions_each=2), tmp_path, tmp_path / "cache")
    names = shown.stimuli.stimulus
    assert len(names) == 2181
    assert not np.isin(["1", "859", "2188"], names).any()  # shown earlier as 2186, 472 and 3
    assert np.isin(["2186", "472", "3"], names).all()
    told = dict(zip(shown.contents.texts, shown.contents.owners, strict=True))
    assert told["clip 2186, writer 0"] == "2186"
    assert told["clip 472, writer 0"] == "472"
    assert "clip 1, writer 0" not in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:-1], "1 captions of stimulus '2196', but captions_each = 2"),
        (lambda f: f[f["video_id"] != "17"], "0 captions of stimulus '17'"),
        (lambda f: f.replace({"video_id": {"3": "2197"}}), "1 stimuli are not in the list of 2196 stimuli: '2197'"),
    ],
)
def test_files_that_are_not_as_released_are_refused(tmp_path, change, message):
    write_captions(tmp_path, change=change)
    with pytest.raises(DataError, match=message):
        read_shown(settings(captions_each=2), tmp_path, tmp_path / "cache")


def test_the_list_has_no_captions_of_its_own(tmp_path):
    with pytest.raises(DataError, match="'cowen2017' has no captions; name their table"):
        read_shown(settings(captions=""), tmp_path, tmp_path / "cache")


def test_a_number_of_captions_is_not_negative():
    with pytest.raises(ConfigError, match="captions_each = -1: an integer of 0 or more"):
        settings(captions_each=-1)
