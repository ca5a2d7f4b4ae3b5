"""One HTML page that shows an embedding: how it was chosen, how good it is, what its dimensions mean."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..core import Judgments, PairRatings
from ..drawing.dimensions import (
    draw_contact_sheet,
    draw_correlations,
    draw_map,
    draw_path,
    draw_reproducibility,
    draw_weights,
)
from ..drawing.figure import save_figure
from ..drawing.portraits import draw_graph, draw_hue_map, draw_roses, draw_tree
from ..drawing.report import Block, DataTable, Picture, Report, Section, Text, write_report
from ..io.atomic import write_tsv
from .consensus import Consensus
from .meaning import classify, correlate_ratings, extremes, label_dimensions, lay_out, top_category, weigh
from .page_scores import (
    Context,
    PageContent,
    gather,
    list_warnings,
    show_curve,
    show_judges,
    show_quality,
    show_similarity,
    weigh_dimensions,
)
from .relations import Relations, blend_hues, place_dimensions, relate
from .sparse import SparseEmbedding
from .structure import N_FOLDS, compare_embeddings, explain, measure_blend, predict_ratings

SHOWN = 8  # stimuli at each end of a dimension
ROSES = 9  # stimuli that are drawn as roses
LEAST_SHARED = 4 * N_FOLDS  # stimuli of two embeddings that are compared


def write_page(
    path: str | Path,
    name: str,
    result: SparseEmbedding | Consensus,
    judgments: Judgments | PairRatings,
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
    judgments : Judgments or PairRatings
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
        show_quality(shown, context),
        *show_curve(context),
        *show_judges(shown.model),
        *show_similarity(shown, context),
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
        warnings=tuple(list_warnings(shown)),
        sections=tuple(sections),
    )
    return write_report(report, path)


def _facts(shown: PageContent) -> tuple[tuple[str, str], ...]:
    model = shown.model
    facts = [("stimuli", f"{len(shown.X):,}"), ("judgments", f"{len(model.parts_):,}")]
    facts += [("method", model.method), ("dimensions", str(shown.X.shape[1])), ("lambda", f"{model.lambda_:.3g}")]
    facts += [("seeds", str(len(shown.consensus.runs)) if shown.consensus else "1")]
    facts += [("scored on", f"{len(shown.test):,} {shown.part} judgments")]
    return tuple(facts)


def _path(shown: PageContent) -> Section:
    unknown = ["accuracy"] if shown.model.task == "rate" else []
    table = shown.model.path_.drop(columns=unknown)
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
        "best fit. Plain L1, searched by itself, is kept unless another penalty is better by one standard error, or no "
        "worse with fewer dimensions. Where validation judgments could not decide, further parts were held out in turn "
        "(folds_loss). The chosen fit was converged and scored again; its row is the last."
    )
    if shown.consensus:
        choices = shown.consensus.choices.drop(columns=unknown)
        seeds = choices.loc[choices["sample"] == "seed", "n_dims"]
        text += f" Over {len(seeds)} seeds the choice is {_range(seeds)} dimensions"
        again = choices.loc[choices["sample"] == "resample", "n_dims"]
        text += f", over {len(again)} resamples of the judgments {_range(again)}." if len(again) else "."
        blocks.append(DataTable(choices, "What each fit chose by its own validation judgments.",
                                formats=dict.fromkeys({"loss", "accuracy"} - {*unknown}, ".4f")))  # fmt: skip
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


def _meaning(shown: PageContent, context: Context) -> tuple[pd.DataFrame | None, list[Section]]:
    if not context.ratings:
        return None, []
    table = correlate_ratings(shown.space, context.ratings, **context.permuted())
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
    rated = shown.model.task == "rate"
    found = relate(shown.X, **context.permuted())
    scores = weigh_dimensions(shown, context)
    tree = draw_tree(found.tree, names, found.hue, scores, title="Dimensions that go together, and what each is worth")
    least = scores.loc[scores["cross_entropy_gained_low"] <= 0, "dimension"].tolist()
    worth = (
        f"On {len(shown.test):,} {shown.part} judgments, 95% intervals over {'pairs' if rated else 'triplets'}. "
        + (f"Not certainly better than without: {', '.join(map(str, least))}." if least else "Each lowers the loss.")
    )  # fmt: skip
    blocks: list[Picture | DataTable] = [
        Picture(tree, f"Tree of {len(names)} dimensions and the importance of each.", caption=worth),
        DataTable(scores, f"What {'' if rated else 'accuracy loses and '}cross-entropy gains without each dimension."),
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
    found = classify(shown.X, groups, n_permutations=context.n_permutations or 200)
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
    blend = measure_blend(shown.X, **({"n_simulations": context.n_permutations} if context.n_permutations else {}))
    rows = [
        ("effective dimensions per stimulus, mean", blend.mean),
        ("the same, were every stimulus of one dimension and background", blend.clustered),
        ("p that clusters are as blended", blend.p),
        ("dimensions with 90% of a stimulus's weights, median", float(np.median(blend.active))),
    ]
    blocks: list[Text | DataTable] = []
    if {"category", "dimension"} <= set(context.ratings):
        found = explain(
            shown.space, context.ratings["category"], context.ratings["dimension"], **context.permuted(),
            **context.resampled(),
        )  # fmt: skip
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
        table = predict_ratings(shown.space, context.ratings, **context.permuted())
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
    blocks: list[Text | DataTable] = []
    ours = set(shown.space.samples.stimulus.tolist())
    for name, other in context.others.items():
        n = len(ours.intersection(other.samples.stimulus.tolist()))
        if n < LEAST_SHARED:
            blocks.append(Text(f"Not compared with {name}: stimuli of both are {n}; {LEAST_SHARED} are needed."))
            continue
        found = compare_embeddings(
            shown.space, dataclasses.replace(other, name=name), **context.permuted(), **context.resampled()
        )
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
