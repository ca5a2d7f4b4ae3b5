"""The whole stage in one call: from a configuration to exported judgments and their quality report."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..core import DataError
from .asking import run_collection
from .results import check_collection
from .runner import Progress
from .study import Collection, name_of, plan_collection


def collect_judgments(
    collection: Collection,
    *,
    watch: Callable[[str, Progress], None] = lambda name, asked: None,  # noqa: ARG005
) -> Path:
    """Plan trials, ask every annotator what is not answered yet, and export what was answered.

    Parameters
    ----------
    collection : Collection
        Stimuli, design, annotators, budget.
    watch : callable
        Called with the name of an annotator and how far it is.

    Returns
    -------
    Path
        The quality report; judgments are beside it in ``export``.

    Raises
    ------
    DataError
        If an annotator did not answer everything: its budget is spent, it was interrupted, or its server is down.
    """
    opened, _ = plan_collection(collection)
    for settings in collection.annotators:
        name = name_of(settings)
        asked = run_collection(opened, name, watch=partial(watch, name))
        if asked.reason != "finished":
            raise DataError(
                f"{collection.folder}: {asked.left} of {asked.planned} trials of {name!r} are not answered "
                f"({asked.reason}). Answers are kept; the same command goes on."
            )
    return check_collection(opened)[0]
