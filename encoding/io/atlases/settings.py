"""The settings of atlases and ROI sets of the user: the tables [[atlas]] and [[roi_set]] of a configuration."""

from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Literal

from ...core.errors import ConfigError
from ...core.settings import CountOrZero, NotNegative, Number, Positive, Rule, Text, Unit, settings

RADIUS = 5.0  # mm
Name = Annotated[
    str, Rule("a name of letters, digits, -, _ and +", lambda text: bool(text) and _is_name(text), "names")
]


def _is_name(text: str) -> bool:
    return all(char.isalnum() or char in "-_+" for char in text) and len(text) <= 60


@settings("[[atlas]]")
class AtlasFile:
    """An atlas of your own, or one that was downloaded."""

    name: Name
    """Name in tables and reports."""
    file: Text | tuple[Text, Text]
    """Label image, relative to the dataset: NIfTI or MGH, a CIFTI dlabel or dscalar, or GIFTI or FreeSurfer .annot as
    one path with ``{hemi}`` or the two files, left first. ``{subject}`` stands for the label of the participant. Or a
    name that `encoding atlases get` fetched. 4-D volumes hold one probability per region and need a `threshold`."""
    labels: Text | tuple[Text, Text] | None = None
    """Table of the labels: BIDS TSV, CSV, FSL XML, FreeSurfer colour table, ITK-SNAP label description, label list of
    Connectome Workbench, or lines of numbers and names; two for two files whose labels differ. "FreeSurfer" for the
    names of aseg and aparc+aseg, "numbers" for regions without names. If left out, the names inside the file or the
    table beside it."""
    space: Text | None = None
    """Reference space of the file, a BIDS label; may be left out if the name of the file says it."""
    licence: str = ""
    """Terms of use, for lists and reports."""
    citation: str = ""
    """What to cite."""
    threshold: Annotated[NotNegative, Unit("that of the file")] | None = None
    """Of 4-D images of probabilities: the smallest that counts, in the unit of the file (25 or 0.25)."""
    resample: bool = False
    """Move the labels to the grid or mesh of the responses (nearest neighbour; probabilities by cubic splines). Between
    MNI spaces, which differ by some millimetres, and between fsLR and fsaverage (through spheres) too, which the
    report then says. Otherwise what does not fit is refused."""
    both_sides: Literal["split", "join"] | None = None
    """What to do where the same number stands for a region of both hemispheres: two regions (the rule on surfaces; in
    volumes divided at x = 0) or one."""
    map: Text | None = None
    """Name of the map, of a GIFTI or CIFTI file with several."""


@settings("[[roi_set]]")
class RoiGroup:
    """An ROI set of your own: groups of regions, spheres and masks, each with a name."""

    name: Name
    """Name of the set."""
    atlas: Text | None = None
    """Atlas that the regions belong to, and to which spheres and masks are added as regions; if left out, every atlas
    that has all the regions. Spheres and masks without an atlas make one of their own."""
    file: Text | None = None
    """TSV with one ROI per row (columns roi, and labels or x, y, z; optionally set, hemi, atlas, radius, source and
    confidence), or the name of a set that is shipped and used on request: "study_subcortical" (ten regions of Horikawa
    et al. 2020 and Du et al. 2025) or "emotion_subcortical"."""
    regions: dict[str, tuple[Text | CountOrZero, ...]] = field(default_factory=dict)
    """Regions of each ROI: names or shell patterns, with or without the hemisphere (``L_``) in front and ``_ROI`` at
    the end; numbers; or "network:" and the name of a network."""
    spheres: dict[str, tuple[Number, ...] | tuple[tuple[Number, ...], ...]] = field(default_factory=dict)
    """Centre of each ROI, x, y, z in mm (MNI152) and perhaps a radius; or a list of those. Low confidence."""
    masks: dict[str, Text] = field(default_factory=dict)
    """Mask of each ROI, relative to the dataset, in the space of the responses; ``{subject}`` is the participant, and
    ``{hemi}`` the hemisphere of GIFTI files. Everything but 0 is inside."""
    radius: Annotated[Positive, Unit("mm")] = RADIUS
    """Radius of spheres that state none."""
    space: Text | None = None
    """Space of coordinates and masks that are not in MNI152: that of the responses, as in "T1w"."""
    surface: Text | None = None
    """Surfaces (GIFTI, ``{hemi}``, ``{subject}``) on which spheres are measured, where the responses lie on neither
    fsaverage nor fsLR."""
    source: str = ""
    """Where the set comes from."""
    confidence: Text = "own"
    """How far its groups of regions can be trusted, shown beside their names."""

    def __post_init__(self) -> None:
        """Check that there is something, and the numbers of spheres."""
        if not (self.file or self.regions or self.spheres or self.masks):
            raise ConfigError("it is empty. Give regions, spheres, masks or file.")
        for roi, given in self.spheres.items():
            for one in each_sphere(given):
                if len(one) not in (3, 4) or (len(one) == 4 and one[3] <= 0):
                    raise ConfigError(f"spheres.{roi} = {list(one)}: x, y, z and perhaps a radius above 0 are needed.")


def each_sphere(given: Sequence) -> list[Sequence[float]]:
    """List the spheres of an ROI: of one, or of a list."""
    return list(given) if given and isinstance(given[0], list | tuple) else [given]
