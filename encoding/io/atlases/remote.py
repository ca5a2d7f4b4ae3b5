"""Atlases that are fetched on request: where from, on whose terms, and what of that could be checked."""

from typing import NamedTuple

TEMPLATEFLOW, NILEARN, DIRECT = "templateflow", "nilearn", "direct"
CEREBELLUM = (
    "https://raw.githubusercontent.com/DiedrichsenLab/cerebellar_atlases/1b62fdc0954d34ed768ec36e81ce6a007dbe9e3c/"
    "Buckner_2011/"
)
FSL = "FSL's terms: free for non-commercial use (fsl.fmrib.ox.ac.uk)"
FREESURFER = "FreeSurfer Software License Agreement (surfer.nmr.mgh.harvard.edu)"
BRAINNETOME = (
    "Brainnetome Center: free for non-commercial use by non-profit institutions, with attribution, share alike"
)
HARVARD_OXFORD = "Desikan RS et al. (2006). NeuroImage 31:968-980; Makris N et al. (2006). Schizophrenia Research 83:155-171; Frazier JA et al. (2005). Am J Psychiatry 162:1256-1265; Goldstein JM et al. (2007). Biol Psychiatry 61:935-945"  # noqa: E501
YEO = "Yeo BTT, Krienen FM, Sepulcre J, et al. (2011). J Neurophysiol 106:1125-1165. doi:10.1152/jn.00338.2011"
LISTED = "name listed by templateflow 25.1.2; the file itself could not be fetched where this was written"
MNI6, MNI2009 = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
FSAVERAGE = {"fsaverage5": "10k", "fsaverage6": "41k", "fsaverage": "164k"}


class Remote(NamedTuple):
    """An atlas that can be fetched."""

    how: str  # TEMPLATEFLOW, NILEARN or DIRECT
    spaces: dict[str, tuple[str, ...]]  # Images in every space: one, or left and right; addresses below a root, or ""
    table: str  # Address of the table of labels; "" where the image holds the names
    licence: str
    citation: str
    summary: str
    checked: str  # What of address and content could be checked
    sha256: dict[str, str] = {}  # noqa: RUF012 - of files whose content was seen, by the end of the address
    options: dict[str, object] = {}  # noqa: RUF012 - for the function of nilearn, and keys of [[atlas]]


def _fsaverage(stem: str) -> dict[str, tuple[str, ...]]:
    return {
        space: tuple(f"tpl-fsaverage/tpl-fsaverage_hemi-{hemi}_den-{den}_atlas-{stem}_dseg.label.gii" for hemi in "LR")
        for space, den in FSAVERAGE.items()
    }


def _volumes(stem: str) -> dict[str, tuple[str, ...]]:
    return {space: (f"tpl-{space}/tpl-{space}_res-02_atlas-{stem}_desc-th25_dseg.nii.gz",) for space in (MNI2009, MNI6)}


REMOTE = {
    "HarvardOxford-cort": Remote(
        TEMPLATEFLOW, _volumes("HOCPA"), f"tpl-{MNI6}/tpl-{MNI6}_atlas-HOCPA_dseg.tsv", FSL, HARVARD_OXFORD,
        "48 cortical areas, of both hemispheres as one, above 25%.", LISTED, options={"both_sides": "join"},
    ),
    "HarvardOxford-cort-sides": Remote(
        TEMPLATEFLOW, _volumes("HOCPAL"), f"tpl-{MNI6}/tpl-{MNI6}_atlas-HOCPAL_dseg.tsv", FSL, HARVARD_OXFORD,
        "48 cortical areas per hemisphere, most probable above 25%.", LISTED,
    ),
    "HarvardOxford-sub": Remote(
        TEMPLATEFLOW, _volumes("HOSPA"), f"tpl-{MNI6}/tpl-{MNI6}_atlas-HOSPA_dseg.tsv", FSL, HARVARD_OXFORD,
        "21 structures, white matter and ventricles among them, most probable above 25%.", LISTED,
        options={"both_sides": "join"},
    ),
    "Yeo2011-7-fsaverage": Remote(
        TEMPLATEFLOW, _fsaverage("Yeo2011_seg-7n"), "", FREESURFER, YEO, "Seven networks.", LISTED,
        options={"both_sides": "join"},
    ),
    "Yeo2011-17-fsaverage": Remote(
        TEMPLATEFLOW, _fsaverage("Yeo2011_seg-17n"), "", FREESURFER, YEO, "Seventeen networks.", LISTED,
        options={"both_sides": "join"},
    ),
    "Desikan2006": Remote(
        TEMPLATEFLOW,
        {k: v for k, v in _fsaverage("Desikan2006_seg-aparc").items() if k != "fsaverage"}, "", FREESURFER,
        "Desikan RS, Segonne F, Fischl B, et al. (2006). NeuroImage 31:968-980. doi:10.1016/j.neuroimage.2006.01.021",
        "34 gyral areas per hemisphere.", LISTED,
    ),
    "Destrieux2009": Remote(
        TEMPLATEFLOW, _fsaverage("Destrieux2009"), "", FREESURFER,
        "Destrieux C, Fischl B, Dale A, Halgren E (2010). NeuroImage 53:1-15. doi:10.1016/j.neuroimage.2010.06.010",
        "74 gyri and sulci per hemisphere.", LISTED,
    ),
    "Brainnetome": Remote(
        TEMPLATEFLOW, {"fsaverage": _fsaverage("brainnetome")["fsaverage"]}, "", BRAINNETOME,
        "Fan L, Li H, Zhuo J, et al. (2016). Cerebral Cortex 26:3508-3526. doi:10.1093/cercor/bhw157",
        "105 cortical areas per hemisphere.", LISTED,
    ),
    "AAL3": Remote(
        NILEARN, {"MNIColin27": ("fetch_atlas_aal",)}, "", "GIN, University of Bordeaux: free for research, GPL text in the archive",  # noqa: E501
        "Rolls ET, Huang CC, Lin CP, et al. (2020). NeuroImage 206:116189. doi:10.1016/j.neuroimage.2019.116189",
        "Automated anatomical labelling, 166 regions.", "address kept by nilearn; content not checked",
        options={"version": "3v2"},
    ),
    "CIT168": Remote(
        NILEARN, {MNI2009: ("fetch_atlas_pauli_2017",)}, "", "CC BY 4.0 (osf.io/jkzwp)",
        "Pauli WM, Nili AN, Tyszka JM (2018). Scientific Data 5:180063. doi:10.1038/sdata.2018.63",
        "16 nuclei, hypothalamus and accumbens among them; both sides as one, most probable above 25%.",
        "address kept by nilearn; content and space (by the shape of its grid) not checked",
        options={"atlas_type": "probabilistic", "threshold": 0.25, "both_sides": "join"},
    ),
    "Buckner2011-7": Remote(
        DIRECT, {MNI6: (f"{CEREBELLUM}atl-Buckner7_space-MNI_dseg.nii",)}, f"{CEREBELLUM}atl-Buckner7.tsv",
        "as the repository DiedrichsenLab/cerebellar_atlases says; its LICENSE file could not be found",
        "Buckner RL, Krienen FM, Castellanos A, Diaz JC, Yeo BTT (2011). J Neurophysiol 106:2322-2345",
        "Seven networks of the cerebellum.", "address and content checked at commit 1b62fdc",
        {"atl-Buckner7_space-MNI_dseg.nii": "30103f765a72ef4ffcc58b0d7df4762e674ac8715900fe1578e59a18dced9416"},
        {"both_sides": "join"},
    ),
    "Buckner2011-17": Remote(
        DIRECT, {MNI6: (f"{CEREBELLUM}atl-Buckner17_space-MNI_dseg.nii",)}, f"{CEREBELLUM}atl-Buckner17.tsv",
        "as the repository DiedrichsenLab/cerebellar_atlases says; its LICENSE file could not be found",
        "Buckner RL, Krienen FM, Castellanos A, Diaz JC, Yeo BTT (2011). J Neurophysiol 106:2322-2345",
        "Seventeen networks of the cerebellum.", "address and content checked at commit 1b62fdc",
        {"atl-Buckner17_space-MNI_dseg.nii": "31d0bae8bee73c119ed940f3959fb08e603ed8ebfbf44a51f42b322be77a13ae"},
        {"both_sides": "join"},
    ),
}  # fmt: skip
