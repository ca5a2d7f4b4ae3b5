"""Time everything that runs on a graphics card, beside himalaya on the same card, within ten minutes.

    python benchmarks/gpu.py                  # CUDA: runs the CUDA tests, then all rows; writes results/gpu.{json,md}
    python benchmarks/gpu.py --tiny           # the same rows on the processor, of toy size; writes nothing

Rows are done in the order of what they are worth, and one that would not end in time is left out with a note. Every
row is kept as soon as it is measured. Times are of the wall, the card is waited for, and one run goes before that is
not timed. himalaya is timed on few candidates and extrapolated, which is said.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from engine_workload import WIDTHS, make_workload

from encoding.core import versions
from encoding.embedding.sparse import SparseEmbedding
from encoding.fitting import BandedRidgeCV
from encoding.numerics.rsa_pairs import PairRsa
from encoding.numerics.rsa_trace import TraceRsa
from encoding.numerics.similarity import Pairs, Similarity, feature_similarity

RESULTS = Path(__file__).parent / "results"
ALPHAS = np.logspace(-1, 5, 20)
N_CANDIDATES = 100


@dataclass(frozen=True)
class Sizes:
    """How large the rows are."""

    n: int = 2196
    targets: int = 100_000
    candidates: int = N_CANDIDATES
    wide: int = 6555
    wide_targets: int = 20_000
    stimuli: int = 2180
    lights: int = 2048
    items: int = 2180
    judgments: int = 1_000_000


TINY = Sizes(120, 40, 3, 150, 20, 60, 4, 24, 800)


class Table:
    """Rows that are kept as they are measured, within a budget of seconds."""

    def __init__(self, seconds, file=None):
        self.end, self.file, self.rows = time.monotonic() + seconds, file, []

    def add(self, name, what, seconds, note=""):
        """Keep a row, and print it."""
        self.rows.append({"name": name, "what": what, "seconds": seconds, "note": note})
        print(f"| {name} | {what} | {'-' if seconds is None else f'{seconds:.3g}'} | {note} |", flush=True)
        if self.file is not None:
            self.file.with_suffix(".json").write_text(
                json.dumps({"versions": versions(), "device": device_name(), "rows": self.rows}, indent=1) + "\n"
            )

    def run(self, name, function, expected):
        """Measure what a function measures, if there is time for it."""
        left = self.end - time.monotonic()
        if left < expected:
            self.add(name, "left out", None, f"{left:.0f} s are left, some {expected} are needed")
            return
        try:
            function(self)
        except torch.cuda.OutOfMemoryError as error:
            self.add(name, "out of memory", None, str(error).splitlines()[0])


def device_name():
    """Name the card."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no graphics card"


def wall(device, function, *arguments):
    """Return what a function returns, and seconds on the wall."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = function(*arguments)
    if device == "cuda":
        torch.cuda.synchronize()
    return found, time.perf_counter() - start


def with_himalaya(load, kind, device, targets, n_candidates):
    """Fit himalaya's random search with equal weights tried several times."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.ridge import GroupRidgeCV

    set_backend("torch_cuda" if device == "cuda" else "torch")
    X, Y = load.scaled(0)
    gammas = np.repeat(np.full((1, len(load.bands)), 1 / len(load.bands), dtype=np.float32), n_candidates, axis=0)
    solver = {"n_iter": gammas, "alphas": ALPHAS.astype(np.float32), "progress_bar": False, "n_targets_batch": 4000,
              "n_targets_batch_refit": 4000}  # fmt: skip
    Y = Y[:, :targets].astype(np.float32)
    if kind == "group":
        return GroupRidgeCV(groups=load.groups, cv=load.inner(0), fit_intercept=True, solver_params=solver).fit(X, Y)
    kernels = np.stack([X[:, band] @ X[:, band].T for band in load.bands]).astype(np.float32)
    model = MultipleKernelRidgeCV(kernels="precomputed", cv=load.inner(0), fit_intercept=True, solver_params=solver)
    return model.fit(kernels, Y)


def banded(name, device, sizes, widths, n_targets, kind):
    """Time one outer fold of the engine, and of himalaya from one candidate against several."""
    n_few = 3 if kind == "group" else 2

    def measure(table):
        load = make_workload(sizes.n, widths, n_targets)
        X, Y = load.scaled(0)
        method = "wide" if kind == "kernel" else "statistics"
        settings = {"alphas": ALPHAS, "cv": load.inner(0), "fit_intercept": True, "random_state": 0, "method": method}

        def fit(targets):
            model = BandedRidgeCV(load.groups, n_iter=sizes.candidates, device=device, **settings)
            return model.fit(X, Y[:, :targets])

        fit(min(n_targets, 1000))
        model, ours = wall(device, fit, n_targets)
        tried = len(model.cv_scores_) if kind == "kernel" else sizes.candidates
        size = f"n = {len(X)}, T = {n_targets}, one outer fold"
        table.add(name, f"{size}: engine, {tried} weightings", ours)
        some = min(n_targets, 10_000)
        with_himalaya(load, kind, device, min(some, 1000), 1)
        one, several = (wall(device, with_himalaya, load, kind, device, some, n)[1] for n in (1, n_few))
        theirs = (one + (tried - 1) * (several - one) / (n_few - 1)) * n_targets / some
        note = f"extrapolated from {n_few} candidates and {some} targets; {theirs / ours:.1f} times the engine"
        table.add(name, f"{size}: himalaya, {tried} weightings", theirs, note)

    return measure


def in_batches(engine, held, step=256):
    """Compare all searchlights, some at a time; a copy of each is standardised in place."""
    for at in range(0, len(held), step):
        engine.compare(held[at : at + step].clone())


def searchlights(device, sizes):
    """Time searchlights of 123 voxels against five spaces, by factors, by tiles, and by ranks."""

    def measure(table):
        rng = np.random.default_rng(0)
        block = np.sort(np.arange(sizes.stimuli) % max(2, sizes.stimuli // 36))
        pairs = Pairs(block, np.zeros((0, 2), dtype=np.int64))
        factors = [
            feature_similarity(rng.random((sizes.stimuli, width)), "correlation") for width in (30, 30, 34, 14, 48)
        ]
        whole = [Similarity(matrix=space.rows(slice(None)).astype(np.float32)) for space in factors[:2]]
        for what, models, n_lights in (
            ("five spaces with factors", factors, sizes.lights),
            ("two of five without factors", [*whole, *factors[2:]], sizes.lights),
        ):
            engine = TraceRsa(models, pairs, device=device)
            held = torch.randn((n_lights, 123, len(engine.order)), device=device)
            engine.compare(held[:1].clone())
            _, seconds = wall(device, in_batches, engine, held)
            table.add("RSA", f"{what}, {n_lights} searchlights", seconds, f"{1e3 * seconds / n_lights:.2f} ms each")
        for brain, comparison in (("correlation", "spearman"), ("euclidean", "pearson")):
            pairwise = PairRsa(factors, pairs, brain=brain, comparison=comparison, device=device)
            some = torch.randn((min(64, sizes.lights), 123, sizes.stimuli), device=device)
            pairwise.compare(some[0])
            _, seconds = wall(device, lambda e=pairwise, s=some: [e.compare(one) for one in s])
            note = f"{1e3 * seconds / len(some):.2f} ms each"
            table.add("RSA", f"{brain}, {comparison}, {len(some)} searchlights", seconds, note)

    return measure


def embedding(device, sizes):
    """Time one fit of an embedding at given penalties."""

    def measure(table):
        rng = np.random.default_rng(0)
        truth = rng.gamma(1.0, 1.0, (sizes.items, 8)) * (rng.random((sizes.items, 8)) < 0.3)
        items = rng.integers(0, sizes.items, (2 * sizes.judgments, 3))
        items = items[(np.diff(np.sort(items, axis=1), axis=1) > 0).all(axis=1)][: sizes.judgments]
        a, b, c = (truth[items[:, k]] for k in range(3))
        odd = np.argmax(np.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)]), axis=0)
        items = np.take_along_axis(items, (odd[:, None] + [1, 2, 3]) % 3, axis=1)  # the odd item last
        model = SparseEmbedding(max_dims=30, lambdas=(0.3,), device=device, max_iter=200, random_state=0)
        _, seconds = wall(device, model.fit, items)
        table.add("embedding", f"{sizes.items} items, {sizes.judgments} judgments, one penalty", seconds)

    return measure


def cuda_tests(table):
    """Run the tests that need a graphics card."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RESULTS.parents[1], timeout=150)
    told = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-200:]
    table.add("tests", "pytest -m gpu", time.perf_counter() - start, told)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="toy sizes on the processor; nothing is written")
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --tiny runs all rows on the processor")
    device, sizes = ("cpu", TINY) if given.tiny else ("cuda", Sizes())
    table = Table(60 * given.minutes, None if given.tiny else RESULTS / "gpu")
    print(f"{device_name()}\n\n| row | what | seconds | note |\n|---|---|---|---|")
    narrow, wide = WIDTHS, (*WIDTHS, sizes.wide)
    table.run("W1", banded("W1", device, sizes, narrow, sizes.targets, "group"), 120)
    table.run("wide", banded("one wide band", device, sizes, wide, sizes.wide_targets, "kernel"), 90)
    table.run("RSA", searchlights(device, sizes), 60)
    table.run("embedding", embedding(device, sizes), 60)
    if not given.tiny:
        table.run("tests", cuda_tests, 150)
        lines = [f"# On {device_name()}", "", f"By `{' '.join(sys.argv)}`.", "", "| row | what | seconds | note |"]
        lines += ["|---|---|---|---|"]
        lines += [f"| {r['name']} | {r['what']} | {r['seconds'] or '-'} | {r['note']} |" for r in table.rows]
        (RESULTS / "gpu.md").write_text("\n".join(lines) + "\n")
    return table.rows


if __name__ == "__main__":
    main()
