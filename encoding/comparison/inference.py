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

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from ..core import AlignmentError, Atlas, DataError, FeatureSpace, Responses, digest, fingerprint_array
from ..core.progress import Progress, silent
from ..io.arrays import hash_rows, take_columns
from ..io.atomic import write_json
from ..io.partial import Partial
from ..numerics import permutation
from ..numerics.shared_variance import centre_runs, estimate, shared_kernel
from ..numerics.significance import discovery_rates
from .chance_draws import ChanceDraws
from .exchange import units_of
from .naming import name_best
from .regions import Parcel, parcels
from .space_sets import SpaceSets
from .space_tests import FACTS, Inference, Presented, Resources, SpaceTests, read_tests

STEP = "inference/3"
SAVED_TARGETS = 8192
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

    Examples
    --------
    >>> from encoding.comparison import Inference, infer_spaces
    >>> everything = (None, np.ones(1092, dtype=int))
    >>> infer_spaces(loaded.spaces, loaded.responses, [everything], "tests", settings=Inference(50)).spaces
    ('mllm', 'category')
    """
    settings, presented, resources = settings or Inference(), presented or Presented(), resources or Resources()
    if not spaces:
        raise DataError("There is no feature space to test; name at least one.")
    for space in (*spaces, *presented.nuisance):
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
    blocks = hash_rows(responses.values)
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
            [[space.name, fingerprint_array(space.values)] for space in presented.nuisance],
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
    """One pass over all targets: U of every set of spaces, draws against chance, and sums over regions."""

    def __init__(
        self,
        settings: Inference,
        spaces: Sequence[FeatureSpace],
        responses: Responses,
        regions: Sequence[tuple[str, Parcel]],
        presented: Presented,
    ) -> None:
        self.settings, self.responses, self.regions = settings, responses, regions
        self.names = [space.name for space in spaces]
        self.units = units_of(responses, presented.use)
        self.usable = np.flatnonzero(responses.usable)
        masks = [parcel.mask[self.usable] for _, parcel in regions]
        self.member = sparse.csr_array(np.array(masks, dtype=np.float64).reshape(len(regions), len(self.usable)))
        samples = responses.samples
        self.sets = SpaceSets(spaces, self.units, samples.clock, samples.stimulus[self.units.rows], presented, settings)
        self.chance = ChanceDraws(spaces, responses, self.units, presented, settings)

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
        Y = take_columns(self.responses.values, self.usable[chunk], self.units.rows)
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
        n_sets, G = max(len(self.sets.sets), 1), max(len(self.sets.blocks), 1)
        widest = max(self.sets.ranks.values(), default=1)
        each = 8 * (3 * n_sets * G * G + 2 * G * widest + 3 * len(self.units.rows))
        size = memory // (2 * each)
        if self.chance.draws is not None:
            size = min(size, self.chance.targets_at_once(memory // 2))
        return int(np.clip(size, 16, 1024))

    def _batch_of(self, Y: np.ndarray, place: slice) -> _Part:
        Y = np.asarray(Y, dtype=np.float64)
        centred = centre_runs(Y, self.units.run)
        varies = np.square(centred).sum(0) > 1e-20 * np.maximum(np.square(Y).sum(0), np.finfo(float).tiny)
        member = sparse.csr_array(self.member[:, place] * varies)
        targets, kernels = self._estimate(centred, varies, member)
        draws, largest = np.zeros((0, 0, len(self.regions)), np.float32), np.zeros(0)
        bands = draws
        if self.chance.draws is not None:
            prepared = self.chance.prepare(Y, centred)
            statistics = self.chance.draws.statistics(prepared)
            null = permutation.summarise(statistics[:, :, varies])
            for name, values in (("z", null.z), ("p", null.p), ("skewness", null.skewness)):
                targets[name] = _spread(values, varies)
            largest = null.largest
            draws = _over_regions(member, statistics)
            if self.chance.bands:
                added = np.concatenate([band.statistics(prepared) for band in self.chance.bands], axis=1)
                targets["unique_p"] = _spread(permutation.summarise(added[:, :, varies]).p, varies)
                bands = _over_regions(member, added)
        return _Part(targets, kernels, draws, bands, largest, np.asarray(member.sum(1)))

    def _estimate(
        self, Y: np.ndarray, varies: np.ndarray, member: sparse.csr_array
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        G, n_targets, names = len(self.sets.blocks), Y.shape[1], self.names
        targets: dict[str, np.ndarray] = {name: np.full((len(names), n_targets), np.nan) for name in ("u", "u_se")}
        targets |= {"winner": np.full(n_targets, -1.0), "winner_p": np.full(n_targets, np.nan)}
        if not self.sets.sets:
            return targets, np.zeros((len(self.regions), 0, 0, 0))
        kernels = {name: shared_kernel(space, Y) for name, space in self.sets.sets.items()}
        there = [number for number, name in enumerate(names) if name in kernels]
        single = np.stack([kernels[names[number]] for number in there])
        found = estimate(single)
        targets["u"][there], targets["u_se"][there] = found.value, found.se
        whole = [place for place, number in enumerate(there) if names[number] not in self.sets.cut]
        if len(whole) > 1:
            winner, p = name_best(single[whole], self.settings.p_level)
            targets["winner"] = np.where(varies & (winner >= 0), np.array(there)[whole][winner], -1.0)
            targets["winner_p"] = p
        for name in ("u", "u_se", "winner_p"):
            targets[name][..., ~varies] = np.nan
        summed = [(member @ kernel.reshape(n_targets, -1)).reshape(-1, G, G) for kernel in kernels.values()]
        return targets, np.stack(summed, axis=1)

    def _finish(self, partial: Partial, chunks: Sequence[slice], key: str) -> None:
        parts = [partial.read(number) for number in range(len(chunks))]
        n_spaces, n_places = len(self.names), len(self.regions)
        counts = np.sum([part["counts"] for part in parts], axis=0) if parts else np.zeros(n_places)
        kernels = np.sum([part["kernels"] for part in parts], axis=0) if parts else np.zeros((n_places, 0, 0, 0))
        kernels = kernels / np.maximum(counts, 1).reshape(-1, 1, 1, 1)
        kernels[counts == 0] = np.nan
        targets = _gather(parts, chunks, self.usable, len(self.responses.targets))
        chance = {name: np.full((n_spaces, n_places), np.nan) for name in ("z", "p", "p_fwe", "q")}
        if self.chance.draws is not None and parts:
            largest = np.max([part["largest"] for part in parts], axis=0)
            targets |= _corrected(targets, largest)
            full = counts > 0
            draws = np.sum([part["draws"] for part in parts], axis=0)[..., full]
            null = permutation.summarise(draws)
            of_regions: dict[str, np.ndarray] = {"z": null.z, "p": null.p, "skewness": null.skewness}
            of_regions |= _corrected(of_regions, null.largest)
            for name, values in chance.items():
                values[:, full] = of_regions[name]
            if self.chance.bands:
                bands = np.sum([part["bands"] for part in parts], axis=0)[..., full]
                chance["unique_p"] = _spread(permutation.summarise(bands).p, full)
        targets.pop("skewness", None)
        compared = [name for name in self.names if name in self.sets.sets and name not in self.sets.cut]
        targets["winner_q"] = self._rates(targets, [self.names.index(name) for name in compared])
        stimuli = sorted(set().union(*self.units.stimuli))
        facts = {
            "key": key,
            "subject": self.responses.subject,
            "spaces": self.names,
            "sets": list(self.sets.sets),
            "places": [[atlas, *parcel[:4]] for atlas, parcel in self.regions],
            "units": "stimuli" if self.units.recurring else "runs",
            "n_units": len(self.units.members),
            "n_blocks": len(self.sets.blocks),
            "blocks": [digest(names) for names in self.sets.block_stimuli],
            "stimuli": digest(stimuli),
            "stimulus_keys": [digest(name)[:12] for name in stimuli],
            "compared": compared,
            "ranks": self.sets.ranks,
            "notes": self.sets.notes | self.chance.notes,
            "settings": asdict(self.settings),
            **self.chance.facts,
        }
        np.savez(partial.folder / "targets.npz", allow_pickle=False, **{
            name: values.astype(np.float32) for name, values in targets.items()
        })  # fmt: skip
        np.savez(
            partial.folder / "regions.npz", allow_pickle=False, kernels=kernels, n_targets=counts.astype(int), **chance
        )
        write_json(partial.folder / FACTS, facts)
        partial.finish()

    def _rates(self, targets: Mapping[str, np.ndarray], compared: Sequence[int]) -> np.ndarray:
        """Compute the false discovery rate of the naming rule over the targets with a space above chance."""
        p, level = targets["winner_p"], self.settings.p_level
        if "p_fwe" in targets:
            p = np.where((targets["p_fwe"][list(compared)] <= level).any(0), p, np.nan)
        return discovery_rates(p)


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
