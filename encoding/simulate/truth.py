"""The planted truth, as files that an analysis can be checked against."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..io.atomic import write_json, write_tsv
from .presets import HEMISPHERES, REGIONS, region_number
from .targets import N_FSAVERAGE5, Grid, TargetSet
from .writing import write_gifti_labels, write_volume

_NOTE = "Simulated: geometric regions, not anatomy."


def label_table() -> dict[int, tuple[str, str]]:
    """List the planted regions."""
    table = {0: ("unknown", "#000000")}
    for position, region in enumerate(REGIONS):
        for hemi in HEMISPHERES:
            table[region_number(position, hemi)] = (f"{region.name}_{hemi}", region.color)
    return table


def planted_table(surface: TargetSet, volume: TargetSet) -> pd.DataFrame:
    """Make the table of planted regions."""
    rows = []
    for position, region in enumerate(REGIONS):
        for sign, hemi in zip((-1, 1), HEMISPHERES, strict=True):
            number = region_number(position, hemi)
            x, y, z = region.centre
            rows.append(
                {
                    "roi": f"{region.name}_{hemi}",
                    "group": region.name,
                    "winner": region.winner or None,
                    "hemi": hemi,
                    "n_vertices": int((surface.region == number).sum()),
                    "n_voxels": int((volume.region == number).sum()),
                    "r": region.r,
                    "x": sign * x,
                    "y": y,
                    "z": z,
                }
            )
    return pd.DataFrame(rows)


def atlas_table(region: np.ndarray) -> pd.DataFrame:
    """Make the table that goes with a label image.

    Shapes: `region` (n_targets,).
    """
    present = np.unique(region)
    entries = [(number, *entry) for number, entry in label_table().items() if number and number in present]
    return pd.DataFrame(
        [(number, name, name[-1], color) for number, name, color in entries],
        columns=["index", "name", "hemi", "color"],
    )


def write_truth(folder: Path, surface: TargetSet, volume: TargetSet, grid: Grid, resolution: str) -> None:
    """Write the planted regions as a table and as atlases."""
    write_tsv(folder / "planted.tsv", planted_table(surface, volume))
    write_json(folder / "atlas-Planted_description.json", {"Name": "Planted", "License": "CC0", "Description": _NOTE})
    for hemi, rows in zip(HEMISPHERES, (slice(N_FSAVERAGE5), slice(N_FSAVERAGE5, None)), strict=True):
        path = folder / f"tpl-fsaverage5_hemi-{hemi}_atlas-Planted_dseg.label.gii"
        write_gifti_labels(path, surface.region[rows], label_table(), hemi=hemi)
    write_tsv(folder / "tpl-fsaverage5_atlas-Planted_dseg.tsv", atlas_table(surface.region))
    stem = f"tpl-MNI152NLin2009cAsym_res-{resolution}_atlas-Planted_dseg"
    write_volume(folder / f"{stem}.nii.gz", volume.region, grid)
    write_json(folder / f"{stem}.json", {"Resolution": f"{resolution} mm isotropic", "Description": _NOTE})
    write_tsv(folder / f"{stem}.tsv", atlas_table(volume.region))
