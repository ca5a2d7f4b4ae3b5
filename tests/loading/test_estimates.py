"""Betas of every program, without BIDS: a file of estimates, a table of trials, and a mask; the planted space wins."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scipy.io
from factories import AFFINE, brain_models, write_gifti

from encoding.config import parse_config
from encoding.core import ConfigError, DataError
from encoding.loading import Loader, load_responses
from encoding.pipeline import Job, Places, run_compare, subjects_of
from encoding.workflow.checks import check_dataset

SHAPE, N_RUNS, PER_RUN = (4, 3, 2), 4, 16
N_VOXELS, N_TRIALS = 24, N_RUNS * PER_RUN

CONFIG = """
[[features]]
name = "right"
file = "right.tsv"
[[features]]
name = "wrong"
file = "wrong.tsv"
[load]
kind = "betas"
per = "stimulus"
estimated_within = "run"
{load}
[split]
n_inner = 2
repeats = "{repeats}"
[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 10, 100]
[compare]
inference = false
controls = false
[map]
atlases = []
"""


@pytest.fixture
def folder(tmp_path):
    """Features, and a table of trials; responses in half of the targets follow one space, the rest is noise."""
    root = tmp_path / "data"
    root.mkdir()
    rng = np.random.default_rng(4)
    names = [f"{number:03d}.png" for number in range(N_TRIALS)]
    for name in ("right", "wrong"):
        table = pd.DataFrame(rng.standard_normal((N_TRIALS, 5)), columns=list("abcde"))
        table.insert(0, "stimulus", [str(number) for number in range(N_TRIALS)])
        table.to_csv(root / f"{name}.tsv", sep="\t", index=False)
    trials = pd.DataFrame({"session": np.repeat([1, 2], N_TRIALS // 2), "run": np.tile(np.repeat([1, 2], PER_RUN), 2)})
    trials.assign(stimulus=names).to_csv(root / "trials.tsv", sep="\t", index=False)
    mask = np.ones(SHAPE, np.uint8)
    mask[0, 0] = 0
    nib.save(nib.Nifti1Image(mask, AFFINE), root / "mask.nii.gz")
    return root


def betas(folder, n_targets=N_VOXELS):
    rng = np.random.default_rng(9)
    features = pd.read_csv(folder / "right.tsv", sep="\t").drop(columns="stimulus").to_numpy()
    weights = rng.standard_normal((5, n_targets)) * (np.arange(n_targets) < n_targets // 2)
    return (features @ weights + rng.standard_normal((N_TRIALS, n_targets))).astype(np.float32)


def volumes(values):
    return values.T.reshape(*SHAPE, len(values))


WRITERS = {}


def writer(name):
    """Register a function that writes estimates as a program does, and returns the lines of [load]."""

    def register(function):
        WRITERS[name] = function
        return function

    return register


def write(folder, name, values):
    return WRITERS[name](folder, values, volumes(values))


@writer("nifti")
def write_nifti(folder, values, image):
    nib.save(nib.Nifti1Image(image, AFFINE), folder / "betas.nii.gz")
    return 'file = "betas.nii.gz"\nmask = "mask.nii.gz"'


@writer("nifti of sessions")
def write_nifti_of_sessions(folder, values, image):
    half = N_TRIALS // 2
    for session in (0, 1):
        part = nib.Nifti1Image(image[..., half * session : half * (session + 1)], AFFINE)
        nib.save(part, folder / f"betas_session{session + 1:02d}.nii.gz")
    return 'file = "betas_session{session}.nii.gz"\nmask = "mask.nii.gz"'


@writer("GLMsingle hdf5")
def write_glmsingle_hdf5(folder, values, image):
    with h5py.File(folder / "TYPED_FITHRF_GLMDENOISE_RR.hdf5", "w") as file:
        file["betasmd"], file["R2"] = image, image[..., 0]
    return 'file = "TYPED_FITHRF_GLMDENOISE_RR.hdf5"\nmask = "mask.nii.gz"'


@writer("GLMsingle mat 7.3")
def write_glmsingle_mat_7_3(folder, values, image):
    with h5py.File(folder / "TYPED.mat", "w") as file:
        file["modelmd"] = image.T  # MATLAB's order as h5py shows it
    return 'file = "TYPED.mat"\nkey = "modelmd"\nmask = "mask.nii.gz"'


@writer("mat 5")
def write_mat_5(folder, values, image):
    scipy.io.savemat(folder / "TYPED.mat", {"betasmd": image, "meanvol": image[..., 0]})
    return 'file = "TYPED.mat"\nmask = "mask.nii.gz"'


@writer("npy of GLMsingle")
def write_npy_of_glmsingle(folder, values, image):
    np.save(folder / "betas.npy", image)
    return 'file = "betas.npy"\nmask = "mask.nii.gz"'


@writer("GLMsingle npy")
def write_glmsingle_npy(folder, values, image):
    """As GLMsingle saves by default: a dictionary of results, which numpy pickles."""
    results = {"HRFindex": image[..., 0].astype(np.int64), "betasmd": image, "R2": image[..., 0], "pcnum": np.int64(3)}
    results |= {"pcregressors": [np.ones((4, 2))], "rrbadness": None, "FRACvalue": np.ones(image.shape[:3])}
    np.save(folder / "TYPED_FITHRF_GLMDENOISE_RR.npy", results)
    return 'file = "TYPED_FITHRF_GLMDENOISE_RR.npy"\nmask = "mask.nii.gz"'


@writer("NSD hdf5")
def write_nsd_hdf5(folder, values, image):
    half = N_TRIALS // 2
    for session in (0, 1):
        with h5py.File(folder / f"betas_session{session + 1:02d}.hdf5", "w") as file:
            file["betas"] = (image[..., half * session : half * (session + 1)].T * 300).astype(np.int16)
    return 'file = "betas_session{session}.hdf5"\nmask = "mask.nii.gz"'


@writer("voxels of the mask")
def write_voxels_of_the_mask(folder, values, image):
    np.save(folder / "betas.npy", values[:, nib.load(folder / "mask.nii.gz").get_fdata().ravel() > 0])
    return 'file = "betas.npy"\nmask = "mask.nii.gz"'


@writer("targets by trials")
def write_targets_by_trials(folder, values, image):
    with h5py.File(folder / "betas.h5", "w") as file:
        file["betasmd"] = values.T[:, None, None]
    return 'file = "betas.h5"'


@writer("gifti")
def write_two_giftis(folder, values, image):
    for hemi, structure, part in zip("LR", ("CortexLeft", "CortexRight"), np.split(values, 2, 1), strict=True):
        write_gifti(folder / f"hemi-{hemi}_betas.func.gii", part, structure)
    return 'file = "hemi-{hemi}_betas.func.gii"\nspace = "fsaverage5"'


@writer("mgh of NSD")
def write_mgh_of_nsd(folder, values, image):
    for hemi, part in zip(("lh", "rh"), np.split(values, 2, 1), strict=True):
        nib.save(nib.freesurfer.MGHImage(part.T[:, None, None], np.eye(4)), folder / f"{hemi}.betas.mgh")
    return 'file = "{hemi}.betas.mgh"\nspace = "fsaverage"'


@writer("cifti")
def write_cifti(folder, values, image):
    models = brain_models()
    rows = nib.cifti2.ScalarAxis([f"trial{k}" for k in range(N_TRIALS)])
    nib.save(nib.Cifti2Image(betas(folder, len(models)), header=(rows, models)), folder / "betas.dscalar.nii")
    return 'file = "betas.dscalar.nii"'


KINDS = {"gifti": "vertex", "mgh of NSD": "vertex", "cifti": "grayordinate", "targets by trials": "column"}


def responses_of(folder, lines):
    study = parse_config(CONFIG.format(load=f'events = "trials.tsv"\n{lines}', repeats="drop_later"))
    places = Places(folder, folder.parent / "out", folder.parent / "work")
    job = Job(study, places, "01", "cpu")
    return job, load_responses(study.load, job.index(), "01", folder.parent / "loaded")


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_holds_the_same_numbers(folder, name):
    values = betas(folder)
    job, found = responses_of(folder, write(folder, name, values))
    assert subjects_of(job.places, [], job.study.load) == ["01"]
    assert found.targets.kind == KINDS.get(name, "voxel")
    inside = nib.load(folder / "mask.nii.gz").get_fdata().ravel() > 0
    expected = values[:, inside] if found.targets.kind == "voxel" else values
    expected = betas(folder, len(brain_models())) if name == "cifti" else expected
    scaled = [(part - part.mean(0)) / part.std(0, ddof=1) for part in np.split(expected, N_RUNS)]  # trials of each run
    np.testing.assert_allclose(found.values, np.concatenate(scaled), atol=0.01 if "NSD h" in name else 1e-4)
    assert found.samples.runs == ("ses-1_run-1", "ses-1_run-2", "ses-2_run-1", "ses-2_run-2")


@pytest.mark.parametrize("name", ["NSD hdf5", "GLMsingle mat 7.3"])
def test_the_planted_space_wins(folder, name):
    """Without a BIDS tree; trials are called 000.png in the table of trials and 0 in those of features."""
    job, _ = responses_of(folder, write(folder, name, betas(folder)))
    checked = check_dataset(job.study, job.places, ["01"])
    assert checked.failed == {}
    r = run_compare(job).scores["r"]
    planted = r.row("right")[: (N_VOXELS // 2) - 2]
    assert planted.mean() > 0.5
    assert (planted > r.row("wrong")[: len(planted)]).all()


def test_the_table_of_nsd_lists_more_than_there_is(folder):
    """Its columns are in capitals, and it lists other subjects, and sessions whose betas are not there."""
    values = betas(folder)
    lines = write(folder, "NSD hdf5", values)
    table = pd.read_csv(folder / "trials.tsv", sep="\t")
    table = table.rename(columns={"session": "SESSION", "run": "RUN", "stimulus": "73KID"}).assign(SUBJECT=1)
    more = table.assign(SESSION=3)
    pd.concat([table.assign(SUBJECT=2), table, more]).to_csv(folder / "trials.tsv", sep="\t", index=False)
    _, found = responses_of(folder, f'{lines}\nstimulus = "73KID"\nwhere = {{ SUBJECT = ["1"] }}')
    assert len(found.samples) == N_TRIALS
    assert found.samples.runs[-1] == "ses-2_run-2"


def test_what_is_refused(folder):
    values = betas(folder)
    lines = write(folder, "npy of GLMsingle", values)
    with pytest.raises(DataError, match=r"an array does not tell where its voxels lie\. Set `mask`"):
        responses_of(folder, 'file = "betas.npy"')
    np.save(folder / "object.npy", np.array({"betasmd": [Path("values")]}, dtype=object))
    with pytest.raises(DataError, match=r"asks for pathlib\.PosixPath.*Save the array itself with numpy\.save"):
        responses_of(folder, 'file = "object.npy"\nmask = "mask.nii.gz"')
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), AFFINE), folder / "small.nii.gz")
    with pytest.raises(
        DataError, match=r"but the mask small\.nii\.gz has \(2, 2, 2\); needed are \(x, y, z, n_trials\)"
    ):
        responses_of(folder, lines.replace("mask.nii.gz", "small.nii.gz"))
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"], file["b"] = values, values
    with pytest.raises(DataError, match=r"two\.h5: 2 arrays .* Set `key`"):
        responses_of(folder, 'file = "two.h5"')
    np.save(folder / "few.npy", values[:, :7])
    with pytest.raises(DataError, match=r"7 targets, but the mask has 22 voxels"):
        responses_of(folder, 'file = "few.npy"\nmask = "mask.nii.gz"')
    write(folder, "gifti", values)
    with pytest.raises(DataError, match=r"Put \{hemi\} into `file`"):
        responses_of(folder, 'file = "hemi-L_betas.func.gii"')
    with pytest.raises(DataError, match=r"its name tells no space\. Set `space`"):
        responses_of(folder, 'file = "hemi-{hemi}_betas.func.gii"')
    (folder / "hemi-R_betas.func.gii").unlink()
    with pytest.raises(DataError, match=r"one file of each hemisphere is needed"):
        responses_of(folder, 'file = "hemi-{hemi}_betas.func.gii"\nspace = "fsaverage5"')


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('file = "b.nii"\nshift = 3.0', r"shift does not belong to kind = 'betas'"),
        ('file = "b.nii"\nhigh_pass = 0.01', r"high_pass does not belong to kind = 'betas'"),
        ('file = "b.nii"\nconfounds = []', r"confounds does not belong to kind = 'betas'"),
        ('file = "b.nii"\n[align]\ndelays = [1]', r"\[align\] delays belong to one row per volume"),
        ('file = "{hemi}.gii"\nmask = "m.nii"', r"has no voxels; leave it out"),
    ],
)
def test_settings_that_do_not_apply_are_refused(lines, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(CONFIG.format(load=f'events = "t.tsv"\n{lines}', repeats="drop_later"))


def test_options_that_do_not_apply_are_refused(folder):
    loader = Loader(kind="betas", file="b.nii", events="trials.tsv", per="stimulus")
    job, _ = responses_of(folder, write(folder, "nifti", betas(folder)))
    with pytest.raises(ConfigError, match="--session-label and --bids-filter-file choose images of runs"):
        load_responses(loader, job.index(), "01", folder.parent / "w", sessions=["1"])
