"""Time searchlights and regions at the size of an emotion-video study, beside a plain NumPy loop, and check both.

    python benchmarks/rsa.py              # some minutes on one thread; writes benchmarks/results/rsa.{json,md}
    python benchmarks/rsa.py --quick      # a tenth of the searchlights, writes nothing
    python benchmarks/rsa.py --memory     # only memory, by the number of searchlights; added to the results
    python benchmarks/rsa.py --crossnobis # only crossnobis distances, and how often chance is called; added too

The loop is what one writes first: for every searchlight `np.corrcoef` (or distances) of the patterns, its triangle
(pairs of different runs, ranked for Spearman), and `np.corrcoef` with every model. It is timed on a sample of
searchlights before and after ours, in the same process with the same number of threads, and so is rsatoolbox; ours does
all of them, from a file. What is done once per analysis (similarity of the models, their ranks) is timed apart, and
not counted for the loop either.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import rsatoolbox
import torch
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.covariance import ledoit_wolf
from threadpoolctl import threadpool_limits

from encoding.comparison import Inference, Rsa, chance_table, compare_similarity, infer_similarity
from encoding.core import Atlas, FeatureSpace, Grid, Responses, Samples, Targets, versions
from encoding.numerics.searchlights import neighbours, sphere
from encoding.numerics.similarity import feature_similarity

RESULTS = Path(__file__).parent / "results"
N_RUNS, N_STIMULI, VOXEL_MM, RADIUS = 61, 2180, 2.0, 3
WIDTHS = {"mllm": 30, "llm": 30, "category": 34, "dimension": 14, "concat": 48}
STUDY = {"mllm": "choice_probability", "llm": "choice_probability"}
CASES = {  # searchlights, settings
    "five spaces, correlation": (4000, {}),
    "one space, correlation": (2000, {"spaces": ("category",)}),
    "five spaces, two by choice probability": (2000, {"similarity": STUDY}),
    "one space, choice probability": (2000, {"spaces": ("mllm",), "similarity": {"mllm": "choice_probability"}}),
    "five spaces, Spearman": (1000, {"comparison": "spearman"}),
    "five spaces, Euclidean": (1000, {"brain": "euclidean"}),
    "five spaces, Euclidean, Spearman": (1000, {"brain": "euclidean", "comparison": "spearman"}),
}
SHOWN = 4  # runs that show the same stimuli, for crossnobis distances
MEMORY = {"five spaces, two by choice probability": (500, 1500), "five spaces, Spearman": (300, 900)}


def make_data(folder, n_voxels, seed=0):
    """Simulate spaces of sparse features, and responses in a ball of voxels in which each space drives a sector."""
    rng = np.random.default_rng(seed)
    run = np.sort(np.arange(N_STIMULI) % N_RUNS)
    names = np.array([f"video{k:04d}" for k in range(N_STIMULI)])
    samples = Samples(
        names, np.arange(N_STIMULI) * 12.0, np.full(N_STIMULI, 10.0), np.char.add("run-", run.astype(str)), "stimulus"
    )
    spaces = []
    for name, width in WIDTHS.items():
        values = (rng.random((N_STIMULI, width)) < 0.25) * rng.gamma(3.0, 1 / 3, (N_STIMULI, width))
        values += 0.02 * rng.random((N_STIMULI, width))
        spaces.append(FeatureSpace(name, values, Samples.of_stimuli(names), tuple(f"{name}{k}" for k in range(width))))
    edge = 2 * int(np.ceil((3 * n_voxels / (4 * np.pi)) ** (1 / 3))) + 3
    ijk = np.stack(np.unravel_index(np.arange(edge**3), (edge,) * 3), axis=1)
    order = np.argsort(np.linalg.norm(ijk - (edge - 1) / 2, axis=1), kind="stable")
    index = np.sort(order[:n_voxels])
    targets = Targets(
        "voxel", "T1w", index, np.full(n_voxels, "", dtype=str), Grid((edge,) * 3, np.diag([VOXEL_MM] * 3 + [1.0]))
    )
    sector = (np.arange(n_voxels) * len(spaces)) // n_voxels
    values = np.lib.format.open_memmap(folder / "values.npy", "w+", np.float32, (N_STIMULI, n_voxels))
    values[:] = rng.standard_normal(values.shape, dtype=np.float32)
    for number, space in enumerate(spaces):
        here = np.flatnonzero(sector == number)
        weights = rng.standard_normal((space.n_features, len(here)), dtype=np.float32)
        values[:, here] += 0.15 * ((space.values - space.values.mean(0)) @ weights)
    for k in range(N_RUNS):
        block = values[run == k]
        values[run == k] = (block - block.mean(0)) / block.std(0)
    values.flush()
    values = np.load(folder / "values.npy", mmap_mode="r")
    return Responses(values, samples, targets, samples, np.zeros((N_STIMULI, 0)), "01", "video", 2.0), spaces


class Clock:
    """Seconds on the wall, and of the processor: all that counts where other programs run too."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        """Return processor and wall time."""
        return np.array([time.perf_counter(), time.process_time()])

    def read(self):
        """Return processor and wall time since the start."""
        return self.now() - self.start


class Loop:
    """The plain loop."""

    def __init__(self, settings, spaces, responses):
        run = responses.samples.run
        rows, columns = np.tril_indices(len(run), -1)
        kept = run[rows] != run[columns]
        self.rows, self.columns = rows[kept], columns[kept]
        self.values = np.array(responses.values)
        self.distances, self.ranked = settings.brain == "euclidean", settings.comparison == "spearman"
        chosen = settings.resolve([space.name for space in spaces])
        by_name = {space.name: space for space in spaces}
        self.models = [
            feature_similarity(by_name[name].values, kind).rows(slice(None))[self.rows, self.columns]
            for name, kind in chosen
        ]
        if self.ranked:
            self.models = [rankdata(model) for model in self.models]
        targets = responses.targets
        self.index, self.shape = targets.index, targets.grid.shape
        self.column = np.full(int(np.prod(self.shape)), -1)
        self.column[targets.index] = np.arange(len(targets))
        self.steps = sphere(RADIUS * VOXEL_MM, targets.grid.affine)

    def one(self, centre):
        """Compare one searchlight."""
        around = neighbours(self.index[[centre]], self.shape, self.column, self.steps)[0]
        patterns = self.values[:, around[around >= 0]]
        whole = -cdist(patterns, patterns) if self.distances else np.corrcoef(patterns)
        similarity = whole[self.rows, self.columns]
        if self.ranked:
            similarity = rankdata(similarity)
        return [np.corrcoef(similarity, model)[0, 1] for model in self.models]

    def timed(self, centres):
        """Compare some, and say how long one takes."""
        clock = Clock()
        found = np.array([self.one(centre) for centre in centres])
        return clock.read() / len(centres), found


class Toolbox:
    """One searchlight by rsatoolbox, with the dissimilarities of all pairs."""

    def __init__(self, loop):
        kind = "euclidean" if loop.distances else "correlation"
        self.loop, self.kind, self.method = loop, kind, "spearman" if loop.ranked else "corr"
        whole = []
        for model in loop.models:
            matrix = np.zeros((N_STIMULI, N_STIMULI))
            matrix[loop.rows, loop.columns] = -model
            whole.append(matrix + matrix.T)
        self.models = rsatoolbox.rdm.RDMs(np.stack(whole))

    def one(self, centre):
        """Compare one searchlight."""
        loop = self.loop
        around = neighbours(loop.index[[centre]], loop.shape, loop.column, loop.steps)[0]
        data = rsatoolbox.data.Dataset(loop.values[:, around[around >= 0]].astype(float))
        rdm = rsatoolbox.rdm.calc_rdm(data, method=self.kind)
        return rsatoolbox.rdm.compare(self.models, rdm, method=self.method)

    def timed(self, centres):
        """Format the time that one takes."""
        self.one(centres[0])
        clock = Clock()
        for centre in centres:
            self.one(centre)
        return clock.read() / len(centres)


def product_alone(n_targets, n_times=40):
    """Time the product of all pairs of one searchlight: what no exact way without factors can leave out."""
    Z = torch.randn(n_targets, N_STIMULI)
    room = torch.empty(256 * N_STIMULI)

    def once():
        for start in range(0, N_STIMULI, 256):
            stop = min(start + 256, N_STIMULI)
            torch.mm(Z[:, start:stop].T, Z[:, :stop], out=room[: (stop - start) * stop].view(stop - start, stop))

    once()
    clock = Clock()
    for _ in range(n_times):
        once()
    return clock.read() / n_times


def time_case(changes, responses, spaces, folder, n_sample):
    """Time all searchlights with ours, and a sample with the loop, half before and half after."""
    settings = Rsa("x", regions="searchlight", radius_mm=RADIUS * VOXEL_MM, **changes)
    loop = Loop(settings, spaces, responses)
    sample = np.random.default_rng(1).choice(len(responses.targets), n_sample, replace=False)
    loop.one(0)
    before, first = loop.timed(sample[: n_sample // 2])
    product = product_alone(len(loop.steps))
    few = innermost(responses, 2)  # too few voxels for a searchlight, so that only models are prepared
    clock = Clock()
    compare_similarity(settings, spaces, few, [(None, np.ones(2, int))], folder / "models")
    models = clock.read()
    clock = Clock()
    everything = [(None, np.ones(len(responses.targets), int))]
    found = compare_similarity(settings, spaces, responses, everything, folder / "x")
    seconds = clock.read() - models
    product = (product + product_alone(len(loop.steps))) / 2
    after, second = loop.timed(sample[n_sample // 2 :])
    toolbox = Toolbox(loop).timed(sample[:3])
    difference = found.scores.values.T[sample] - np.concatenate([first, second])
    n = len(responses.targets)
    each = (before + after) / 2
    return {
        "n_searchlights": n,
        "loop_ms": dict(zip(("wall", "processor"), (1e3 * each).round(1).tolist(), strict=True)),
        "ours_ms": dict(zip(("wall", "processor"), (1e3 * seconds / n).round(2).tolist(), strict=True)),
        "ours_seconds": seconds.round(1).tolist(),
        "models_seconds": models.round(1).tolist(),
        "toolbox_ms": dict(zip(("wall", "processor"), (1e3 * toolbox).round(0).tolist(), strict=True)),
        "ratio": dict(zip(("wall", "processor"), (each * n / seconds).round(1).tolist(), strict=True)),
        "product_ms": dict(zip(("wall", "processor"), (1e3 * product).round(2).tolist(), strict=True)),
        "largest_difference": float(np.nanmax(np.abs(difference))),
        "largest_value": round(float(np.nanmax(found.scores.values)), 3),
    }


def innermost(responses, n_targets):
    """Keep the voxels nearest to the middle."""
    places = np.stack(np.unravel_index(responses.targets.index, responses.targets.grid.shape), axis=1)
    kept = np.sort(np.argsort(np.linalg.norm(places - places.mean(0), axis=1), kind="stable")[:n_targets])
    return replace(responses, values=np.array(responses.values[:, kept]), targets=responses.targets[kept])


def time_regions(responses, spaces, folder):
    """Time 26 regions that cover all voxels, by all five spaces as in the study."""
    n = len(responses.targets)
    labels = 1 + (np.arange(n) * 26) // n
    names = tuple(f"region{k}" for k in range(26))
    atlas = Atlas(
        "regions", labels, responses.targets, np.arange(1, 27), names, ("",) * 26, ("",) * 26, ("#888888",) * 26
    )
    found = {}
    for comparison in ("pearson", "spearman"):
        settings = Rsa("x", similarity=STUDY, comparison=comparison)
        clock = Clock()
        compare_similarity(settings, spaces, responses, [(atlas, labels)], folder / f"regions-{comparison}")
        found[comparison] = dict(zip(("wall", "processor"), clock.read().round(1).tolist(), strict=True))
    return found


def recurring(folder, n_voxels, seed=0):
    """Simulate responses to as many rows: a quarter of the stimuli, all of them in each of four runs."""
    n = N_STIMULI // SHOWN
    rng = np.random.default_rng(seed)
    names = np.tile([f"video{k:04d}" for k in range(n)], SHOWN)
    run = np.repeat([f"run-{k + 1}" for k in range(SHOWN)], n)
    samples = Samples(names, np.arange(len(names)) * 12.0, np.full(len(names), 10.0), run, "stimulus")
    features = rng.random((n, WIDTHS["category"]))
    space = FeatureSpace("category", features, Samples.of_stimuli(names[:n]), tuple(map(str, range(features.shape[1]))))
    responses, _ = make_data(folder, n_voxels, seed)
    values = rng.standard_normal((len(names), n_voxels), dtype=np.float32)
    drive = (features - features.mean(0)) @ rng.standard_normal((features.shape[1], n_voxels))
    values += 0.3 * np.tile(drive, (SHOWN, 1)).astype(np.float32)
    np.save(folder / "recurring.npy", values)
    values = np.load(folder / "recurring.npy", mmap_mode="r")
    return replace(responses, values=values, samples=samples, presentations=samples), space


class Crossed:
    """Crossnobis distances of one searchlight by a loop over pairs of runs, and by rsatoolbox."""

    def __init__(self, space, responses):
        self.values = np.array(responses.values, dtype=np.float64)
        self.n = len(self.values) // SHOWN
        self.low = np.tril_indices(self.n, -1)
        self.model = feature_similarity(space.values, "correlation").rows(slice(None))[self.low]
        targets = responses.targets
        self.index, self.shape = targets.index, targets.grid.shape
        self.column = np.full(int(np.prod(self.shape)), -1)
        self.column[targets.index] = np.arange(len(targets))
        self.steps = sphere(RADIUS * VOXEL_MM, targets.grid.affine)
        self.shown = {"stimulus": np.tile(np.arange(self.n), SHOWN), "run": np.repeat(np.arange(SHOWN), self.n)}

    def patterns(self, centre):
        """Responses of a searchlight, and the inverse covariance of their noise."""
        around = neighbours(self.index[[centre]], self.shape, self.column, self.steps)[0]
        X = self.values[:, around[around >= 0]].reshape(SHOWN, self.n, -1)
        # Differences between presentations that are independent, as the covariance needs them.
        parts = [(X[k] * k - X[:k].sum(0)) / np.sqrt(k * (k + 1)) for k in range(1, SHOWN)]
        return X, np.linalg.inv(ledoit_wolf(np.concatenate(parts), assume_centered=True)[0])

    def loop(self, centre):
        """Compare by all pairs of runs."""
        X, W = self.patterns(centre)
        distances = np.zeros((self.n, self.n))
        for a in range(SHOWN):
            for b in range(a):
                product = X[a] @ W @ X[b].T
                own = np.diag(product)
                distances += own[:, None] + own - product - product.T
        return np.corrcoef(-distances[self.low], self.model)[0, 1]

    def toolbox(self, centre):
        """Compare by rsatoolbox."""
        X, W = self.patterns(centre)
        data = rsatoolbox.data.Dataset(X.reshape(SHOWN * self.n, -1), obs_descriptors=self.shown)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rdm = rsatoolbox.rdm.calc_rdm(
                data, method="crossnobis", descriptor="stimulus", cv_descriptor="run", noise=W
            )
        return np.corrcoef(-rdm.get_matrices()[0][self.low], self.model)[0, 1]


def time_crossnobis(n_lights, n_sample):
    """Time searchlights of crossnobis distances, and a sample by a loop over pairs of runs and by rsatoolbox."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        responses, space = recurring(folder, n_lights)
        settings = Rsa("x", brain="crossnobis", noise="shrunk", regions="searchlight", radius_mm=RADIUS * VOXEL_MM)
        crossed = Crossed(space, responses)
        sample = np.random.default_rng(1).choice(n_lights, n_sample, replace=False)
        crossed.loop(0), crossed.toolbox(0)
        clock = Clock()
        compare_similarity(settings, [space], innermost(responses, 2), [(None, np.ones(2, int))], folder / "models")
        once = clock.read()
        clock = Clock()
        found = compare_similarity(settings, [space], responses, [(None, np.ones(n_lights, int))], folder / "x")
        ours = (clock.read() - once) / n_lights
        clock, looped = Clock(), [crossed.loop(centre) for centre in sample]
        loop = clock.read() / n_sample
        clock, theirs = Clock(), [crossed.toolbox(centre) for centre in sample]
        toolbox = clock.read() / n_sample
    values = found.scores.values[0, sample]
    names = "wall", "processor"
    return {
        "n_searchlights": n_lights, "n_stimuli": crossed.n, "n_runs": SHOWN, "load": round(os.getloadavg()[1], 1),
        "largest_difference": float(np.abs(values - looped).max()),
        "largest_difference_from_rsatoolbox": float(np.abs(values - theirs).max()),
        **{
            f"{what}_ms": dict(zip(names, (1e3 * time).round(2).tolist(), strict=True))
            for what, time in (("ours", ours), ("loop", loop), ("toolbox", toolbox))
        },
    }  # fmt: skip


def call_chance(n_studies):
    """Share of spaces without relation to the responses, which repeat, that are called above chance at 0.05."""
    n, n_targets, settings = 16, 12, Rsa("x", brain="crossnobis", noise="shrunk", min_targets=5)
    names = [f"s{k:02d}" for k in range(n)]
    run = np.repeat(["run-1", "run-2"], n)
    samples = Samples(np.array(names * 2), np.arange(2 * n) * 10.0, np.full(2 * n, 8.0), run, "stimulus")
    targets, p = Targets.of_columns([str(k) for k in range(n_targets)]), []
    for seed in range(n_studies):
        rng = np.random.default_rng([1, seed])
        values = np.tile(rng.standard_normal((n, n_targets)), (2, 1)) + 2 * rng.standard_normal((2 * n, n_targets))
        responses = Responses(values, samples, targets, samples, np.zeros((2 * n, 0)), "01", "video", 2.0)
        space = FeatureSpace("a", rng.random((n, 4)), Samples.of_stimuli(names), tuple("abcd"))
        with tempfile.TemporaryDirectory() as name:
            everything = [(None, np.ones(n_targets, int))]
            found = infer_similarity(settings, [space], responses, everything, name, inference=Inference(199))
        p.append(float(chance_table(found)["p"].iloc[0]))
    return {"n_studies": n_studies, "called": round(float(np.mean(np.array(p) <= 0.05)), 4)}


def measure(share, n_sample):
    """Measure everything with the threads that there are; `share` is the part of the searchlights that is done."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        responses, spaces = make_data(folder, 20000)
        for number, (case, (n_lights, changes)) in enumerate(CASES.items()):
            part = innermost(responses, int(share * n_lights))
            found[case] = time_case(changes, part, spaces, folder / f"case{number}", n_sample)
        regions = time_regions(responses, spaces, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "threads": torch.get_num_threads(), "load": os.getloadavg()[1], "searchlights": found,
        "regions_seconds": regions, "peak_mb_of_all": round(peak),
    }  # fmt: skip


def status_mb(name):
    """Read a line of this process's status."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


def memory_of(case, n_lights):
    """Return the largest memory beyond responses, libraries and what is mapped of files, MB; in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        responses, spaces = make_data(Path(name), n_lights)
        responses = replace(responses, values=np.array(responses.values))
        settings = Rsa("x", regions="searchlight", radius_mm=RADIUS * VOXEL_MM, **CASES[case][1])
        before = status_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the largest size so far
        everything = [(None, np.ones(n_lights, int))]
        compare_similarity(settings, spaces, responses, everything, Path(name) / "x")
        return round(status_mb("VmHWM") - before)


def measure_memory():
    """Measure memory by case and number of searchlights."""
    found = {}
    for case, numbers in MEMORY.items():
        for n_lights in numbers:
            command = [sys.executable, __file__, "--memory-of", case, str(n_lights)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.setdefault(case, {})[str(n_lights)] = int(done.stdout)
    return found


def write_results(measured, n_sample, memory, crossed=None):
    content = {
        "n_stimuli": N_STIMULI, "n_runs": N_RUNS, "radius_in_voxels": RADIUS,
        "loop_sample": n_sample, "versions": versions(), "machine": platform.processor() or platform.machine(),
        "measured": measured, "memory_mb": memory, "crossnobis": crossed,
    }  # fmt: skip
    (RESULTS / "rsa.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    loads = " and ".join(f"{run['load']:.1f}" for run in measured)
    lines = [
        "# Searchlights beside a plain NumPy loop",
        "",
        f"{N_STIMULI} stimuli in {N_RUNS} runs (pairs of one run left out), searchlights of radius {RADIUS} voxels "
        f"(123 voxels, fewer at the edge). The loop is timed on {n_sample} of them, half before and half after ours, "
        "in one process with the same threads; ours does all and reads from disk. Made by "
        f"`python benchmarks/rsa.py`; numpy {np.__version__}, torch {torch.__version__}; two cores, load while "
        f"measuring {loads}.",
        "",
        "Milliseconds for one searchlight, seconds for regions: on the wall / of the processor.",
        "",
        "| threads | compared | searchlights | rsatoolbox | loop | ours | loop / ours, wall | processor | difference | "
        "product | once, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in measured:
        for case, row in run["searchlights"].items():
            line = f"| {run['threads']} | {case} | {row['n_searchlights']} |"
            pairs = [f"{row[name]['wall']:.0f} / {row[name]['processor']:.0f}" for name in ("toolbox_ms", "loop_ms")]
            line += (
                f" {pairs[0]} | {pairs[1]} | {row['ours_ms']['wall']:.1f} / {row['ours_ms']['processor']:.1f} | "
                f"{row['ratio']['wall']:.1f} | **{row['ratio']['processor']:.1f}** | {row['largest_difference']:.0e} | "
                f"{row['product_ms']['processor']:.1f} | {row['models_seconds'][1]:.1f} |"
            )
            lines.append(line)
    lines += [
        "",
        "Product: processor milliseconds of the product of all pairs of one searchlight (n^2 v operations in float32), "
        "measured before and after ours. Whatever has no factors (choice probabilities, ranks, distances) needs it. "
        "Once: processor seconds per analysis, such as for the choice probabilities of all pairs; the loop has them.",
    ]
    lines += ["", "Twenty-six regions that hold all voxels, five spaces, two by choice probability:", ""]
    for run in measured:
        took = ", ".join(f"{name} {s['wall']} / {s['processor']} s" for name, s in run["regions_seconds"].items())
        lines.append(f"- {run['threads']} thread{'s' if run['threads'] > 1 else ''}: {took}")
    lines += ["", "Largest memory beyond responses and libraries, MB, by the number of searchlights:", ""]
    for case, sizes in memory.items():
        lines.append(f"- {case}: " + ", ".join(f"{int(n):,}: {mb}" for n, mb in sizes.items()))
    if crossed:
        times = {what: crossed["time"][f"{what}_ms"] for what in ("toolbox", "loop", "ours")}
        told = [f"{one['wall']:.1f} / {one['processor']:.1f}" for one in times.values()]
        ratios = [times[what]["processor"] / times["ours"]["processor"] for what in ("loop", "toolbox")]
        row, null = crossed["time"], crossed["null"]
        lines += [
            "", "## Crossnobis distances", "",
            f"{row['n_stimuli']} stimuli in each of {row['n_runs']} runs, shrunk covariance of the noise of every "
            f"searchlight, one space, one thread, load {row['load']}, by `python benchmarks/rsa.py --crossnobis`. The "
            "loop visits pairs of runs, with the covariance of scikit-learn, which rsatoolbox is given too.", "",
            "| searchlights | rsatoolbox | loop | ours | loop / ours, processor | rsatoolbox / ours | difference |",
            "|---|---|---|---|---|---|---|",
            f"| {row['n_searchlights']} | {' | '.join(told)} | **{ratios[0]:.1f}** | **{ratios[1]:.1f}** | "
            f"{max(row['largest_difference'], row['largest_difference_from_rsatoolbox']):.0e} |", "",
            f"Spaces without relation to responses that repeat (16 stimuli in two runs, 12 targets, 199 draws): called "
            f"above chance at p <= 0.05 in {null['called']:.1%} of {null['n_studies']:,} studies.",
        ]  # fmt: skip
    lines.append("")
    (RESULTS / "rsa.md").write_text("\n".join(lines), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the searchlights, nothing written")
    parser.add_argument("--memory", action="store_true", help="only memory")
    parser.add_argument("--crossnobis", action="store_true", help="only crossnobis distances")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        print(memory_of(options.memory_of[0], int(options.memory_of[1])))
        return
    known = json.loads((RESULTS / "rsa.json").read_text(encoding="utf-8"))
    if options.memory:
        write_results(known["measured"], known["loop_sample"], measure_memory(), known.get("crossnobis"))
        return
    if options.crossnobis:
        with threadpool_limits(1):
            crossed = {"time": time_crossnobis(1000, 10), "null": call_chance(500)}
        write_results(known["measured"], known["loop_sample"], known["memory_mb"], crossed)
        return
    with threadpool_limits(1):
        measured = measure(*((0.1, 6) if options.quick else (1.0, 10)))
    if options.quick:
        print(json.dumps(measured, indent=1))
    else:
        write_results([measured], 10, known.get("memory_mb", {}), known.get("crossnobis"))


if __name__ == "__main__":
    main()
