"""Run configurations that fit the simulated study."""

from math import comb

from .presets import SPACES

_FEATURES = """[[features]]
name = "{name}"
file = "stimuli/feature-{name}.tsv"
stimulus = "stim_id"
"""

_JUDGED = """[[features]]
kind = "judgments"                # dimensions are learned from which of three was called odd
name = "{name}"
file = "judgments/{folder}/export/{name}/judgments.parquet"
n_dims = 30
max_dims = 60
seeds = [0, 1, 2, 3, 4]
categories = "category"           # ratings that the page of the embedding names its dimensions by
dimensions = "dimension"
frames = "judgments/clips/pictures"
"""

_COLLECT = """# Judgments of a simulated study: {title}.
# encoding collect all --config {file}

seed = 0

[stimuli]
table = "stimuli/stimuli.tsv"
show = "{show}"
{source}

[design]
kind = "balanced"                 # every pair of clips in nearly the same number of triplets
n_triplets = {n_triplets:_}
repeated = 200                    # these are asked five times: the noise ceiling
repeats = 5
subset = 20                       # all triplets of twenty clips: their similarities, measured

[[annotator]]
kind = "{kind}"                   # with a model, kind = "openai" and the address of its server
name = "{name}"
metric = "dot"
temperature = {temperature}
soft = true                       # the probability of each answer is kept, as of a model's letters
{settings}

[collect]
folder = "judgments/{folder}"
"""

_RUN = """# {title}
# encoding run . OUTPUT_DIR participant {only}--config {file}

seed = 0

{features}
[load]
kind = "{kind}"
task = "{task}"
{space}
per = "stimulus"
stimulus = "stim_id"
shift = 4.0                       # seconds
confounds = {confounds}
high_pass = {high_pass}

"""

_ANALYSIS = """[split]
kind = "runs"
n_outer = 3
n_inner = {n_inner}
repeats = "drop_later"            # a few stimuli are shown in two runs

[[fit]]
kind = "ridge"
bands = "each"                    # one model per feature space
alphas = {alphas}

[[fit]]
kind = "banded_ridge"
name = "joint"
bands = {bands}
alphas = {alphas}
n_iter = 10

[map]
atlases = {atlases}
"""

_BDATA = """# Simulated study, block means in HDF5 files: four feature spaces, each alone and all together.
# encoding run . OUTPUT_DIR participant --config FILE

seed = 0

{features}
[load]
kind = "bdata"
file = "{file}"
{labels}per = "stimulus"
stimuli = "stimuli/stimuli.tsv"   # says which numbers show a stimulus again
task = "video"
space = "MNI152NLin2009cAsym"
res = "{resolution}"
n_runs = {n_runs}

"""

# Multiples of trace / n, about the ratio of noise to signal: eight steps from 1 to 10,000.
_ALPHAS = [1, 4, 14, 50, 200, 700, 2700, 10000]


def collect_config(folder: str, n_stimuli: int) -> str:
    """Write the configuration that collects one kind of judgments."""
    n_triplets = min(30_000, comb(n_stimuli, 3) // 2)
    # Temperatures undo the units of the judges: shares of a picture, and numbers of words.
    special = {
        "clips": {
            "title": "a judge looks at the colours of frames",
            "show": "frames",
            "source": "n_frames = 2\nsize = 160                        # pixels",
            "kind": "colours",
            "name": "mllm",
            "temperature": 0.0009,
            "settings": "dark = 64                         # the black around tiles does not count",
        },
        "captions": {
            "title": "a judge counts the words that captions share",
            "show": "captions",
            "source": 'captions = "stimuli/captions.tsv"',
            "kind": "words",
            "name": "llm",
            "temperature": 0.75,
            "settings": 'weights = "count"',
        },
    }
    return _COLLECT.format(folder=folder, file=f"collect_{folder}.toml", n_triplets=n_triplets, **special[folder])


def run_config(kind: str, *, n_runs: int, resolution: str = "", judged: bool = False) -> str:
    """Write the run configuration of one kind of data."""
    labels = "truth/tpl-fsaverage5_hemi-{hemi}_atlas-Planted_dseg.label.gii"
    volume = f"truth/tpl-MNI152NLin2009cAsym_res-{resolution}_atlas-Planted_dseg.nii.gz"
    special = {
        "surface": ("run.toml", 'space = "fsaverage5"', ["Schaefer2018-200", labels]),
        "volume": ("run_volume.toml", f'space = "MNI152NLin2009cAsym"\nres = "{resolution}"', ["aseg", volume]),
        "both": (
            "run_both.toml",
            f'space = "fsaverage5"\nvolume_space = "MNI152NLin2009cAsym:res-{resolution}"  # subcortical voxels too',
            ["Schaefer2018-200", "aseg"],
        ),
        "cifti": (
            "run_cifti.toml",
            'space = "fsLR"\ndensity = "91k"',
            ["truth/tpl-fsLR_den-91k_atlas-Planted_dseg.dlabel.nii"],
        ),
    }
    file, space, atlases = special[kind]
    told = "surface and volume" if kind == "both" else kind
    # The grayordinate runs are too short for 24 motion columns.
    short = kind == "cifti"
    return (_RUN + _ANALYSIS).format(
        title=f"Simulated study, {told} data: four feature spaces, each alone and all together.",
        only="--participant-label 01 " if short else "",
        file=file,
        features="\n".join(_feature(name, judged) for name in SPACES),
        kind="surface" if kind == "both" else kind,
        task="videoshort" if short else "video",
        space=space,
        confounds=_toml(["wm_csf"] if short else ["motion", "wm_csf"]),
        high_pass="0.008                 # Hz",
        n_inner=min(3, n_runs - -(-n_runs // 3)),
        alphas=_toml(_ALPHAS),
        bands=_toml(list(SPACES)),
        atlases=_toml(atlases),
    )


def bdata_config(file: str, *, n_runs: int, resolution: str, numbered: bool) -> str:
    """Write the run configuration of block means in HDF5 files."""
    masks = ["bdata:hcp180", "bdata:yeo17", "bdata:subcortex"]
    volume = f"truth/tpl-MNI152NLin2009cAsym_res-{resolution}_atlas-Planted_dseg.nii.gz"
    return (_BDATA + _ANALYSIS).format(
        features="\n".join(_FEATURES.format(name=name) for name in SPACES),
        file=file,
        labels='labels = "video{label:04d}"       # name of the stimulus with a number\n' if numbered else "",
        resolution=resolution,
        n_runs=n_runs,
        n_inner=min(3, n_runs - -(-n_runs // 3)),
        alphas=_toml(_ALPHAS),
        bands=_toml(list(SPACES)),
        atlases=_toml([*masks, volume]),
    )


def _feature(name: str, judged: bool) -> str:
    folder = {"mllm": "clips", "llm": "captions"}.get(name)
    return _JUDGED.format(name=name, folder=folder) if judged and folder else _FEATURES.format(name=name)


def _toml(values: list) -> str:
    """Write a TOML array of numbers or plain strings."""
    return "[" + ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values) + "]"
