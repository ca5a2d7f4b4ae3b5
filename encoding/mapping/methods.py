"""The methods section of a report, written from what was actually done."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.axes import VOLUME_BESIDE
from .results import TargetTests
from .rsa_maps import describe_choices
from .significance import EXCHANGED
from .summary import Summary

LISTS = {
    "none": "",
    "cowen2017": "the list of Horikawa et al. (2020; 2,196 stimulus ids of 2,185 video files, 2,181 different videos)",
    "cowen2017-2180": (
        "the list of Horikawa et al. (2020; 2,196 stimulus ids, 2,181 different videos), with ids 1349 and 1363 taken "
        "for one video as a guess at why Du et al. (2025) count 2,180"
    ),
}


def describe_methods(summary: Summary, tests: TargetTests | None = None) -> str:
    """Write the methods of a run in words that can go into a paper; `tests` are those of feature spaces."""
    settings = summary.settings
    parts = [_responses(summary, settings["load"])]
    if summary.models:
        parts += [
            _features(summary, settings["align"], settings.get("features", ())),
            _folds(summary, settings["split"]),
            _models(summary),
            _scores(summary),
            *_of_spaces(tests),
        ]
    parts += [describe_choices(choices) for choices in summary.rsa.values()]
    parts += _recipe(settings.get("recipe"))
    return "\n\n".join(parts)


# What is written of each way from rows in time to volumes; None stands for the default.
RESAMPLED = {
    "mean": "means weighted by time",
    "sum": "sums, of which every volume gets the share of its time",
    "last": "the last row that begins in a volume",
    "lanczos": "Lanczos interpolation with three lobes",
    None: "means weighted by time, or Lanczos interpolation with three lobes where rows have onsets",
}


def spaces_of(summary: Summary) -> tuple[str, ...]:
    """Name the space, or that of the surfaces and that of the volume beside them, which CIFTI's spaces leave unsaid."""
    named = tuple(summary.space.split(" + "))
    beside = summary.settings.get("load", {}).get("volume_space")
    return (*named, VOLUME_BESIDE[summary.space]) if beside and len(named) == 1 else named


def _responses(summary: Summary, load: Mapping[str, Any]) -> str:
    if load["kind"] == "betas":
        return (
            f"Responses were estimated elsewhere and read from {load['file']!r} (estimated within: "
            f"{load['estimated_within']})."
        )
    scaled = {
        True: "then z-scored over the presentations of each run",
        "all": "then z-scored over the presentations of all runs, held-out runs included",
    }.get(load["scale_rows"], "not scaled again")
    if load["kind"] == "bdata":
        voxels = "" if load["mask"] in ("brain", "none") else f" of the masks {load['mask']}"
        text = (
            f"Responses are block means, preprocessed elsewhere, read from {load['file']!r} (voxels{voxels} in "
            f"the space {summary.space}). They were {scaled}."
        )
        return f"{text} {_presentations(summary, load)}".rstrip()
    options = load.get("confound_options", {})
    confounds = ", ".join(f"{name} {options.get(name, '')}".strip() for name in load["confounds"]) or "none"
    if load.get("confounds_file"):
        columns = ", ".join(load.get("confound_columns") or ()) or "all columns"
        confounds = f"{columns} of the tables {load['confounds_file']!r}"
    high_pass = load["high_pass"]
    drift = {"confounds": "the cosine regressors of the confounds table", False: "no high-pass filter"}.get(
        high_pass, f"discrete cosines up to {high_pass} Hz"
    )
    where = f"in the space {summary.space}"
    if load.get("volume_space"):
        surface, volume = spaces_of(summary)
        where = f"of vertices on {surface} and of voxels of {load.get('subcortex', 'aseg')} in {volume}"
    text = (
        f"Preprocessed data {where} were cleaned run by run: confounds ({confounds}), {drift}"
        f"{' and a linear trend' if load['detrend'] else ''} were regressed out in one step"
        f"{', and each target was z-scored within the run' if load['standardize'] else ''}."
    )
    if load.get("despike"):
        text += f" Values beyond {load['despike']:g} standard deviations of the run were set to that limit."
    if summary.clock == "stimulus":
        block = "its block, the rest up to the next one included,"
        window = {None: "the event", "block": block}.get(load["window"], f"{load['window']} s")
        text += (
            f" The response to a presentation is the average over a window as long as {window} that starts "
            f"{load['shift']} s after its onset; volumes count by their overlap. Responses were {scaled}."
        )
    return f"{text} {_presentations(summary, load)}".rstrip()


def _presentations(summary: Summary, load: Mapping[str, Any]) -> str:
    """Count presentations and stimuli, and name the list of repeats."""
    if summary.n_presentations is None:
        return ""
    named = LISTS.get(load.get("stimuli") or "none", f"the table {load.get('stimuli')!r}")
    known = f", with repeats under other names known from {named}" if named else ""
    if load.get("events") == "none" and load["kind"] not in ("betas", "bdata"):
        return f"No events were used: each of {summary.n_presentations} runs is one recording."
    rows = "" if summary.clock == "stimulus" else "volumes "
    uses = ", ".join(f"{n} {rows}{use}" for use, n in summary.uses.items())
    return f"There were {summary.n_presentations} presentations of {summary.n_stimuli} stimuli{known}: {uses}."


def _features(summary: Summary, align: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> str:
    spaces = ", ".join(f"{name} ({n})" for name, n in summary.features.items())
    if summary.clock == "stimulus":
        centred = "were centred over the presentations of each run" if align["centre"] else "were not centred per run"
        return f"Feature spaces (number of features): {spaces}. Features {centred}."
    delays = ", ".join(str(delay) for delay in align["delays"])
    in_time = [source for source in sources if "resample" in source]
    how = "by the overlap of presentations and volumes" if len(in_time) < len(sources) or not sources else ""
    moments = ", ".join(f"{source['name']} by {RESAMPLED[source['resample']]}" for source in in_time)
    how += (", or " if how and moments else "") + (f"from rows in time ({moments})" if moments else "")
    return (
        f"Feature spaces (number of features after delays): {spaces}. Features were laid out on volumes {how}, "
        f"delayed by {delays} volumes within runs (finite impulse response), and the mean, "
        f"the trend and the slow cosines that had been taken out of the responses were taken out of them too."
    )


def _folds(summary: Summary, split: Mapping[str, Any]) -> str:
    what = {
        "runs": "whole runs",
        "fixed": "a fixed set of test runs (repeats averaged)",
        "blocks": f"contiguous blocks with a gap of {split['gap']} s",
    }[split["kind"]]
    repeats = {
        None: "No stimulus occurred on both sides of a fold.",
        "condition": "Stimuli recur by design and were kept in every fold.",
        "drop_later": "Of stimuli shown more than once only the first presentation was used.",
        "exclude_from_training": "Samples of a stimulus were left out of training whenever it was tested.",
    }[split["repeats"]]
    return (
        f"Models were tested in {summary.n_folds} outer folds that held out {what}; hyper-parameters were chosen on "
        f"{_inner(split)} of the training data alone. {repeats} Features were standardised, and "
        f"feature spaces scaled to unit total variance, with training samples only."
    )


def _inner(split: Mapping[str, Any]) -> str:
    if split.get("inner") == "random":
        share = split["validation_share"]
        return f"{split['n_inner']} random splits that each validate on {share:.0%} of the runs"
    return f"inner folds ({split['n_inner']})"


def _models(summary: Summary) -> str:
    sentences = []
    for model in summary.settings["models"]:
        if model["name"] in summary.auxiliary:
            continue
        low, high = min(model["alphas"]), max(model["alphas"])
        unit = "on z-scored features" if model.get("alpha_unit") == "zscored" else "times trace(K)/n"
        grid = f"{len(model['alphas'])} penalties from {low:g} to {high:g} {unit}"
        each = (
            "target"
            if model.get("alpha_per_target", True)
            else "outer fold for all targets, by the mean correlation over inner folds and targets"
        )
        bands = ", ".join(model["bands"])
        if model["kind"] == "ridge":
            sentences.append(f"{model['name']}: ridge regression on {bands}, one of {grid} per {each}.")
        elif model["kind"] != "banded_ridge":
            sentences.append(f"{model['name']}: {model['kind']} on {bands}, one of {grid} per {each}.")
        else:
            sentences.append(
                f"{model['name']}: banded ridge on {bands} (Dupré la Tour et al. 2022), {model['n_iter']} candidates "
                f"of band weights and {grid}, chosen per target."
            )
            if model["subsets"]:
                sentences.append(
                    f"The same was fitted to every subset of the bands of {model['name']}, with candidates in "
                    f"proportion to their number, and R2 divided into unique and shared parts (commonality analysis)."
                )
        sentences += _components(model)
    return " ".join([*_solvers(summary), *sentences])


def _components(model: Mapping[str, Any]) -> list[str]:
    """Describe the reduction of feature spaces to components."""
    most, share = model.get("pca"), model.get("keep_variance")
    if most is None and share is None:
        return []
    kept = [f"the first {most} principal components"] if most is not None else []
    kept += [f"as many as explain {share:.0%} of the variance"] if share is not None else []
    joined = ", or fewer: ".join(kept) if most is not None else f"principal components, {kept[0]}"
    return [
        f"Feature spaces of {model['name']} were reduced to {joined}, fitted to z-scored features of the training "
        f"rows of every outer fold; tests of feature spaces are about the whole spaces."
    ]


SOLVERS = {
    "statistics": "exactly from products of features and responses, with features scaled in every inner fold",
    "kernel": "exactly from kernels, with features scaled in every inner fold",
    "wide": "exactly from products of the narrow features at every penalty of the wide ones, features being scaled in "
    "every inner fold",
    "himalaya": "with himalaya, with features scaled in every outer fold",
    "shared": "by ridge regression in every inner fold, features being scaled there",
}


def _solvers(summary: Summary) -> list[str]:
    """Describe the hyper-parameter search, once per solver."""
    methods = {name: model.solver.method for name, model in summary.models.items()}
    sentences = []
    for method in dict.fromkeys(methods.values()):
        which = [name for name, used in methods.items() if used == method]
        of = f" of {', '.join(which)}" if len(which) < len(methods) else ""
        sentences.append(f"Hyper-parameters{of} were searched {SOLVERS.get(method, f'by the solver {method!r}')}.")
    fell_back = [name for name, model in summary.models.items() if model.solver.fell_back]
    if fell_back:
        sentences.append(f"Where a decomposition failed ({', '.join(fell_back)}), himalaya was used.")
    return sentences


def _scores(summary: Summary) -> str:
    shown = "" if summary.metric == "r" else f" The maps and charts show {summary.metric}."
    return (
        "Accuracy is the Pearson correlation (r) of held-out responses and predictions, averaged over outer folds "
        "through Fisher's z. Pooled r is one correlation over the held-out samples of all folds; it is biased below 0. "
        "R2 is one minus the sum of squared errors over the sum of squares relative to the training mean, over all "
        f"folds; the product measure divides it among the feature spaces of a joint model.{shown}{_tests(summary)}"
    )


def _tests(summary: Summary) -> str:
    compare = summary.settings.get("compare", {})
    text = ""
    if compare.get("significance") == "noise":
        text += (
            f" On the fixed test set, a target is significant where unrelated normal responses and predictions would "
            "correlate as highly so seldom that the false discovery rate over targets (Benjamini & Hochberg 1995) "
            "is at "
            f"most {compare['level']:g}, one-sided, for every model by itself."
        )
    if compare.get("group_test") == "paired_t":
        text += (
            " Differences between fits were tested over participants by paired t-tests, two-tailed, with the false "
            "discovery rate over all regions and pairs; they do not generalise over stimuli, and name no winner."
        )
    return text


def _of_spaces(tests: TargetTests | None) -> list[str]:
    """Describe the tests of feature spaces."""
    if tests is None:
        return []
    text = (
        "U is the share of the variance of responses that is linear in a feature space and shared by runs: the mean "
        "over pairs of different runs of C_r' inv(S) C_s, with C_r the products of features and responses of run r and "
        "S those of features over all runs, scaled so that it is unbiased in the number of features."
    )
    if tests.exchanged in EXCHANGED and tests.n_permutations:
        text += (
            f" Against chance, the same statistic was drawn {tests.n_permutations:,} times under the null by "
            f"exchanging {EXCHANGED[tests.exchanged]}. p is corrected for all targets and feature spaces by their "
            "maximum (family-wise error), or over them by the false discovery rate (Benjamini & Hochberg 1995) of p "
            "from Pearson III distributions with pooled skewness."
        )
    if len(tests.spaces) > 1:
        text += (
            f" A feature space is named where its U is above 0 (one-sided p times the number of spaces) and above that "
            f"of every other space (two-sided p), with the variance of U over runs, each p at most {tests.level:g}: "
            f"region by region, with the false discovery rate over regions beside it; in maps target by target, where "
            f"the space is above chance too, corrected for all targets and spaces."
        )
    return [text]


def _recipe(recipe: Mapping[str, Any] | None) -> list[str]:
    """Name the recipe and what the paper leaves open."""
    if recipe is None:
        return []
    open_points = " ".join(f"({number}) {point}" for number, point in enumerate(recipe["open"], start=1))
    return [
        f"Settings follow the recipe {recipe['name']}: {recipe['title']}.",
        f"Left open by the paper: {open_points}",
    ]
