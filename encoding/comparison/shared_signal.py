"""Ceilings that need several participants or several showings: of similarities, and of the signal that people share.

Each participant keeps a small part of its responses (similarities of some pairs of stimuli, means of regions), from
which the group is computed without reading responses again. Nothing here is a test: the tables are bounds, and say so.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata

from ..core import Atlas, Responses
from ..io.arrays import BLOCK_BYTES, drop_pages, take_columns
from ..io.atomic import atomic_file
from ..numerics.ceilings import shared_signal
from ..numerics.mixing import hashed
from ..numerics.rsa_inference import noise_ceiling
from .regions import parcels
from .settings import Rsa

PAIRS_FILE, MEANS_FILE = "pairs.npz", "region_means.npz"
KEPT_PAIRS = 100_000  # pairs of stimuli that a participant keeps; the correlation over them is known to 0.003
KEPT_BYTES = 32 << 20
FEWEST_STIMULI = 10
MOST_STIMULI = 400  # for reliabilities within a participant
COLUMNS = 2048  # targets that are read at a time
PLACE = ["atlas", "level", "set", "region", "hemi"]
BOUNDS = [*PLACE, "rsa", "n_subjects", "n_pairs", "lower", "upper", "within", "note"]
SHARED_SIGNAL = [*PLACE, "n_subjects", "n_samples", "r", "smallest", "largest", "note"]


def name_numbers(names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Turn names into numbers (uint64) that depend on their letters only."""
    numbers = np.empty(len(names), dtype=np.uint64)
    for place, name in enumerate(names):
        number = 0
        for letter in str(name).encode():
            number = (number * 1099511628211 + letter + 1) % (1 << 64)
        numbers[place] = number
    return numbers


def kept_pairs(names: np.ndarray, left: np.ndarray, right: np.ndarray, n_places: int) -> np.ndarray:
    """Choose pairs of stimuli at random, alike for all participants that have them; positions in `left`."""
    most = min(KEPT_PAIRS, KEPT_BYTES // (4 * max(n_places, 1)))
    if len(left) <= most:
        return np.arange(len(left))
    numbers = hashed(name_numbers(names), 0, 2)  # mixed, since sums of the numbers of like names often agree
    with np.errstate(over="ignore"):
        keys = hashed(numbers[left] + numbers[right], 0, 0)
    return np.sort(np.argpartition(keys, most)[:most])


def save_pairs(
    folder: Path, names: np.ndarray, left: np.ndarray, right: np.ndarray, values: np.ndarray, within: np.ndarray
) -> None:
    """Write similarities of responses, shape (n_places, n_pairs), for the ceilings of a group."""
    np.savez(
        folder / PAIRS_FILE, allow_pickle=False, names=names.astype(str), left=left.astype(np.int32),
        right=right.astype(np.int32), values=values.astype(np.float32), within=within,
    )  # fmt: skip


def within_reliability(settings: Rsa, responses: Responses, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Correlate similarities of odd with those of even runs, region by region; NaN where stimuli were shown once.

    Also NaN for crossnobis distances: no ceiling within a participant is computed for them. Stimuli are those shown in
    runs of both halves. With repeats that are averaged, the correlation is stepped up to the mean of both halves
    (Spearman and Brown). The root is what a perfect model of this participant's similarities would reach. Shapes:
    `columns` one array of targets per region; returns (n_regions,).
    """
    if settings.brain == "crossnobis":
        return np.full(len(columns), np.nan)
    samples = responses.samples
    half = np.array([list(samples.runs).index(run) % 2 for run in samples.run.tolist()])
    rows = [
        {name: np.flatnonzero((samples.stimulus == name) & (half == k)) for name in set(samples.stimulus[half == k])}
        for k in (0, 1)
    ]
    names = sorted(set(rows[0]) & set(rows[1]) - {""})
    if len(names) > MOST_STIMULI:
        chosen = np.sort(np.argsort(hashed(name_numbers(names), 0, 1))[:MOST_STIMULI])
        names = [names[k] for k in chosen]
    found = np.full(len(columns), np.nan)
    if len(names) < FEWEST_STIMULI:
        return found
    left, right = np.tril_indices(len(names), -1)
    runs = [[set(samples.run[of[name]].tolist()) for name in names] for of in rows]
    apart = np.ones(len(left), dtype=bool)
    if not settings.same_run:
        for of in runs:
            apart &= np.array([not of[a] & of[b] for a, b in zip(left.tolist(), right.tolist(), strict=True)])
    left, right = left[apart], right[apart]
    if len(left) < FEWEST_STIMULI:
        return found
    for place, chosen in enumerate(columns):
        if len(chosen) < settings.min_targets:
            continue
        parts = (_means_of_stimuli(responses.values, np.asarray(chosen), [of[name] for name in names]) for of in rows)
        halves = [pattern_values(settings, part, left, right) for part in parts]
        if all(np.isfinite(one).all() for one in halves):
            r = float(np.corrcoef(halves[0], halves[1])[0, 1])
            reliability = 2 * r / (1 + r) if settings.repeats == "average" else r
            found[place] = np.sqrt(max(reliability, 0.0))
    return found


def _means_of_stimuli(values: np.ndarray, columns: np.ndarray, rows: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Mean over the rows of each stimulus, (n_targets, n_stimuli), some targets at a time."""
    every, count = np.concatenate(rows), np.array([len(some) for some in rows])
    starts = np.concatenate([[0], np.cumsum(count)[:-1]])
    for start in range(0, len(columns), COLUMNS):
        taken = take_columns(values, columns[start : start + COLUMNS], every).astype(np.float64)
        yield (np.add.reduceat(taken, starts) / count[:, None]).T.astype(np.float32)


def pattern_values(settings: Rsa, parts: Iterable[np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Similarity of patterns, parts of (n_targets, n_stimuli), for pairs; ranks where the analysis compares ranks."""
    from ..numerics.rsa import pattern_similarity, products_of, ranks_of  # not needed by reports

    products, sums, n = products_of(parts)
    values = pattern_similarity(products, sums, n, settings.brain).numpy()[left, right]
    return ranks_of(values) if settings.comparison == "spearman" else values


def similarity_ceilings(
    folders: Sequence[Path], places: Sequence[Sequence[str]], name: str, comparison: str
) -> pd.DataFrame:
    """Bound what a perfect model of what participants share could reach, in every region (Nili et al. 2014).

    Parameters
    ----------
    folders : sequence of Path
        Tests of one analysis of similarity, of every participant.
    places : sequence of sequence of str
        Atlas, level, set, region and hemisphere of each region.
    name : str
        Name of the analysis.
    comparison : {"pearson", "spearman"}
        Spearman: similarities are ranked again over the pairs that participants have in common.

    Returns
    -------
    pandas.DataFrame
        One row per region: "lower" and "upper" bound between participants, over at most 100,000 pairs of stimuli that
        all have in common, and "within", the root of the reliability between odd and even runs, averaged over
        participants (NaN where stimuli were shown once).
    """
    stored = []
    for folder in folders:
        path = folder / PAIRS_FILE
        if not path.is_file():
            return pd.DataFrame(columns=BOUNDS)
        with np.load(path, allow_pickle=False) as arrays:
            stored.append(dict(arrays))
    known = {str(text): number for number, text in enumerate(sorted(set().union(*(set(s["names"]) for s in stored))))}
    keys = []
    for one in stored:
        number = np.array([known[str(text)] for text in one["names"]], dtype=np.int64)
        a, b = number[one["left"]], number[one["right"]]
        keys.append(np.minimum(a, b) * len(known) + np.maximum(a, b))
    common = keys[0]
    for more in keys[1:]:
        common = np.intersect1d(common, more)
    rows = []
    orders = [np.argsort(key)[np.searchsorted(np.sort(key), common)] for key in keys]
    within = np.array([one["within"] for one in stored])
    for place, where in enumerate(places):
        brains = np.stack([one["values"][place][order] for one, order in zip(stored, orders, strict=True)])
        own = within[:, place][np.isfinite(within[:, place])]
        lower, upper, note = np.nan, np.nan, ""
        if len(stored) < 2 or len(common) < FEWEST_STIMULI:
            note = f"{len(stored)} participant(s) with {len(common)} pairs of stimuli in common"
        elif not np.isfinite(brains).all():
            note = "no usable similarities in a participant"
        else:
            if comparison == "spearman":
                brains = np.stack([rankdata(row) for row in brains])
            lower, upper = noise_ceiling(brains)
        rows.append((*where, name, len(stored), len(common), lower, upper, own.mean() if len(own) else np.nan, note))
    return pd.DataFrame(rows, columns=BOUNDS)


def save_region_means(folder: Path, responses: Responses, atlases: Sequence[tuple[Atlas | None, np.ndarray]]) -> None:
    """Write the mean response of every region to every stimulus (volumes: at every time), for `group_signal`."""
    samples = responses.samples
    per_stimulus = samples.clock == "stimulus"
    labels = samples.stimulus if per_stimulus else np.char.add(np.char.add(samples.run, "@"), samples.onset.astype(str))
    names, place = np.unique(labels, return_inverse=True)
    regions = [(atlas.name if atlas else "", parcel) for atlas, of in atlases for parcel in parcels(atlas, of)]
    masks = np.array([parcel.mask & responses.usable for _, parcel in regions]).reshape(len(regions), -1)
    sizes = masks.sum(1)
    weights = sparse.diags_array(1 / np.maximum(sizes, 1)) @ sparse.csr_array(masks, dtype=np.float64)
    rows = np.empty((len(regions), len(samples)))
    height = max(1, BLOCK_BYTES // (8 * max(len(responses.targets), 1)))
    for start in range(0, len(samples), height):
        block = np.asarray(responses.values[start : start + height], dtype=np.float64)
        rows[:, start : start + height] = weights @ block.T
        drop_pages(responses.values)
    sums = np.stack([np.bincount(place, row, len(names)) for row in rows])
    means = np.where(sizes[:, None] > 0, sums / np.bincount(place), np.nan)
    places = [[name, *parcel[:4]] for name, parcel in regions]
    shown = responses.presentations
    identity = "" if per_stimulus else "\n".join(map("\t".join, zip(shown.run, shown.stimulus, strict=True)))
    with atomic_file(folder / MEANS_FILE) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, places=np.array(places, dtype=str), names=names.astype(str),
                 means=means, identity=np.array(identity))  # fmt: skip


def group_signal(folders: Sequence[Path]) -> pd.DataFrame:
    """Correlate every participant's region means with the mean of the others: the signal that people share.

    Parameters
    ----------
    folders : sequence of Path
        Results of participants that hold ``region_means.npz``.

    Returns
    -------
    pandas.DataFrame
        One row per region: mean, smallest and largest correlation over participants. A lower bound of what models of
        shared signal can reach *in region means*; no ceiling of single targets, and none of what is one person's own.
        No rows without two participants who saw the same stimuli.
    """
    empty = pd.DataFrame(columns=SHARED_SIGNAL)
    paths = [folder / MEANS_FILE for folder in folders]
    if len(paths) < 2 or not all(path.is_file() for path in paths):
        return empty
    stored = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            stored.append(dict(arrays))
    first = stored[0]
    if any(str(s["identity"]) != str(first["identity"]) or not np.array_equal(s["places"], first["places"])
           for s in stored):  # fmt: skip
        return empty
    common = first["names"]
    for one in stored[1:]:
        common = np.intersect1d(common, one["names"])
    if len(common) < FEWEST_STIMULI:
        return empty
    values = np.stack([one["means"][:, np.searchsorted(one["names"], common)] for one in stored])
    each = shared_signal(values.transpose(0, 2, 1))
    rows = []
    for place, where in enumerate(first["places"]):
        known = np.isfinite(each[:, place]).all()
        spread = (each[:, place].mean(), each[:, place].min(), each[:, place].max()) if known else (np.nan,) * 3
        note = "" if known else "no usable targets in a participant"
        rows.append((*map(str, where), len(stored), len(common), *spread, note))
    return pd.DataFrame(rows, columns=SHARED_SIGNAL)
