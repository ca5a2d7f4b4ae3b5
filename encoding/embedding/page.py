"""One HTML page that shows an embedding: how it was chosen, how good it is, what its dimensions mean."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..core import AlignmentError, Judgments, PairRatings
from ..core.words import count
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
from .consensus import ENOUGH_FITS, Consensus
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
    weigh_largest,
)
from .relations import Relations, blend_hues, place_dimensions, relate
from .sparse import SparseEmbedding
from .structure import compare_embeddings, explain, measure_blend, predict_ratings

SHOWN = 8  # stimuli at each end of a dimension
ROSES = 9  # stimuli that are drawn as roses


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
        subtitle=f"{count(shown.X.shape[1], 'dimension')} of {len(shown.X):,} stimuli, fitted to "
        f"{count(len(shown.shown), 'judgment')}",
        facts=_facts(shown),
        warnings=tuple(list_warnings(shown)),
        sections=tuple(sections),
    )
    return write_report(report, path)


def _facts(shown: PageContent) -> tuple[tuple[str, str], ...]:
    model = shown.model
    held_out = len(shown.test) if shown.part == "test" else 0
    rest = len(model.parts_) - len(shown.shown) - held_out - len(shown.subset) - shown.n_ignored
    facts = [("stimuli", f"{len(shown.X):,}"), ("judgments", f"{len(model.parts_):,}")]
    parts = (
        ("fitted to", len(shown.shown)), ("kept for testing", held_out), ("in the subset", len(shown.subset)),
        ("of weight 0, not counted", shown.n_ignored), ("not used", rest),
    )  # fmt: skip
    facts += [(f"judgments {what}", f"{n:,}") for what, n in parts if n]
    facts += [("method", model.method), ("dimensions", str(shown.X.shape[1])), ("lambda", f"{model.lambda_:.3g}")]
    facts += [("seeds", str(len(shown.consensus.runs)) if shown.consensus else "1")]
    facts += [("scored on", count(len(shown.test), f"{shown.part} judgment"))]
    return tuple(facts)


def _path(shown: PageContent) -> Section:
    unknown = ["accuracy"] if shown.model.task == "rate" else []
    table = shown.model.path_.drop(columns=unknown)
    chosen = table[table["chosen"]].iloc[0]
    same = (table["ridge"] == chosen["ridge"]) & (table["rounds"] == chosen["rounds"]) & ~table["chosen"]
    same &= table["n_start"] == chosen["n_start"]
    line = pd.concat([table[same], table[table["chosen"]]]).sort_values("lambda", kind="stable").reset_index(drop=True)
    picture = draw_path(
        line, title="Choice of the penalty", subtitle=f"Fits that begin with {count(chosen['n_start'], 'dimension')}"
    )
    alt = (
        f"Loss and number of dimensions along {count(len(line), 'penalty', 'penalties')}; lambda "
        f"{shown.model.lambda_:.3g} is chosen."
    )
    blocks: list[Picture | DataTable] = [
        Picture(figure=picture, alt=alt),
        DataTable(
            table, "One row per fit.", formats=dict.fromkeys(("loss", "loss_se", "folds_loss", "train_loss"), ".4f")
        ),
    ]
    text = (
        "Penalty, number of dimensions and shape of the penalty (ridge: with a quadratic part; rounds: reweighted) are "
        "chosen together by the loss of validation judgments: the fewest dimensions within one standard error of the "
        "best fit. "
    )
    if 0 in shown.model.ridges:
        text += (
            "Plain L1, searched by itself, is kept unless another penalty is better by three standard errors, or by "
            "one with fewer dimensions (where judgments have probabilities: by one, or no worse with fewer). "
        )
    if table["folds_loss"].notna().any():
        text += "Where validation judgments could not decide, further parts were held out in turn (folds_loss). "
    text += "The chosen fit was converged and scored again; its row is the last."
    if shown.consensus:
        choices = shown.consensus.choices.drop(columns=unknown)
        seeds = choices.loc[choices["sample"] == "seed", "n_dims"]
        text += f" Over {len(seeds)} seeds the choice is {_range(seeds)} dimension{'' if (seeds == 1).all() else 's'}"
        again = choices.loc[choices["sample"] == "resample", "n_dims"]
        text += f", over {count(len(again), 'resample')} of the judgments {_range(again)}." if len(again) else "."
        blocks.append(DataTable(choices, "What each fit chose by its own validation judgments.",
                                formats=dict.fromkeys({"loss", "accuracy"} - {*unknown}, ".4f")))  # fmt: skip
    return Section("Choice of dimensions", tuple(blocks), text)


def _range(counts: pd.Series) -> str:
    return f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"


def _reproducibility(consensus: Consensus) -> Section:
    table = consensus.dimensions
    n_seeds, n_again = len(consensus.runs), int((consensus.choices["sample"] == "resample").sum())
    title = f"Reproducibility over {n_seeds} seeds" + (f" and {count(n_again, 'resample')}" if n_again else "")
    over = count(n_again, "resample") if n_again else count(n_seeds - 1, "other seed")
    spread = f"{'95% ' if (n_again or n_seeds - 1) >= ENOUGH_FITS else ''}range of {over}"
    picture = draw_reproducibility(table, threshold=consensus.threshold, spread=spread, title=title)
    n_reliable = int(table["reliable"].sum())
    alt = f"{n_reliable} of {count(len(table), 'dimension')} {'is' if n_reliable == 1 else 'are'} reliable."
    names = (
        *("reproducibility", "found", "resampled", "low", "high", "found_resampled", "found_rivals"),
        *("item_split", "triplet_split"),
    )
    return Section(
        "Reproducibility",
        (
            Picture(figure=picture, alt=alt),
            DataTable(table, f"One row per dimension; low and high: {spread}.", formats=dict.fromkeys(names, ".3f")),
        ),
        "Dimensions of all seeds are matched one to one with those of the seed that agrees best with all others. "
        "Agreement of seeds shows that the fit is stable, not that a dimension is true: resampled judgments show how "
        "far other judgments of the same kind would change it, and found_rivals in how many fits that have more "
        "dimensions and predict about as well it is found too. Dimensions that are not reliable are shown, but should "
        "not be interpreted.",
        columns=1,
    )


def _meaning(shown: PageContent, context: Context) -> tuple[pd.DataFrame | None, list[Section]]:
    if not context.ratings:
        return None, []
    table = correlate_ratings(shown.space, context.ratings, **context.permuted())
    labels = label_dimensions(table)
    given = [(kind, rating) for kind, space in context.ratings.items() for rating in space.features]
    often = Counter(rating for _, rating in given)  # tables of both kinds may have a rating of the same name
    ratings = [rating if often[rating] == 1 else f"{rating} ({kind})" for kind, rating in given]
    grid, dots = (
        table.pivot(index="dimension", columns=["kind", "rating"], values=of).reindex(
            index=list(shown.space.features), columns=pd.MultiIndex.from_tuples(given)
        )
        for of in ("r", "significant")
    )
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
        "that kind is more than 1.5 times that with the other kind, else mixed, and none if no correlation is "
        "significant. Stimuli are permuted for p; these names describe the strongest correlations and are not tested.",
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
    intro = "Weights of the first seed with 95% posterior intervals, widened " + (
        "by a tenth."
        if shown.shown.probabilities is not None
        else "until they hold 95% of the weights in a simulation of judgments from the fit, by a tenth at least."
    )
    if mixed:
        intro += (
            f" {', '.join(mixed)}: no intervals. Turned into another dimension by 15 degrees they predict about as "
            "well, so that the prior decides on their weights, not the judgments."
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
    tree = draw_tree(found.tree, names, found.hue, scores, title="Tree of dimensions, and what each is worth")
    least = scores.loc[scores["cross_entropy_gained_low"] <= 0, "dimension"].tolist()
    over = "pairs" if rated else "triplets"
    worth = (
        f"On {count(len(shown.test), f'{shown.part} judgment')}, one dimension at a time, 95% intervals over {over}. "
    )
    worth += f"Intervals that reach 0: {', '.join(map(str, least))}." if least else "All intervals are above 0."
    blocks: list[Picture | DataTable] = [
        Picture(tree, f"Tree of {len(names)} dimensions and the importance of each.", caption=worth),
        DataTable(
            scores,
            f"{'' if rated else 'Loss of accuracy and '}{'I' if rated else 'i'}ncrease of cross-entropy "
            "without each dimension.",
        ),
        _graph(shown, found, names),
        *_roses(shown, context, found, names),
    ]
    hue, purity = blend_hues(shown.X, found.hue)
    circle = draw_hue_map(places, hue, purity, (names, found.hue), title="Stimuli in the hues of their dimensions",
                          subtitle="t-SNE; hues in the order of the tree")  # fmt: skip
    blocks.append(Picture(circle, f"Map of {len(places):,} stimuli in mixed hues."))
    text = (
        "Dimensions have the same colour in all of these pictures but the graph. The tree joins dimensions by their "
        "mean 1 - r over stimuli (average linkage) and gives the order of hues. It joins dimensions whatever their "
        "correlation: what is joined at 1 or more is not positively correlated. The graph tests correlations."
    )
    return [Section("Portraits", tuple(blocks), text)]


def _graph(shown: PageContent, found: Relations, names: list[str]) -> Picture:
    picture = draw_graph(
        place_dimensions(found), found.edges, found.community, names, shown.X.sum(axis=0), title="Graph of dimensions",
        subtitle="Lines: correlations over stimuli that shuffled stimuli do not reach (false discovery rate 5%)",
    )  # fmt: skip
    n = int((np.bincount(found.community) > 1).sum())
    pairs = len(names) * (len(names) - 1) // 2
    caption = f"{len(found.edges)} of {count(pairs, 'pair')} connected; "
    caption += count(n, "community of two or more", "communities of two or more")
    caption += f" (modularity {found.modularity:.2f})." if len(found.edges) else "."
    return Picture(picture, f"Graph of {len(names)} dimensions. {caption}", caption=caption)


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
    unrated = ~np.isin(shown.space.samples.stimulus, context.ratings["category"].samples.stimulus)
    grey = {"no single highest rating": (groups == "") & ~unrated, "no ratings": unrated}
    why = [f"{reason} ({of.sum():,})" for reason, of in grey.items() if of.any()]
    subtitle = "t-SNE; colour: category with the highest rating"
    if why:
        subtitle += f"; grey: {', '.join(why)}"
    picture = Picture(draw_map(places, groups.tolist(), title="Stimuli", subtitle=subtitle),
                      f"Map of {len(groups):,} stimuli, coloured by category.")  # fmt: skip
    size = np.unique(groups[groups != ""], return_counts=True)[1]
    if (size >= 2).sum() < 2:
        text = (
            "Categories are not classified: two that have the highest rating of two stimuli or more are needed, and "
            f"there is {'one' if (size >= 2).any() else 'none'}."
        )
        return [Section("Map of the stimuli", (picture, Text(text)))]
    found = classify(shown.X, groups, n_permutations=context.n_permutations or 200)
    table = pd.DataFrame(
        [(k, found.accuracy[k], found.chance[k], found.p[k]) for k in found.accuracy],
        columns=["guesses", "accuracy", "chance", "p"],
    )
    caption = (
        f"Nearest centroid among {found.n_classes} categories of {found.n_items:,} stimuli, each left out of its own "
        "mean; accuracy averaged over categories. Chance: mean over permuted categories; p: share of these that reach "
        "the accuracy."
    )
    return [Section("Map of the stimuli", (picture, DataTable(table, caption)))]


def _structure(shown: PageContent, context: Context) -> list[Section]:
    sections = [_blend(shown, context)] if shown.X.shape[1] > 1 else []
    if not context.ratings:
        return sections
    blocks: list[Text | DataTable] = []
    try:
        if {"category", "dimension"} <= set(context.ratings):
            found = explain(
                shown.space, context.ratings["category"], context.ratings["dimension"], **context.permuted(),
                **context.resampled(),
            )  # fmt: skip
            form = dict.fromkeys(("explained", "low", "high", "chance"), ".3f")
            caption = (
                f"Share of the variance of held-out stimuli ({found.n_items:,} with ratings), 95% intervals over "
                "stimuli. Chance: mean over shuffled stimuli; p: share of these that explain as much. The last two "
                "rows are not tested: the larger table cut to as many columns as the smaller one has (mean over random "
                "choices of columns), and how much more that explains than the smaller one."
            )
            blocks += [Text(found.verdict), DataTable(found.table, caption, formats=form)]
        table = predict_ratings(shown.space, context.ratings, **context.permuted())
    except AlignmentError as error:
        return [*sections, Section("Categories, dimensions, or both", (Text(f"Left out. {error}"),))]
    caption = "Ratings of held-out stimuli predicted from the embedding; significant at a false discovery rate of 5%."
    blocks.append(DataTable(table, caption, formats={"r": ".3f"}))
    intro = (
        "Ridge regression predicts the embedding of held-out stimuli from ratings. The null of what only one table "
        "explains shuffles its rows and keeps the other, so that it has as many columns."
    )
    return [*sections, Section("Categories, dimensions, or both", tuple(blocks), intro)]


def _blend(shown: PageContent, context: Context) -> Section:
    blend = measure_blend(shown.X)
    rows = [
        ("effective dimensions per stimulus, mean", blend.mean),
        ("dimensions with 90% of a stimulus's weights, median", float(np.median(blend.active))),
    ]
    caption = (
        "The effective number is exp(entropy) of a stimulus's weights: 1 with a single weight. Noise of the estimate "
        "raises it (up to 1.7 in simulations of stimuli with one dimension each), so that these numbers alone do "
        "not show that stimuli are blends."
    )
    table = DataTable(pd.DataFrame(rows, columns=["measure", "value"]), caption, formats={"value": ".3g"})
    return Section("One dimension per stimulus, or several", (Text(weigh_largest(shown, context)), table))


def _others(shown: PageContent, context: Context) -> list[Section]:
    blocks: list[Text | DataTable] = []
    for name, other in context.others.items():
        try:
            found = compare_embeddings(
                shown.space, dataclasses.replace(other, name=name), **context.permuted(), **context.resampled()
            )
        except AlignmentError as error:
            blocks.append(Text(f"{name} is left out. {error}"))
            continue
        n_shared, n_own = int(found.dimensions["shared"].sum()), shown.X.shape[1]
        caption = (
            f"{n_shared} of {count(n_own, 'dimension')} {'is' if n_shared == 1 else 'are'} found in {name} as well "
            f"(p of .05 or less){'' if n_shared == n_own else '; that the others are not there is not shown'}. "
            f"Similarities of pairs: r = {found.similarity_r:.3f} [{found.similarity_low:.3f}, "
            f"{found.similarity_high:.3f}]."
        )
        r_form, form = (dict.fromkeys((first, "low", "high"), ".3f") for first in ("r", "explained"))
        blocks.append(DataTable(found.dimensions, caption, formats=r_form))
        blocks.append(DataTable(found.explained, "Variance of held-out stimuli that the other predicts.", formats=form))
    if not blocks:
        return []
    text = (
        "Dimensions are paired one to one. A pair is called shared where its correlation is larger than the largest of "
        "all pairs in 95% of random orders of the stimuli. Intervals are over stimuli."
    )
    return [Section("Shared with other embeddings", (Text(text), *blocks))]
