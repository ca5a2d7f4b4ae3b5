"""A collection as a whole: one folder with the plan, the frames, the answers, and what is made of them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ConfigError, DataError, Plan, suggest, versions
from ..core.plans import SPLITS
from ..core.plugins import Registry
from ..core.settings import Count, CountOrZero, Text, settings
from ..io.atomic import write_json
from ..io.judgments.answers import AnswerStore
from ..io.store import load, save
from ..numerics.triplet_ranks import pair_counts
from .baselines import Colours, Words
from .budget import Budget
from .contents import choose
from .designs import LATEST, Design, make_plan, read_listed, read_trained
from .openai import OpenAI
from .ratings_judge import Cosine
from .runner import Asking
from .schedule import schedule, sharing
from .stimuli import Shown, Stimuli, read_shown
from .tabled import Table, TableAnnotator
from .transformers import Transformers
from .trials import Annotator

# What `kind` in an [[annotator]] table of the configuration can be.
ANNOTATORS: Registry[type[Any]] = Registry(
    "encoding.annotators",
    {
        "openai": OpenAI,
        "transformers": Transformers,
        "table": Table,
        "cosine": Cosine,
        "colours": Colours,
        "words": Words,
    },
    needs=("open",),
)
AnnotatorSettings = OpenAI | Transformers | Table | Cosine | Colours | Words
STORE = "answers.sqlite"


@settings("[collect]")
class Collecting:
    """Where judgments are stored, and in which order trials are asked.

    Examples
    --------
    >>> from encoding.collection import Collecting
    >>> Collecting(folder="judgments", human="people.parquet").human
    'people.parquet'
    """

    folder: Text = "judgments"
    """Folder of the plan, the answers and all results, relative to the configuration."""
    window: Count = 100_000
    """Number of trials within which those that show the same stimulus first are grouped. Larger windows save more
    tokens; with smaller ones, an interrupted collection is more representative of the whole plan."""
    human: str = ""
    """Parquet file of judgments by people, with which the quality report compares."""
    stop_after: CountOrZero = 50
    """Trials in a row without a valid answer after which a run stops; 0 for any number."""


@dataclass(frozen=True)
class Collection:
    """All settings of a collection.

    Attributes
    ----------
    stimuli : Stimuli
        What is shown.
    design : Design
        Which triplets.
    annotators : tuple of OpenAI, Transformers, Table, Cosine, Colours or Words
        Who is asked.
    budget : Budget
        Limits, for each annotator.
    collecting : Collecting
        Where, and in which order.
    seed : int
        Seed of everything that is drawn.
    base : Path
        Folder of the configuration.

    Examples
    --------
    >>> collection.design.n_triplets, [settings.name for settings in collection.annotators]
    (300, ['careful'])
    """

    stimuli: Stimuli
    design: Design
    annotators: tuple[AnnotatorSettings, ...]
    budget: Budget = field(default_factory=Budget)
    collecting: Collecting = field(default_factory=Collecting)
    seed: int = 0
    base: Path = Path()

    @property
    def folder(self) -> Path:
        """Where everything is kept."""
        return self.base / self.collecting.folder

    def annotator(self, name: str) -> AnnotatorSettings:
        """Find an annotator.

        Parameters
        ----------
        name : str
            Its name; "" if there is only one.

        Returns
        -------
        OpenAI, Transformers, Table, Cosine, Colours or Words
            Its settings.

        Raises
        ------
        ConfigError
            If there is none of that name, or several and none is named.
        """
        known = [name_of(settings) for settings in self.annotators]
        if not name and len(known) > 1:
            raise ConfigError(f"There are {len(known)} annotators. Name one with --annotator: {', '.join(known)}.")
        if name and name not in known:
            raise ConfigError(f"No [[annotator]] is called {name!r}. {suggest(name, known)}")
        return self.annotators[known.index(name) if name else 0]


def name_of(settings: AnnotatorSettings) -> str:
    """Return the name of an annotator.

    Parameters
    ----------
    settings : OpenAI, Transformers, Table, Cosine, Colours or Words
        Its settings.

    Returns
    -------
    str
        Its own name, or that of its model.

    Examples
    --------
    >>> from encoding.collection import name_of
    >>> name_of(collection.annotators[0])
    'careful'
    """
    return settings.name or getattr(settings, "model", "")


@dataclass(frozen=True, eq=False)
class Opened:
    """A collection whose plan has been read.

    Attributes
    ----------
    collection : Collection
        Its settings.
    plan : Plan
        Trials.
    what : Shown
        Stimuli and contents.

    Examples
    --------
    >>> opened.plan
    Plan(320 trials about 38 stimuli)
    """

    collection: Collection
    plan: Plan
    what: Shown

    @cached_property
    def shown(self) -> np.ndarray:
        """What is shown in each trial: index into the contents, as int32 of shape (n_trials, 3)."""
        settings = self.collection.stimuli
        return choose(self.plan, self.what.contents, settings.captions_shown, self.collection.seed)

    def annotator(self, name: str) -> Annotator:
        """Make an annotator ready to be asked.

        Parameters
        ----------
        name : str
            As for `Collection.annotator`.

        Returns
        -------
        Annotator
            The annotator.
        """
        settings = self.collection.annotator(name)
        return settings.open(self.what.contents, self.collection.base)

    def trials(self, annotator: Annotator) -> tuple[Plan, np.ndarray]:
        """Return the plan of an annotator and what is shown: the collection's, or the rows of a people's table.

        Parameters
        ----------
        annotator : Annotator
            Who is asked.

        Returns
        -------
        plan : Plan
            Trials.
        shown : ndarray of int, shape (n_trials, 3)
            Index of the contents of every trial.
        """
        if not isinstance(annotator, TableAnnotator):
            return self.plan, self.shown
        plan = annotator.plan(self.collection.design, self.collection.seed)
        shown = choose(plan, self.what.contents, self.collection.stimuli.captions_shown, self.collection.seed)
        return plan, shown

    def store(self, *, read_only: bool = False, shard: tuple[int, int] = (1, 1)) -> AnswerStore:
        """Open the store of answers.

        Parameters
        ----------
        read_only : bool, optional
            Whether nothing is written.
        shard : (int, int), optional
            A shard has a store of its own.

        Returns
        -------
        AnswerStore
            To be closed after use.
        """
        name = STORE if shard[1] == 1 else f"answers-{shard[0]}-of-{shard[1]}.sqlite"
        return AnswerStore(self.collection.folder / name, read_only=read_only)

    def asking(self, **how: Any) -> Asking:
        """Combine the configuration with further options.

        Parameters
        ----------
        **how : object
            Fields of `Asking`.

        Returns
        -------
        Asking
            With the budget and window of the configuration.
        """
        return Asking(budget=self.collection.budget, window=self.collection.collecting.window,
                      patience=self.collection.collecting.stop_after, **how)  # fmt: skip


def plan_collection(
    collection: Collection, *, watch: Callable[[int], None] | None = None
) -> tuple[Opened, dict[str, Any]]:
    """Write the plan, and the frames if clips are shown as frames.

    Parameters
    ----------
    collection : Collection
        Settings.
    watch : callable, optional
        Is called with the number of clips whose frames are done.

    Returns
    -------
    opened : Opened
        The plan.
    summary : dict
        Numbers about it: trials per split, smallest and largest number of triplets per pair, what is shared by
        neighbours.

    Examples
    --------
    >>> from encoding.collection import plan_collection
    >>> plan_collection(collection)[1]["trials"]
    320
    """
    what = read_shown(collection.stimuli, collection.base, collection.folder / "frames", watch=watch)
    names = what.contents.stimuli
    listed, inputs = read_listed(collection.design, names, collection.base)
    folder = collection.folder / "plan"
    plan = make_plan(
        collection.design, names, seed=collection.seed, listed=listed, version=_version(folder, collection),
        trained=read_trained(collection.design, names, collection.base),
    )  # fmt: skip
    save(plan, folder)
    opened = Opened(collection, plan, what)
    summary = summarize(opened)
    write_json(collection.folder / "plan.json", {**summary, "listed": inputs, "versions": versions()})
    return opened, summary


def _version(folder: Path, collection: Collection) -> int:
    """Return the version of the plan that lies there: answers that were paid for fit no other."""
    if not (folder / "object.json").is_file():
        return LATEST
    before = load(folder).provenance
    design = dict(before.config).get("design")
    same = isinstance(design, Mapping) and design.get("kind") == "balanced" and before.seed == collection.seed
    return 1 if same and before.step == "plan/1" else LATEST


def open_collection(collection: Collection) -> Opened:
    """Read the plan that `plan_collection` wrote.

    Parameters
    ----------
    collection : Collection
        Settings.

    Returns
    -------
    Opened
        The plan, and what is shown.

    Raises
    ------
    DataError
        If there is no plan, or the configuration has changed since.

    Examples
    --------
    >>> from encoding.collection import open_collection
    >>> open_collection(collection).plan
    Plan(320 trials about 38 stimuli)
    """
    folder = collection.folder / "plan"
    if not (folder / "object.json").is_file():
        raise DataError(f"{folder}: there is no plan yet. `encoding collect plan` writes it.")
    plan = load(folder)
    what = read_shown(collection.stimuli, collection.base, collection.folder / "frames")
    same = dict(plan.provenance.config).get("design") == _listed(dataclasses.asdict(collection.design))
    if not same or plan.provenance.seed != collection.seed or plan.stimuli != what.contents.stimuli:
        raise DataError(
            f"{folder}: the plan was drawn from another design, seed or list of stimuli than the configuration now "
            f"gives. Run `encoding collect plan` again; answers that fit the new plan are kept."
        )
    return Opened(collection, plan, what)


def _listed(value: Any) -> Any:
    """Turn tuples to what a description gives back for them."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return tuple(_listed(item) for item in value) if isinstance(value, list | tuple) else value


def summarize(opened: Opened) -> dict[str, Any]:
    """Summarise a plan as JSON: trials per split, pair counts, sharing."""
    plan = opened.plan
    once = plan.items[plan.repeat == 0]
    drawn = once[plan.split[plan.repeat == 0] != SPLITS.index("subset")]
    counts = pair_counts(drawn, len(plan.stimuli))
    split = np.bincount(plan.split, minlength=len(SPLITS))
    window = opened.collection.collecting.window
    n_looked = min(len(plan), 10 * window)
    order = schedule(plan, opened.shown, window=window, most=n_looked)
    return {
        "stimuli": len(plan.stimuli),
        "left_out": opened.what.problems,
        "same": [list(names) for names in opened.what.contents.same()],
        "trials": len(plan),
        "triplets": len(once),
        "splits": {name: int(n) for name, n in zip(SPLITS, split, strict=True)},
        "pair_least": int(counts.min()),
        "pair_most": int(counts.max()),
        "same_first": sharing(opened.shown[order]).first,
        "same_pair": sharing(opened.shown[order]).pair,
        "same_first_unordered": sharing(opened.shown[:n_looked]).first,
    }
