"""Which atlases and pictures are made."""

from dataclasses import dataclass

from ..core import ConfigError

BDATA = "bdata:"  # in front of the names of masks in bdata files


@dataclass(frozen=True, slots=True)
class Maps:
    """Settings of maps and reports; the ``[map]`` table of the configuration.

    Attributes
    ----------
    atlases : tuple of str
        Names of shipped atlases (``encoding atlases`` lists them), "aseg" or "aparcaseg" for the segmentations that
        fMRIPrep wrote beside each volume, "bdata:hcp180", "bdata:yeo17", "bdata:subcortex" or "bdata:" and a pattern
        for masks in bdata files, or label files of your own, with ``{hemi}`` in the name of a GIFTI pair. "auto"
        takes Schaefer2018-200 on fsaverage5, and aseg in volumes where fMRIPrep wrote it.
    roi_set : str
        ROI set that the report shows; "auto" takes the first that each atlas has.
    threshold : float, "auto" or "fdr"
        Scores below this are faded in maps, in units of the score; nothing is cut from the files. "auto" takes what 1
        of 100 targets of independent noise would exceed with as many samples; "fdr" the smallest score that is
        significant in every model, with ``significance = "noise"`` in ``[compare]``.
    dpi : int
        Resolution of PNG figures.
    as_released : bool
        Take the groups of areas of Horikawa et al. 2020 as in their released file, in which ACC and Insula are
        exchanged, in place of the corrected ones.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    atlases: tuple[str, ...] = ("auto",)
    roi_set: str = "auto"
    threshold: float | str = "auto"
    dpi: int = 130
    as_released: bool = False

    def __post_init__(self) -> None:
        """Check values."""
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if self.threshold not in ("auto", "fdr") and not (number and 0 <= float(self.threshold) < 1):
            raise ConfigError(
                f'[map] threshold = {self.threshold!r}, but a score from 0 to below 1, "auto" or "fdr" is needed.'
            )
        if not 50 <= self.dpi <= 1200:
            raise ConfigError(f"[map] dpi = {self.dpi}, but 50 to 1200 is allowed.")
        if not isinstance(self.as_released, bool):
            raise ConfigError(f"[map] as_released = {self.as_released!r}, but true or false is needed.")
