"""fMRIPrep's confounds through nilearn's strategies."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core import DataError
from ..errors import naming
from ..tables import numbers_of, read_table, require_no_row_numbers

STAND_IN = "sub-x_task-x_space-x_desc-preproc_bold.nii.gz"
AROMA = "sub-x_task-x_space-x_desc-smoothAROMAnonaggr_bold.nii.gz"


@dataclass(frozen=True, slots=True)
class Confounds:
    """What to take out of a run."""

    values: np.ndarray  # (n_scans, n_confounds) Nuisance signals, the cosines not among them
    # (n_scans, n_cosines) The file's own slow cosines; no columns unless the strategy "high_pass" was asked for
    cosines: np.ndarray
    kept: np.ndarray  # (n_scans,) False for volumes that were scrubbed or were acquired before the steady state


def read_confounds(
    path: Path, strategies: Sequence[str], options: Mapping[str, Any], *, aroma: bool = False
) -> Confounds:
    """Read the confounds of a run."""
    raw = read_table(path)
    _require_numbers(raw, path)
    cosines = [str(name) for name in raw.columns if str(name).startswith("cosine")]
    if "high_pass" in strategies and not cosines:
        raise DataError(
            f'{path}: no cosine columns, so that `high_pass = "confounds"` cannot be done. Set a cutoff in Hz '
            f"(high_pass = 0.008) instead."
        )
    if strategies:
        frame, sample_mask = _through_nilearn(path, strategies, options, aroma)
        kept = np.ones(len(raw), dtype=bool)
        if sample_mask is not None:
            kept[:] = False
            kept[sample_mask] = True
        if not len(raw):
            raise DataError(f"{path}: has a header, but no rows; one for each volume was needed.")
        _require_first(raw, [str(name) for name in frame.columns], path)
        slow = [name for name in frame.columns if name in cosines]
        other = [name for name in frame.columns if name not in cosines]
        values, slow_values = (frame[names].to_numpy(dtype=np.float64) for names in (other, slow))
    else:
        early = [str(name) for name in raw.columns if str(name).startswith("non_steady_state")]
        _require_marks(raw, early, path)
        kept = ~np.any([numbers_of(raw, name, str(path)) > 0 for name in early], axis=0) & np.ones(len(raw), bool)
        values = slow_values = np.zeros((len(raw), 0))
    if not np.isfinite(values[kept]).all():
        raise DataError(
            f"{path}: {np.sum(~np.isfinite(values[kept]))} confound values of kept volumes are missing. "
            f"Choose other strategies or options."
        )
    if not kept.any():
        raise DataError(f"{path}: no volume is left after scrubbing. Raise the thresholds in confound_options.")
    return Confounds(values, slow_values, kept)


def read_own_confounds(path: Path, columns: Sequence[str] | None) -> Confounds:
    """Read a table of confounds of any pipeline: chosen columns, or all of them; no volume is left out."""
    if path.suffix in (".txt", ".1D", ".par"):
        if columns is not None:
            raise DataError(f"{path}: has no header, so that confound_columns cannot choose. Use a TSV with names.")
        with naming(path, (ValueError, OSError), "cannot be read as a table of numbers", "Use a TSV with a header."):
            values = np.loadtxt(path, ndmin=2, dtype=np.float64)
    else:
        frame = read_table(path)
        names = [str(name) for name in frame.columns]
        if columns is not None:
            unknown = [pattern for pattern in columns if not any(fnmatchcase(name, pattern) for name in names)]
            if unknown:
                raise DataError(f"{path}: no column {unknown[0]!r}. There is: {', '.join(names)}.")
            names = [name for name in names if any(fnmatchcase(name, pattern) for pattern in columns)]
        else:
            require_no_row_numbers(frame, str(path), choose="choose with `confound_columns`")
        values = np.stack([numbers_of(frame, name, str(path)) for name in names], axis=1)
    if not values.size:
        raise DataError(f"{path}: shape {values.shape}; at least one row and one column are needed.")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{path}: row {row + 1} has no value in some column. Fill it, or choose confound_columns.")
    return Confounds(values, np.zeros((len(values), 0)), np.ones(len(values), dtype=bool))


def _require_first(raw: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Refuse a gap in the first row that nilearn would fill: only what is a difference has no first value."""
    gaps = [name for name in names if name in raw.columns and pd.isna(raw[name].iloc[0]) and "derivative" not in name]
    if gaps:
        raise DataError(f"{path}: {gaps[0]!r} has no value in its first row ({len(gaps)} such columns). Make it again.")


def _require_marks(raw: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    gaps = [name for name in names if raw[name].isna().any()]
    if gaps:
        raise DataError(f"{path}: {gaps[0]!r} does not say of every volume whether it was steady. Make it again.")


def _require_numbers(raw: pd.DataFrame, path: Path) -> None:
    """Refuse what nilearn would read as something else: it knows quotation marks, which BIDS does not."""
    if b'"' in path.read_bytes():
        raise DataError(f"{path}: holds a quotation mark, which no confounds table of fMRIPrep does. Make it again.")
    for name in raw.columns:
        numbers_of(raw, name, str(path))


def _through_nilearn(path: Path, strategies: Sequence[str], options: Mapping[str, Any], aroma: bool) -> Any:
    from nilearn.interfaces.fmriprep import load_confounds  # brings scikit-learn, which only loading needs

    # nilearn looks for the table by the name of an image beside it. A link beside a stand-in makes it
    # read exactly the table that was found by entities, whatever the image is called.
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / (AROMA if aroma else STAND_IN)
        image.touch()
        table = Path(folder) / "sub-x_task-x_desc-confounds_timeseries.tsv"
        table.symlink_to(path.resolve())
        if path.with_suffix(".json").is_file():
            table.with_suffix(".json").symlink_to(path.with_suffix(".json").resolve())
        try:
            # Without the mean: it is taken out together with the drift.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # that no volume is left is said below
                frame, sample_mask = load_confounds(
                    str(image), strategy=tuple(strategies), demean=False, **dict(options)
                )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            text = " ".join(str(error).replace(folder, str(path.parent)).split())
            advice = ' Tables with plain motion estimates need confound_options = {motion = "basic"}.'
            raise DataError(
                f"{path}: {text}{advice if 'motion' in strategies else ''} (confounds = {list(strategies)}, "
                f"confound_options = {dict(options)})"
            ) from error
    return frame, sample_mask
