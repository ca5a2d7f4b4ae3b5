"""What the examples of the API page share; run it in an empty folder to try them."""

from pathlib import Path

import numpy as np

import encoding  # noqa: F401 - examples use it
from encoding.collection import export_collection, exported, open_collection, plan_collection, run_collection
from encoding.comparison import Inference, infer_spaces
from encoding.config import parse_config
from encoding.config.collect import read_collection
from encoding.pipeline import Job, Places, compare_subject, fit_subject, load_subject, run_compare
from encoding.simulate import simulate

# A simulated study of two subjects in four runs, read as volumes of 12 mm: two feature spaces, and both together.
simulate("my_study", preset="tiny")
study = parse_config(
    """
    [[features]]
    name = "mllm"
    file = "stimuli/feature-mllm.tsv"
    [[features]]
    name = "category"
    file = "stimuli/feature-category.tsv"
    [load]
    per = "stimulus"
    shift = 4.0
    space = "MNI152NLin2009cAsym"
    [split]
    n_inner = 2
    repeats = "drop_later"
    [[fit]]
    kind = "ridge"
    bands = "each"
    keep_weights = "mean"
    [[fit]]
    kind = "banded_ridge"
    name = "joint"
    bands = ["mllm", "category"]
    n_iter = 5
    [compare]
    inference = false
    controls = false
    [map]
    atlases = ["Tian2020-S1"]
    glass = false
    project = false
    slices = 2
    dpi = 50
    """
)
places = Places(Path("my_study"), Path("results"), Path("work"))
job = Job(study, places, "01", "cpu")
loaded = load_subject(job)
fitted = fit_subject(job, loaded)
result = compare_subject(job, loaded, fitted)
other = run_compare(Job(study, places, "02", "cpu"))

# Tests of both spaces in every voxel and in all of them.
everything = (None, np.ones(len(loaded.responses.targets), dtype=int))
tests = infer_spaces(loaded.spaces, loaded.responses, [everything], "tests", settings=Inference(50))

# Judgments by ratings: which of three clips is the odd one out?
Path("collect.toml").write_text(
    """
    [stimuli]
    table = "my_study/stimuli/stimuli.tsv"
    [design]
    n_triplets = 300
    repeated = 10
    repeats = 3
    [[annotator]]
    kind = "cosine"
    name = "careful"
    file = "my_study/stimuli/feature-category.tsv"
    """
)
collection = read_collection("collect.toml")
plan_collection(collection)
opened = open_collection(collection)
run_collection(opened, "careful")
judgments = exported(next(iter(export_collection(opened))))
ratings = loaded.described[1]

# Judgments of a model behind an API, by captions: planned, not asked.
captions = "".join(f"clip{k}\tA dog on a road, seen from place {k}.\n" for k in range(10))
Path("captions.tsv").write_text(f"stimulus\tcaption\n{captions}")
Path("captions.toml").write_text(
    """
    [stimuli]
    table = "captions.tsv"
    show = "captions"
    [design]
    n_triplets = 20
    [collect]
    folder = "captioned"
    [[annotator]]
    kind = "openai"
    model = "a-model"
    prompt = "captions-text"
    url = "http://127.0.0.1:9/v1"
    """
)
captioned, _ = plan_collection(read_collection("captions.toml"))

# Arrays without files.
rng = np.random.default_rng(0)
runs = np.repeat(range(4), 15)
X = {"mllm": rng.standard_normal((60, 4))}
Y = X["mllm"] @ rng.standard_normal((4, 3)) + rng.standard_normal((60, 3))
