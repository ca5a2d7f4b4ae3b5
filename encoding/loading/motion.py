"""Motion of the head during every row, from fMRIPrep's confounds."""

from collections.abc import Sequence

import numpy as np

from ..core import Responses
from ..io.bids.runs import RunFiles
from ..io.tables import numbers_of, read_table
from ..numerics.intervals import mean_weights, overlaps
from .loader import Loader, Scans
from .runs import window_lengths

PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
DISPLACEMENT = "framewise_displacement"


def motion_of_rows(loader: Loader, responses: Responses, runs: Sequence[RunFiles]) -> np.ndarray | None:
    """Average motion parameters and framewise displacement over the volumes of every row.

    Returns (n_samples, 7).
    """
    files = {run.label: run.confounds for run in runs}
    if set(files) < set(responses.samples.runs) or any(path is None for path in files.values()):
        return None
    motion = np.zeros((len(responses.samples), len(PARAMETERS) + 1))
    for run in responses.samples.runs:
        path = files[run]
        if path is None or path.suffix not in (".tsv", ".csv"):  # numbers without names
            return None
        table = read_table(path)
        if not {*PARAMETERS, DISPLACEMENT} <= set(table.columns):
            return None
        columns = [numbers_of(table, name, str(path)) for name in (*PARAMETERS, DISPLACEMENT)]
        volumes = np.nan_to_num(np.stack(columns, axis=1))  # the first displacement is unknown
        rows = np.flatnonzero(responses.samples.run == run)
        samples = responses.samples[rows]
        start = _first_volume(loader, responses, run) + np.arange(len(volumes)) * responses.t_r
        first, last = samples.onset, samples.onset + responses.t_r
        if samples.clock == "stimulus" and isinstance(loader, Scans):
            first = samples.onset + loader.shift
            last = first + window_lengths(samples, loader.window)
        motion[rows] = mean_weights(overlaps(first, last, start, start + responses.t_r)) @ volumes
    return motion


def _first_volume(loader: Loader, responses: Responses, run: str) -> float:
    """Return the time of the first volume of the file, which `trim` and StartTime move away from that of the extent."""
    if responses.extents is None or not isinstance(loader, Scans):
        return 0.0
    onset = float(responses.extents.onset[responses.extents.run == run][0])
    return onset - loader.trim[0] * responses.t_r
