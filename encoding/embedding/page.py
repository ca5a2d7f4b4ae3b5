"""One HTML page that shows an embedding: how it was chosen, how good it is, what its dimensions mean."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..core import DataError, FeatureSpace, Judgments
from ..drawing.dimensions import (
    draw_contact_sheet,
    draw_correlations,
    draw_map,
    draw_path,
    draw_quality,
    draw_reproducibility,
    draw_similarity,
    draw_weights,
)
from ..drawing.figure import save_figure
from ..drawing.portraits import draw_graph, draw_hue_map, draw_roses, draw_tree
from ..drawing.report import Block, DataTable, Picture, Report, Section, Text, write_report
from ..io.atomic import write_tsv
from .consensus import SHARE, Consensus
from .evaluation import (
    accuracy_by_dimensions,
    calibrate,
    compare_similarity,
    dimensions_needed,
    evaluate,
    importance,
    slot_preference,
)
from .meaning import classify, correlate_ratings, extremes, label_dimensions, lay_out, top_category, weigh
from .relations import Relations, blend_hues, place_dimensions, relate
from .sparse import SparseEmbedding
from .structure import compare_embeddings, explain, measure_blend, predict_ratings
from .triplets import Triplets, as_triplets

SHOWN = 8  # stimuli at each end of a dimension
ROSES = 9  # stimuli that are drawn as roses
LARGEST_TEST = 500_000  # judgments that curves are computed from


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What an embedding is compared with."""

    ratings: Mapping[str, FeatureSpace] = field(default_factory=dict)  # "category" and "dimension": tables of ratings
    # Other embeddings, to match dimensions with; those of the same items are scored on the same judgments
    others: Mapping[str, FeatureSpace] = field(default_factory=dict)
    frames: Mapping[str, Path] = field(default_factory=dict)  # A picture of each stimulus
    curve: pd.DataFrame | None = None  # Scores of fits to parts of the judgments


@dataclass(frozen=True, eq=False, slots=True)
class PageContent:
    """An embedding and what its page is made from."""

    space: FeatureSpace  # The embedding
    model: SparseEmbedding  # The fit, or the first of a consensus
    consensus: Consensus | None  # If there were several seeds
    test: Triplets  # Judgments to score it by
    part: str  # Which part they are
    bias: np.ndarray  # (3,) Preference for each slot
    shown: Triplets  # All judgments that it was fitted to
    subset: Triplets  # All triplets of a few stimuli, if there were such

    @property
    def X(self) -> np.ndarray:  # noqa: N802
        """Coordinates of the stimuli that were judged, in the order of the space."""
        return self.space.values.astype(np.float64)

    @property
    def embedding(self) -> np.ndarray:
        """Coordinates of all items of the judgments."""
        return np.asarray(self.consensus.embedding if self.consensus else self.model.embedding_, np.float64)


def write_page(
    path: str | Path,
    name: str,
    result: SparseEmbedding | Consensus,
    judgments: Judgments,
    context: Context | None = None,
) -> Path:
    """Draw an embedding.

    Parameters
    ----------
    path : str or Path
        HTML file; pictures of stimuli are put into a folder beside it, figures (SVG) and tables (TSV) into another.
    name : str
        Name of the feature space.
    result : SparseEmbedding or Consensus
        What was fitted.
    judgments : Judgments
        What it was fitted to; scores are those of the part "test", or where there is none of the part that lambda was
        chosen by, which the page then says.
    context : Context, optional
        Ratings, other embeddings, pictures.

    Returns
    -------
    Path
        The file.
    """
    context = context or Context()
    shown = gather(name, result, judgments)
    folder = Path(path).with_name(f"{Path(path).stem}_stimuli")
    labels, meaning = _meaning(shown, context)
    places = lay_out(shown.X)
    sections = [
        _path(shown),
        *([_reproducibility(shown.consensus)] if shown.consensus else []),
        _quality(shown, context),
        *_curve(context),
        *_judges(shown.model),
        *_similarity(shown),
        *meaning,
        _stimuli(shown, context, labels, folder),
        *_intervals(shown),
        *_portraits(shown, context, _called(shown, labels), places),
        *_structure(shown, context),
        *_map(shown, context, places),
        *_others(shown, context),
    ]
    sections = _export(sections, Path(path).with_name(f"{Path(path).stem}_files"))
    report = Report(
        title=f"Embedding {name}",
        subtitle=f"{shown.X.shape[1]} dimensions of {len(shown.X):,} stimuli from {len(shown.shown):,} judgments",
        facts=_facts(shown),
        warnings=tuple(_warnings(shown)),
        sections=tuple(sections),
    )
    return write_report(report, path)


def gather(name: str, result: SparseEmbedding | Consensus, judgments: Judgments) -> PageContent:
    """Collect an embedding and the judgments that score it."""
    consensus = result if isinstance(result, Consensus) else None
    model = result.runs[0] if isinstance(result, Consensus) else result
    data = as_triplets(judgments)
    if model.judge_noise:
        data = dataclasses.replace(data, sharpness=model.judges_["sharpness"].to_numpy()[data.judge])
    part = "test" if (model.parts_ == "test").any() else "validation"
    bias = np.asarray(consensus.slot_bias if consensus else model.slot_bias_)
    rows = np.flatnonzero(model.parts_ == part)[:LARGEST_TEST]
    seen, subset = data[np.isin(model.parts_, ("train", "validation"))], data[model.parts_ == "subset"]
    return PageContent(result.to_feature_space(name), model, consensus, data[rows], part, bias, seen, subset)


def _facts(shown: PageContent) -> tuple[tuple[str, str], ...]:
    model = shown.model
    facts = [("stimuli", f"{len(shown.X):,}"), ("judgments", f"{len(model.parts_):,}")]
    facts += [("method", model.method), ("dimensions", str(shown.X.shape[1])), ("lambda", f"{model.lambda_:.3g}")]
    facts += [("seeds", str(len(shown.consensus.runs)) if shown.consensus else "1")]
    facts += [("scored on", f"{len(shown.test):,} {shown.part} judgments")]
    return tuple(facts)


def _warnings(shown: PageContent) -> list[str]:
    warnings = list(shown.model.notes_)
    if shown.part == "validation":
        warnings.append(
            "No judgments were kept for testing. Scores are those of the judgments that lambda was chosen by, which "
            "the last fit has seen: they are too good. Declare a split with a part called test."
        )
    preference = slot_preference(shown.embedding, shown.shown, bias=shown.bias)
    if preference.found:
        bias = ", ".join(f"{value:+.2f}" for value in preference.bias)
        warnings.append(
            f"Slots were preferred whatever was shown in them (p = {preference.p:.1g}; logits {bias} for slots 1, 2, "
            f"3). "
            + (
                "The estimated bias does not take all of it away."
                if shown.model.slot_bias
                else "Fit with slot_bias = true."
            )
        )
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
                f"{len(weak)} dimensions are not reliable (found with r of {shown.consensus.threshold:g} or more in "
                f"less than {SHARE:.0%} of seeds, of resamples or of fits with more dimensions): "
                f"{', '.join(map(str, weak))}."
            )
    wanted = shown.model.n_dims
    if wanted is not None and wanted != shown.X.shape[1]:
        warnings.append(
            f"{wanted} dimensions were asked for, {shown.X.shape[1]} are left: no stimulus has any of the others."
        )
    if not shown.model.converged_:
        warnings.append(
            f"The last fit stopped after {shown.model.max_iter} steps and had not converged. Raise max_iter."
        )
    return warnings


def _path(shown: PageContent) -> Section:
    table = shown.model.path_
    chosen = table[table["chosen"]].iloc[0]
    same = (table["ridge"] == chosen["ridge"]) & (table["rounds"] == chosen["rounds"]) & ~table["chosen"]
    same &= table["n_start"] == chosen["n_start"]
    line = pd.concat([table[same], table[table["chosen"]]]).sort_values("lambda", kind="stable").reset_index(drop=True)
    picture = draw_path(
        line, title="Choice of the penalty", subtitle=f"Fits that begin with {chosen['n_start']} dimensions"
    )
    alt = f"Loss and number of dimensions along {len(line)} penalties; lambda {shown.model.lambda_:.3g} is chosen."
    blocks: list[Picture | DataTable] = [
        Picture(figure=picture, alt=alt),
        DataTable(
            table, "One row per fit.", formats=dict.fromkeys(("loss", "loss_se", "folds_loss", "train_loss"), ".4f")
        ),
    ]
    text = (
        "Penalty, number of dimensions and shape of the penalty (ridge: with a quadratic part; rounds: reweighted) are "
        "chosen together by the loss of validation judgments: the fewest dimensions within one standard error of the "
        "best fit. Plain L1, searched by itself, is kept unless another penalty is better by one standard error, or as "
        "good with fewer dimensions. Where validation judgments could not decide, further parts were held out in turn "
        "(folds_loss). The chosen fit was converged and scored again; its row is the last."
    )
    if shown.consensus:
        choices = shown.consensus.choices
        seeds = choices.loc[choices["sample"] == "seed", "n_dims"]
        text += f" Over {len(seeds)} seeds the choice is {_range(seeds)} dimensions"
        again = choices.loc[choices["sample"] == "resample", "n_dims"]
        text += f", over {len(again)} resamples of the judgments {_range(again)}." if len(again) else "."
        blocks.append(DataTable(choices, "What each fit chose by its own validation judgments.",
                                formats={"loss": ".4f", "accuracy": ".4f"}))  # fmt: skip
    return Section("Choice of dimensions", tuple(blocks), text)


def _range(counts: pd.Series) -> str:
    return f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"


def _reproducibility(consensus: Consensus) -> Section:
    table = consensus.dimensions
    title = f"Reproducibility over {len(consensus.runs)} seeds and resampled judgments"
    picture = draw_reproducibility(table, threshold=consensus.threshold, title=title)
    alt = f"{int(table['reliable'].sum())} of {len(table)} dimensions are reliable."
    names = (
        *("reproducibility", "found", "resampled", "low", "high", "found_resampled", "found_rivals"),
        *("item_split", "triplet_split"),
    )
    return Section(
        "Reproducibility",
        (
            Picture(figure=picture, alt=alt),
            DataTable(table, "One row per dimension.", formats=dict.fromkeys(names, ".3f")),
        ),
        "Dimensions of all seeds are matched one to one with those of the seed that agrees best with all others. "
        "Agreement of seeds shows that the fit is stable, not that a dimension is true: resampled judgments show how "
        "far other judgments of the same kind would change it, and found_rivals whether it stays whole in fits that "
        "have more dimensions and predict about as well. Dimensions that are not reliable are shown, but should "
        "not be interpreted.",
        columns=1,
    )


def _quality(shown: PageContent, context: Context) -> Section:
    embeddings = {shown.space.name: shown.embedding}
    names = shown.test.names
    for name, other in context.others.items():
        place = {stimulus: row for row, stimulus in enumerate(other.samples.stimulus.tolist())}
        if all(stimulus in place for stimulus in names):
            embeddings[name] = np.maximum(other.values[[place[stimulus] for stimulus in names]], 0)
    scores = evaluate(embeddings, shown.test, bias={shown.space.name: shown.bias})
    needed = dimensions_needed(shown.X)
    figure = draw_quality(
        calibrate(shown.embedding, shown.test, bias=shown.bias),
        accuracy_by_dimensions(shown.embedding, shown.test, bias=shown.bias),
        needed,
        title="Calibration, and how many dimensions it takes",
    )
    first = scores.iloc[0]
    alt = f"Accuracy {first['accuracy']:.3f}; half of the stimuli need {np.median(needed[:, 0]):g} dimensions for 95 "
    "percent."
    form = {name: ".4f" for name in scores.columns if name.startswith(("accuracy", "cross"))}
    return Section(
        "How good it is",
        (
            DataTable(
                scores, f"Scores on {len(shown.test):,} {shown.part} judgments, 95% bootstrap intervals.", formats=form
            ),
            Picture(figure=figure, alt=alt),
        ),
        "A tie counts as the chance of guessing it. Cross-entropy is in nats. Agreement of two answers to the same "
        "triplet "
        "and the share of the most frequent answer bound what can be reached, where triplets were repeated.",
    )


def _curve(context: Context) -> list[Section]:
    if context.curve is None:
        return []
    form = {name: ".4f" for name in context.curve.columns if name.startswith(("accuracy", "cross"))}
    table = DataTable(context.curve, "One row per share of the judgments, 95% bootstrap intervals.", formats=form)
    intro = (
        "Parts of the judgments were fitted with a choice of their own and scored on the same test judgments. Where "
        "cross-entropy still falls from half of the judgments to all, twice as many would lower it further by less."
    )
    return [Section("Are more judgments worth it?", (table,), intro)]


def _judges(model: SparseEmbedding) -> list[Section]:
    if not model.judge_noise:
        return []
    table = DataTable(
        model.judges_.sort_values("noise"),
        "One row per annotator; a noise of 2 halves all similarities.",
        formats=dict.fromkeys(("sharpness", "noise", "low", "high"), ".3f"),
    )
    intro = (
        "All annotators share the dimensions; each has its own noise, with an interval of 95% given the embedding. "
        "Scores above take each annotator's noise into account."
    )
    return [Section("Annotators", (table,), intro)]


def _similarity(shown: PageContent) -> list[Section]:
    if not len(shown.subset):
        return []
    title, intro = (
        "Predicted and measured similarity",
        (
            "All triplets of some stimuli were asked, and the embedding was not fitted to them. The similarity of two "
            "stimuli is how often they were kept together, over all third ones."
        ),
    )
    try:
        found = compare_similarity(shown.embedding, shown.subset)
    except DataError as error:
        return [Section(title, (Text(str(error)),), intro)]
    r = f"r = {found.r:.3f} [{found.low:.3f}, {found.high:.3f}]"
    figure = draw_similarity(found.measured, found.predicted, title=f"Pairs of {found.n_items} stimuli", subtitle=r)
    caption = f"One dot per pair, {len(found.measured):,} in all; 95% interval from {found.n_items} stimuli drawn anew."
    return [Section(title, (Picture(figure=figure, alt=f"Similarity of pairs, {r}.", caption=caption),), intro)]


def _meaning(shown: PageContent, context: Context) -> tuple[pd.DataFrame | None, list[Section]]:
    if not context.ratings:
        return None, []
    table = correlate_ratings(shown.space, context.ratings)
    labels = label_dimensions(table)
    ratings = list(dict.fromkeys(table["rating"]))
    grid = table.pivot(index="dimension", columns="rating", values="r").loc[list(shown.space.features), ratings]
    dots = table.pivot(index="dimension", columns="rating", values="significant").loc[
        list(shown.space.features), ratings
    ]
    figure = draw_correlations(
        grid.to_numpy(float), list(shown.space.features), ratings, significant=dots.to_numpy(bool),
        title="Dimensions and ratings", subtitle="Pearson r over stimuli; dots: false discovery rate 5%",
    )  # fmt: skip
    shares = labels["kind"].value_counts()
    alt = "Correlations of dimensions and ratings. " + ", ".join(f"{n} {kind}" for kind, n in shares.items())
    section = Section(
        "What the dimensions mean",
        (
            Picture(figure=figure, alt=alt),
            DataTable(
                labels,
                "Labels by the strongest significant ratings.",
                formats={"r_category": ".3f", "r_dimension": ".3f"},
            ),
            DataTable(table[table["significant"]].reset_index(drop=True).head(2000), "Significant correlations."),
        ),
        "A dimension is called a category or a dimension if its strongest significant correlation with a rating of "
        "that kind is more than 1.5 times that with the other, and mixed if neither is. Stimuli are permuted for p.",
    )
    return labels, [section]


def _stimuli(shown: PageContent, context: Context, labels: pd.DataFrame | None, folder: Path) -> Section:
    table = extremes(shown.space, n=SHOWN)
    names = (
        dict.fromkeys(shown.space.features, "")
        if labels is None
        else dict(zip(labels["dimension"], labels["label"], strict=True))
    )
    blocks: list[Picture | DataTable] = []
    if context.frames:
        for feature in shown.space.features:
            part = table[(table["dimension"] == feature) & (table["end"] == "top")]
            file = folder / f"{feature}.jpg"
            draw_contact_sheet(part["stimulus"].tolist(), part["value"].tolist(), context.frames, file, n_columns=SHOWN)
            caption = f"{feature}{': ' if names[feature] else ''}{names[feature]} (largest weights first)"
            blocks.append(Picture(figure=file, alt=f"Stimuli with the largest weights of {feature}.", caption=caption,
                                  file=f"{folder.name}/{file.name}"))  # fmt: skip
    wide = (
        table[table["end"] == "top"]
        .pivot(index="dimension", columns="rank", values="stimulus")
        .loc[list(shown.space.features)]
    )
    wide.columns = [f"top {rank}" for rank in wide.columns]
    frame = wide.reset_index()
    if labels is not None:
        frame.insert(1, "label", [names[feature] for feature in frame["dimension"]])
    blocks.append(DataTable(frame, "Stimuli with the largest weights."))
    return Section("Stimuli of each dimension", tuple(blocks), folded=False)


def _intervals(shown: PageContent) -> list[Section]:
    """Largest weights with their posterior intervals, where the method has such."""
    model = shown.model
    if model.scale_ is None:
        return []
    rows = model.judged_
    table = weigh(shown.space, model.embedding_[rows], *(part[rows] for part in model.interval()))
    top = table.groupby("dimension", sort=False).head(SHOWN).reset_index(drop=True)
    mixed = top.loc[top["low"].isna(), "dimension"].unique().tolist()
    intro = (
        "Weights of the first seed with 95% posterior intervals, as wide as a simulation of judgments from the fit "
        "needs them."
    )
    if mixed:
        intro += (
            f" {', '.join(mixed)}: no intervals. Turned into another dimension by 15 degrees they predict as "
            "well, so that their weights are what the prior prefers, not what was measured."
        )
    figure = draw_weights(top, n=SHOWN, title="Largest weights and how sure they are", subtitle="95% intervals")
    alt = f"Intervals of the largest weights of {top['dimension'].nunique()} dimensions."
    form = dict.fromkeys(("weight", "low", "high"), ".3f")
    return [
        Section("Intervals of weights", (Picture(figure, alt), DataTable(top, "Largest weights.", formats=form)), intro)
    ]


def _called(shown: PageContent, labels: pd.DataFrame | None) -> list[str]:
    """Name each dimension by its number and, where ratings name it, by the strongest of them."""
    words = [""] * shown.X.shape[1] if labels is None else [label.partition(",")[0] for label in labels["label"]]
    return [f"{number} {word}".strip() for number, word in enumerate(words, start=1)]


def _portraits(shown: PageContent, context: Context, names: list[str], places: np.ndarray) -> list[Section]:
    if shown.X.shape[1] < 2:
        return []
    found = relate(shown.X)
    scores = importance(shown.embedding, shown.test, bias=shown.bias)
    tree = draw_tree(found.tree, names, found.hue, scores, title="Dimensions that go together, and what each is worth")
    least = scores.loc[scores["cross_entropy_gained_low"] <= 0, "dimension"].tolist()
    worth = (
        f"On {len(shown.test):,} {shown.part} judgments, 95% intervals over triplets. "
        + (f"Not certainly better than without: {', '.join(map(str, least))}." if least else "Each lowers the loss.")
    )  # fmt: skip
    blocks: list[Picture | DataTable] = [
        Picture(tree, f"Tree of {len(names)} dimensions and the importance of each.", caption=worth),
        DataTable(scores, "What accuracy loses and cross-entropy gains without each dimension."),
        _graph(shown, found, names),
        *_roses(shown, context, found, names),
    ]
    hue, purity = blend_hues(shown.X, found.hue)
    circle = draw_hue_map(places, hue, purity, (names, found.hue), title="Stimuli in the hues of their dimensions",
                          subtitle="t-SNE; neighbouring hues are correlated dimensions")  # fmt: skip
    blocks.append(Picture(circle, f"Map of {len(places):,} stimuli in mixed hues."))
    text = (
        "Dimensions have the same colour in all of these pictures but the graph. Their order on the wheel is that of "
        "the tree, so that neighbours are correlated."
    )
    return [Section("Portraits", tuple(blocks), text)]


def _graph(shown: PageContent, found: Relations, names: list[str]) -> Picture:
    picture = draw_graph(
        place_dimensions(found), found.edges, found.community, names, shown.X.sum(axis=0), title="Graph of dimensions",
        subtitle="Lines: correlations over stimuli that shuffled stimuli do not reach (false discovery rate 5%)",
    )  # fmt: skip
    n = int((np.bincount(found.community) > 1).sum())
    pairs = len(names) * (len(names) - 1) // 2
    caption = f"{len(found.edges)} of {pairs} pairs are connected; {n} communities of two or more"
    caption += f" (modularity {found.modularity:.2f})." if len(found.edges) else "."
    return Picture(picture, f"Graph of {len(names)} dimensions in {n} communities.", caption=caption)


def _roses(shown: PageContent, context: Context, found: Relations, names: list[str]) -> list[Picture]:
    """Draw the top stimulus of each of the largest dimensions, and the most even blends."""
    largest = [int(shown.X[:, k].argmax()) for k in range(min(6, shown.X.shape[1]))]
    share = shown.X / np.maximum(shown.X.sum(axis=1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    chosen = list(dict.fromkeys([*largest, *np.argsort(-entropy, kind="stable").tolist()]))[:ROSES]
    stimuli = shown.space.samples.stimulus.tolist()
    picture = draw_roses(
        shown.X[chosen], [stimuli[k] for k in chosen], names, found.hue, frames=context.frames,
        title="Stimuli as roses", subtitle="Area of a petal: weight; the largest are named",
    )  # fmt: skip
    caption = (
        "The stimulus with the largest weight of each of the largest dimensions, then those of the most even weights."
    )
    return [Picture(picture, f"Roses of {len(chosen)} stimuli.", caption=caption)]


def _export(sections: list[Section], folder: Path) -> list[Section]:
    """Write every figure as SVG and every table as TSV, and link them from the page."""
    done = []
    for section in sections:
        stem = "-".join("".join(c if c.isalnum() else " " for c in section.title.lower()).split())
        blocks: list[Block] = []
        for number, block in enumerate(section.blocks, start=1):
            if isinstance(block, Picture) and isinstance(block.figure, Figure):
                save_figure(block.figure, folder / f"{stem}-{number}.svg")
                block = dataclasses.replace(block, file=f"{folder.name}/{stem}-{number}.svg")
            elif isinstance(block, DataTable):
                write_tsv(folder / f"{stem}-{number}.tsv", block.frame)
                block = dataclasses.replace(block, file=f"{folder.name}/{stem}-{number}.tsv")
            blocks.append(block)
        done.append(dataclasses.replace(section, blocks=tuple(blocks)))
    return done


def _map(shown: PageContent, context: Context, places: np.ndarray) -> list[Section]:
    if "category" not in context.ratings:
        return []
    groups = top_category(shown.space, context.ratings["category"])
    figure = draw_map(
        places, groups.tolist(), title="Stimuli", subtitle="t-SNE; colour: category with the highest rating"
    )
    found = classify(shown.X, groups)
    table = pd.DataFrame(
        [(k, found.accuracy[k], found.chance[k], found.p[k]) for k in found.accuracy],
        columns=["guesses", "accuracy", "chance", "p"],
    )
    caption = (
        f"Nearest centroid among {found.n_classes} categories of {found.n_items:,} stimuli, each left out of its own "
        f"mean; "
        f"accuracy averaged over categories."
    )
    picture = Picture(figure=figure, alt=f"Map of {len(groups):,} stimuli, coloured by {found.n_classes} categories.")
    return [Section("Map of the stimuli", (picture, DataTable(table, caption)))]


def _structure(shown: PageContent, context: Context) -> list[Section]:
    blend = measure_blend(shown.X)
    rows = [
        ("effective dimensions per stimulus, mean", blend.mean),
        ("the same, were every stimulus of one dimension and background", blend.clustered),
        ("p that clusters are as blended", blend.p),
        ("dimensions with 90% of a stimulus's weights, median", float(np.median(blend.active))),
    ]
    blocks: list[Text | DataTable] = []
    if {"category", "dimension"} <= set(context.ratings):
        found = explain(shown.space, context.ratings["category"], context.ratings["dimension"])
        form = dict.fromkeys(("explained", "low", "high", "chance"), ".3f")
        caption = (
            f"Share of the variance of held-out stimuli ({found.n_items:,} with ratings), 95% intervals over stimuli. "
            f"In the last row chance is what the smaller table explains."
        )
        blocks += [Text(found.verdict), DataTable(found.table, caption, formats=form)]
    kind = "Stimuli are blends" if blend.p <= 0.05 else "Stimuli are no more blended than clusters with noise"
    blocks.append(
        Text(f"{kind}: {blend.mean:.2f} effective dimensions, {blend.clustered:.2f} if clustered (p = {blend.p:.2g}).")
    )
    blocks.append(DataTable(pd.DataFrame(rows, columns=["measure", "value"]), "Blends.", formats={"value": ".3g"}))
    if context.ratings:
        table = predict_ratings(shown.space, context.ratings)
        caption = (
            "Ratings of held-out stimuli predicted from the embedding; significant at a false discovery rate of 5%."
        )
        blocks.append(DataTable(table, caption, formats={"r": ".3f"}))
    return [
        Section(
            "Categories, dimensions, or both",
            tuple(blocks),
            "Ridge regression predicts the embedding of held-out stimuli from ratings. The null of what only one table "
            "explains shuffles its rows and keeps the other, so that it has as many columns; the larger table is also "
            "cut to the size of the smaller one.",
        )
    ]


def _others(shown: PageContent, context: Context) -> list[Section]:
    blocks = []
    for name, other in context.others.items():
        found = compare_embeddings(shown.space, dataclasses.replace(other, name=name))
        table = found.dimensions
        caption = (
            f"{int(table['shared'].sum())} dimensions are shared with {name}; the others are unique. Similarities of "
            f"pairs: r = {found.similarity_r:.3f} [{found.similarity_low:.3f}, {found.similarity_high:.3f}]."
        )
        r_form, form = (dict.fromkeys((first, "low", "high"), ".3f") for first in ("r", "explained"))
        blocks.append(DataTable(table, caption, formats=r_form))
        blocks.append(DataTable(found.explained, "Variance of held-out stimuli that the other predicts.", formats=form))
    if not blocks:
        return []
    text = (
        "Dimensions are paired one to one; a pair is shared if no pair of shuffled stimuli is correlated as strongly. "
        "Intervals are over stimuli."
    )
    return [Section("Shared with other embeddings", (Text(text), *blocks))]
