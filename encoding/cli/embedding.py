"""The command that learns feature spaces from judgments."""

import argparse
from pathlib import Path
from typing import Any

from ..core import ConfigError
from .options import add_command, places_of
from .progress import Bar


def add_embedding(commands: Any) -> None:
    """Add the command that learns dimensions.

    Parameters
    ----------
    commands : subparsers
        Of the main parser.
    """
    embed = add_command(
        commands, "embed", _embed, 'learn the feature spaces of kind = "judgments" and draw a page of each'
    )
    embed.add_argument(
        "bids_dir", type=Path, nargs="?", metavar="BIDS_DIR",
        help="what files are relative to (default: the folder of the configuration)",
    )  # fmt: skip
    embed.add_argument(
        "output_dir", type=Path, nargs="?", metavar="OUTPUT_DIR",
        help="where results go (default: derivatives/brain-encoding in BIDS_DIR)",
    )  # fmt: skip
    embed.add_argument("--config", type=Path, required=True, help="TOML file that says what to do")
    embed.add_argument("--n-jobs", "--n_jobs", type=int, default=1, metavar="N", help="seeds at a time (default: 1)")
    embed.add_argument(
        "--device", choices=("cpu", "cuda", "auto"), default="cpu", help="what fits run on (default: cpu)"
    )
    embed.set_defaults(work_dir=None, derivatives=None)


def _embed(options: argparse.Namespace) -> int:
    from ..config.settings import read_config
    from ..embedding import JudgmentTable
    from ..pipeline import learn_spaces, prepare_output

    study = read_config(options.config, only_features=True)
    options.bids_dir = options.bids_dir or options.config.parent
    options.output_dir = options.output_dir or options.bids_dir / "derivatives" / "brain-encoding"
    places = places_of(options)
    learned = [source.name for source in study.features if isinstance(source, JudgmentTable)]
    if not learned:
        raise ConfigError(
            f'{options.config}: no [[features]] table has kind = "judgments", so there is nothing to learn.'
        )
    prepare_output(study, places, options.arguments)
    learn_spaces(study, places, device=options.device, n_jobs=max(options.n_jobs, 1), progress=Bar())
    for name in learned:
        print(places.output_dir / "embedding" / f"{name}.html")
    return 0
