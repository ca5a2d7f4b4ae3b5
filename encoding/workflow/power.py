"""How many judgments are needed: simulated judges, and the embedding that is learned from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..collection import Design, Opened, export_collection, exported, make_plan, name_of
from ..collection.designs import read_trained
from ..collection.results import file_name
from ..core import ConfigError, DataError, Judgments
from ..embedding import SparseEmbedding
from ..io.atomic import write_text
from ..numerics.choices import choice_logits, log_probabilities
from ..numerics.mixing import Permutation
from ..numerics.mixing import uniform as drawn_uniformly
from ..numerics.triplet_ranks import count_triplets, rank_triplets, unrank_triplets

DESIGNS = ("balanced", "random", "active", "uncertain")
N_TEST = 4_000  # simulated triplets on which embeddings are compared, none of them learned from
POOL = 20  # triplets that are considered for each that an active round asks
COMMITTEE, PART = 3, 0.7  # embeddings that an active round compares, and the share of judgments that each learns from
VALIDATION = (
    0.25  # of the triplets drawn by chance: penalties that are chosen by others too suit those, not all triplets
)
TRUTH, ANSWERS, TEST, ROUNDS, PARTS = 1, 2, 3, 4, 5  # streams of random numbers


@dataclass(frozen=True)
class Power:
    """What is simulated."""

    n_stimuli: int = 150  # Items of the true embedding, which is sparse and not negative
    n_dims: int = 8  # Its dimensions
    numbers: tuple[int, ...] = (1_000, 2_000, 4_000, 8_000)  # Numbers of judgments
    designs: tuple[str, ...] = ("balanced",)  # Some of `DESIGNS`
    # Temperatures of the judges: 1 is the model's own, larger ones answer more by chance
    noise: tuple[float, ...] = (1.0,)
    seeds: int = 1  # Repetitions
    first_seed: int = 0  # The others follow
    rounds: int = 4  # Rounds of "active" and "uncertain" between two of the numbers
    uniform: float = 0.3  # Share of each round that is drawn uniformly

    def __post_init__(self) -> None:
        """Check values."""
        unknown = sorted(set(self.designs) - set(DESIGNS))
        if unknown:
            raise ConfigError(f"collect power: design {unknown[0]!r}. Known: {', '.join(DESIGNS)}.")
        total = count_triplets(self.n_stimuli) - N_TEST
        if self.n_stimuli < 30 or self.n_dims < 1 or min(self.numbers) < 100 or max(self.numbers) > total:
            raise ConfigError(
                f"collect power: {self.n_stimuli} stimuli, {self.n_dims} dimensions, numbers = {list(self.numbers)}: "
                f"30 stimuli, a dimension and 100 to {max(total, 0):,} judgments are needed."
            )
        if min(self.noise) <= 0 or self.seeds < 1 or self.rounds < 1 or not 0 <= self.uniform <= 1:
            raise ConfigError(
                f"collect power: noise = {list(self.noise)}, seeds = {self.seeds}, rounds = {self.rounds}, uniform = "
                f"{self.uniform}: numbers above 0 and a share are needed."
            )


def simulate_power(power: Power, *, watch: Callable[[str], None] = lambda text: None) -> pd.DataFrame:  # noqa: ARG005
    """Learn from simulated judgments of every number, design and noise."""
    rows = []
    for seed in range(power.first_seed, power.first_seed + power.seeds):
        truth = true_embedding(power.n_stimuli, power.n_dims, seed)
        test, learned = _held_out(power.n_stimuli, seed)
        for noise in power.noise:
            for design in power.designs:
                watch(f"{design}, {max(power.numbers):,} judgments, noise {noise:g}, seed {seed}")
                if design in ("active", "uncertain"):
                    found = _active(power, design, truth, test, learned, noise=noise, seed=seed)
                else:
                    drawn = (_drawn(design, n, power.n_stimuli, seed, learned) for n in sorted(power.numbers))
                    found = [_fit(truth, _judged(truth, items, noise, seed), test, noise, seed) for items in drawn]
                rows += [row | {"design": design} for row in found]
    return pd.DataFrame(rows)


def true_embedding(n_stimuli: int, n_dims: int, seed: int) -> np.ndarray:
    """Draw a sparse embedding without negative values, as float64 of shape (n_stimuli, n_dims)."""
    rng = np.random.default_rng((TRUTH, seed))
    return (
        rng.gamma(0.5, size=(n_stimuli, n_dims)) * (rng.random((n_stimuli, n_dims)) < 0.5) * (2.5 / np.sqrt(n_dims / 8))
    )


def choose_triplets(
    committee: Sequence[np.ndarray], asked: np.ndarray, n: int, *, uniform: float = 0.3, seed: int = 0,
    allowed: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Choose the triplets of the next round: those that embeddings disagree about, and last some by chance.

    What an answer tells is the entropy of the mean of the predictions less the mean of their entropies: a triplet that
    all embeddings call a toss-up tells nothing. Of one embedding alone it is the entropy.

    Shapes: each of `committee` (n_items, n_dims), `asked` (n_asked,); returns (n, 3).
    """
    rng = np.random.default_rng((ROUNDS, seed))
    n_all = count_triplets(len(committee[0])) if allowed is None else len(allowed)
    drawn = rng.choice(n_all, min(n_all, (POOL + 1) * n + len(asked)), replace=False)
    pool = drawn if allowed is None else allowed[drawn]
    pool = pool[~np.isin(pool, asked)]
    n_uniform = round(uniform * n)
    chance, pool = pool[:n_uniform], pool[n_uniform : n_uniform + POOL * n]
    items = unrank_triplets(pool)
    log_p = [log_probabilities(choice_logits(X @ X.T, items)) for X in committee]
    mean = np.mean([np.exp(log) for log in log_p], axis=0)
    told = _entropy(mean, np.log(np.maximum(mean, 1e-300)))
    if len(committee) > 1:
        told -= np.mean([_entropy(np.exp(log), log) for log in log_p], axis=0)
    most = np.argsort(-told, kind="stable")[: n - n_uniform]
    return np.concatenate((items[most], unrank_triplets(chance)))


def _entropy(p: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    return np.asarray(-(p * log_p).sum(axis=1))


def _parts(judgments: Judgments, seed: int) -> list[Judgments]:
    """Return the judgments that each embedding of a committee learns from."""
    rng = np.random.default_rng((PARTS, seed))
    return [judgments.take(np.flatnonzero(rng.random(len(judgments)) < PART)) for _ in range(COMMITTEE)]


def write_next(opened: Opened, annotator: str, n: int, *, uniform: float = 0.3) -> tuple[Path, int]:
    """Learn embeddings from the answers so far, and write the triplets of the next round for ``kind = "file"``."""
    settings = opened.collection.annotator(annotator)
    export_collection(opened, name_of(settings))
    folder = opened.collection.folder
    judgments = exported(folder / "export" / file_name(name_of(settings)))
    seed = opened.collection.seed
    committee = [SparseEmbedding(random_state=seed).fit(part).embedding_ for part in _parts(judgments, seed)]
    before = np.unique(rank_triplets(opened.plan.items))
    more = choose_triplets(committee, before, n, uniform=uniform, seed=seed)
    names = np.array(opened.plan.stimuli, dtype=object)
    table = pd.DataFrame(names[np.concatenate((unrank_triplets(before), more))], columns=["item_1", "item_2", "item_3"])
    earlier = read_trained(opened.collection.design, opened.plan.stimuli, opened.collection.base)
    chosen = np.zeros(len(table), dtype=bool)
    chosen[: len(before)] = np.isin(before, earlier) if earlier is not None else False
    chosen[len(before) : len(table) - round(uniform * n)] = True
    table["split"] = np.where(chosen, "train", "n/a")  # neither tests nor penalties may rest on what was chosen
    path = folder / "next.tsv"
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    return path, len(more)


def needed(table: pd.DataFrame, loss: float, design: str) -> float:
    """Return the number of judgments at which the mean loss of a design falls to a value; infinity if it does not."""
    part = table[table["design"] == design].groupby("judgments")["loss"].mean().sort_index()
    numbers, losses = np.log(part.index.to_numpy(dtype=float)), part.to_numpy()
    for k in range(len(losses)):
        if losses[k] <= loss:
            if k == 0:
                return float(np.exp(numbers[0]))
            share = (losses[k - 1] - loss) / (losses[k - 1] - losses[k])
            return float(np.exp(numbers[k - 1] + share * (numbers[k] - numbers[k - 1])))
    return float("inf")


def _held_out(n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return test triplets, and the numbers of all others where there are few enough to list."""
    order = Permutation(count_triplets(n), seed, TEST)
    test = order(np.arange(N_TEST))
    if count_triplets(n) > 5_000_000:
        return test, None
    return test, np.setdiff1d(np.arange(count_triplets(n)), test)


def _drawn(design: str, n: int, n_stimuli: int, seed: int, learned: np.ndarray | None) -> np.ndarray:
    names = [str(i) for i in range(n_stimuli)]
    if design == "random" and learned is not None:
        return unrank_triplets(np.random.default_rng((ROUNDS, seed)).permutation(learned)[:n])
    plan = make_plan(
        Design(kind=design, n_triplets=min(n + N_TEST, count_triplets(n_stimuli)), test=0.0), names, seed=seed
    )
    items = plan.items.astype(np.int64)
    if learned is not None:
        items = items[np.isin(rank_triplets(items), learned)]
    return items[:n]


def _judged(
    truth: np.ndarray, items: np.ndarray, noise: float, seed: int, chance: np.ndarray | None = None
) -> Judgments:
    """Draw the answers; the same triplet has the same answer in every design, as of one judge.

    Validation judgments are declared where triplets were chosen: some of those drawn by chance (n,).
    """
    shown = np.sort(items, axis=1)
    draws = np.random.default_rng((ANSWERS, seed)).random(1 << 20)
    draw = draws[rank_triplets(shown) * 2654435761 % (1 << 20)]
    p = np.exp(log_probabilities(choice_logits(truth @ truth.T, shown) / noise))
    choice = (draw[:, None] > np.cumsum(p, axis=1)).sum(axis=1).clip(0, 2)
    n = len(shown)
    split = np.full(n, "")
    if chance is not None:
        split = np.where(
            chance & (drawn_uniformly(rank_triplets(shown), seed, PARTS) < VALIDATION), "validation", "train"
        )
    return Judgments(
        tuple(map(str, range(len(truth)))), shown, choice, np.full((n, 3), np.nan), np.full(n, "valid"), np.ones(n),
        np.zeros(n), split, np.full(n, "simulated"),
    )  # fmt: skip


def _learned(judgments: Judgments, n_dims: int, seed: int) -> np.ndarray:
    """Return the embedding of some judgments; one of zeros where they are too few for any dimension."""
    try:
        return SparseEmbedding(max_dims=3 * n_dims, random_state=seed).fit(judgments).embedding_
    except DataError as error:
        if "no dimension is left" not in str(error):
            raise
        return np.zeros((len(judgments.stimuli), 0))


def _fit(truth: np.ndarray, judged: Judgments, test: np.ndarray, noise: float, seed: int) -> dict[str, float]:
    X = _learned(judged, truth.shape[1], seed)
    return _scores(truth, X, test) | {"noise": noise, "judgments": len(judged), "seed": seed}


def _scores(truth: np.ndarray, X: np.ndarray, test: np.ndarray) -> dict[str, float]:
    items = unrank_triplets(test)
    p = np.exp(log_probabilities(choice_logits(truth @ truth.T, items)))
    log_q, log_p = (
        log_probabilities(choice_logits(X @ X.T, items)),
        log_probabilities(choice_logits(truth @ truth.T, items)),
    )
    upper = np.triu_indices(len(truth), 1)
    learned, true = (X @ X.T)[upper], (truth @ truth.T)[upper]
    hit = p[np.arange(len(p)), log_q.argmax(axis=1)].mean()
    return {
        "dims": X.shape[1], "accuracy": float(hit), "loss": float(-(p * log_q).sum(axis=1).mean()),
        "best_accuracy": float(p.max(axis=1).mean()), "best_loss": float(-(p * log_p).sum(axis=1).mean()),
        "similarity": float(np.corrcoef(learned, true)[0, 1]) if learned.std() > 0 else 0.0,
    }  # fmt: skip


def _active(
    power: Power,
    design: str,
    truth: np.ndarray,
    test: np.ndarray,
    learned: np.ndarray | None,
    *,
    noise: float,
    seed: int,
) -> list[dict[str, float]]:
    """Ask in rounds, each chosen by the embeddings of the last; the first is a random design of the least number."""
    numbers: Sequence[int] = sorted(power.numbers)
    items = _drawn("random", numbers[0], len(truth), seed, learned)
    chance = np.ones(len(items), dtype=bool)
    rows = []
    for number in numbers:
        steps = np.linspace(len(items), number, power.rounds + 1).astype(int)[1:] if number > len(items) else [number]
        for step in steps:
            if step > len(items):
                judged = _judged(truth, items, noise, seed, chance)
                parts = [judged] if design == "uncertain" else _parts(judged, seed + step)
                committee = [_learned(part, truth.shape[1], seed) for part in parts]
                asked = rank_triplets(items) if learned is not None else np.union1d(rank_triplets(items), test)
                more = choose_triplets(committee, asked, step - len(items), uniform=power.uniform,
                                       seed=seed + step, allowed=learned)  # fmt: skip
                items = np.concatenate((items, more))
                chance = np.concatenate((chance, np.arange(len(more)) >= len(more) - round(power.uniform * len(more))))
        rows.append(_fit(truth, _judged(truth, items, noise, seed, chance), test, noise, seed))
    return rows
