"""Weights of models: kept after a fit, mapped feature by feature, and used to predict what was not measured."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..comparison import evaluate
from ..config.settings import Study
from ..core import (
    AlignmentError,
    ConfigError,
    DataError,
    FeatureSpace,
    FoldMoments,
    Predictions,
    Provenance,
    Responses,
    Samples,
    Scores,
    Weights,
    suggest,
    versions,
)
from ..embedding import FeatureTable, embed
from ..fitting import fit_weights, predict_rows, predict_stimuli, tuning
from ..fitting.weights import fingerprint_runs
from ..io.atomic import write_tsv
from ..io.store import load, save
from ..mapping import Result
from ..mapping.tuning import write_components, write_loadings, write_tuning
from ..numerics.metrics import fold_sums
from .disk import WEIGHTS
from .jobs import Fitted, Job, Loaded

SCORED = ("r", "r2")


def keep_weights(job: Job, loaded: Loaded, fitted: Fitted) -> None:
    """Fit and save the weights of every model whose settings ask for them, in ``OUTPUT_DIR/sub-<label>/weights``."""
    if fitted.folds is None:
        return
    for model, predictions in zip(job.study.models, fitted.predictions, strict=True):
        kept = getattr(model, "keep_weights", "no")
        if kept != "no":
            fit_weights(
                model,
                loaded.spaces,
                loaded.responses,
                fitted.folds,
                predictions,
                job.folder / WEIGHTS / model.name,
                keep=kept,
                described=loaded.described,
                compute=job.study.compute.compute("cpu"),
                progress=partial(job.progress, f"weights {model.name}"),
            )


def kept_weights(folder: Path) -> dict[str, Weights]:
    """Load the weights of a participant, by model."""
    return {path.name: load(path) for path in sorted((folder / WEIGHTS).glob("[!.]*")) if path.is_dir()}


def wanted_weights(folder: Path, study: Study) -> dict[str, Weights]:
    """Load the weights of a participant that the settings ask for, in the order of the models."""
    asked = [model.name for model in study.models if getattr(model, "keep_weights", "no") != "no"]
    there = kept_weights(folder) if asked else {}
    return {name: there[name] for name in asked if name in there}


def weights_key(folder: Path, study: Study) -> list[str]:
    """Identify the weights that maps are drawn from."""
    return [weights.provenance.key for weights in wanted_weights(folder, study).values()]


def map_weights(result: Result, study: Study) -> list[Path]:
    """Write maps of every feature of the models whose weights were kept."""
    written: list[Path] = []
    for model, weights in wanted_weights(result.folder, study).items():
        r2 = result.scores["r2"].row(model)
        entities = {"sub": result.subject, "task": result.summary.task}
        for space in weights.spaces:
            names, _ = weights.names(space)
            values = tuning(weights, space, r2)
            written += write_tuning(
                result.folder / "func",
                entities,
                model=model,
                space=space,
                names=names,
                values=values,
                targets=weights.targets,
            )
    return written


def map_components(results: Sequence[Result], folder: Path, study: Study) -> list[Path]:
    """Write components of features over participants, for models whose weights all of them kept."""
    kept = [wanted_weights(result.folder, study) for result in results]
    written: list[Path] = []
    tables: list[pd.DataFrame] = []
    for model in kept[0] if kept else ():
        if not all(model in one for one in kept):
            continue
        for space in kept[0][model].spaces:
            names = kept[0][model].names(space)[0]
            if len(names) < 2 or any(one[model].names(space)[0] != names for one in kept):
                continue  # a feature that is constant in one participant has no weight there
            found = {
                result.subject: (tuning(one[model], space, result.scores["r2"].row(model)), one[model].targets)
                for result, one in zip(results, kept, strict=True)
            }
            images, table = write_components(
                folder / "func", results[0].summary.task, model=model, space=space, names=names, found=found
            )
            written += images
            tables.append(table)
    if tables:
        written.append(write_loadings(folder, tables))
    return written


def choose_weights(folder: Path, model: str | None) -> Weights:
    """Load the weights of one model of a participant; `model` may be left out where there is one."""
    known = kept_weights(folder)
    if not known:
        raise DataError(
            f'{folder}: holds no weights. Set keep_weights = "mean" in [[fit]] and run again; nothing is fitted anew '
            "but the weights."
        )
    if model is None and len(known) > 1:
        raise ConfigError(f"{folder}: there are weights of {', '.join(known)}. Say which with --model.")
    if model is not None and model not in known:
        raise ConfigError(f"{folder}: no weights of model {model!r}. {suggest(model, known)}")
    return known[model or next(iter(known))]


def predict_new_stimuli(weights: Weights, files: Mapping[str, Path], base: Path) -> Responses:
    """Predict the responses to stimuli that were not shown, from a table of every feature space of a model.

    Parameters
    ----------
    weights : Weights
        Of `choose_weights`.
    files : mapping of str to Path
        Table of every space, as in ``[[features]]`` of the kind "table".
    base : Path
        Folder that relative names of files start from.

    Returns
    -------
    Responses
        One row per stimulus of the first table; see `predict_stimuli`.
    """
    spaces = [embed(FeatureTable(name=name, file=str(file)), base) for name, file in files.items()]
    spaces = [_in_order_of(spaces[0], space) for space in spaces]
    stimuli = spaces[0].samples.stimulus
    samples = Samples(stimuli, np.arange(len(stimuli)), np.ones(len(stimuli)), np.full(len(stimuli), "new"), "stimulus")
    provenance = Provenance(
        "predict/1",
        {"model": weights.model, "clock": weights.clock},
        {"weights": weights.provenance.key} | {space.name: space.provenance.key for space in spaces},
        None,
        versions(),
    )
    return Responses(
        predict_stimuli(weights, spaces),
        samples,
        weights.targets,
        samples,
        np.zeros((len(stimuli), 0)),
        weights.subject,
        "predicted",
        float("nan"),
        provenance=provenance,
    )


def _in_order_of(first: FeatureSpace, space: FeatureSpace) -> FeatureSpace:
    """Sort stimuli in the order of the first space; stimuli that it lacks are left out."""
    place = {name: row for row, name in enumerate(space.samples.stimulus.tolist())}
    missing = [name for name in first.samples.stimulus.tolist() if name not in place]
    if missing:
        raise AlignmentError(
            f"Feature space {space.name!r}: {len(missing)} stimuli of {first.name!r} have no row, the first is "
            f"{missing[0]!r}."
        )
    rows = [place[name] for name in first.samples.stimulus.tolist()]
    return dataclasses.replace(space, values=space.values[rows], samples=first.samples)


def predict_loaded(weights: Weights, loaded: Loaded) -> tuple[Predictions, dict[str, Scores]]:
    """Predict responses that were not fitted, and score the predictions.

    Parameters
    ----------
    weights : Weights
        Of `choose_weights`; the mean over folds predicts.
    loaded : Loaded
        Responses and features of another dataset, session or task, on the targets of the weights.

    Returns
    -------
    predictions : Predictions
        All rows as one fold.
    scores : dict of str to Scores
        "r" and "r2" (about the mean of the new responses).

    Raises
    ------
    AlignmentError
        If targets differ.
    DataError
        If responses of a run were fitted.
    """
    responses = loaded.responses
    if not responses.targets.same_as(weights.targets):
        raise AlignmentError(
            f"The weights are of {weights.targets!r}, but the responses of sub-{responses.subject} are of "
            f"{responses.targets!r}. Both must be in one space, with the same mask."
        )
    again = set(fingerprint_runs(responses)) & set(weights.fitted)
    if again:
        raise DataError(
            f"{len(again)} of the {len(responses.samples.runs)} runs are among those that the weights were fitted to; "
            f"scores would not be of held-out data. Those of the fit itself are in its scores."
        )
    spaces = [_whole(weights, space, loaded) for space in loaded.spaces if space.name in weights.spaces]
    values = predict_rows(weights, spaces)
    sums = fold_sums(responses.values - responses.values.mean(0), values)
    n = len(responses.samples)
    moments = FoldMoments(n=np.array([n]), **{name: value[None] for name, value in sums.items()})
    unknown = np.full((1, len(responses.targets)), np.nan)
    predictions = Predictions(
        weights.model,
        weights.spaces,
        responses.subject,
        responses.samples,
        responses.targets,
        np.zeros(n, dtype=np.int32),
        moments,
        unknown,
        np.zeros(0),
        np.full((1, len(weights.spaces), len(responses.targets)), np.nan),
        values,
        Provenance(
            "predict/1",
            {"model": weights.model},
            {"weights": weights.provenance.key, "responses": responses.provenance.key},
            None,
            versions(),
        ),
    )
    return predictions, {metric: evaluate([predictions], metric) for metric in SCORED}


def _whole(weights: Weights, space: FeatureSpace, loaded: Loaded) -> FeatureSpace:
    """Restore columns that were left out because they are constant here; aligned, they are exactly zero."""
    wanted = weights.features[weights.spaces.index(space.name)]
    place = {name: number for number, name in enumerate(space.features)}
    lost = [name for name in wanted if name not in place]
    described = next((one for one in loaded.described if one.name == space.name), None)
    if not lost or described is None:
        return space
    known = {f"{name}@{d}" for name in described.features for d in range(1001)} | set(described.features)
    if not set(lost) <= known:
        return space
    values = np.concatenate([space.values, np.zeros((len(space.values), len(lost)))], axis=1)
    return FeatureSpace(space.name, values, space.samples, (*space.features, *lost), space.provenance)


def save_prediction(
    folder: Path, weights: Weights, predicted: Responses | Predictions, scores: Mapping[str, Scores]
) -> list[Path]:
    """Save predictions, scores, and a table of scores; return what was written."""
    written = [save(predicted, folder / "predicted")]
    rows = []
    for metric, of_metric in scores.items():
        written.append(save(of_metric, folder / "scores" / metric))
        values = of_metric.row(weights.model)
        known = values[np.isfinite(values)]
        rows.append(
            {
                "model": weights.model,
                "fitted": f"sub-{weights.subject}",
                "predicted": f"sub-{of_metric.subject}",
                "metric": metric,
                "n_targets": len(known),
                "mean": known.mean() if len(known) else np.nan,
                "median": np.median(known) if len(known) else np.nan,
                "largest": known.max() if len(known) else np.nan,
            }
        )
    if rows:
        written.append(write_tsv(folder / "scores.tsv", pd.DataFrame(rows)))
    return written
