"""Crossnobis distances: against rsatoolbox, scikit-learn and a loop over presentations, and their mean over noise."""

import numpy as np
import pytest
import rsatoolbox
import torch
from scipy.stats import spearmanr
from sklearn.covariance import ledoit_wolf

from encoding.numerics.crossnobis import CrossnobisRsa, Shown, crossnobis, distances_of, whitened
from encoding.numerics.kinds import NOISE
from encoding.numerics.similarity import feature_similarity, pairs_of

N, K, V = 14, 4, 20


def simulate(seed=0, n=N, k=K, v=V, *, noise=1.0):
    """Patterns, and presentations of all stimuli in every run; noise goes together over targets."""
    rng = np.random.default_rng(seed)
    stimulus, run = np.tile(np.arange(n), k), np.repeat(np.arange(k), n)
    patterns, mixing = rng.standard_normal((n, v)), np.eye(v) + 0.3 * rng.standard_normal((v, v))
    X = patterns[stimulus] + noise * rng.standard_normal((n * k, v)) @ mixing
    return X, Shown(stimulus, run)


def some_missing(seed=1):
    """Leave out a third of the presentations, and show a few stimuli twice in one run."""
    X, shown = simulate(seed)
    rng = np.random.default_rng(seed)
    kept = np.sort(np.concatenate([rng.permutation(N * K)[: 2 * N * K // 3], [0, 1, N + 2]]))
    X, stimulus, run = X[kept], shown.stimulus[kept], shown.run[kept]
    X = X + 0.1 * rng.standard_normal(X.shape)
    several = [k for k in range(N) if len(set(run[stimulus == k])) > 1]
    inside = np.isin(stimulus, several)
    return X[inside], Shown(np.searchsorted(several, stimulus[inside]), run[inside])


def precision(X, shown, noise):
    """Inverse of the covariance of residuals, by scikit-learn where it is shrunk."""
    C = shown.contrasts(torch.as_tensor(X)).numpy()
    if noise == "shrunk":
        return np.linalg.inv(ledoit_wolf(C, assume_centered=True)[0])
    return np.diag(1 / np.mean(C**2, axis=0)) if noise == "diagonal" else np.eye(X.shape[1])


def loop(X, shown, W):
    """Visit all presentations of all pairs of stimuli."""
    X = X - X.mean(0)
    products = X @ W @ X.T
    G = np.empty((shown.n, shown.n))
    for i in range(shown.n):
        for j in range(shown.n):
            p, q = (np.flatnonzero(shown.stimulus == k) for k in (i, j))
            apart = shown.run[p][:, None] != shown.run[q]
            G[i, j] = products[np.ix_(p, q)][apart].mean()
    own = np.diag(G)
    return (own[:, None] + own - 2 * G) / X.shape[1]


def both_ways(X, shown, noise):
    """From products of presentations, of targets in two parts; and from responses in units of the noise."""
    parts = crossnobis([X.T[:9], X.T[9:]], shown, noise).numpy()
    Z = whitened(torch.as_tensor(X - X.mean(0)), shown, noise)
    return parts, distances_of(shown.products(Z), X.shape[1]).numpy()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # inside of rsatoolbox
@pytest.mark.parametrize("noise", NOISE)
def test_distances_equal_those_of_rsatoolbox(noise):
    X, shown = simulate()
    data = rsatoolbox.data.Dataset(X, obs_descriptors={"stimulus": shown.stimulus, "run": shown.run})
    rdm = rsatoolbox.rdm.calc_rdm(
        data, method="crossnobis", descriptor="stimulus", cv_descriptor="run", noise=precision(X, shown, noise)
    )
    for found in both_ways(X, shown, noise):
        np.testing.assert_allclose(found, rdm.get_matrices()[0], atol=1e-12)


@pytest.mark.parametrize("noise", NOISE)
def test_distances_equal_a_loop_where_presentations_are_missing(noise):
    X, shown = some_missing()
    assert len(np.unique(np.bincount(shown.stimulus))) > 2
    want = loop(X, shown, precision(X, shown, noise))
    for found in both_ways(X, shown, noise):
        np.testing.assert_allclose(found, want, atol=1e-12)


@pytest.mark.parametrize("v", [5, 200])
def test_few_and_many_targets_are_shrunk_as_by_scikit_learn(v):
    X, shown = simulate(v=v)
    want = loop(X, shown, precision(X, shown, "shrunk"))
    for found in both_ways(X, shown, "shrunk"):
        np.testing.assert_allclose(found, want, atol=1e-10)


def test_contrasts_are_independent_and_of_the_size_of_the_noise():
    _, shown = some_missing()
    H = shown.contrasts(torch.eye(len(shown), dtype=torch.float64)).numpy()
    assert H.shape == (len(shown) - shown.n, len(shown))
    np.testing.assert_allclose(H @ H.T, np.eye(len(H)), atol=1e-12)
    np.testing.assert_allclose(H @ (shown.stimulus[:, None] == np.arange(shown.n)), 0, atol=1e-12)


@pytest.mark.parametrize("noise", ["none", "diagonal"])
def test_equal_stimuli_are_at_distance_0_on_average_and_others_at_theirs(noise):
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((8, 12))
    patterns[1] = patterns[0]
    spread = rng.uniform(0.5, 2.0, 12)
    stimulus, run = np.tile(np.arange(8), 3), np.repeat(np.arange(3), 8)
    found = []
    for _ in range(400):
        # What a run adds to all of its responses leaves no trace, but would count as noise.
        shift = rng.standard_normal((3, 12)) if noise == "none" else np.zeros((3, 12))
        X = patterns[stimulus] + shift[run] + spread * rng.standard_normal((24, 12))
        found.append(crossnobis([X.T], Shown(stimulus, run), noise).numpy())
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 20
    true = np.sum(((patterns[:, None] - patterns) / (spread if noise == "diagonal" else 1.0)) ** 2, axis=2) / 12
    if noise == "diagonal":
        # The inverse of a variance of 16 contrasts is 16 / 14 of the true one on average, and smaller where the noise
        # of the stimulus itself happens to be large: the same amount above 0 for all pairs.
        true = true * 16 / 14 + 2 * (16 / 14 - 1) / 3
    pairs = np.tril_indices(8, -1)
    assert (np.abs(mean - true)[pairs] < 4 * error[pairs]).all()
    assert true[1, 0] < 0.1 < 10 * error[3, 2] < true[3, 2]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
@pytest.mark.parametrize("data", [simulate, some_missing])
def test_searchlights_equal_the_definition(noise, comparison, data):
    X, shown = data()
    rng = np.random.default_rng(2)
    models = [feature_similarity(rng.random((shown.n, 4)), kind) for kind in ("correlation", "choice_probability")]
    pairs = pairs_of([("a",)] * shown.n, same_run=True)
    engine = CrossnobisRsa(models, pairs, shown, noise=noise, comparison=comparison)
    low = np.tril_indices(shown.n, -1)
    distances = loop(X, shown, precision(X, shown, noise))[low]
    correlation = spearmanr if comparison == "spearman" else lambda a, b: np.corrcoef(a, b)[[0], [1]]
    want = [correlation(-distances, model.rows(slice(None))[low])[0] for model in models]
    for offset in (0.0, 100.0):  # in float32, as searchlights are
        found = engine.compare(torch.as_tensor((X + offset).T.astype(np.float32)))
        np.testing.assert_allclose(found, want, atol=2e-5)


def test_nearly_equal_distances_are_compared_in_double_precision():
    X, shown = simulate(noise=1e-6)
    corners = np.eye(N) * 10
    X = np.concatenate([corners[shown.stimulus], X * 1e-2], axis=1)
    model = feature_similarity(np.random.default_rng(0).random((N, 3)), "dot")
    engine = CrossnobisRsa([model], pairs_of([("a",)] * N, same_run=True), shown, noise="none", comparison="pearson")
    low = np.tril_indices(N, -1)
    X = X.astype(np.float32)
    want = np.corrcoef(-loop(X.astype(float), shown, np.eye(X.shape[1]))[low], model.rows(slice(None))[low])[0, 1]
    assert engine.compare(torch.as_tensor(X.T))[0] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("noise", ["shrunk", "diagonal"])
def test_responses_without_noise_have_no_distances_in_units_of_it(noise):
    X, shown = simulate(noise=0.0)
    assert np.isnan(crossnobis([X.T], shown, noise).numpy()).all()
    model = feature_similarity(np.random.default_rng(0).random((N, 3)), "dot")
    engine = CrossnobisRsa([model], pairs_of([("a",)] * N, same_run=True), shown, noise=noise, comparison="pearson")
    assert np.isnan(engine.compare(torch.as_tensor(X.T.astype(np.float32)))).all()


def test_other_names_of_noise_are_refused():
    X, shown = simulate()
    with pytest.raises(ValueError, match="noise 'full' is not one of"):
        crossnobis([X.T], shown, "full")


TOGETHER = np.linalg.cholesky(0.9 ** np.abs(np.arange(50)[:, None] - np.arange(50))).T


def spread_noise(rng, n):
    """Noise that goes together over neighbouring targets, .9^distance; (n, 50)."""
    return rng.standard_normal((n, 50)) @ TOGETHER


def z_of(values):
    """Mean of draws, in its standard errors."""
    return np.mean(values) / (np.std(values, ddof=1) / len(values) ** 0.5)


@pytest.mark.parametrize("noise", NOISE)
def test_pure_noise_lies_at_0_without_units_of_it_and_otherwise_all_pairs_equally_far_above(noise):
    rng = np.random.default_rng(0)
    n, low = 20, np.tril_indices(20, -1)
    shown = Shown(np.tile(np.arange(n), 2), np.repeat([0, 1], n))
    model = feature_similarity(rng.random((n, 5)), "correlation").rows(slice(None))[low]
    first = low[0] < n // 2  # pairs among the first ten stimuli
    mean, difference, r = [], [], []
    for _ in range(100):
        d = crossnobis([spread_noise(rng, 2 * n).T], shown, noise).numpy()[low]
        mean.append(d.mean())
        difference.append(d[first].mean() - d[~first].mean())
        r.append(np.corrcoef(-d, model)[0, 1])
    assert abs(z_of(difference)) < 3
    assert abs(z_of(r)) < 3
    if noise == "none":
        assert abs(z_of(mean)) < 3
    else:
        assert z_of(mean) > 4
        assert np.mean(mean) > (0.4 if noise == "shrunk" else 0.1)


def test_a_space_of_the_number_of_presentations_is_like_pure_noise_only_in_units_of_it():
    """Which is why these units are refused where stimuli were presented unequally often."""
    rng = np.random.default_rng(1)
    counts = np.repeat([2, 3, 4, 6], 5)
    shown = Shown(np.repeat(np.arange(20), counts), np.concatenate([np.arange(k) for k in counts]))
    model, pairs = feature_similarity(counts[:, None].astype(float), "dot"), pairs_of([("a",)] * 20, same_run=True)
    r = {}
    for noise in ("none", "shrunk"):
        engine = CrossnobisRsa([model], pairs, shown, noise=noise, comparison="pearson")
        draws = [spread_noise(rng, len(shown)) for _ in range(150)]
        r[noise] = [engine.compare(torch.as_tensor(X.T.astype(np.float32)))[0] for X in draws]
    assert abs(z_of(r["none"])) < 3
    assert z_of(r["shrunk"]) > 8


@pytest.mark.parametrize("noise", ["shrunk", "diagonal"])
def test_targets_without_noise_are_left_out(noise):
    X, shown = simulate()
    still = np.stack([np.zeros(len(X)), np.full(len(X), 0.1), np.sin(shown.stimulus)], axis=1)
    more = np.concatenate([still, X], axis=1)
    want = crossnobis([X.T], shown, noise).numpy()
    # In parts, of which the first has no noise at all.
    found = crossnobis([more.T[:3], more.T[3:]], shown, noise).numpy()
    np.testing.assert_allclose(found, want, atol=1e-12)
    model = feature_similarity(np.random.default_rng(0).random((N, 3)), "dot")
    engine = CrossnobisRsa([model], pairs_of([("a",)] * N, same_run=True), shown, noise=noise, comparison="pearson")
    r = [engine.compare(torch.as_tensor(part.T.astype(np.float32)))[0] for part in (more, X)]
    assert r[0] == pytest.approx(r[1], abs=1e-5)
    assert abs(r[1]) > 1e-3
