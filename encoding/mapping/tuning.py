"""Maps of single features, and of components of features over participants, from kept weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import Targets
from ..io.atomic import write_tsv
from ..io.images.formats import entity_label, write_map
from ..numerics.components import shared_components

# A space of more features has maps of components only.
MOST_MAPS = 200
N_COMPONENTS = 4
MEANING = (
    "Weight of the feature, averaged over delays and folds and multiplied by its standard deviation; features "
    "of a model in a target are divided by their norm and multiplied by the root of the held-out R2. Describes the "
    "fitted model; no test"
)


def write_tuning(
    folder: Path,
    entities: Mapping[str, str],
    *,
    model: str,
    space: str,
    names: Sequence[str],
    values: np.ndarray,
    targets: Targets,
) -> list[Path]:
    """Write a map of every feature of a space.

    Parameters
    ----------
    folder : Path
        Where to.
    entities : mapping of str to str
        ``sub`` and ``task``.
    model, space : str
        What was fitted.
    names : sequence of str
        Features.
    values : ndarray, shape (n_features, n_targets)
        One row per feature.
    targets : Targets
        The columns.

    Returns
    -------
    list of Path
        The images; none of a space of more than 200 features.
    """
    written: list[Path] = []
    if len(names) > MOST_MAPS:
        return written
    for number, (name, row) in enumerate(zip(names, values, strict=True), start=1):
        # Numbers keep names apart that differ in characters only that labels cannot have.
        dimension = f"{number:03d}{entity_label(name + '0')[:-1][:40]}"
        named = {**entities, "model": entity_label(model), "feature": entity_label(space), "dim": dimension}
        sidecar = {"Description": MEANING, "Model": model, "FeatureSpace": space, "Feature": name}
        written += write_map(folder, {**named, "stat": "tuning"}, row.astype(np.float32), targets, sidecar)
    return written


def write_components(
    folder: Path,
    task: str,
    *,
    model: str,
    space: str,
    names: Sequence[str],
    found: Mapping[str, tuple[np.ndarray, Targets]],
) -> tuple[list[Path], pd.DataFrame]:
    """Find principal components of features over the targets of all participants, and map them.

    Parameters
    ----------
    folder : Path
        Where to.
    task : str
        For names of files.
    model, space : str
        What was fitted.
    names : sequence of str
        Features of all participants.
    found : mapping of str to (ndarray, Targets)
        Values (n_features, n_targets) and targets of every participant.

    Returns
    -------
    images : list of Path
        A map of every component in every participant: the targets' values along it.
    table : pandas.DataFrame
        Columns model, feature_space, component, explained (mean over participants), feature, loading.
    """
    usable = {subject: np.isfinite(values).all(0) for subject, (values, _) in found.items()}
    parts = [values[:, usable[subject]] for subject, (values, _) in found.items()]
    components, explained = shared_components(parts, min(N_COMPONENTS, len(names)))
    written: list[Path] = []
    for (subject, (values, targets)), share in zip(found.items(), explained, strict=True):
        for number, component in enumerate(components):
            along = np.full(len(targets), np.nan, dtype=np.float32)
            along[usable[subject]] = component @ values[:, usable[subject]]
            named = {"sub": subject, "task": task, "model": entity_label(model), "feature": entity_label(space)}
            sidecar = {
                "Description": f"Principal component {number + 1} of feature weights over the targets of "
                f"{len(found)} participants. {MEANING}",
                "Model": model,
                "FeatureSpace": space,
                "ExplainedVariance": float(share[number]),
            }
            entities = {**named, "comp": str(number + 1), "stat": "tuning"}
            written += write_map(folder, entities, along, targets, sidecar)
    rows = [
        {
            "model": model,
            "feature_space": space,
            "component": number + 1,
            "explained": explained[:, number].mean(),
            "feature": name,
            "loading": loading,
        }
        for number, component in enumerate(components)
        for name, loading in zip(names, component, strict=True)
    ]
    return written, pd.DataFrame(rows)


def write_loadings(folder: Path, tables: Sequence[pd.DataFrame]) -> Path:
    """Write the loadings of all components.

    Parameters
    ----------
    folder : Path
        Where to.
    tables : sequence of pandas.DataFrame
        Of `write_components`.

    Returns
    -------
    Path
        ``components.tsv``.
    """
    return write_tsv(folder / "components.tsv", pd.concat(list(tables), ignore_index=True))
