"""Choose penalty, number of dimensions and shape of the penalty together, by validation judgments.

The objective is mean loss + lambda / n_items * sum of c(x) over all coordinates x, in the units of SPoSE (Zheng et al.
2019), where c(x) = x + ridge x^2 / 2. With ridge = 0 that is plain L1. A ridge keeps the coordinates of items that were
judged rarely from growing; reweighting does the opposite and frees large coordinates from the penalty. Which of them
helps depends on the judgments, so that all are tried. Plain L1 prefers one dimension of what correlated ones share to
all of them; a large ridge, which is hardly more than quadratic, does not.

A path begins at its smallest lambda, where no dimension dies, and each fit starts from the one before: a dimension
disappears when its penalty outweighs what it explains, never because a random start was too small. *Rungs* then begin
with fewer dimensions, the largest of a fit on the path, because lambda alone may jump from many dimensions to too few.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..core import DataError
from .objective import NEGLIGIBLE, GiveUp, Point, Problem, approach, freed, keep_first, largest_first, row_losses
from .rated import Rows

LARGE = 2_000_000  # judgments from which the way to the path is found on a tenth of them, and shapes matter little
MOST_RIDGE = 10.0  # of the penalties that are tried with so many judgments
HARD = (0.5, 0.7, 1.0, 1.4, 2.0)
SOFT = (0.05, 0.1, 0.2, 0.35, *HARD)  # probabilities have less noise than choices
RATIO = 1.4  # ratio of neighbouring penalties
LOOSER = 10  # how much sooner a fit of the path stops than the last one
PATH_STEPS = 150
LOOKS = 8  # showings of an item that a path needs per dimension
FEWEST = 10  # dimensions that a path begins with at least
RUNG = 1.6  # ratio of the dimensions that neighbouring rungs begin with
MOST_EXTENSIONS = 4  # penalties that are added where the best one is the first or the last
MOST_REFINEMENTS = 2  # penalties that are added where the number of dimensions jumps
LOOK = 10  # steps between looks at the validation judgments
RISES = 3  # looks in a row at which validation judgments were predicted worse
HOPELESS = 3.0  # standard errors (of the paired difference) from the best fit
SHORTLIST = 6  # fits that are compared on further folds
DOUBT = 2.0  # standard errors from the best fit within which a fit comes onto that list
SHAKE = 0.5  # standard deviation of the logarithm of what a start is multiplied by in a further fold
LEAST_GAIN = 1e-4  # of validation loss by which a smaller penalty must be better to go on to the next
CHANCE = 2.0  # standard errors by which validation judgments must be predicted better than by chance


@dataclass(frozen=True, slots=True)
class Setting:
    """What shapes a fit: where it began, and its penalty."""

    value: float  # lambda
    n_start: int
    ridge: float
    rounds: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A fit with its loss on each validation judgment."""

    setting: Setting
    point: Point
    losses: np.ndarray
    row: dict[str, float]
    weights: torch.Tensor | None = None  # of the penalty of each coordinate, where it was reweighted

    @property
    def n_dims(self) -> int:
        """Dimensions that are left."""
        return self.point.X.shape[1]

    @property
    def loss(self) -> float:
        """Mean loss of the validation judgments."""
        return self.row["loss"]


def default_lambdas(data: Rows) -> tuple[float, ...]:
    """Choose a path from the size of the problem.

    An item's coordinate is seen in 3 n / n_items judgments, so that the noise of its gradient, in units of lambda /
    n_items, is in proportion to sqrt(3 n_items / n). A fifth of that is the middle of the path.
    """
    multiples = HARD if data.probabilities is None else SOFT
    return tuple(_round(m * 0.2 * np.sqrt(3 * len(data.names) / data.total)) for m in multiples)


def steepness(ridge: float) -> float:
    """Return what lambdas are divided by, so that all shapes have about the same slope at coordinates around 1."""
    return max(1.0, ridge / 2)


def steeper(lambdas: Sequence[float], ridge: float) -> list[float]:
    """Divide lambdas by the steepness of a ridge."""
    return list(lambdas) if steepness(ridge) == 1 else [_round(value / steepness(ridge)) for value in lambdas]


def affordable_dims(data: Rows, most: int) -> int:
    """Count the dimensions a path can begin with: every coordinate needs a few showings of its item."""
    looks = 3 * len(data) / len(data.names)
    per_coordinate = LOOKS if data.probabilities is None else 1
    return max(1, min(most, len(data.names), max(FEWEST, int(looks / per_coordinate))))


def _round(value: float) -> float:
    return float(f"{value:.3g}")


class AtChanceError(DataError):
    """No fit predicts validation judgments better than chance."""


class Search:
    """Fits that are compared on the same validation judgments."""

    def __init__(self, problem: Problem, held_out: Rows, *, tol: float, max_iter: int, fixed: bool, n_dims: int | None,
                 folds: Callable[[], Iterable[tuple[Problem, Rows]]] = tuple) -> None:  # fmt: skip
        self.problem, self.held_out, self.tol, self.max_iter, self.folds = problem, held_out, tol, max_iter, folds
        self.fixed, self.n_dims = fixed, n_dims  # whether lambdas, and how many dimensions, were asked for
        self.weight, self.group = _weights(held_out), np.unique(held_out.keys, return_inverse=True)[1]
        self.tried: list[Candidate] = []
        self.aside: list[Candidate] = []  # fits that were converged, or tried on the way to that
        self.finished: dict[int, Candidate] = {}  # what a fit comes to once converged
        self.plain: Candidate | None = None  # what plain L1 comes to by itself
        self.over_folds: dict[int, float] = {}  # mean loss over all folds of the fits that were compared on them
        self.refitted: dict[tuple[int, int], np.ndarray] = {}  # losses of a fit without a fold
        self.edge = ""

    def run(self, start: np.ndarray, lambdas: Sequence[float], *, ridges: Sequence[float], rounds: int) -> Candidate:
        """Try all shapes, and return the chosen fit, converged."""
        n_start = start.shape[1]
        if len(self.problem.data) >= LARGE:
            ridges = [ridge for ridge in ridges if ridge <= MOST_RIDGE] or ridges
        point, others = self.problem.begin(start), [ridge for ridge in ridges if ridge]
        if 0 in ridges:
            self._look(point, lambdas, [0.0])
        n_plain = len(self.tried)
        if others or rounds:
            self._look(point, lambdas, others)
            if rounds:
                self._reweight(rounds)
        base = self._plain_l1(n_start, n_plain) if 0 in ridges else None
        final = self.plain
        if len(self.tried) > n_plain:
            chosen, other = self._conclude(base)
            final = other if final is None or (chosen is not base and self._replaces(other, final)) else final
        assert final is not None
        self.tried += self.aside
        self._mark_edge(final, lambdas, n_start)
        return final

    def _plain_l1(self, n_start: int, n_plain: int) -> Candidate | None:
        """Choose among fits of plain L1, tried first, as if there were nothing else; `plain` is converged."""
        rest, best = self.tried[n_plain:], min(self.tried[:n_plain], key=lambda c: c.loss)
        too_few = all(c.n_dims < (self.n_dims or 0) for c in self.tried[:n_plain])
        if rest and (too_few or (self.problem.data.probabilities is None and self._hopeless(best))):
            return None  # out of the question, and folds take long; fits of probabilities are too far from converged
        del self.tried[n_plain:]
        path = self._choose([c for c in self.tried if c.setting.n_start == n_start])
        base, self.plain = self._conclude(path)
        if self.plain.loss > path.loss and path is not base:
            # Converged to the end it is worse than on the path: early steps had held back the noise.
            self.plain = min((self.plain, self._finish(path)), key=lambda c: c.loss)
        self.tried += rest
        return base

    def _look(self, start: Point, lambdas: Sequence[float], ridges: Sequence[float]) -> None:
        """Follow the path of each ridge, then its rungs, then the best fit."""
        led = None
        for ridge in ridges:
            values = steeper(lambdas, ridge)
            if led is None:  # led up to the first penalty of one ridge it is a start for the others too
                led = approach(self.problem, start, values[0], ridge, tol=LOOSER * self.tol, large=LARGE)
            self._path(led, values, ridge)
        if self.n_dims is None and ridges:
            self._rungs(start.X.shape[1], ridges, large=len(self.problem.data) >= LARGE)
        if not self.fixed:
            self._descend()

    def _conclude(self, base: Candidate | None) -> tuple[Candidate, Candidate]:
        """Choose among all fits, none that is worse than `base`; return the choice as it is and converged."""
        chosen = self._choose(self.tried, limit=base.loss if base else np.inf)
        if self.n_dims is None and not self.fixed:
            chosen = self._cross_validate(chosen, base)
        return chosen, self._finish(chosen)

    def _finish(self, chosen: Candidate) -> Candidate:
        """Converge a fit. What that takes is kept aside: all other fits look bad beside a converged one."""
        if id(chosen) in self.finished:
            return self.finished[id(chosen)]
        n_tried = len(self.tried)
        final = self._settle(chosen)
        if self.problem.data.probabilities is not None and self.n_dims is None and not self.fixed:
            final = self._relax(final)
        self.aside += self.tried[n_tried:]
        del self.tried[n_tried:]
        self.finished[id(chosen)] = final
        return final

    def _replaces(self, other: Candidate, plain: Candidate) -> bool:
        """Whether a fit is better than plain L1 beyond doubt, or by one standard error with fewer dimensions.

        Probabilities, which have little noise, need no doubt: one standard error is enough, and none for fewer
        dimensions.
        """
        gap, se = self._compare(other, plain)
        fewer = other.n_dims < plain.n_dims
        if self.problem.data.probabilities is not None:
            return gap < -se or (gap <= 0 and fewer)
        if -HOPELESS * se <= gap <= 0 and self.n_dims is None and not self.fixed:
            gap, se = self._compare_on_folds(other, plain)
        return gap < -(1.0 if fewer else HOPELESS) * se

    def _compare_on_folds(self, one: Candidate, other: Candidate) -> tuple[float, float]:
        gap = self._compare(one, other)
        for n, (weight, group) in enumerate(self._fold_by_fold([one, other]), start=1):
            gap = _mean_of(self._losses(one, n) - self._losses(other, n), weight, group)
            self.over_folds |= {id(c): _mean_of(self._losses(c, n), weight, group)[0] for c in (one, other)}
        return gap

    def table(self, chosen: Candidate) -> pd.DataFrame:
        """One row per fit, in the order of fitting; the last one is the chosen fit, converged."""
        some = [c for c in self.tried if c is not chosen] + [chosen]
        best = min(some, key=lambda c: c.loss)
        table = pd.DataFrame([{**dataclasses.asdict(c.setting), **c.row} for c in some]).rename(
            columns={"value": "lambda"}
        )
        table.insert(list(table.columns).index("loss") + 1, "loss_se", [self._compare(c, best)[1] for c in some])
        table["folds_loss"] = [self.over_folds.get(id(c), np.nan) for c in some]
        table["chosen"] = [c is chosen for c in some]
        return table

    def rival(self, chosen: Candidate) -> np.ndarray | None:
        """Coordinates of the fit with the most dimensions that validation judgments do not speak against."""
        best, able = self._best(), []
        for candidate in self.tried:
            gap, se = self._compare(candidate, best)
            if candidate.n_dims > chosen.n_dims and gap <= DOUBT * se:
                able.append(candidate)
        most = max(able, key=lambda c: (c.n_dims, -c.loss), default=None)
        return None if most is None else most.point.X.cpu().numpy()

    def gain(self, candidate: Candidate, chance: float | np.ndarray) -> tuple[float, float]:
        """Mean gain over chance on validation judgments, and its standard error were all answers chance."""
        values = chance - candidate.losses.astype(np.float64)
        total = self.weight.sum()
        mean = float(self.weight @ values / total)
        return mean, float(np.sqrt((self.weight**2 * (values - mean) ** 2).sum()) / total)

    def _mean(self, values: np.ndarray) -> tuple[float, float]:
        return _mean_of(values, self.weight, self.group)

    def _compare(self, one: Candidate, other: Candidate) -> tuple[float, float]:
        return self._mean(one.losses.astype(np.float64) - other.losses)

    def _loss(self, point: Point) -> float:
        return self._mean(row_losses(point.X, point.bias, self.held_out)[0])[0]

    def _best(self) -> Candidate:
        return min(self.tried, key=lambda c: c.loss)

    def _hopeless(self, candidate: Candidate) -> bool:
        gap, se = self._compare(candidate, self._best())
        return gap > HOPELESS * se

    def _try(self, start: Point, setting: Setting, *, weights: torch.Tensor | None = None, keep: bool = False,
             tol: float | None = None, max_iter: int = PATH_STEPS) -> Candidate:  # fmt: skip
        before = time.process_time()
        found, weights = self._fit(start, setting, weights=weights, keep=keep, tol=tol, max_iter=max_iter,
                                   give_up=self._giver_up(setting) if tol is None else None)  # fmt: skip
        loss, correct = row_losses(found.X, found.bias, self.held_out)
        row = {
            "n_dims": found.X.shape[1],
            "train_loss": found.loss,
            "loss": self._mean(loss)[0],
            "accuracy": self._mean(correct)[0],
            "n_gradients": found.n_evaluations,
            "converged": found.converged,
            "cpu_seconds": time.process_time() - before,
        }
        candidate = Candidate(setting, found, loss.astype(np.float32), row, weights)
        self.tried.append(candidate)
        return candidate

    def _fit(self, start: Point, setting: Setting, *, weights: torch.Tensor | None, keep: bool, tol: float | None,
             max_iter: int, give_up: GiveUp | None = None,
             ) -> tuple[Point, torch.Tensor | None]:  # fmt: skip
        cost = setting.value / self.problem.n_items
        found = self.problem.minimise(
            start,
            cost if weights is None else cost * weights,
            ridge=cost * setting.ridge,
            tol=LOOSER * self.tol if tol is None else tol,
            max_iter=max_iter,
            **({} if give_up is None else {"give_up": give_up}),
        )
        order = largest_first(found.X, -np.inf if keep else NEGLIGIBLE)
        some = None if weights is None else weights[:, order].contiguous()
        return dataclasses.replace(found, X=found.X[:, order].contiguous()), some

    def _giver_up(self, setting: Setting) -> GiveUp:
        """Make what ends a fit early: validation judgments speak against it, and more at every look."""
        alike = [c for c in self.tried if c.setting.ridge == setting.ridge]
        best = min(alike, key=lambda c: c.loss).losses if alike else None
        step, last, rises = 0, np.inf, 0

        def _give_up(X: torch.Tensor, bias: torch.Tensor | None) -> bool:
            nonlocal best, step, last, rises
            step += 1
            if step % LOOK:
                return False
            losses = row_losses(X, bias, self.held_out)[0]
            before, last = last, self._mean(losses)[0]
            rises = rises + 1 if last > before else 0
            if best is None:
                best = losses
            gap, se = self._mean(losses.astype(np.float64) - best)
            return rises > 0 and gap > (se if rises >= RISES else HOPELESS * se)

        return _give_up

    def _path(self, point: Point, lambdas: Sequence[float], ridge: float) -> None:
        n_start = point.X.shape[1]
        found: list[Candidate] = []
        for value in lambdas:
            found.append(self._try(point, Setting(value, n_start, ridge)))
            point = found[-1].point
        if self.fixed:
            return
        for _ in range(MOST_EXTENSIONS):
            losses = [c.loss for c in found]
            if np.argmin(losses) == len(found) - 1 and found[-1].n_dims:
                last = found[-1]
                found.append(self._try(last.point, Setting(_round(RATIO * last.setting.value), n_start, ridge)))
            elif np.argmin(losses) == 0:
                first = found[0]
                found.insert(0, self._try(first.point, Setting(_round(first.setting.value / RATIO), n_start, ridge)))
            else:
                break
        for _ in range(MOST_REFINEMENTS):
            jump = self._jump(found)
            if jump is None:
                break
            below, above = found[jump], found[jump + 1]
            value = _round(np.sqrt(below.setting.value * above.setting.value))
            found.insert(jump + 1, self._try(below.point, Setting(value, n_start, ridge)))

    def _jump(self, found: Sequence[Candidate]) -> int | None:
        """Index of the largest fall of the number of dimensions, where one of its ends is near the best loss."""
        best, size, place = self._best(), 1.5, None
        for k, (below, above) in enumerate(itertools.pairwise(found)):
            near = any(self._compare(c, best)[0] <= HOPELESS * self._compare(c, best)[1] for c in (below, above))
            ratio = below.n_dims / max(above.n_dims, 1)
            if near and below.n_dims - above.n_dims >= 3 and ratio > size:
                size, place = ratio, k
        return place

    def _rungs(self, n_start: int, ridges: Sequence[float], *, large: bool) -> None:
        """Refit with fewer dimensions, keeping the largest, while the validation loss improves."""
        for ridge in ridges:
            path = sorted(
                (c for c in self.tried if c.setting.ridge == ridge and c.setting.n_start == n_start),
                key=lambda c: c.setting.value,
            )
            if large and self._jump(path) is None:
                continue  # the path has all numbers of dimensions that matter
            n_dims, misses, tried = max(c.n_dims for c in path) / RUNG, 0, set()
            while n_dims >= 1 and misses < 2:
                misses = 0 if self._rung(path, round(n_dims), ridge) else misses + 1
                tried.add(round(n_dims))
                n_dims /= RUNG
            best = min((c for c in self.tried if c.setting.ridge == ridge), key=lambda c: c.loss)
            for between in (best.n_dims / RUNG**0.5, best.n_dims * RUNG**0.5):
                if 1 <= round(between) < n_start and round(between) not in tried | {best.n_dims}:
                    self._rung(path, round(between), ridge)

    def _rung(self, path: Sequence[Candidate], n_dims: int, ridge: float) -> bool:
        """Fit penalties around the best one from `n_dims` dimensions; return whether that is worth going on."""
        wider = [c for c in path if c.n_dims > n_dims]
        if not wider:
            return True  # nothing new at this rung: the path itself has fewer dimensions
        best = min((c for c in self.tried if c.setting.ridge == ridge), key=lambda c: c.loss)
        wider = [c for c in wider if c.setting.value <= best.setting.value * 1.01][-3:] or wider[:1]
        start = keep_first(wider[-1].point, n_dims)
        found: list[Candidate] = []
        for source in reversed(wider):  # from the largest penalty, whose dimensions are the cleanest
            found.append(self._try(start, Setting(source.setting.value, n_dims, ridge)))
            start = found[-1].point
            if self._hopeless(found[-1]):
                break
        while len(found) < len(wider) + MOST_EXTENSIONS and found[-1].loss == min(c.loss for c in found):
            # Fewer dimensions can do with less penalty than the path, which begins with many.
            gain = found[-2].loss - found[-1].loss if len(found) > 1 else np.inf
            if self._hopeless(found[-1]) and found[-1].loss - self._best().loss > MOST_EXTENSIONS * gain:
                break  # as many steps again would not be enough
            value = _round(found[-1].setting.value / RATIO)
            found.append(self._try(found[-1].point, Setting(value, n_dims, ridge)))
        return any(not self._hopeless(c) or c.loss < best.loss for c in found)

    def _descend(self) -> None:
        """Follow the best fit to smaller and larger penalties as long as the loss falls."""
        for factor in (1 / RATIO, RATIO):
            for _ in range(MOST_EXTENSIONS):
                best = self._best()
                setting = dataclasses.replace(best.setting, value=_round(best.setting.value * factor))
                known = [c for c in self.tried if dataclasses.replace(c.setting, value=0.0)
                         == dataclasses.replace(setting, value=0.0)]  # fmt: skip
                if any(abs(c.setting.value / setting.value - 1) < 0.1 for c in known):
                    break
                if self._try(best.point, setting).loss >= best.loss:
                    break

    def _reweight(self, rounds: int) -> None:
        plain = [c for c in self.tried if not c.setting.ridge and c.n_dims >= (self.n_dims or 1)]
        if not plain:
            return
        bases = [self._choose(plain)]
        if self._hopeless(bases[0]):
            return
        near = [c for c in plain if not self._hopeless(c)]
        if near:  # twin columns may be within one standard error of each other, and not once they are freed
            bases.append(min(near, key=lambda c: (c.n_dims, c.loss)))
        for base in bases[: 1 if bases[0] is bases[-1] else 2]:
            self._reweight_from(base, rounds, factors=(1.0,) if self.fixed else (1.0, RATIO, RATIO**2))

    def _reweight_from(self, base: Candidate, rounds: int, *, factors: Sequence[float]) -> None:
        for factor in factors:
            setting = dataclasses.replace(base.setting, value=_round(base.setting.value * factor))
            point = base.point
            for number in range(1, rounds + 1):
                found = self._try(
                    point,
                    dataclasses.replace(setting, rounds=number),
                    weights=freed(point.X),
                    keep=self.n_dims is not None,
                )
                point = found.point
                if self._hopeless(found):
                    return

    def _choose(self, candidates: Sequence[Candidate], *, limit: float = np.inf) -> Candidate:
        """Choose the fewest dimensions within one standard error of the best loss, of these the best up to `limit`."""
        able = [c for c in candidates if c.n_dims >= (self.n_dims or 0)]
        if not able:
            values = sorted({c.setting.value for c in candidates})
            raise DataError(
                f"SparseEmbedding: n_dims = {self.n_dims}, but no lambda of {values} leaves more than "
                f"{max(c.n_dims for c in candidates)} dimensions. Give smaller lambdas, or ask for fewer dimensions."
            )
        best = min(able, key=lambda c: c.loss)
        if self.n_dims is not None:
            return best
        near = []
        for candidate in able:
            gap, se = self._compare(candidate, best)
            if candidate is best or (gap <= se and candidate.loss <= limit and candidate.n_dims):
                near.append(candidate)
        return min(near, key=lambda c: (c.n_dims, c.loss))

    def _cross_validate(self, chosen: Candidate, plain: Candidate | None) -> Candidate:
        """Choose again by more judgments, where those held out cannot tell numbers of dimensions apart.

        The best fits of each number of dimensions are fitted again without each of some further folds.
        """
        best = self._best()
        near: dict[int, Candidate] = {}
        for candidate in sorted(self.tried, key=lambda c: c.loss):
            gap, se = self._compare(candidate, best)
            if gap <= DOUBT * se and candidate.n_dims:
                near.setdefault(candidate.n_dims, candidate)
        if len(near) < 2:
            return chosen
        some = list(near.values())[:SHORTLIST]
        if plain is not None and self._hopeless(plain):
            plain = None
        some += [c for c in (chosen, plain) if c is not None and all(c is not other for other in some)]
        n = 0
        for n, (weight, group) in enumerate(self._fold_by_fold(some), start=1):
            losses = [self._losses(c, n) for c in some]
            means = [_mean_of(values, weight, group)[0] for values in losses]
            gaps = [_mean_of(values - losses[int(np.argmin(means))], weight, group) for values in losses]
            kept = [k for k, (gap, se) in enumerate(gaps) if some[k] is plain or gap <= HOPELESS * se]
            some[:], losses, means = [some[k] for k in kept], [losses[k] for k in kept], [means[k] for k in kept]
        if not n:
            return chosen
        self.over_folds |= {id(c): mean for c, mean in zip(some, means, strict=True)}
        first = int(np.argmin(means))
        limit = np.inf if plain is None else self.over_folds[id(plain)]
        able = []
        for candidate, values, mean in zip(some, losses, means, strict=True):
            gap, se = _mean_of(values - losses[first], weight, group)
            if mean == means[first] or (gap <= se and mean <= limit):
                able.append((candidate.n_dims, mean, candidate))
        return min(able, key=lambda row: row[:2])[2]

    def _fold_by_fold(self, some: list[Candidate]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Fit without one further fold after another; return weights and groups of the validation rows so far.

        What is taken out of the list meanwhile is not fitted any more.
        """
        weights, groups = [self.weight], [self.group]
        for number, (problem, held_out) in enumerate(self.folds()):
            for candidate in some:
                self._refit(number, problem, held_out, candidate)
            weights.append(_weights(held_out))
            groups.append(groups[-1].max() + 1 + np.unique(held_out.keys, return_inverse=True)[1])
            yield np.concatenate(weights), np.concatenate(groups)

    def _losses(self, candidate: Candidate, n_folds: int) -> np.ndarray:
        """Losses on the validation judgments and in further folds."""
        return np.concatenate([candidate.losses, *(self.refitted[id(candidate), k] for k in range(n_folds))])

    def _refit(self, fold: int, problem: Problem, held_out: Rows, candidate: Candidate) -> None:
        """Fit other judgments as a candidate was, from what is left of it after shaking, and keep the losses of a fold.

        Shaking undoes what the candidate owes to judgments that are held out now.
        """
        if (id(candidate), fold) in self.refitted:
            return
        X, cost = candidate.point.X, candidate.setting.value / problem.n_items
        noise = np.random.default_rng(fold).lognormal(0.0, SHAKE, tuple(X.shape))
        point = dataclasses.replace(candidate.point, X=X * torch.as_tensor(noise, dtype=X.dtype, device=X.device))
        for number in range(candidate.setting.rounds + 1):
            point = problem.minimise(
                point,
                cost * freed(point.X) if number else cost,
                ridge=cost * candidate.setting.ridge,
                tol=LOOSER * self.tol,
                max_iter=PATH_STEPS,
            )
        self.refitted[id(candidate), fold] = row_losses(point.X, point.bias, held_out)[0]

    def _settle(self, chosen: Candidate) -> Candidate:
        """Converge, take out dimensions without which objective or validation loss are lower, and score again."""
        drop = self.n_dims is None
        point = chosen.point if self.n_dims is None else keep_first(chosen.point, self.n_dims)
        weights = None if chosen.weights is None else chosen.weights[:, : point.X.shape[1]].contiguous()
        last: dict[str, Any] = {"keep": not drop, "tol": self.tol, "max_iter": self.max_iter}
        if drop:
            point, weights = self._fit(point, chosen.setting, weights=weights, **last)
            while point.X.shape[1] > 1:
                # Two columns that share what one could explain are a local minimum.
                fewer = point.X.shape[1] - 1
                some = None if weights is None else weights[:, :fewer].contiguous()
                simpler, some = self._fit(keep_first(point, fewer), chosen.setting, weights=some, **last)
                if simpler.objective >= point.objective and self._loss(simpler) >= self._loss(point):
                    break
                point, weights = simpler, some
        return self._try(point, chosen.setting, weights=weights, **last)

    def _relax(self, final: Candidate) -> Candidate:
        """Follow a converged fit of probabilities to smaller penalties: without noise the best may be far below all."""
        while True:
            setting = dataclasses.replace(final.setting, value=_round(final.setting.value / RATIO**2))
            found = self._try(final.point, setting, weights=final.weights, tol=self.tol, max_iter=self.max_iter)
            if found.n_dims != final.n_dims or found.loss > final.loss - LEAST_GAIN:
                return final
            final = found

    def _mark_edge(self, chosen: Candidate, lambdas: Sequence[float], n_start: int) -> None:
        values = steeper(lambdas, chosen.setting.ridge)
        if not self.fixed:
            same = [c.setting for c in self.tried if c.setting.ridge == chosen.setting.ridge]
            values = sorted({setting.value for setting in same if not setting.rounds})
        if len(values) > 1 and chosen.setting.value in (values[0], values[-1]) and not chosen.setting.rounds:
            which = "smallest" if chosen.setting.value == values[0] else "largest"
            self.edge = (
                f"The chosen lambda {chosen.setting.value:.3g} is the {which} that was tried ({values[0]:.3g} to "
                f"{values[-1]:.3g}); a better one may lie beyond. Give other lambdas."
            )
        elif chosen.n_dims == n_start > 1:
            self.edge = (
                f"All {n_start} dimensions that the search began with are in use; more may be better. Raise max_dims"
                f" (now limited by {'the number of judgments' if n_start < FEWEST else 'max_dims or the judgments'})."
            )


def _weights(data: Rows) -> np.ndarray:
    return np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)


def _mean_of(values: np.ndarray, weight: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Weighted mean, with a standard error in which answers to the same triplet count as one."""
    total = weight.sum()
    mean = float(weight @ values / total)
    sums = np.bincount(group, weights=weight * (values - mean))
    return mean, float(np.sqrt((sums**2).sum()) / total)
