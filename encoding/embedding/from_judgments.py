"""Feature spaces that are learned from a file of judgments, as a configuration describes them."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval

from ..core import (
    ConfigError,
    DataError,
    FeatureSpace,
    Judgments,
    PairRatings,
    Provenance,
    digest,
    fingerprint,
    fingerprint_array,
    suggest,
    versions,
)
from ..core.progress import Progress, silent
from ..core.settings import (
    Count,
    NotNegative,
    Number,
    OneOf,
    Positive,
    Probability,
    Rule,
    Seed,
    Text,
    distinct,
    settings,
)
from ..core.workers import HERE, Workers
from ..io.atomic import atomic_file, write_text
from ..io.locks import locked
from ..io.store import load, save, saved_with
from ..io.tables import read_names, read_stimuli
from .methods import KEYS, METHODS, PRECISIONS, RELIABLE, STARTS, TASKS, unused_settings
from .sources import FeatureSource, SourceContext

if TYPE_CHECKING:  # torch and matplotlib stay out of reading a configuration
    from .consensus import Consensus
    from .page_scores import Context
    from .sparse import SparseEmbedding

STEP = "learn/6"
# Of each: temporary files of these names are removed.
WRITTEN = (
    *("", ".npy", ".txt", "_fit.npz", "_curve.npz", "_drawn.json", "_path.tsv", "_dimensions.tsv", "_choices.tsv"),
    *("_intervals.tsv", "_curve.tsv", ".html"),
)
QUICK = (".npy", ".parquet")  # files that are read before a run however large they are
LARGEST = 200_000_000  # bytes of others
MOST_SIMULATED = 20_000  # judgments, if it is only to see whether they can be
SIMILARITIES = ("cosine", "dot")  # of rows of ratings, by which judgments are simulated
Seeds = Annotated[tuple[Seed, ...], Rule("a list of different integers of 0 or more", distinct)]
Share = Annotated[Number, Interval(gt=0, lt=1)]


def rising(values: Sequence[float]) -> bool:
    """Return True if each value is larger than the one before."""
    return all(low < high for low, high in itertools.pairwise(values))


def _odd() -> tuple[str, ...]:
    from ..io.judgments.files import ODD  # with pyarrow, which reading a configuration seldom needs

    return ODD


@settings("[[features]]")
class JudgmentTable(FeatureSource):
    """A file of judgments, and how to learn dimensions from it.

    Examples
    --------
    >>> from encoding.embedding import JudgmentTable
    >>> JudgmentTable("dimensions", file="judgments/answers.sqlite").name
    'dimensions'
    """

    slow: ClassVar[bool] = True
    name: Text
    """Name of the feature space."""
    file: str = ""
    """Relative to the BIDS folder: Parquet, ``.txt`` or ``.npy`` with the odd item last, ``answers.sqlite`` of a
    collection, or a saved folder; with ``task = "rate"`` a TSV, CSV or Parquet table of pairs and their ratings."""
    annotator: str = ""
    """Annotator whose judgments are used, if the file holds several."""
    ratings: Text | None = None
    """Instead of a file, another feature space of the configuration: judgments are simulated by the cosine of its rows,
    so that human ratings are embedded as a model's judgments are."""
    n_judgments: Count = 1_000_000
    """Number of judgments to simulate."""
    temperature: NotNegative = 0.0
    """Divisor of the similarities before a choice is drawn; 0 always keeps the most similar pair."""
    similarity: Annotated[str, OneOf(SIMILARITIES)] = "cosine"
    """Similarity of rows that judgments are simulated by."""
    soft: bool = False
    """Whether simulated judgments come with the probability of each slot."""
    n_repeats: Count = 1
    """How often every simulated triplet is judged."""
    test: Text | None = None
    """Another such file whose judgments are only used to score the result."""
    odd: Annotated[str, OneOf(_odd)] = "last"
    """Column of the odd item in files of three numbers per row."""
    count_from: Annotated[int, Interval(ge=0, le=1)] = 0
    """Number of the first item in files of numbers."""
    stimuli: Text | None = None
    """Names of the stimuli to which numbers refer: a ``.txt`` with one name per line, or a table with a stimulus
    column."""
    test_share: Annotated[Number, Interval(ge=0, lt=1)] = 0.05
    """Share of triplets held out for scoring if neither `test` nor a split in the file says which; 0 for none."""
    method: Annotated[str, OneOf(METHODS)] = "map"
    """Penalised likelihood or variational inference; see `SparseEmbedding`, as for n_dims, max_dims, lambdas, start
    and slot_bias."""
    n_dims: Annotated[int, Interval(ge=1, le=100_000)] | None = None
    """Exact number of dimensions; found by the fit if left out."""
    max_dims: Annotated[int, Interval(ge=1, le=100_000)] = 100
    """Number of dimensions at the start."""
    lambdas: Annotated[tuple[NotNegative, ...], Rule("a list of numbers of 0 or more", bool)] | None = None
    """Penalties to try."""
    start: Annotated[str, OneOf(STARTS)] = "random"
    """Initial values of the first fit."""
    slot_bias: bool = False
    """Whether to estimate a preference for each slot."""
    task: Annotated[str, OneOf(TASKS)] = "odd"
    """What was asked. "odd": which of three is the odd one out. "match": which of two goes with a target; the target is
    the first item of each row, and the choice (or the last number) is the item that was left over. "rate": how alike
    two are; the table has a row per rating with two stimuli (``a``, ``b``), ``rating`` (or ``dissimilarity``) and, if
    there are several, ``participant``, each of whom uses the scale in a way of their own."""
    scale: Annotated[tuple[Number, Number], Rule("two numbers, the lower first", rising)] | None = None
    """Lowest and highest rating that could be given with ``task = "rate"``; ratings beyond are refused. Needed where
    the column is ``dissimilarity`` or ``distance``."""
    judge_noise: bool = False
    """Whether to estimate how noisy each annotator is, so that sharp ones count more."""
    ridges: Annotated[tuple[NotNegative, ...], Rule("a list of numbers of 0 or more", bool)] = (2.0, 0.0, 100.0)
    """Quadratic parts of the penalty to try; 0 is plain L1."""
    reweight: Annotated[int, Interval(ge=0, le=100)] = 2
    """Most rounds of freeing large coordinates from the penalty to try; 0 for none."""
    validation: Annotated[Number, Interval(gt=0, lt=1)] = 0.1
    """Share of triplets to choose penalty and dimensions by, where the file declares no split."""
    spike: Positive = 0.25
    """Standard deviation of the narrow part of the prior of "variational"."""
    slab: Positive = 3.0
    """Standard deviation of the wide part; 1, as in VICE, pulls large coordinates towards zero."""
    share: Annotated[Number, Interval(gt=0, lt=1)] = 0.6
    """Weight of the narrow part."""
    tol: Positive = 1e-6
    """Fits stop when three steps in a row lower the objective by less than this part of it."""
    max_iter: Count = 500
    """Most steps of a fit."""
    precision: Annotated[str, OneOf(PRECISIONS)] = "float32"
    """Of the computation."""
    threads: Annotated[int, Interval(ge=1, le=1024)] = 1
    """CPU threads of one fit."""
    seeds: Seeds = tuple(range(10))
    """Seeds whose dimensions are matched; a single one is fitted without matching."""
    halves: bool = True
    """Whether to fit both halves of the triplets as well."""
    resamples: Annotated[int, Interval(ge=0, le=10_000)] = 10
    """Number of bootstrap samples of the triplets that are fitted, to see how far to trust each dimension."""
    learning_curve: bool = False
    """Whether to fit parts of the judgments too, to see whether more would be worth it."""
    learning_shares: Annotated[tuple[Share, ...], Rule("a list of different numbers between 0 and 1", distinct)] = (
        *(0.125, 0.25, 0.5),
    )
    """The parts that `learning_curve` fits."""
    only_reliable: bool = False
    """Whether to leave out dimensions that are not found in four fifths of the seeds, of the resamples and of fits with
    more dimensions."""
    threshold: Probability = RELIABLE
    """Correlation from which a dimension counts as found in another fit."""
    categories: Text | None = None
    """Name of another feature space of the configuration: categories that the page is labelled with."""
    dimensions: Text | None = None
    """Name of another feature space of the configuration: rated dimensions that the page is labelled with."""
    frames: Text | None = None
    """Folder with one picture per stimulus, relative to the BIDS folder; file names without suffix are stimuli."""
    n_permutations: Count | None = None
    """Permutations of every test on the page; if left out 100 to 10,000, as each test needs them."""
    n_bootstrap: Count | None = None
    """Samples of every interval on the page; if left out 500 or 1,000. Those of `learning_curve` are always 1,000."""

    def __post_init__(self) -> None:
        """Check that there is one source of judgments."""
        if bool(self.file) == (self.ratings is not None):
            raise ConfigError(f"file = {self.file!r}, ratings = {self.ratings!r}, but one of the two is needed.")
        if self.categories is not None and self.categories == self.dimensions:
            raise ConfigError(
                f"categories = {self.categories!r}, dimensions = {self.dimensions!r}, but the page compares the two. "
                f"Name two feature spaces, or leave one of the keys out."
            )
        if self.only_reliable and len(self.seeds) == 1:
            raise ConfigError(
                f"only_reliable = true, seeds = {list(self.seeds)}, but a single fit does not show how reliable a "
                f"dimension is. Give several seeds, or leave only_reliable out."
            )
        if self.spike >= self.slab:
            raise ConfigError(f"spike = {self.spike!r}, slab = {self.slab!r}, but the spike must be the narrower part.")
        if self.task != "rate" and self.scale is not None:
            raise ConfigError(
                f'scale = {list(self.scale)}, but task = {self.task!r}; a scale belongs to task = "rate".'
            )
        if self.task == "rate":
            choices = {"ratings": self.ratings is not None, "slot_bias": self.slot_bias, "odd": self.odd != "last",
                       "start": self.start != "random"}  # fmt: skip
            wrong = [name for name, given in choices.items() if given]
            if wrong:
                raise ConfigError(
                    f'task = "rate" reads ratings of pairs from `file`; {", ".join(wrong)} is for choices among three. '
                    f"Leave it out."
                )

    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """Need ratings: to simulate judgments from, and to label the page with."""
        given = {"ratings": self.ratings, "categories": self.categories, "dimensions": self.dimensions}
        return {key: (name,) for key, name in given.items() if name is not None}

    def check(self, base: Path) -> None:
        """Find files and folders, and read judgments, as `check_with` does without other feature spaces."""
        self.check_with(SourceContext(base, base))

    def check_with(self, context: SourceContext) -> tuple[str, ...]:
        """Read judgments and refuse what a fit or its page would; what is learned and drawn already was in order."""
        for name in (self.file, self.test, self.stimuli):
            if name and not (context.base / name).exists():
                raise DataError(f"Feature space {self.name!r}: no file {context.base / name}.")
        if self.frames is not None and not (context.base / self.frames).is_dir():
            raise DataError(f"Feature space {self.name!r}: frames {context.base / self.frames} is not a folder.")
        missing = sorted({name for names in self.needs().values() for name in names} - set(context.spaces))
        notes = [f"{self.name}: whether {name!r} goes with it is known once that is made" for name in missing]
        if not missing and _is_made(self, context.base, context.folder, context.spaces):
            return ()
        large = [name for name in (self.file, self.test) if name and _size(context.base / name) > LARGEST]
        if large:
            return (*notes, f"{self.name}: {large[0]} is too large to be read before the run")
        if self.ratings is None or self.ratings in context.spaces:
            # Without drawing a test part, which takes most of the time and cannot go wrong.
            quick = dataclasses.replace(self, n_judgments=min(self.n_judgments, MOST_SIMULATED), test_share=0.0)
            judgments = gather_judgments(quick, context.base, context.spaces)
            drawn = self.test_share > 0 and not (judgments.split != "").any()
            source = dataclasses.replace(self, learning_curve=False) if drawn else self
            sample = quick.ratings is not None and quick.n_judgments < self.n_judgments
            gaps, few = _check(source, judgments, context.base, context.spaces, sample=sample)
            if gaps and self.task == "rate":
                raise DataError(f"Feature space {self.name!r}, {context.base / self.file}: {' '.join(gaps)}")
            notes += [f"{self.name}: {note}" for note in (*gaps, *few)]
        return tuple(notes)

    def inputs_key(self, context: SourceContext) -> str:
        """Identify judgments and settings."""
        return _provenance(self, context.base, context.spaces).key

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Learn dimensions, or load what was learned."""
        where: dict[str, Any] = {"device": context.device, "workers": context.workers, "progress": context.progress}
        return learn(self, context.base, context.folder, related=context.spaces, **where)

    def estimator(self, device: str = "cpu") -> "SparseEmbedding":
        """Make the estimator that these settings describe.

        Parameters
        ----------
        device : str
            "cpu" or "cuda".

        Returns
        -------
        SparseEmbedding
            Not fitted, with the first seed.
        """
        from .sparse import SparseEmbedding

        shared = {field.name for field in dataclasses.fields(SparseEmbedding)} - {"device", "random_state"}
        given: dict[str, Any] = {name: getattr(self, name) for name in shared}
        return SparseEmbedding(**given, device=device, random_state=self.seeds[0])


def learn(
    source: JudgmentTable,
    base: str | Path,
    folder: str | Path,
    *,
    device: str = "cpu",
    workers: Workers = HERE,
    related: Mapping[str, FeatureSpace] | None = None,
    progress: Progress = silent,
) -> FeatureSpace:
    r"""Learn a feature space, or load it if it was learned from the same files with the same settings before.

    Parameters
    ----------
    source : JudgmentTable
        What to learn from, and how.
    base : str or Path
        Folder that files are relative to.
    folder : str or Path
        Where results go: a folder ``<name>`` with the feature space; ``<name>.npy`` of shape (n_stimuli, n_dims) with
        ``<name>.txt``, one stimulus per line; the fits, ``<name>_fit.npz`` and, with ``learning_curve``,
        ``<name>_curve.npz``; tables of what was tried, chosen and found, ``<name>_path.tsv`` and where there are such
        ``_dimensions.tsv``, ``_choices.tsv``, ``_intervals.tsv`` and ``_curve.tsv``; ``<name>.html`` with its figures
        and tables; and ``<name>_drawn.json``, the key of what the page shows.
    device : str
        "cpu" or "cuda".
    workers : Workers
        Where seeds are fitted.
    related : mapping of str to FeatureSpace, optional
        Other feature spaces of the study, for the page.
    progress : callable
        Called with the share that is done.

    Returns
    -------
    FeatureSpace
        One row per stimulus.

    Examples
    --------
    >>> from encoding.embedding import JudgmentTable, learn, simulate_judgments
    >>> many = simulate_judgments(np.random.default_rng(0).gamma(1, 1, (12, 2)), 2000, seed=0)
    >>> odd_last = [[*np.delete(row, slot), row[slot]] for row, slot in zip(many.items, many.choice)]
    >>> np.savetxt("many.txt", odd_last, fmt="%d")
    >>> names = "".join(f"clip{k}\n" for k in range(12))
    >>> characters = Path("names.tsv").write_text(f"stimulus\n{names}", encoding="utf-8")
    >>> source = JudgmentTable("dimensions", file="many.txt", stimuli="names.tsv", n_dims=2, seeds=(0, 1))
    >>> learn(source, ".", "work/learned")
    FeatureSpace('dimensions', 2 features, Samples(12 rows, clock 'none'))
    """
    base, folder, related = Path(base), Path(folder), related or {}
    # Participants that start together want the same embedding: one learns it, and the others load it.
    sweeping = (*((folder, f"{source.name}{end}") for end in WRITTEN), (folder / f"{source.name}_files", "*"))
    with locked(folder, source.name, sweeping=sweeping):
        return _learn(source, base, folder, device=device, workers=workers, related=related, progress=progress)


def _learn(
    source: JudgmentTable,
    base: Path,
    folder: Path,
    *,
    device: str,
    workers: Workers,
    related: Mapping[str, FeatureSpace],
    progress: Progress,
) -> FeatureSpace:
    from .consensus import Consensus
    from .kept import keep, keep_fit, kept, kept_fit
    from .learning import learning_curve
    from .shown import clear, draw, is_drawn

    keys = _Keys.of(source, base, related)
    place, drawn = folder / source.name, is_drawn(folder, source.name, keys.page)
    if drawn and saved_with(place, keys.provenance.key):
        return load(place)
    judgments = gather_judgments(source, base, related)
    _check(source, judgments, base, related)
    file, curve = (folder / f"{source.name}{end}" for end in ("_fit.npz", "_curve.npz"))
    result = kept_fit(file, keys.fit, device)
    learning = 0.7  # of the time; drawing takes the rest
    if result is None:
        result = _fit(source, judgments, device, workers, lambda share: progress(learning * share))
        # At once: whatever happens to the page, nothing is fitted again.
        keep_fit(file, keys.fit, result)
    progress(learning)

    def show() -> None:
        if drawn:
            return
        context = keys.context
        if source.learning_curve:
            key = digest([keys.fit, sorted(source.learning_shares)])
            found = kept(curve, key)
            if found is None:
                first = result.runs[0] if isinstance(result, Consensus) else result
                found = {"curve": learning_curve(first, judgments, shares=source.learning_shares)}
                keep(curve, key, found)
            context = dataclasses.replace(context, curve=found["curve"])
        draw(folder, source.name, keys.page, result, judgments, context)

    if not drawn:
        clear(folder, source.name)
    of = {"only_reliable": source.only_reliable} if isinstance(result, Consensus) else {}
    try:
        space = result.to_feature_space(source.name, **of)
    except DataError:  # no dimension is reliable, and the page shows why
        show()
        raise
    write_text(folder / f"{source.name}.txt", "\n".join(space.samples.stimulus.tolist()) + "\n")
    with atomic_file(folder / f"{source.name}.npy") as temporary:
        np.save(temporary, np.asarray(space.values), allow_pickle=False)
    space = dataclasses.replace(space, provenance=keys.provenance)
    save(space, place)
    show()  # last: whatever happens to the page, the feature space is there
    progress(1.0)
    return space


def _fit(
    source: JudgmentTable, judgments: Judgments | PairRatings, device: str, workers: Workers, progress: Progress
) -> "SparseEmbedding | Consensus":
    from .consensus import fit_consensus

    estimator = source.estimator(device)
    if len(source.seeds) == 1:
        return estimator.fit(judgments)
    return fit_consensus(
        estimator,
        judgments,
        seeds=source.seeds,
        workers=workers,
        threshold=source.threshold,
        halves=source.halves,
        resamples=source.resamples,
        progress=progress,
    )


def gather_judgments(
    source: JudgmentTable, base: str | Path, related: Mapping[str, FeatureSpace] | None = None
) -> Judgments | PairRatings:
    """Read or simulate judgments, with a part that is only used to score the result."""
    from ..io.judgments.files import read_judgments, renumbered
    from ..io.judgments.names import COUNTED
    from .simulated import simulate_judgments
    from .triplets import as_triplets, divide

    base = Path(base)
    if source.task == "rate":
        return _gather_ratings(source, base)
    names = None if source.stimuli is None else _names(base / source.stimuli)

    def read(name: str, stimuli: Sequence[str] | None) -> Judgments:
        return read_judgments(base / name, stimuli=stimuli, annotator=source.annotator, odd=source.odd,
                              count_from=source.count_from, matched=source.task == "match", persons=True)  # fmt: skip

    if source.ratings is None:
        judgments = read(source.file, names)
    else:
        ratings = _related(source, source.ratings, related or {})
        judgments = simulate_judgments(
            ratings, source.n_judgments, seed=source.seeds[0], similarity=source.similarity,
            temperature=source.temperature, soft=source.soft, n_repeats=source.n_repeats,
        )  # fmt: skip
    if source.test is not None:
        # Numerals that nobody listed in an order are names in the test file too; exports have lists.
        unlisted = names is None and judgments.provenance.step == "read_judgments/1"
        by_name = unlisted and all(map(COUNTED.fullmatch, judgments.stimuli))
        test = read(source.test, None if by_name else names or judgments.stimuli)
        return _join(judgments, renumbered(test, judgments.stimuli, base / source.test))
    if source.test_share == 0 or (judgments.split != "").any():
        return judgments
    data = as_triplets(judgments)
    drawn = divide(data, source.test_share, np.random.default_rng([source.seeds[0], 3]))
    split = np.full(len(judgments), "train", dtype="<U5")
    split[np.flatnonzero(judgments.choice >= 0)[drawn]] = "test"
    return dataclasses.replace(judgments, split=split)


def _read_ratings(source: JudgmentTable, base: Path) -> tuple[PairRatings, int]:
    """Read ratings, those of `test` last; also return how many are not of `test`."""
    from ..io.judgments.ratings import read_ratings

    names = None if source.stimuli is None else _names(base / source.stimuli)

    def read(name: str, stimuli: Sequence[str] | None) -> PairRatings:
        return read_ratings(base / name, stimuli=stimuli, annotator=source.annotator, count_from=source.count_from,
                            scale=source.scale)  # fmt: skip

    first = read(source.file, names)
    if source.test is None:
        return first, len(first)
    return PairRatings.concat([first, read(source.test, names or first.stimuli)]), len(first)


def _gather_ratings(source: JudgmentTable, base: Path) -> PairRatings:
    from .rated import as_rated
    from .triplets import divide

    ratings, n_first = _read_ratings(source, base)
    if source.test is not None:
        split = np.where(np.arange(len(ratings)) < n_first, "train", "test")
        return dataclasses.replace(ratings, split=split)
    if source.test_share == 0 or (ratings.split != "").any():
        return ratings
    drawn = divide(as_rated(ratings), source.test_share, np.random.default_rng([source.seeds[0], 3]))
    return dataclasses.replace(ratings, split=np.where(drawn, "test", "train"))


def _related(source: JudgmentTable, name: str, related: Mapping[str, FeatureSpace]) -> FeatureSpace:
    if name not in related:
        raise ConfigError(f"[[features]] {source.name!r}: no feature space {name!r}. {suggest(name, related)}")
    return related[name]


def _join(first: Judgments, test: Judgments) -> Judgments:
    split = np.repeat(["train", "test"], [len(first), len(test)])
    return dataclasses.replace(Judgments.concat([first, test]), split=split)


def _names(path: Path) -> list[str]:
    if path.suffix == ".txt":
        return read_names(path)
    return read_stimuli(path).stimulus.tolist()


def _provenance(source: JudgmentTable, base: Path, related: Mapping[str, FeatureSpace]) -> Provenance:
    """Return the provenance of the result: inputs and settings that it follows from."""
    from ..io.judgments.files import fingerprint_store

    given, inputs = dataclasses.asdict(source), {}
    unused = unused_settings(given)
    if source.ratings is not None:
        ratings = _related(source, source.ratings, related)
        inputs = {source.ratings: fingerprint_array(ratings.values), "stimuli": digest(list(ratings.samples.stimulus))}
    for key in ("file", "test", "stimuli"):
        name = given[key]
        if not name or key in unused:
            continue
        path = base / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if not file.exists():
                raise DataError(f"Feature space {source.name!r}: no file {file}.")
            if file.is_file():
                known = fingerprint_store(file) if file.suffix == ".sqlite" else fingerprint(file)
                inputs[str(Path(name) / file.relative_to(path)) if path.is_dir() else name] = known
    settings: dict[str, Any] = {k: v for k, v in given.items() if k not in unused}
    return Provenance(STEP, settings, inputs, source.seeds[0], versions())


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class _Keys:
    """What a feature space, the fit that it is of, and its page follow from."""

    provenance: Provenance  # of the feature space
    fit: str  # the same for all dimensions and for the reliable ones
    page: str
    context: "Context"  # what the page compares the fit with

    @classmethod
    def of(cls, source: JudgmentTable, base: Path, related: Mapping[str, FeatureSpace]) -> "_Keys":
        from .shown import page_key

        provenance, context = _provenance(source, base, related), _context(source, base, related)
        config = {name: value for name, value in provenance.config.items() if name != "only_reliable"}
        fit = dataclasses.replace(provenance, config=config).key
        shares = source.learning_shares if source.learning_curve else None
        return cls(provenance, fit, page_key(fit, context, shares), context)


def _is_made(source: JudgmentTable, base: Path, folder: Path, related: Mapping[str, FeatureSpace]) -> bool:
    """Return True if a feature space and its page are those of the present files and settings."""
    from .shown import is_drawn

    keys = _Keys.of(source, base, related)
    return saved_with(folder / source.name, keys.provenance.key) and is_drawn(folder, source.name, keys.page)


def _check(
    source: JudgmentTable,
    judgments: Judgments | PairRatings,
    base: Path,
    related: Mapping[str, FeatureSpace],
    *,
    sample: bool = False,
) -> tuple[list[str], list[str]]:
    """Refuse what a fit or its page would; return gaps between stimuli, and other notes."""
    from .checked import check_given

    what = f", {base / source.file}" if source.file else f": ratings = {source.ratings!r}"
    where = f"Feature space {source.name!r}{what}"
    rated = {kind: related[name] for kind, name in _labels(source).items() if name in related}
    return check_given(where, source.estimator(), judgments, rated, curve=source.learning_curve, sample=sample)


def _labels(source: JudgmentTable) -> dict[str, str]:
    return {kind: name for kind, key in KEYS.items() if (name := getattr(source, key)) is not None}


def _size(path: Path) -> int:
    """Count the bytes of a file that takes long to read; 0 for arrays, which do not."""
    return 0 if path.is_dir() or path.suffix in QUICK else path.stat().st_size


def _context(source: JudgmentTable, base: Path, related: Mapping[str, FeatureSpace]) -> "Context":
    from .page_scores import Context
    from .shown import find_frames

    ratings = {kind: _related(source, name, related) for kind, name in _labels(source).items()}
    frames = {} if source.frames is None else find_frames(source.name, base / source.frames, related)
    others = {name: space for name, space in related.items() if space.provenance.step == STEP}
    return Context(ratings, others, frames, n_permutations=source.n_permutations, n_bootstrap=source.n_bootstrap)
