"""An atlas: the two hemispheres of fsaverage5."""

import numpy as np

from encoding.core import Atlas, Targets

N_VERTICES = 10242  # of each hemisphere


def hemispheres() -> Atlas:
    """Label every vertex by its hemisphere."""
    structure = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], N_VERTICES)
    index = np.tile(np.arange(N_VERTICES), 2)
    n_vertices = {"CORTEX_LEFT": N_VERTICES, "CORTEX_RIGHT": N_VERTICES}
    targets = Targets("vertex", "fsaverage5", index, structure, n_vertices=n_vertices)
    return Atlas(
        name="Hemispheres",
        labels=np.repeat([1, 2], N_VERTICES),
        targets=targets,
        index=np.array([1, 2]),
        region=("left hemisphere", "right hemisphere"),
        hemi=("L", "R"),
        network=("", ""),
        color=("#4477aa", "#cc6677"),
        citation="fsaverage5 is part of FreeSurfer (Fischl et al. 1999).",
        licence="no restriction",
    )
