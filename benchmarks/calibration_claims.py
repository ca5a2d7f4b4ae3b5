"""Error rates of the words that tables, captions and maps use, from the functions that write them.

Cells of `calibration.py`. Every word goes by the false discovery rate over all regions and pairs of an analysis:
without any effect, some region is called by it in at most .05 of data sets; where a third of the regions has an effect,
at most .05 of what is called by it is wrong, on average.
"""

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from calibration_data import N_DRAWS, SIX, STUDY, TWELVE, Design, kernel, noise_of, series, signal

from encoding.comparison import (
    Inference,
    SpaceTests,
    beyond_table,
    difference_table,
    group_claims,
    group_verdicts,
    infer_spaces,
    name_best,
    unique_table,
    verdict_table,
)
from encoding.core import Atlas, FeatureSpace, Responses, Samples, Targets
from encoding.numerics.rsa import average_ranks
from encoding.numerics.rsa_inference import similarity_kernel
from encoding.numerics.shared_variance import centre_runs, estimate, over_participants

N_REGIONS, SIZE = 36, 5  # regions and targets of each
# Shares of the variance of spaces a and b and of a nuisance space, by kind of region
NOTHING, ALIKE, LEADS = (0.0, 0.0, 0.1), (0.1, 0.1, 0.1), (0.2, 0.05, 0.1)
DIMS = (10, 14, 4)
CALLED = ("ahead", "behind", "above 0", "below 0", "best")


def kinds_of(kinds: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """Assign shares to regions in turn, shape (n_regions, 3)."""
    return np.array([kinds[number % len(kinds)] for number in range(N_REGIONS)])


def tests_of(
    rng: np.random.Generator, design: Design, spaces: list[np.ndarray], shares: np.ndarray, subject: str
) -> SpaceTests:
    """Tests of two spaces, and of both with a nuisance space, of one participant."""
    of_targets = np.repeat(shares, SIZE, axis=0).T
    n = of_targets.shape[1]
    Y = sum(signal(rng, X, share, n) for X, share in zip(spaces, of_targets, strict=True))
    Y = Y + np.sqrt(1 - of_targets.sum(0)) * noise_of(rng, design, n)
    a, b, nuisance = spaces
    sets = {"a": [a], "b": [b], "all": [a, b], "all without a": [b], "all without b": [a]}
    sets |= {"nuisance": [nuisance], "nuisance and a": [a, nuisance], "nuisance and b": [b, nuisance]}
    kernels = [kernel(np.concatenate(parts, axis=1), Y, design.run) for parts in sets.values()]
    means = np.stack([one.reshape(N_REGIONS, SIZE, *one.shape[1:]).mean(1) for one in kernels], axis=1)
    places = tuple(("toy", "region", "", f"R{number}", "") for number in range(N_REGIONS))
    n_blocks = means.shape[-1]
    facts = {"settings": {"p_level": 0.05}, "notes": {}, "blocks": list(range(n_blocks)), "stimulus_keys": ["all"]}
    chance = {name: np.full((2, N_REGIONS), np.nan) for name in ("z", "p", "p_fwe", "q")}
    n_targets = np.full(N_REGIONS, SIZE)
    return SpaceTests(subject, ("a", "b"), tuple(sets), places, n_targets, {}, means, chance, facts)


def words(
    rng: np.random.Generator, design: Design, kinds: tuple[tuple[float, ...], ...], n_subjects: int
) -> dict[str, float]:
    """Share of data sets in which a word is said wrongly of some region, and share of the words that are wrong."""
    spaces = [series(rng, design.runs, p, design.features) for p in DIMS]
    shares = kinds_of(kinds)
    tests = [tests_of(rng, design, spaces, shares, f"{k}") for k in range(n_subjects)]
    if n_subjects == 1:
        tables = [difference_table(tests[0]), unique_table(tests[0]), beyond_table(tests[0])]
        verdicts = verdict_table(tests[0])
    else:
        claims = group_claims(tests)
        tables = [claims[claims["claim"] == claim] for claim in ("above 0", "difference", "beyond")]
        verdicts = group_verdicts(tests)
    true = {"a": shares[:, 0], "b": shares[:, 1]}
    counts: dict[str, list[int]] = {}
    for table in tables:
        for row in table.to_dict("records"):
            claim, at = row["claim"], int(row["region"][1:])
            if claim in ("shared", "joint", "nuisance"):
                continue
            truth = true[row["space"]][at] - (true[row["versus"]][at] if claim == "difference" else 0.0)
            sign = {"ahead": 1, "behind": -1, "above 0": 1, "below 0": -1}.get(row["verdict"], 0)
            word = {"difference": "ahead", "above 0": "above 0"}.get(claim, f"{claim} above 0")
            _count(counts, word, said=sign != 0, wrong=sign * truth <= 0, alone=row["p"] <= 0.05 and truth == 0)
    for row in verdicts.to_dict("records"):
        first, second = true["a"][int(row["region"][1:])], true["b"][int(row["region"][1:])]
        best = "a" if first > second else "b" if second > first else ""
        by_q, by_p = row["q"] <= 0.05, row["p"] <= 0.05  # spaces are named by p of the region
        _count(counts, "best", said=by_q, wrong=row["leading"] != best, alone=by_p and not best)
    found = {}
    for word, (said, wrong, alone) in counts.items():
        found[f"any wrong: {word}"] = float(wrong > 0)
        found[f"share wrong: {word}"] = wrong / max(said, 1)
        found[f"any wrong by p: {word}"] = float(alone > 0)
    return found


def _count(counts: dict[str, list[int]], word: str, *, said: bool, wrong: bool, alone: bool) -> None:
    of_word = counts.setdefault(word, [0, 0, 0])
    of_word[0] += said
    of_word[1] += said and wrong
    of_word[2] += alone


def inferred(
    rng: np.random.Generator, design: Design, spaces: list[np.ndarray], shares: np.ndarray, size: int
) -> SpaceTests:
    """Run all tests on regions of so many targets, whose shares are given, (n_regions, n_spaces)."""
    of_targets = np.repeat(shares, size, axis=0).T
    n = of_targets.shape[1]
    Y = sum(signal(rng, X, share, n) for X, share in zip(spaces, of_targets, strict=True))
    Y = Y + np.sqrt(1 - of_targets.sum(0)) * noise_of(rng, design, n)
    rows = len(Y)
    names, run = np.array([f"s{k}" for k in range(rows)]), np.array([f"r{k:02d}" for k in design.run])
    samples = Samples(names, np.arange(rows) * 8.0, np.full(rows, 8.0), run, "stimulus")
    made = [
        FeatureSpace(name, X, samples, tuple(f"{name}{k}" for k in range(X.shape[1])))
        for name, X in zip("abcd", spaces, strict=False)
    ]
    targets = Targets.of_columns([f"t{k}" for k in range(n)])
    responses = Responses(Y, samples, targets, samples, np.zeros((rows, 0), np.float32), "01", "video", 2.0)
    numbers = np.arange(1, len(shares) + 1)
    of_region, blank = np.repeat(numbers, size), ("",) * len(numbers)
    atlas = Atlas("toy", of_region, targets, numbers, tuple(f"R{k}" for k in numbers - 1), blank, blank, blank)
    with tempfile.TemporaryDirectory() as folder:
        settings = Inference(N_DRAWS, unique=False, seed=int(rng.integers(1 << 30)))
        return infer_spaces(made, responses, [(atlas, of_region)], folder, settings=settings)


def winner_maps(
    rng: np.random.Generator, design: Design, kinds: tuple[tuple[float, ...], ...], dims: tuple[int, int]
) -> dict[str, float]:
    """Coloured targets of a winner map: named target by target, and above chance, corrected for all; and by q."""
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    of_regions = kinds_of(kinds)[:, :2]
    tests, shares = inferred(rng, design, spaces, of_regions, SIZE), np.repeat(of_regions, SIZE, axis=0).T
    winner = tests.targets["winner"].astype(int)
    above = np.take_along_axis(tests.targets["p_fwe"], np.maximum(winner, 0)[None], axis=0)[0] <= 0.05
    coloured = (winner >= 0) & above
    by_q = coloured & (tests.targets["winner_q"] <= 0.05)
    best = np.where(shares[0] > shares[1], 0, np.where(shares[1] > shares[0], 1, -1))
    empty, tied = shares.sum(0) == 0, (best < 0) & (shares.sum(0) > 0)
    return {
        "any coloured without signal": float((coloured & empty).any()),
        **({"ties that are coloured": float(coloured[tied].mean())} if tied.any() else {}),
        "share wrong of the coloured": float((coloured & (winner != best)).sum() / max(coloured.sum(), 1)),
        "share wrong by q": float((by_q & (winner != best)).sum() / max(by_q.sum(), 1)),
        "planted that are coloured": float(coloured[best >= 0].mean()) if (best >= 0).any() else 0.0,
    }


def study(rng: np.random.Generator, design: Design, dims: tuple[int, ...], n_subjects: int) -> dict[str, float]:
    """Plant sixteen regions, in each of which one of four spaces leads by .02 to .03, and leave four without signal."""
    n_planted, n_empty, size = 16, 4, 20
    best = np.concatenate([np.arange(n_planted) % len(dims), np.full(n_empty, -1)])
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    tests = []
    for _ in range(n_subjects):
        shares = np.full((len(best), len(dims)), 0.02)
        shares[np.arange(n_planted), best[:n_planted]] = rng.uniform(0.04, 0.05, n_planted)
        shares[n_planted:] = 0.0
        tests.append(inferred(rng, design, spaces, shares, size))
    of_targets, found = np.repeat(best, size), {name: [] for name in ("planted", "empty", "own", "winner", "wrong")}
    named = []
    for one in tests:
        named.append(_named(verdict_table(one), best))
        q, winner = one.targets["q"], one.targets["winner"].astype(int)
        above = np.take_along_axis(one.targets["p_fwe"], np.maximum(winner, 0)[None], axis=0)[0] <= 0.05
        coloured = (winner >= 0) & above
        found["empty"].append((q[:, of_targets < 0] <= 0.01).mean())
        found["own"].append((q[best.repeat(size)[of_targets >= 0], np.flatnonzero(of_targets >= 0)] <= 0.01).mean())
        found["winner"].append(coloured[of_targets >= 0].mean())
        found["wrong"].append((coloured & (winner != of_targets)).sum() / max(coloured.sum(), 1))
    group = _named(group_verdicts(tests), best)
    single = np.mean(named, axis=0)
    return {
        "named as planted, one participant": single[0],
        "wrongly, or without signal, one participant": single[1],
        "named as planted, group": group[0],
        "wrongly, or without signal, group": group[1],
        "targets without signal coloured, spaces (q <= .01)": float(np.mean(found["empty"])),
        "planted targets coloured, spaces": float(np.mean(found["own"])),
        "planted targets coloured, winner map": float(np.mean(found["winner"])),
        "share wrong of the coloured, winner map": float(np.mean(found["wrong"])),
    }


def _named(verdicts: pd.DataFrame, best: np.ndarray) -> tuple[float, float]:
    """Share of planted regions that are named as planted, and of all that are named otherwise."""
    rows = verdicts[verdicts["level"] == "region"].set_index("region")["best"]
    given = [rows[f"R{number}"] for number in range(len(best))]
    right = np.array([name == "abcd"[k] for name, k in zip(given, best, strict=True)]) & (best >= 0)
    said = np.array([bool(name) for name in given])
    return float(right[best >= 0].mean()), float((said & ~right).mean())


def tie(rng: np.random.Generator, design: Design, dims: tuple[int, ...], share: float) -> dict[str, float]:
    """How often the naming rule, at p of one region, names the first of spaces that hold equally much."""
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    n = 200
    Y = sum(signal(rng, X, share, n) for X in spaces) + np.sqrt(1 - share * len(dims)) * noise_of(rng, design, n)
    kernels = np.stack([kernel(X, Y, design.run).reshape(-1, 25, *(2 * (_blocks(design),))).mean(1) for X in spaces])
    return {"first named": float((name_best(kernels, 0.05)[0] == 0).mean())}


def _blocks(design: Design) -> int:
    return min(len(design.runs), 20)


def beyond(rng: np.random.Generator, design: Design, correlation: float, share: float) -> dict[str, float]:
    """U of a space and a nuisance space that correlates with it, less U of the latter."""
    nuisance = series(rng, design.runs, 20, design.features)
    own = series(rng, design.runs, 20, design.features)
    A = correlation * nuisance + np.sqrt(1 - correlation**2) * own
    n = 200
    Y = signal(rng, own, share, n) + signal(rng, nuisance, 0.1, n) + np.sqrt(0.9 - share) * noise_of(rng, design, n)
    part = estimate(kernel(np.concatenate([A, nuisance], 1), Y, design.run) - kernel(nuisance, Y, design.run))
    low, high = part.interval()
    return {
        "beyond nuisance": float(part.value.mean()),
        "coverage": float(((low <= share) & (high >= share)).mean()),
        "p <= .05": float((part.p_differs() <= 0.05).mean()),
    }


def ranked_similarity(rng: np.random.Generator, design: Design, strength: float, n_subjects: int) -> dict[str, float]:
    """Compare two equal models by rank correlation of similarities, in one participant or over several."""
    spaces = [series(rng, design.runs, 10, design.features) for _ in range(2)]
    run = design.run
    left, right = np.nonzero(run[:, None] > run)
    models = [_ranks(np.corrcoef(X)[left, right]) for X in spaces]
    kernels = []
    for _ in range(n_subjects):
        weights = np.linalg.qr(rng.standard_normal((30, 20)))[0].T * np.sqrt(1.5)
        Y = strength * np.concatenate(spaces, 1) @ weights + series(rng, design.runs, 30, design.noise)
        brain = _ranks(np.corrcoef(centre_runs(Y, run))[left, right])
        both = [similarity_kernel(model, brain, run[left], run[right], len(design.runs)) for model in models]
        kernels.append(both[0] - both[1])
    if n_subjects == 1:
        return {"differs, p <= .05": float(estimate(kernels[0]).p_differs() <= 0.05)}
    found = over_participants(np.stack(kernels)[:, None], shared=True)
    return {"differs, p <= .05": float(found.p_differs()[0] <= 0.05)}


def _ranks(values: np.ndarray) -> np.ndarray:
    return average_ranks(torch.as_tensor(values)).numpy()


def cells() -> Iterator[tuple[str, str, int, Callable[..., dict[str, float]], dict[str, Any]]]:  # noqa: C901 - a list
    """List tables, names, data sets, questions and their parameters."""
    mixed = (NOTHING, ALIKE, LEADS)
    for n_subjects, who, n in ((1, "one participant", 400), (5, "five participants", 200)):
        for what, kinds in (("no signal", (NOTHING,)), ("equal spaces", (ALIKE,)), ("thirds", mixed)):
            parameters = {"design": Design(TWELVE, 0.3, 0.5), "kinds": kinds, "n_subjects": n_subjects}
            yield "words, by q over 36 regions", f"{who}, {what}, n 216", n, words, parameters
    for what, kinds in (("no signal", (NOTHING,)), ("two equal spaces", (ALIKE,)), ("thirds", mixed)):
        parameters = {"design": Design(TWELVE, 0.3, 0.5), "kinds": kinds, "dims": (10, 14)}
        yield "winner maps", f"{what}, n 216", 300, winner_maps, parameters
    for noise, ar in (("white", (0.0, 0.0)), ("AR .3/.5", (0.3, 0.5))):
        parameters = {"design": Design(STUDY, *ar), "dims": (14, 34, 30, 30), "n_subjects": 5}
        yield "study size", f"five participants of 61 x 36, {noise}", 6, study, parameters
    for what, runs, share, n in (("216", TWELVE, 0.1, 300), ("2196", STUDY, 0.03, 100)):
        for dims in ((14, 34), (14, 34, 30)):
            parameters = {"design": Design(runs, 0.3, 0.5), "dims": dims, "share": share}
            yield "ties, naming rule at p", f"{len(dims)} equal spaces, n {what}", n, tie, parameters
    for what, runs in (("216", TWELVE), ("2196", STUDY)):
        for share in (0.0, 0.05):
            parameters = {"design": Design(runs, 0.3, 0.5), "correlation": 0.6, "share": share}
            yield "beyond nuisance", f"correlation .6, share {share}, n {what}", 300, beyond, parameters
    for n_subjects, who in ((1, "one participant"), (5, "five participants")):
        for strength, runs in ((0.5, SIX), (0.5, TWELVE), (0.0, TWELVE)):
            parameters = {"design": Design(runs, 0.3, 0.5), "strength": strength, "n_subjects": n_subjects}
            what = f"{who}, {'equal models' if strength else 'no relation'}, {len(runs)} x {runs[0]}"
            yield "similarity of stimuli, Spearman", what, 600, ranked_similarity, parameters
