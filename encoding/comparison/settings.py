"""What is compared with what."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated

from annotated_types import Interval

from ..core import ConfigError, suggest
from ..core.settings import LARGEST, Number, OneOf, Rule, Text, Unit, settings
from ..numerics.kinds import BRAIN, COMPARISONS, NOISE, SIMILARITIES

METRICS = ("r", "pooled_r", "r2")
SIGNIFICANCE = ("none", "noise")
GROUP_TESTS = ("none", "paired_t")
FIT_INTERVALS = ("nadeau_bengio", "bootstrap")
REGIONS = ("searchlight", "atlas")
REPEATS = ("average", "first")
UNITS = "none"  # `noise` of crossnobis distances unless given
FEWEST = 3  # targets that a correlation of patterns needs


def _two(pair: tuple[str, ...]) -> bool:
    return len(pair) == 2 and pair[0] != pair[1]


Pair = Annotated[tuple[Text, ...], Rule("a list of two different models", _two, "lists of two different models")]
Versions = Annotated[
    tuple[Text, ...], Rule("a list of two different feature spaces", _two, "lists of two different feature spaces")
]


@settings("[compare]")
class Comparison:
    """How models are scored and compared.

    Examples
    --------
    >>> from encoding.comparison import Comparison
    >>> Comparison(metric="r2", n_permutations=200).metric
    'r2'
    """

    metric: Annotated[str, OneOf(METRICS)] = "r"
    """Score shown in the main tables and maps; the other scores are written as well."""
    pairs: tuple[Pair, ...] = ()
    """Pairs of models to compare; all pairs of single-space models unless given."""
    significance: Annotated[str, OneOf(SIGNIFICANCE)] = "none"
    """"noise": with one fixed test set of independent samples, compute for every target and model how likely unrelated
    responses and predictions would correlate as highly (one-sided), and count those below `level` after correction over
    targets by the false discovery rate. Refused where it would be wrong: with several folds, for volumes, and where
    neighbouring samples correlate."""
    level: Annotated[Number, Interval(gt=0, lt=1)] = 0.01
    """Accepted false discovery rate of targets."""
    group_test: Annotated[str, OneOf(GROUP_TESTS)] = "none"
    """"paired_t": test differences between fits over subjects in every region, two-tailed, with the false discovery
    rate over all regions and pairs. It does not generalise over stimuli, and names no winner."""
    controls: bool = True
    """Whether time, position and number of the run, random features, head motion, and low-level vision of videos and
    pictures are tested as controls."""
    inference: bool = True
    """Whether feature spaces are tested: against chance, against each other, and for what each adds to the others.
    Winners, "ahead" and "above chance" in tables, maps and reports come from these tests only."""
    n_permutations: Annotated[int, Interval(ge=0, le=10_000_000)] = 1000
    """Draws of the test against chance; 0 makes none."""
    unique_permutations: Annotated[int, Interval(ge=0, le=10_000_000)] = 0
    """Draws of the test of what each space adds to the others, by exchanging its residual between runs. 0 makes none;
    the estimate and its interval are there regardless. A draw costs about eleven times as much as one against chance:
    1,000 of four spaces, 100,000 targets and 2,196 samples take an hour on two cores, 199 take twelve minutes."""
    versions: tuple[Versions, ...] = ()
    """Pairs of feature spaces that measure the same features independently (ratings by two halves of the raters,
    embeddings of two seeds). The first is tested, by what both have in common; the second is not tested itself."""
    nuisance: tuple[Text, ...] = ()
    """Feature spaces of no interest (luminance, motion energy, sound level). They are fitted, but cannot be named the
    best space. What every other space explains beyond all of them together is estimated; for the difference in
    held-out R2, models of each space with them, and of them alone, are fitted as well."""
    fits: Annotated[str, OneOf(FIT_INTERVALS)] = "nadeau_bengio"
    """Interval of differences of held-out r (test "fits"): "nadeau_bengio", from the outer folds, allowing for training
    sets that overlap; or "bootstrap", from fits made again to `n_bootstrap` draws of the runs with replacement, each of
    which takes as long as all fits."""
    n_bootstrap: Annotated[int, Interval(ge=20, le=100_000)] = 100
    """Draws of `fits = "bootstrap"`."""
    p_level: Annotated[Number, Interval(gt=0, lt=1)] = 0.05
    """Largest p at which a space is named the best, and largest false discovery rate, over all regions (of an atlas and
    level) and pairs or spaces, at which it is called "ahead", "above 0" or "above chance"."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        if self.significance == "noise" and self.metric == "r2":
            raise ConfigError('significance = "noise" is about correlations; metric must be "r" or "pooled_r".')

    def resolve(self, single: Sequence[str], models: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Resolve the pairs of models to compare.

        Parameters
        ----------
        single : sequence of str
            Models of single feature spaces.
        models : sequence of str
            All models.

        Returns
        -------
        tuple of (str, str)
            The pairs.

        Raises
        ------
        ConfigError
            If a pair names a model that is not fitted.
        """
        for pair in self.pairs:
            for name in pair:
                if name not in models:
                    raise ConfigError(f"[compare] pairs: no model {name!r} in [[fit]]. {suggest(name, models)}")
        return tuple((a, b) for a, b in self.pairs) or tuple(combinations(single, 2))


Similarity = Annotated[str, OneOf(SIMILARITIES)]
Odd = Annotated[
    Annotated[int, Interval(ge=3, le=101)],
    Rule("an odd number of voxels from 3 to 101", lambda edge: edge % 2 == 1),
]


@settings("[[rsa]]")
class Rsa:
    """One representational similarity analysis.

    Published values move tenfold with these choices, so that all of them are written beside every number.

    Examples
    --------
    >>> from encoding.comparison import Rsa
    >>> Rsa("similarity", similarity="cosine", regions="searchlight", radius_mm=10.0).regions
    'searchlight'
    """

    name: Text
    """Name of the analysis, as in file names and tables."""
    spaces: tuple[Text, ...] = ()
    """Feature spaces that are compared with the brain; all unless given."""
    similarity: Similarity | Mapping[str, Similarity] = "correlation"
    """Similarity of stimuli by a feature space: "choice_probability" (of an embedding of odd-one-out judgments), "dot",
    "cosine" or "correlation" (over features); for all spaces, or in a table by name of the space, where spaces that are
    not named have "correlation"."""
    brain: Annotated[str, OneOf(BRAIN)] = "correlation"
    """Similarity of the responses to two stimuli over the targets of a region: Pearson's correlation, minus the
    Euclidean distance, or minus the crossnobis distance (squared; 0 on average for equal stimuli with
    `noise = "none"`), which compares presentations in different runs: every stimulus must be shown in two runs or
    more."""
    noise: Annotated[str, OneOf(NOISE)] | None = None
    """Units of `brain = "crossnobis"`: "none", those of the responses; "shrunk", the covariance of what differs between
    presentations of a stimulus, over the targets of a region, shrunk towards a multiple of the identity (Ledoit and
    Wolf); or its "diagonal". Unless given, "none". With "shrunk" and "diagonal", equal stimuli lie above 0, all pairs
    by the same amount if all stimuli have equally many presentations, in equally many runs; otherwise both are
    refused."""
    comparison: Annotated[str, OneOf(COMPARISONS)] = "pearson"
    """Correlation of both similarities over pairs of stimuli; "spearman" of ranks, ties sharing their mean rank."""
    regions: Annotated[str, OneOf(REGIONS)] = "atlas"
    """Every region, network and ROI of the atlases of ``[map]``; or a searchlight around every voxel."""
    radius_mm: Annotated[Number, Interval(gt=0, le=1000), Unit("mm")] | None = None
    """Searchlights are spheres of this radius: voxels whose centre lies within it."""
    edge_voxels: Annotated[Odd, Unit("voxels")] | None = None
    """Searchlights are cubes of this (odd) number of voxels along each edge."""
    same_run: bool = False
    """Whether stimuli that were shown in one run are compared. They share noise and slow signals, and their responses
    are scaled together, so that they are left out unless asked for. Crossnobis distances are made of different runs
    anyway."""
    repeats: Annotated[str, OneOf(REPEATS)] | None = None
    """What to do with stimuli that were shown several times; must be given where there are any, except for crossnobis
    distances, which are made of all presentations."""
    min_targets: Annotated[int, Interval(ge=FEWEST, le=LARGEST)] = 10
    """Regions and searchlights with fewer usable targets have no value."""

    def __post_init__(self) -> None:
        """Check the size of searchlights, and what goes with crossnobis distances."""
        self._check_crossnobis()
        sizes = [name for name in ("radius_mm", "edge_voxels") if getattr(self, name) is not None]
        if self.regions == "atlas" and sizes:
            raise ConfigError(f'{sizes[0]} = {getattr(self, sizes[0])!r} belongs to regions = "searchlight".')
        if self.regions == "searchlight" and len(sizes) != 1:
            raise ConfigError(
                f'regions = "searchlight" needs radius_mm (a sphere) or edge_voxels (a cube), but '
                f"{'both are' if sizes else 'none is'} given. The size changes the values: it has no default."
            )

    def _check_crossnobis(self) -> None:
        if self.brain != "crossnobis":
            if self.noise is not None:
                raise ConfigError(
                    f'noise = {self.noise!r} belongs to brain = "crossnobis", but brain is {self.brain!r}.'
                )
        elif self.repeats is not None:
            raise ConfigError(
                f'repeats = {self.repeats!r}: brain = "crossnobis" compares presentations of a stimulus in different '
                "runs, and takes all of them. Remove repeats."
            )
        elif self.same_run:
            raise ConfigError(
                'same_run = true: brain = "crossnobis" multiplies presentations in different runs only, and compares '
                "all stimuli that have some. Remove same_run."
            )

    def resolve(self, spaces: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Resolve the feature spaces to compare and their similarities.

        Parameters
        ----------
        spaces : sequence of str
            All feature spaces.

        Returns
        -------
        tuple of (str, str)
            Name and similarity.

        Raises
        ------
        ConfigError
            If a space is named that is not there or not compared.
        """
        chosen = self.spaces or tuple(spaces)
        named = self.similarity if isinstance(self.similarity, Mapping) else dict.fromkeys(chosen, self.similarity)
        for key, names, known in (("spaces", chosen, spaces), ("similarity", named, chosen)):
            for name in names:
                if name not in known:
                    raise ConfigError(
                        f"[[rsa]] {self.name!r}: {key}: no feature space {name!r}. {suggest(str(name), known)}"
                    )
        if len(set(chosen)) < len(chosen):
            raise ConfigError(
                f"[[rsa]] {self.name!r}: spaces = {list(self.spaces)}, but every feature space can be named once."
            )
        return tuple((name, named.get(name, "correlation")) for name in chosen)
