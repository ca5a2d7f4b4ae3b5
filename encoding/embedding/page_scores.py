"""The part of an embedding's page that says how good it is, on choices or on ratings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError, FeatureSpace, Judgments, PairRatings
from ..core.words import count
from ..drawing.dimensions import draw_quality, draw_similarity
from ..drawing.report import DataTable, Picture, Section, Text
from .consensus import SHARE, Consensus
from .evaluation import (
    accuracy_by_dimensions,
    calibrate,
    compare_similarity,
    dimensions_needed,
    evaluate,
    fit_factor,
    importance,
    largest_alone,
    slot_preference,
)
from .learning import N_BOOTSTRAP
from .rated import Rated, Rows, as_rows, single
from .rated_scores import RatingScores, evaluate_ratings
from .sparse import SparseEmbedding
from .triplets import Triplets

LARGEST_TEST = 500_000  # judgments that curves are computed from
CHOICE_INTRO = (
    "A tie counts as the chance of guessing it. Cross-entropy is in nats. Where triplets were repeated, agreement of "
    "two answers is how well one other answer predicts, and the most frequent answer what a prediction that knows it "
    "would reach, which is too high where there are few repeats."
)
RATED_INTRO = (
    "Expected and given ratings are correlated (r) after each participant's mean is subtracted; explained is the share "
    "of the variance within participants. Cross-entropy is that of the step of the scale, in nats; without an "
    "embedding it is known how each participant uses the scale, and no more. Of two ratings of the same pair, neither "
    "is free of noise: a perfect embedding comes to about the square root of their correlation. Accuracy is not given: "
    "neighbouring steps are hardly different answers."
)
SCORES = ("accuracy", "cross", "r", "explained")  # what columns of scores begin with


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What an embedding is compared with."""

    ratings: Mapping[str, FeatureSpace] = field(default_factory=dict)  # "category" and "dimension": tables of ratings
    # Other embeddings, to match dimensions with; those of the same items are scored on the same judgments
    others: Mapping[str, FeatureSpace] = field(default_factory=dict)
    frames: Mapping[str, Path] = field(default_factory=dict)  # A picture of each stimulus
    curve: pd.DataFrame | None = None  # Scores of fits to parts of the judgments
    n_permutations: int | None = None  # Of every test; None for the number that each has by itself
    n_bootstrap: int | None = None  # Of every interval

    def permuted(self) -> dict[str, int]:
        """Return the number of permutations as an argument, if one was given."""
        return {} if self.n_permutations is None else {"n_permutations": self.n_permutations}

    def resampled(self) -> dict[str, int]:
        """Return the number of bootstrap samples as an argument, if one was given."""
        return {} if self.n_bootstrap is None else {"n_bootstrap": self.n_bootstrap}


@dataclass(frozen=True, eq=False, slots=True)
class PageContent:
    """An embedding and what its page is made from."""

    space: FeatureSpace  # The embedding
    model: SparseEmbedding  # The fit, or the first of a consensus
    consensus: Consensus | None  # If there were several seeds
    test: Rows  # Judgments to score it by
    part: str  # Which part they are
    bias: np.ndarray  # (3,) Preference for each slot
    shown: Rows  # All judgments that it was fitted to
    subset: Rows  # All triplets of a few stimuli, if there were such
    n_ignored: int  # Judgments of weight 0, which are in none of these

    @property
    def X(self) -> np.ndarray:  # noqa: N802
        """Coordinates of the stimuli that were judged, in the order of the space."""
        return self.space.values.astype(np.float64)

    @property
    def embedding(self) -> np.ndarray:
        """Coordinates of all items of the judgments."""
        return np.asarray(self.consensus.embedding if self.consensus else self.model.embedding_, np.float64)

    @property
    def some_shown(self) -> Rows:
        """Judgments that it was fitted to, evenly thinned to half a million; one factor needs no more."""
        n = len(self.shown)
        return self.shown[np.arange(0, n, max(1, -(-n // LARGEST_TEST)))]


def gather(name: str, result: SparseEmbedding | Consensus, judgments: Judgments | PairRatings) -> PageContent:
    """Collect an embedding and the judgments that score it."""
    consensus = result if isinstance(result, Consensus) else None
    model = result.runs[0] if isinstance(result, Consensus) else result
    data = as_rows(judgments)
    if model.judge_noise and isinstance(data, Triplets):
        data = dataclasses.replace(data, sharpness=model.judges_["sharpness"].to_numpy()[data.judge])
    counts = np.ones(len(data), bool) if data.weight is None else data.weight > 0
    where = np.where(counts, model.parts_, "")
    part = "test" if (where == "test").any() else "validation"
    bias = np.asarray(consensus.slot_bias if consensus else model.slot_bias_)
    rows = np.flatnonzero(where == part)[:LARGEST_TEST]
    seen, subset = data[np.isin(where, ("train", "validation"))], data[where == "subset"]
    space = result.to_feature_space(name)
    return PageContent(space, model, consensus, data[rows], part, bias, seen, subset, int((~counts).sum()))


def list_warnings(shown: PageContent) -> list[str]:
    """List what a reader should know before looking at dimensions."""
    warnings = list(shown.model.notes_)
    if shown.part == "validation":
        warnings.append(
            "No judgments were kept for testing. Scores are those of the judgments that lambda was chosen by, which "
            "the last fit has seen: they are too good. Declare a split with a part called test."
        )
    if isinstance(shown.shown, Triplets):
        warnings += _slot_warning(shown, shown.shown)
    if shown.consensus:
        warnings += shown.consensus.notes
        weak = shown.consensus.dimensions.loc[~shown.consensus.dimensions["reliable"], "dimension"].tolist()
        if weak and len(shown.consensus.dimensions) == 1:
            warnings.append(
                "The judgments support one dimension only. It may be what several correlated dimensions share, and is "
                "not called reliable."
            )
        elif weak:
            warnings.append(
                f"{count(len(weak), 'dimension is', 'dimensions are')} not reliable (found with r of "
                f"{shown.consensus.threshold:g} or more in less than {SHARE:.0%} of seeds, of resamples or of fits "
                f"with more dimensions): {', '.join(map(str, weak))}."
            )
    wanted = shown.model.n_dims
    if wanted is not None and wanted != shown.X.shape[1]:
        warnings.append(
            f"{count(wanted, 'dimension was', 'dimensions were')} asked for and {shown.X.shape[1]} found: no "
            "stimulus has any weight on the others."
        )
    if not shown.model.converged_:
        warnings.append(
            f"The last fit stopped after {shown.model.max_iter} steps and had not converged. Raise max_iter."
        )
    return warnings


def _slot_warning(shown: PageContent, fitted_to: Triplets) -> list[str]:
    preference = slot_preference(shown.embedding, fitted_to, bias=shown.bias)
    if not preference.found:
        return []
    bias = ", ".join(f"{value:+.2f}" for value in preference.bias)
    return [
        f"Slots were preferred whatever was shown in them (p = {preference.p:.1g}; logits {bias} for slots 1, 2 "
        f"and 3). "
        + (
            "The estimated preference does not account for all of it."
            if shown.model.slot_bias
            else "Fit with slot_bias = true."
        )
    ]


def show_quality(shown: PageContent, context: Context) -> Section:
    """Score the embedding, and others of the same stimuli, on judgments that it was not fitted to."""
    embeddings = {shown.space.name: shown.embedding} | _same_items(shown, context)
    needed = dimensions_needed(shown.X)
    title = "Calibration, and how many dimensions it takes"
    half = f"median number of dimensions that a stimulus needs for 95 percent: {np.median(needed[:, 0]):g}."
    if isinstance(shown.test, Rated) and isinstance(shown.shown, Rated):
        scores = evaluate_ratings(embeddings, shown.test, shown.shown, **context.resampled())
        own = RatingScores(shown.embedding, shown.test, shown.shown)
        figure = draw_quality(own.calibration(), own.by_dimensions(), needed, score="r", chance=0.0, title=title)
        alt, intro = f"r {scores.iloc[0]['r']:.3f}; {half}", RATED_INTRO
        alone = int(single(shown.test).sum())
        if alone:
            intro += f" Participants with a single rating among these ({alone:,}) count for neither r nor explained."
    else:
        assert isinstance(shown.test, Triplets)
        intro = CHOICE_INTRO
        if len(embeddings) > 1:
            embeddings = {shown.space.name: shown.embedding} | _rescaled(embeddings, shown)
            intro += (
                " Other embeddings may be on another scale. For comparisons the dot products of each are multiplied by "
                "the factor that predicts best the judgments that this one was fitted to (rescaled), and all get the "
                "same preference for slots."
            )
        scores = evaluate(embeddings, shown.test, bias=dict.fromkeys(embeddings, shown.bias), **context.resampled())
        kept = accuracy_by_dimensions(shown.embedding, shown.test, bias=shown.bias)
        figure = draw_quality(
            calibrate(shown.embedding, shown.test, bias=shown.bias), kept, needed,
            chance=1 / 2 if shown.model.task == "match" else 1 / 3, title=title,
        )  # fmt: skip
        alt = f"Accuracy {scores.iloc[0]['accuracy']:.3f}; {half}"
    form = {name: ".4f" for name in scores.columns if name.startswith(SCORES)}
    caption = f"Scores on {count(len(shown.test), f'{shown.part} judgment')}, 95% bootstrap intervals."
    return Section("How good it is", (DataTable(scores, caption, formats=form), Picture(figure, alt)), intro)


def _rescaled(embeddings: Mapping[str, np.ndarray], shown: PageContent) -> dict[str, np.ndarray]:
    some = shown.some_shown
    assert isinstance(some, Triplets)
    factors = {name: fit_factor(X, some, bias=shown.bias) for name, X in embeddings.items()}
    return {f"{name}, rescaled by {factor:.3g}": embeddings[name] * factor**0.5 for name, factor in factors.items()}


def _same_items(shown: PageContent, context: Context) -> dict[str, np.ndarray]:
    """Return other embeddings of all items of the judgments, by name."""
    names, found = shown.test.names, {}
    for name, other in context.others.items():
        place = {stimulus: row for row, stimulus in enumerate(other.samples.stimulus.tolist())}
        if all(stimulus in place for stimulus in names):
            found[name] = np.maximum(other.values[[place[stimulus] for stimulus in names]].astype(np.float64), 0)
    return found


def weigh_largest(shown: PageContent, context: Context) -> str:
    """Write a sentence on whether weights beyond the largest of each stimulus help to predict test judgments."""
    if shown.part != "test":
        return (
            "No judgments were kept for testing, so that it cannot be said what weights beyond the largest of each "
            "stimulus are worth."
        )
    if isinstance(shown.test, Rated) and isinstance(shown.shown, Rated):
        found = RatingScores(shown.embedding, shown.test, shown.shown).largest_alone(**context.resampled())
    else:
        some = shown.some_shown
        assert isinstance(shown.test, Triplets)
        assert isinstance(some, Triplets)
        found = largest_alone(shown.embedding, shown.test, some, bias=shown.bias, **context.resampled())
    value, low, high = (found[f"cross_entropy_gained{end}"] for end in ("", "_low", "_high"))
    if low > 0:
        says = "All weights predict test judgments better than the largest weight of each stimulus alone"
    elif high < 0:
        says = "The largest weight of each stimulus alone predicts test judgments better than all weights"
    else:
        says = "It is not shown that weights beyond the largest of each stimulus help to predict test judgments"
    return (
        f"{says}: without the others, and with the largest rescaled by one factor, cross-entropy changes by "
        f"{value:+.4f} [{low:+.4f}, {high:+.4f}] nats."
    )


def weigh_dimensions(shown: PageContent, context: Context) -> pd.DataFrame:
    """Measure what is lost without each dimension: cross-entropy, and of choices also accuracy."""
    if isinstance(shown.test, Rated) and isinstance(shown.shown, Rated):
        return RatingScores(shown.embedding, shown.test, shown.shown).importance(**context.resampled())
    assert isinstance(shown.test, Triplets)
    return importance(shown.embedding, shown.test, bias=shown.bias, **context.resampled())


def show_curve(context: Context) -> list[Section]:
    """Show scores of fits to parts of the judgments."""
    if context.curve is None:
        return []
    form = {name: ".4f" for name in context.curve.columns if name.startswith(SCORES)}
    caption = f"One row per share of the judgments, 95% intervals of {N_BOOTSTRAP:,} bootstrap samples."
    table = DataTable(context.curve, caption, formats=form)
    intro = (
        "Parts of the judgments were fitted with a choice of their own and scored on the same test judgments. The "
        "table shows what fewer judgments cost; what more of them would bring is not measured."
    )
    return [Section("Are more judgments worth it?", (table,), intro)]


def show_judges(model: SparseEmbedding) -> list[Section]:
    """Show how noisy each annotator is."""
    if not model.judge_noise:
        return []
    intervals = ", with a 95% interval given the embedding" if "low" in model.judges_ else ""
    table = DataTable(
        model.judges_.sort_values("noise"),
        "One row per annotator; a noise of 2 halves all similarities.",
        formats={name: ".3f" for name in ("sharpness", "noise", "low", "high") if name in model.judges_},
    )
    intro = f"All annotators share the dimensions; each has its own noise{intervals}. " + (
        "Scores above take each annotator's noise into account."
        if intervals
        else "Scores above do not take it into account."
    )
    return [Section("Annotators", (table,), intro)]


def show_similarity(shown: PageContent, context: Context) -> list[Section]:
    """Compare predicted with measured similarities of fully sampled stimuli."""
    if not len(shown.subset) or not isinstance(shown.subset, Triplets):
        return []
    title = "Predicted and measured similarity"
    intro = (
        "All triplets of some stimuli were asked, and the embedding was not fitted to them. The similarity of two "
        "stimuli is how often they were kept together, over all third ones."
    )
    if shown.model.task == "match":
        return [Section(title, (Text("This is compared for odd-one-out judgments, not for matches of a target."),))]
    try:
        found = compare_similarity(shown.embedding, shown.subset, **context.resampled())
    except DataError as error:
        return [Section(title, (Text(str(error)),), intro)]
    r = f"r = {found.r:.3f} [{found.low:.3f}, {found.high:.3f}]"
    figure = draw_similarity(found.measured, found.predicted, title=f"Pairs of {found.n_items} stimuli", subtitle=r)
    caption = f"One dot per pair, {len(found.measured):,} in all; 95% interval from {found.n_items} stimuli drawn anew."
    return [Section(title, (Picture(figure=figure, alt=f"Similarity of pairs, {r}.", caption=caption),), intro)]
