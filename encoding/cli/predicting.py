"""The command that predicts from kept weights: new stimuli, or the responses of another dataset."""

import argparse
from pathlib import Path
from typing import Any

from ..core import ConfigError, DataError, suggest
from .options import add_command, labels_of
from .progress import Bar, say


def add_predicting(commands: Any) -> None:
    """Add `encoding predict` to the subparsers of the main parser."""
    predict = add_command(
        commands, "predict", _predict, "predict new stimuli, or the responses of another dataset, from kept weights"
    )
    add = predict.add_argument
    add("result", type=Path, metavar="RESULT", help="results of a participant, OUTPUT_DIR/sub-<label>")
    add("folder", type=Path, metavar="FOLDER", help="where predictions and scores go")
    add("--model", metavar="NAME", help="model; needed if weights of several models were kept")
    add(
        "--features",
        nargs="+",
        metavar="[SPACE=]FILE",
        help="tables of new stimuli, one per feature space; SPACE can be left out if the model has a single one",
    )
    add("--config", type=Path, help="configuration of another dataset; its [load], [align] and [[features]] are used")
    add("--bids-dir", "--bids_dir", type=Path, metavar="BIDS_DIR", help="the other dataset, with --config")
    add("--derivatives", type=Path, metavar="PATH", help="fMRIPrep's output for that dataset")
    add("--participant-label", "--participant_label", metavar="LABEL", help="its participant (default: the same label)")


def _predict(options: argparse.Namespace) -> int:
    from ..workflow.weights import choose_weights, save_prediction

    weights = choose_weights(options.result, options.model)
    if (options.features is None) == (options.config is None):
        raise ConfigError("predict: either --features (new stimuli) or --config (another dataset) is needed.")
    if options.features is not None:
        from ..workflow.weights import predict_new_stimuli

        predicted: Any = predict_new_stimuli(weights, _files(options.features, weights.spaces), Path.cwd())
        scores: dict[str, Any] = {}
    else:
        predicted, scores = _of_dataset(options, weights)
    for path in save_prediction(options.folder, weights, predicted, scores):
        print(path)
    for metric, found in scores.items():
        say(f"median {metric} of {found.values.shape[1]} targets: {_median(found.values):.3f}")
    return 0


def _of_dataset(options: argparse.Namespace, weights: Any) -> tuple[Any, dict[str, Any]]:
    from ..config.settings import read_config
    from ..pipeline import load_subject
    from ..workflow.jobs import Job, Places
    from ..workflow.weights import predict_loaded

    if options.bids_dir is None or not options.bids_dir.is_dir():
        raise DataError(f"--bids-dir {options.bids_dir}: the folder of the other dataset is needed with --config.")
    label = labels_of([options.participant_label or weights.subject], "sub-")[0]
    places = Places(options.bids_dir, options.folder, options.folder / "work", options.derivatives)
    bar = Bar()
    try:
        loaded = load_subject(Job(read_config(options.config), places, label, progress=bar))
    finally:
        bar.close()
    return predict_loaded(weights, loaded)


def _files(given: list[str], spaces: tuple[str, ...]) -> dict[str, Path]:
    """Read ``SPACE=FILE`` arguments; every space of the model needs one."""
    files: dict[str, Path] = {}
    for text in given:
        space, equals, file = text.partition("=")
        if not equals:
            if len(spaces) > 1:
                raise ConfigError(f"--features {text!r}: the model has spaces {', '.join(spaces)}; write SPACE=FILE.")
            space, file = spaces[0], text
        if space not in spaces:
            raise ConfigError(f"--features {text!r}: {suggest(space, spaces)}")
        files[space] = Path(file)
    missing = [space for space in spaces if space not in files]
    if missing:
        raise ConfigError(f"--features: no table for {', '.join(missing)}. Every space of the model needs one.")
    return {space: files[space] for space in spaces}


def _median(values: Any) -> float:
    import numpy as np

    return float(np.nanmedian(values))
