"""A configuration builds what it describes; everything else is refused, with a message that says what to do."""

import dataclasses
import json
import re

import pytest

from encoding.comparison import Comparison
from encoding.config import Alignment, Study, build, kind_of, parse_config, read_config
from encoding.core import ConfigError
from encoding.embedding import FeatureTable
from encoding.fitting import BandedRidge, Ridge, Split
from encoding.fitting.budget import ComputeSettings, parse_size
from encoding.loading import Loader
from encoding.mapping.settings import Maps

TWO_SPACES = """
[[features]]
name = "ratings"
file = "stimuli/ratings.tsv"

[[features]]
name = "mllm"
file = "stimuli/mllm.tsv"
"""
LOAD = """
[load]
task = "video"
per = "tr"
"""
FIT = """
[[fit]]
kind = "ridge"
bands = "each"
"""
SMALLEST = TWO_SPACES + LOAD + FIT
FULL = """
seed = 7

[[features]]
kind = "table"
name = "ratings"
file = "stimuli/ratings.tsv"
stimulus = "stim_id"
columns = ["joy", "fear"]

[[features]]
name = "mllm"
file = "stimuli/mllm.npy"

[load]
kind = "surface"
task = ["video", "rest"]
space = "fsaverage5"
per = "stimulus"
shift = 5.0
scale_rows = false
confounds = ["motion", "scrub"]
confound_options = { motion = "basic", fd_threshold = 0.5 }

[align]
delays = [2, 3]
centre = false

[split]
kind = "fixed"
test_runs = ["ses-02_*"]
n_inner = "leave_one_out"

[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 10.0]

[[fit]]
kind = "banded_ridge"
name = "joint"
bands = ["ratings", "mllm"]
n_iter = 20

[compute]
keep_predictions = "0 B"
chunk = "1.5 MB"

[compare]
metric = "r2"
pairs = [["joint", "mllm"]]

[map]
atlases = ["aseg"]
dpi = 100
"""


# What is built.


def test_every_table_builds_its_object():
    study = parse_config(FULL)
    assert study.seed == 7
    assert study.features == (
        FeatureTable("ratings", "stimuli/ratings.tsv", "stim_id", ("joy", "fear")),
        FeatureTable("mllm", "stimuli/mllm.npy"),
    )
    assert study.models == (
        Ridge(("ratings",), "ratings", (1.0, 10.0)),
        Ridge(("mllm",), "mllm", (1.0, 10.0)),
        BandedRidge(("ratings", "mllm"), "joint", n_iter=20),
    )
    assert study.load.tasks == ("video", "rest")
    assert (study.load.kind, study.load.space, study.load.shift) == ("surface", "fsaverage5", 5.0)
    assert study.load.confound_options == {"motion": "basic", "fd_threshold": 0.5}
    assert study.align == Alignment((2, 3), centre=False)
    assert study.split == Split("fixed", n_inner="leave_one_out", test_runs=("ses-02_*",))
    assert study.compute == ComputeSettings("0 B", "1.5 MB")
    assert study.compare == Comparison("r2", (("joint", "mllm"),))
    assert study.maps == Maps(("aseg",), dpi=100)
    assert study.text == FULL


def test_tables_that_are_left_out_take_the_defaults():
    study = parse_config(SMALLEST)
    assert study.load == Loader(task="video", per="tr")
    assert (study.align, study.split, study.compare) == (Alignment(), Split(), Comparison())
    assert (study.maps, study.compute, study.seed) == (Maps(), ComputeSettings(), 0)


def test_single_models_and_their_pairs():
    study = parse_config(FULL)
    assert study.single == ("ratings", "mllm")
    assert study.pairs == (("joint", "mllm"),)
    assert parse_config(SMALLEST).pairs == (("ratings", "mllm"),)


def test_resolved_settings_list_every_default_and_are_json():
    resolved = parse_config(SMALLEST).resolved()
    assert json.loads(json.dumps(resolved)) is not None
    assert resolved["split"]["n_inner"] == Split().n_inner
    assert [model["kind"] for model in resolved["models"]] == ["ridge", "ridge"]
    empty = {"atlases", "roi_sets"}  # left out where there are none, so that keys of results stay as they were
    assert set(resolved) == {field.name for field in dataclasses.fields(Study)} - {"text", "expanded"} - empty


def test_kind_of_a_model_is_what_the_file_calls_it():
    assert kind_of(Ridge(("a",))) == "ridge"
    assert kind_of(BandedRidge(("a", "b"))) == "banded_ridge"


def test_a_file_is_read_and_keeps_its_text(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(FULL + "# Häufigkeit\n", encoding="utf-8")
    assert read_config(path).text.endswith("# Häufigkeit\n")
    assert read_config(str(path)).models == parse_config(FULL).models


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("0 B", 0), ("12 B", 12), ("1.5 kB", 1500), ("256 MB", 256_000_000), ("2GB", 2 * 10**9), (" 1 TB ", 10**12)],
)
def test_sizes_are_in_bytes(text, n_bytes):
    assert parse_size(text, "size") == n_bytes


def test_the_budget_reaches_the_solver_in_bytes():
    compute = ComputeSettings("1 kB", "2 kB", "3 kB", "4 kB", verify=True).compute("cpu")
    assert dataclasses.astuple(compute)[:7] == ("cpu", 1000, 2000, 3000, 4000, 0, True)


# What is refused: the whole message, but for lists of what is known.

REFUSALS = {
    "unknown table, with the nearest": (SMALLEST + "[aling]\n", "unknown key 'aling'. Did you mean 'align'? Known: "),
    "unknown top-level key": ("sead = 1\n" + SMALLEST, "unknown key 'sead'. Did you mean 'seed'? Known: "),
    "no features": (LOAD + FIT, "table [[features]] is missing."),
    "no load": (TWO_SPACES + FIT, "table [load] is missing."),
    "no fit": (TWO_SPACES + LOAD, "table [[fit]] or [[rsa]] is missing."),
    "negative seed": ("seed = -1\n" + SMALLEST, "seed = -1: an integer of 0 or more is needed."),
    "seed is no integer": ("seed = 1.5\n" + SMALLEST, "seed = 1.5: an integer of 0 or more is needed."),
    "seed is a truth value": ("seed = true\n" + SMALLEST, "seed = true: an integer of 0 or more is needed."),
    "features as one table": (
        '[features]\nname = "a"\nfile = "a.tsv"\n' + LOAD + FIT,
        "[features] must be written [[features]]: there can be several.",
    ),
    "fit as one table": (
        TWO_SPACES + LOAD + '[fit]\nkind = "ridge"\n',
        "[fit] must be written [[fit]]: there can be several.",
    ),
    "features as a list of names": ('features = ["a"]\n' + LOAD + FIT, "[[features]] must be a table, but is 'a'."),
    "load as a text": ('load = "surface"\n' + TWO_SPACES + FIT, "[load] must be a table, but is 'surface'."),
    "unknown kind of features": (
        SMALLEST.replace('name = "mllm"', 'name = "mllm"\nkind = "tabel"'),
        "[[features]]: kind = 'tabel'. Did you mean 'table'? Known: ",
    ),
    "unknown key of features": (
        SMALLEST.replace('name = "mllm"', 'name = "mllm"\nfiles = "x"'),
        "[[features]] 'mllm': unknown key 'files'. Did you mean 'file'? Known: ",
    ),
    "features without a file": (
        '[[features]]\nname = "a"\n' + LOAD + FIT,
        "[[features]] 'a': key 'file' is missing.",
    ),
    "two feature spaces of one name": (
        SMALLEST.replace('"mllm"', '"ratings"'),
        "[[features]]: the name 'ratings' is used 2 times.",
    ),
    "a name that cannot be part of a file name": (
        SMALLEST.replace('"mllm"', '"ml-lm"'),
        "[[features]]: name 'ml-lm' may only contain letters, digits, _ and +: it becomes part of file names.",
    ),
    "two names of the same files": (
        SMALLEST.replace('"mllm"', '"rat_ings"'),
        "[[features]]: names 'ratings' and 'rat_ings' would give the same file names; rename one.",
    ),
    "a name that is a number": (
        SMALLEST.replace('"mllm"', "3"),
        "[[features]] name = 3: a string that is not empty is needed.",
    ),
    "responses scaled by run, features not centred": (
        SMALLEST.replace('per = "tr"', 'per = "stimulus"') + "[align]\ncentre = false\n",
        "[load] scale_rows = true with [align] centre = false: what is done to the responses",
    ),
    "outer folds given twice": (
        SMALLEST + '[split]\nn_outer = 3\ngroups = [["run-1"], ["run-2"]]\n',
        "[split] n_outer = 3, but groups define the outer folds. Leave n_outer out.",
    ),
    "unknown key of load": (
        SMALLEST.replace("[load]", "[load]\nhighpass = 0.01"),
        "[load]: unknown key 'highpass'. Did you mean 'high_pass'? Known: ",
    ),
    "unknown key of align": (
        SMALLEST + "[align]\ndelay = [1]\n",
        "[align]: unknown key 'delay'. Did you mean 'delays'? Known: delays, centre.",
    ),
    "no delays": (
        SMALLEST + "[align]\ndelays = []\n",
        "[align] delays = []: a list of different integers from 0 to 1,000 is needed.",
    ),
    "one delay twice": (
        SMALLEST + "[align]\ndelays = [1, 1]\n",
        "[align] delays = [1, 1]: a list of different integers",
    ),
    "a negative delay": (
        SMALLEST + "[align]\ndelays = [-1, 1]\n",
        "[align] delays = [-1, 1]: a list of different integers",
    ),
    "a delay of half a volume": (SMALLEST + "[align]\ndelays = [1.5]\n", "[align] delays = [1.5]: a list of"),
    "delays as one number": (SMALLEST + "[align]\ndelays = 4\n", "[align] delays = 4: a list of"),
    "centre is a text": (SMALLEST + '[align]\ncentre = "no"\n', "[align] centre = 'no': true or false is needed."),
    "unknown key of split": (SMALLEST + "[split]\nn_fold = 3\n", "[split]: unknown key 'n_fold'. "),
    "unknown kind of split": (
        SMALLEST + '[split]\nkind = "run"\n',
        "[split] kind = 'run': 'runs', 'fixed' or 'blocks' is needed (did you mean 'runs'?).",
    ),
    "fit without a kind": (
        TWO_SPACES + LOAD + '[[fit]]\nbands = ["mllm"]\n',
        "[[fit]]: kind is missing. Known: ridge, banded_ridge.",
    ),
    "unknown kind of model": (
        TWO_SPACES + LOAD + '[[fit]]\nkind = "lasso"\nbands = ["mllm"]\n',
        "[[fit]]: kind = 'lasso'. Known: ridge, banded_ridge.",
    ),
    "fit without bands": (
        TWO_SPACES + LOAD + '[[fit]]\nkind = "ridge"\n',
        '[[fit]] bands = None, but a list of feature spaces or "each" is needed.',
    ),
    "bands as one name": (
        TWO_SPACES + LOAD + '[[fit]]\nkind = "ridge"\nbands = "mllm"\n',
        "[[fit]] bands = 'mllm', but a list of feature spaces or \"each\" is needed.",
    ),
    "a band that is no feature space": (
        TWO_SPACES + LOAD + '[[fit]]\nkind = "ridge"\nbands = ["rating"]\n',
        "[[fit]] bands: no feature space 'rating' in [[features]]. Did you mean 'ratings'? Known: ratings, mllm.",
    ),
    "banded ridge for each": (
        TWO_SPACES + LOAD + FIT.replace("ridge", "banded_ridge"),
        '[[fit]] bands = "each" makes one ridge per feature space: kind must be "ridge", without a name.',
    ),
    "one name for several models": (
        SMALLEST + 'name = "all"\n',
        '[[fit]] bands = "each" makes one ridge per feature space: kind must be "ridge", without a name.',
    ),
    "unknown key of each": (
        SMALLEST + "alpha = [1]\n",
        "[[fit]] 'ratings': unknown key 'alpha'. Did you mean 'alphas'? Known: ",
    ),
    "unknown key of a model": (
        TWO_SPACES + LOAD + '[[fit]]\nkind = "ridge"\nbands = ["mllm"]\nn_iter = 3\n',
        "[[fit]] 'mllm': unknown key 'n_iter'. Known: bands, name, alphas, method, alpha_per_target, "
        "alpha_unit, pca, keep_variance, keep_weights.",
    ),
    "two models of one name": (
        SMALLEST + '[[fit]]\nkind = "ridge"\nbands = ["mllm"]\n',
        "[[fit]]: the name 'mllm' is used 2 times.",
    ),
    "alphas as one number, for each": (
        SMALLEST + "alphas = 10\n",
        "[[fit]] 'ratings': alphas = 10: a list of numbers above 0 is needed.",
    ),
    "alphas as a text": (
        SMALLEST + 'alphas = "auto"\n',
        "[[fit]] 'ratings': alphas = 'auto': a list of numbers above 0 is needed.",
    ),
    "an alpha of zero": (SMALLEST + "alphas = [0, 1]\n", "alphas = [0, 1]: a list of numbers above 0 is needed."),
    "unknown metric": (
        SMALLEST + '[compare]\nmetric = "R2"\n',
        "[compare] metric = 'R2': 'r', 'pooled_r' or 'r2' is needed.",
    ),
    "a pair of an unknown model": (
        SMALLEST + '[compare]\npairs = [["ratings", "mlm"]]\n',
        "[compare] pairs: no model 'mlm' in [[fit]]. Did you mean 'mllm'? Known: ratings, mllm.",
    ),
    "a pair of one model": (
        SMALLEST + '[compare]\npairs = [["mllm", "mllm"]]\n',
        "[compare] pairs = [['mllm', 'mllm']]: a list of lists of two different models is needed.",
    ),
    "a size without a unit": (
        SMALLEST + '[compute]\nchunk = "200"\n',
        "[compute] chunk = '200': a size such as \"2 GB\" is needed.",
    ),
    "a size that is a number": (
        SMALLEST + "[compute]\nkeep_predictions = 200\n",
        '[compute] keep_predictions = 200: a size such as "2 GB" is needed.',
    ),
    "a size with two points": (
        SMALLEST + '[compute]\nchunk = "1.2.3 MB"\n',
        "[compute] chunk = '1.2.3 MB': a size such as \"2 GB\" is needed.",
    ),
    "a threshold out of range": (
        SMALLEST + "[map]\nthreshold = 1\n",
        "[map] threshold = 1: a number from 0 to below 1, 'auto' or 'fdr' is needed.",
    ),
    "a resolution that is a text": (
        SMALLEST + '[map]\ndpi = "high"\n',
        "[map] dpi = 'high': an integer from 50 to 1,200 is needed.",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refused(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_config(text)


def test_build_refuses_what_a_class_does_not_know_even_without_a_near_name():
    with pytest.raises(ConfigError, match=re.escape("[align]: unknown key 'zzz'. Known: delays, centre.")):
        build(Alignment, {"zzz": 1}, "[align]")


# What can be wrong with the file itself; the message begins with its path.


def refused(path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_file_that_is_not_there(tmp_path):
    assert refused(tmp_path / "run.toml") == "cannot be read (No such file or directory)."


def test_a_folder(tmp_path):
    assert refused(tmp_path) == "cannot be read (Is a directory)."


def test_a_file_that_is_not_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("seed = \n", encoding="utf-8")
    assert re.match(r"not valid TOML \(Invalid value \(at line 1, column 8\)\)\.", refused(path))


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "run.toml"
    path.write_bytes(b'name = "\xe4"\n')
    assert refused(path).startswith("not valid TOML")


def test_a_wrong_value_is_named_with_its_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("seed = -1\n" + SMALLEST, encoding="utf-8")
    assert refused(path) == "seed = -1: an integer of 0 or more is needed."


def test_nothing_is_touched_but_the_file(tmp_path, monkeypatch):
    path = tmp_path / "run.toml"
    path.write_text(FULL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    read_config(path)
    assert list(tmp_path.iterdir()) == [path]


def test_names_leave_room_for_names_of_files():
    text = '[[features]]\nname = "{}"\nfile = "x.tsv"\n'
    assert parse_config(text.format("x" * 60), only_features=True).features[0].name == "x" * 60
    with pytest.raises(ConfigError, match=r"has 61 characters, but 60 are the most; it becomes part of file names"):
        parse_config(text.format("x" * 61), only_features=True)
