"""One pass over the responses of a subject for everything that is claimed about its feature spaces.

For every target, and for the mean over the targets of every region: U of each space (the signal variance that runs
share), of all spaces together, and of all but one; and the null distribution of each space from exchanged runs. What is
kept of regions are kernels (see `encoding.numerics.shared_variance`), from which every difference follows with its
variance.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from ..core import AlignmentError, Atlas, DataError, FeatureSpace, Responses, digest, fingerprint_array
from ..core.progress import Progress, silent
from ..io.atomic import write_json
from ..io.partial import Partial
from ..numerics import permutation
from ..numerics.permutation import BandDraws, StimulusDraws, UnitDraws
from ..numerics.shared_variance import (
    FEWEST_BLOCKS,
    MOST_BLOCKS,
    SharedSpace,
    centre_runs,
    contiguous_groups,
    estimate,
    inverse_root,
    reliability,
    shared_kernel,
    shared_space,
)
from ..numerics.significance import discovery_rates
from .exchange import SHIFTS, STIMULI, layout_of, units_of, values_of_stimuli
from .naming import name_best
from .regions import Parcel, parcels
from .space_tests import ALL, FACTS, WITHOUT, Inference, Presented, Resources, SpaceTests, read_tests

STEP = "inference/1"
SAVED_TARGETS = 8192
FEWEST_UNRELIABLE = 1000  # samples below which versions must agree well
Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


def infer_spaces(
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    atlases: Labelled,
    folder: str | Path,
    *,
    settings: Inference | None = None,
    presented: Presented | None = None,
    resources: Resources | None = None,
    progress: Progress = silent,
) -> SpaceTests:
    """Estimate and test feature spaces in every target, region, network and ROI of one subject.

    Parameters
    ----------
    spaces : sequence of FeatureSpace
        Aligned feature spaces.
    responses : Responses
        Responses on the same samples.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target; None is all targets as one.
    folder : str or Path
        Where the result is saved, or loaded from if it is that of the same settings and inputs. An interrupted
        computation goes on after its last finished chunk of targets.
    settings : Inference, optional
        Draws, levels and seed.
    presented : Presented, optional
        Rows that take part, and what is known of stimuli.
    resources : Resources, optional
        Threads, memory and workers.
    progress : callable
        Called with the share done.

    Returns
    -------
    SpaceTests
        Where a design allows no estimate or no test, its place is NaN and `SpaceTests.notes` says why.

    Raises
    ------
    AlignmentError
        If a space has other samples than the responses.
    DataError
        If there is no space.
    """
    settings, presented, resources = settings or Inference(), presented or Presented(), resources or Resources()
    if not spaces:
        raise DataError("There is no feature space to test; name at least one.")
    for space in spaces:
        if not space.samples.same_as(responses.samples):
            raise AlignmentError(
                f"Feature space {space.name!r} has {space.samples!r}, the responses of sub-{responses.subject} have "
                f"{responses.samples!r}. Call `align` first."
            )
    folder = Path(folder)
    regions = [(atlas.name if atlas else "", parcel) for atlas, labels in atlases for parcel in parcels(atlas, labels)]
    key = _key(settings, spaces, responses, [parcel for _, parcel in regions], presented)
    if not _saved(folder, key):
        _Work(settings, spaces, responses, regions, presented).run(folder, key, resources, progress)
    progress(1.0)
    return read_tests(folder)


def _saved(folder: Path, key: str) -> bool:
    path = folder / FACTS
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["key"] == key


def _key(
    settings: Inference,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    regions: Sequence[Parcel],
    presented: Presented,
) -> str:
    use = presented.use
    height = max(1, (64 << 20) // (4 * max(len(responses.targets), 1)))
    blocks = [fingerprint_array(responses.values[at : at + height]) for at in range(0, len(responses.values), height)]
    axes = [
        fingerprint_array(getattr(axis, name))
        for axis in (responses.samples, responses.presentations)
        for name in ("run", "stimulus", "onset")
    ]
    return digest(
        [
            STEP,
            asdict(settings),
            [[space.name, fingerprint_array(space.values)] for space in (*spaces, *presented.described)],
            [[name, fingerprint_array(space.values)] for name, space in sorted(presented.versions.items())],
            [responses.subject, responses.provenance.key, blocks, axes],
            [(*parcel[:4], fingerprint_array(parcel.mask)) for parcel in regions],
            None if use is None else fingerprint_array(np.asarray(use)),
        ]
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """Results of a chunk of targets."""

    targets: dict[str, np.ndarray]
    kernels: np.ndarray
    draws: np.ndarray
    bands: np.ndarray
    largest: np.ndarray
    counts: np.ndarray


class _Work:
    """What one pass needs: shared spaces for U, draws against chance, and regions."""

    def __init__(
        self,
        settings: Inference,
        spaces: Sequence[FeatureSpace],
        responses: Responses,
        regions: Sequence[tuple[str, Parcel]],
        presented: Presented,
    ) -> None:
        self.settings, self.spaces, self.responses, self.regions = settings, spaces, responses, regions
        self.units = units_of(responses, presented.use)
        self.notes: dict[str, str] = {}
        self.usable = np.flatnonzero(responses.usable)
        masks = [parcel.mask[self.usable] for _, parcel in regions]
        self.member = sparse.csr_array(np.array(masks, dtype=np.float64).reshape(len(regions), len(self.usable)))
        self.ranks: dict[str, int] = {}
        self.blocks: list[np.ndarray] = []
        self.block_stimuli: list[list[str]] = []
        self.versions = presented.versions
        self.shared = self._shared()
        self.scheme_facts: dict[str, Any] = {"exchanged": "nothing", "n_permutations": 0, "n_orders": 0.0}
        self.draws = self._draws(presented)
        self.bands = self._bands()

    # U ----------------------------------------------------------------------------------------------------------

    def _shared(self) -> dict[str, SharedSpace]:
        """Whiten every space, all spaces together, and all without one; note what is refused."""
        units, names = self.units, [space.name for space in self.spaces]
        by_stimulus = units.recurring
        if by_stimulus and self.responses.samples.clock == "tr":
            self.notes["spaces"] = (
                "spaces are not compared: the same stimuli recur in all runs, and on the clock of volumes responses to "
                "different stimuli overlap; one row per presentation is needed"
            )
            return {}
        if by_stimulus:
            self._blocks_of_stimuli()
        else:
            self._blocks_of_units()
        if len(self.blocks) < FEWEST_BLOCKS:
            what = "stimuli" if by_stimulus else "runs"
            self.notes["spaces"] = (
                f"spaces are not compared: {len(self.blocks)} {what} that differ, but at least {FEWEST_BLOCKS} are "
                "needed to tell how much they vary"
            )
            return {}
        # What counts is how many independent samples there are: stimuli where they recur, else rows.
        n = len(set().union(*units.stimuli)) if by_stimulus else len(units.rows) - len(set(units.run.tolist()))
        values = {space.name: centre_runs(space.values[units.rows], units.run) for space in self.spaces}
        second = {
            name: centre_runs(self.versions[name].values[units.rows], units.run)
            if name in self.versions
            else values[name]
            for name in names
        }
        shared = {name: self._one(name, values[name], second[name], n) for name in names}
        if len(names) > 1 and self.settings.unique:
            shared |= self._joint(values, second, n)
        return {name: space for name, space in shared.items() if space is not None}

    def _blocks_of_units(self) -> None:
        labels = self.units.labels
        n = len(self.units.members)
        group = np.arange(n) if n <= MOST_BLOCKS else contiguous_groups(n, MOST_BLOCKS)
        for number in range(int(group.max(initial=-1)) + 1):
            inside = np.flatnonzero(group == number)
            self.blocks.append(np.flatnonzero(np.isin(labels, inside)))
            self.block_stimuli.append(sorted(set().union(*(self.units.stimuli[unit] for unit in inside))))

    def _blocks_of_stimuli(self) -> None:
        names = np.array(sorted(set().union(*self.units.stimuli)))
        n = min(MOST_BLOCKS, len(names) // 2)
        group = np.random.default_rng([self.settings.seed, len(names)]).permutation(len(names)) % max(n, 1)
        shown = self.responses.samples.stimulus[self.units.rows]
        for number in range(n):
            inside = names[group == number]
            self.blocks.append(np.flatnonzero(np.isin(shown, inside)))
            self.block_stimuli.append(inside.tolist())

    def _one(self, name: str, X: np.ndarray, second: np.ndarray, n: int) -> SharedSpace | None:
        if second is not X and not self._reliable(name, X, second, n):
            return None
        gram = X.T @ X
        rank = inverse_root(gram).shape[1] if gram.any() else 0
        if rank > n / 2:
            keep = max(1, n // 4)
            self.notes[f"space {name}"] = (
                f"U is that of the first {keep} principal components of its {rank} dimensions, because more than half "
                f"as many dimensions as samples ({n}) cannot be estimated"
            )
            axes = np.linalg.eigh(gram)[1][:, ::-1][:, :keep]
            return self._space(name, X @ axes, X @ axes if second is X else second @ axes)
        return self._space(name, X, second)

    def _reliable(self, name: str, X: np.ndarray, second: np.ndarray, n: int) -> bool:
        """Note the reliability of two versions, and refuse it where samples are too few to make up for it."""
        found = reliability(X, second)
        enough = found >= 0.7 or (n >= FEWEST_UNRELIABLE and found >= 0.3)
        self.notes[f"space {name}"] = (
            f"U is that of what two versions of the features measure in common (reliability {found:.2f})"
            if enough
            else f"U is not estimated: two versions of the features agree too little (reliability {found:.2f}); at "
            f"least 0.7 is needed, or 0.3 with {FEWEST_UNRELIABLE} samples or more"
        )
        return enough

    def _joint(
        self, values: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], n: int
    ) -> dict[str, SharedSpace | None]:
        whole = np.concatenate(list(values.values()), axis=1)
        n_all = inverse_root(whole.T @ whole).shape[1]
        if n_all > n / 2 or len(self.ranks) < len(values):
            self.notes["unique"] = (
                f"unique parts are not estimated: all spaces together have {n_all} dimensions, and half as many "
                f"dimensions as samples ({n}) are the most that can be"
            )
            return {}
        found = {}
        for label, left_out in ((ALL, None), *((WITHOUT + name, name) for name in values)):
            both = [np.concatenate([of[name] for name in of if name != left_out], axis=1) for of in (values, second)]
            found[label] = self._space(label, both[0], both[1] if self.versions else both[0])
        return found

    def _space(self, name: str, X: np.ndarray, second: np.ndarray) -> SharedSpace | None:
        run = self.units.run if self.units.recurring else None
        try:
            space = shared_space(X, self.blocks, None if second is X else second, run=run)
        except ValueError as error:
            self.notes[f"space {name}"] = f"U is not estimated: {error}"
            return None
        self.ranks[name] = space.rank
        return space

    # Chance -----------------------------------------------------------------------------------------------------

    def _draws(self, presented: Presented) -> UnitDraws | StimulusDraws | None:
        """Prepare the draws against chance, or note why there are none."""
        n_draws = self.settings.n_permutations
        if not n_draws:
            self.notes["chance"] = "chance was not tested: n_permutations = 0"
            return None
        try:
            self.scheme = self.units.scheme(self.settings.seed)
            draws = self._prepare(presented, n_draws)
        except DataError as error:
            self.notes["chance"] = str(error)
            return None
        if self.scheme.kind == "runs and shifts":
            self.notes["chance"] = SHIFTS
        if self.scheme.n_dropped:
            self.notes["rows"] = (
                f"{self.scheme.n_dropped} rows at the end of longer runs take no part in the test against chance, "
                "for which runs must have one length"
            )
        self.scheme_facts = {
            "exchanged": self.scheme.kind,
            "n_permutations": n_draws,
            "n_orders": min(self.scheme.n_orders, 1e300),
        }
        return draws

    def _prepare(self, presented: Presented, n_draws: int) -> UnitDraws | StimulusDraws:
        if not self.units.recurring:
            values = [space.values[self.units.rows] for space in self.spaces]
            return UnitDraws([permutation.prepare_rows(X, self.scheme) for X in values], self.scheme, n_draws)
        names, where = layout_of(self.responses, self.units, presented.layout)
        by_name = {space.name: space for space in presented.described}
        missing = [space.name for space in self.spaces if space.name not in by_name]
        if missing:
            raise DataError(
                f"No test against chance: the same stimuli recur in all runs, and {missing[0]!r} has no features "
                "per stimulus to exchange."
            )
        self.notes["chance"] = STIMULI
        features = [values_of_stimuli(by_name[space.name], names) for space in self.spaces]
        return StimulusDraws(features, where, self.scheme, n_draws)

    def _bands(self) -> list[BandDraws]:
        """Prepare the draws of what each space adds to the others."""
        n_draws = self.settings.unique_permutations
        if not n_draws or len(self.spaces) < 2 or not isinstance(self.draws, UnitDraws) or self.scheme.kind != "runs":
            return []
        values = [permutation.prepare_rows(space.values[self.units.rows], self.scheme) for space in self.spaces]
        return [
            BandDraws(X, np.concatenate([*values[:k], *values[k + 1 :]], axis=1), self.scheme, n_draws)
            for k, X in enumerate(values)
        ]

    # Running ----------------------------------------------------------------------------------------------------

    def run(self, folder: Path, key: str, resources: Resources, progress: Progress) -> None:
        """Go through all targets, keep what is finished, and write the result."""
        chunks = list(permutation.chunks_of(len(self.usable), SAVED_TARGETS))
        partial = Partial(folder, {"key": key, "chunk": SAVED_TARGETS})
        missing = [number for number in range(len(chunks)) if not partial.has(number)]
        first = len(chunks) - len(missing)
        if resources.workers.apart:
            tested = resources.workers.map(_test_chunk, (self, partial, resources), missing)
            for number, _ in enumerate(tested, start=first + 1):
                progress(number / len(chunks))
        else:
            for at, number in enumerate(missing, start=first):
                self.test(number, partial, resources, lambda share, at=at: progress((at + share) / len(chunks)))  # type: ignore[misc]
        self._finish(partial, chunks, key)

    def test(self, number: int, partial: Partial, resources: Resources, progress: Progress = silent) -> None:
        """Test one chunk of targets, and keep the result."""
        chunk = list(permutation.chunks_of(len(self.usable), SAVED_TARGETS))[number]
        part = self._chunk(chunk, resources, progress)
        partial.write(number, {
            **{f"target_{name}": values for name, values in part.targets.items()},
            "kernels": part.kernels, "draws": part.draws, "bands": part.bands,
            "largest": part.largest, "counts": part.counts,
        })  # fmt: skip

    def _chunk(self, chunk: slice, resources: Resources, progress: Progress) -> _Part:
        threads = max(resources.threads, 1)
        size = self._batch(resources.memory_bytes // threads)
        Y = np.asarray(self.responses.values[:, self.usable[chunk]])[self.units.rows]
        batches = list(permutation.chunks_of(Y.shape[1], size))
        parts = []
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            shifted = [slice(chunk.start + batch.start, chunk.start + batch.stop) for batch in batches]
            for part in pool.map(
                lambda pair: self._batch_of(Y[:, pair[0]], pair[1]), zip(batches, shifted, strict=True)
            ):
                parts.append(part)
                progress(len(parts) / len(batches))
        return _Part(
            {name: np.concatenate([part.targets[name] for part in parts], axis=-1) for name in parts[0].targets},
            np.sum([part.kernels for part in parts], axis=0),
            np.sum([part.draws for part in parts], axis=0).astype(np.float32),
            np.sum([part.bands for part in parts], axis=0).astype(np.float32),
            np.max([part.largest for part in parts], axis=0),
            np.sum([part.counts for part in parts], axis=0),
        )

    def _batch(self, memory: int) -> int:
        """Targets at once, so that kernels, products and draws fit into the memory."""
        n_sets, G = max(len(self.shared), 1), max(len(self.blocks), 1)
        widest = max(self.ranks.values(), default=1)
        each = 8 * (3 * n_sets * G * G + 2 * G * widest + 3 * len(self.units.rows))
        size = memory // (2 * each)
        if self.draws is not None:
            size = min(size, permutation.targets_at_once(
                self.scheme, len(self.spaces), self.settings.n_permutations, memory // 2
            ))  # fmt: skip
        return int(np.clip(size, 16, 1024))

    def _batch_of(self, Y: np.ndarray, place: slice) -> _Part:
        Y = np.asarray(Y, dtype=np.float64)
        centred = centre_runs(Y, self.units.run)
        varies = np.square(centred).sum(0) > 1e-20 * np.maximum(np.square(Y).sum(0), np.finfo(float).tiny)
        member = sparse.csr_array(self.member[:, place] * varies)
        targets, kernels = self._estimate(centred, varies, member)
        draws, largest = np.zeros((0, 0, len(self.regions)), np.float32), np.zeros(0)
        bands = draws
        if self.draws is not None:
            prepared = centred if self.units.recurring else permutation.prepare_rows(Y, self.scheme)
            statistics = self.draws.statistics(prepared)
            null = permutation.summarise(statistics[:, :, varies])
            for name, values in (("z", null.z), ("p", null.p), ("skewness", null.skewness)):
                targets[name] = _spread(values, varies)
            largest = null.largest
            draws = _over_regions(member, statistics)
            if self.bands:
                added = np.concatenate([band.statistics(prepared) for band in self.bands], axis=1)
                targets["unique_p"] = _spread(permutation.summarise(added[:, :, varies]).p, varies)
                bands = _over_regions(member, added)
        return _Part(targets, kernels, draws, bands, largest, np.asarray(member.sum(1)))

    def _estimate(
        self, Y: np.ndarray, varies: np.ndarray, member: sparse.csr_array
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        G, n_targets = len(self.blocks), Y.shape[1]
        names = [space.name for space in self.spaces]
        targets: dict[str, np.ndarray] = {name: np.full((len(names), n_targets), np.nan) for name in ("u", "u_se")}
        targets |= {"winner": np.full(n_targets, -1.0), "winner_p": np.full(n_targets, np.nan)}
        if not self.shared:
            return targets, np.zeros((len(self.regions), 0, 0, 0))
        kernels = {name: shared_kernel(space, Y) for name, space in self.shared.items()}
        there = [number for number, name in enumerate(names) if name in kernels]
        single = np.stack([kernels[names[number]] for number in there])
        found = estimate(single)
        targets["u"][there], targets["u_se"][there] = found.value, found.se
        winner, p = name_best(single, self.settings.p_level)
        targets["winner"] = np.where(varies & (winner >= 0), np.array(there)[winner], -1.0)
        targets["winner_p"] = p
        for name in ("u", "u_se", "winner_p"):
            targets[name][..., ~varies] = np.nan
        summed = [(member @ kernel.reshape(n_targets, -1)).reshape(-1, G, G) for kernel in kernels.values()]
        return targets, np.stack(summed, axis=1)

    def _finish(self, partial: Partial, chunks: Sequence[slice], key: str) -> None:
        parts = [partial.read(number) for number in range(len(chunks))]
        n_spaces, n_places = len(self.spaces), len(self.regions)
        counts = np.sum([part["counts"] for part in parts], axis=0) if parts else np.zeros(n_places)
        kernels = np.sum([part["kernels"] for part in parts], axis=0) if parts else np.zeros((n_places, 0, 0, 0))
        kernels = kernels / np.maximum(counts, 1).reshape(-1, 1, 1, 1)
        kernels[counts == 0] = np.nan
        targets = _gather(parts, chunks, self.usable, len(self.responses.targets))
        chance = {name: np.full((n_spaces, n_places), np.nan) for name in ("z", "p", "p_fwe", "q")}
        if self.draws is not None and parts:
            largest = np.max([part["largest"] for part in parts], axis=0)
            targets |= _corrected(targets, largest)
            full = counts > 0
            draws = np.sum([part["draws"] for part in parts], axis=0)[..., full]
            null = permutation.summarise(draws)
            of_regions: dict[str, np.ndarray] = {"z": null.z, "p": null.p, "skewness": null.skewness}
            of_regions |= _corrected(of_regions, null.largest)
            for name, values in chance.items():
                values[:, full] = of_regions[name]
            if self.bands:
                bands = np.sum([part["bands"] for part in parts], axis=0)[..., full]
                chance["unique_p"] = _spread(permutation.summarise(bands).p, full)
        targets.pop("skewness", None)
        facts = {
            "key": key,
            "subject": self.responses.subject,
            "spaces": [space.name for space in self.spaces],
            "sets": list(self.shared),
            "places": [[atlas, *parcel[:4]] for atlas, parcel in self.regions],
            "units": "stimuli" if self.units.recurring else "runs",
            "n_units": len(self.units.members),
            "n_blocks": len(self.blocks),
            "blocks": [digest(names) for names in self.block_stimuli],
            "stimuli": digest(sorted(set().union(*self.units.stimuli))),
            "ranks": self.ranks,
            "notes": self.notes,
            "settings": asdict(self.settings),
            **self.scheme_facts,
        }
        np.savez(partial.folder / "targets.npz", allow_pickle=False, **{
            name: values.astype(np.float32) for name, values in targets.items()
        })  # fmt: skip
        np.savez(
            partial.folder / "regions.npz", allow_pickle=False, kernels=kernels, n_targets=counts.astype(int), **chance
        )
        write_json(partial.folder / FACTS, facts)
        partial.finish()


def _test_chunk(shared: tuple[_Work, Partial, Resources], number: int) -> None:
    work, partial, resources = shared
    work.test(number, partial, resources)


def _over_regions(member: sparse.csr_array, statistics: np.ndarray) -> np.ndarray:
    """Sum statistics over the targets of regions, shape (n_draws + 1, n_spaces, n_places)."""
    flat = statistics.reshape(-1, statistics.shape[-1])
    return (member.astype(np.float32) @ flat.T).T.reshape(*statistics.shape[:2], -1)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    full = np.full((len(values), len(where)), np.nan)
    full[:, where] = values
    return full


def _corrected(of: Mapping[str, np.ndarray], largest: np.ndarray) -> dict[str, np.ndarray]:
    """Correct for all targets and spaces at once: maximum over all for p, one family for the rate."""
    tail = permutation.tail_probability(of["z"], of["skewness"])
    return {
        "p_fwe": permutation.family_wise(of["z"], largest),
        "q": discovery_rates(tail.ravel()).reshape(tail.shape),
    }


def _gather(
    parts: Sequence[Mapping[str, np.ndarray]], chunks: Sequence[slice], usable: np.ndarray, n_targets: int
) -> dict[str, np.ndarray]:
    names = [name.removeprefix("target_") for name in (parts[0] if parts else {}) if name.startswith("target_")]
    gathered = {}
    for name in names:
        first = parts[0][f"target_{name}"]
        whole = np.full((*first.shape[:-1], n_targets), -1.0 if name == "winner" else np.nan)
        for part, chunk in zip(parts, chunks, strict=True):
            whole[..., usable[chunk]] = part[f"target_{name}"]
        gathered[name] = whole
    return gathered
