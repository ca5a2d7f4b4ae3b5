"""Similarities, pairs, ranks and traces, against rsatoolbox, scipy and plain loops."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from encoding.numerics.rsa import Comparer, average_ranks, products_of
from encoding.numerics.rsa_trace import LOWER, TraceRsa, signed_factors
from encoding.numerics.searchlights import cube, neighbours, sphere
from encoding.numerics.similarity import SIMILARITIES, Similarity, feature_similarity, pairs_of, undefined_rows


def whole(pairs):
    return np.concatenate([pairs.lower(rows) for rows in pairs.slices()])


def traces(models, pairs, X, device="cpu"):
    """Pass `TraceRsa` patterns of shape (lights, targets, rows)."""
    engine = TraceRsa(models, pairs, device=device)
    padded = np.zeros((*X.shape[:2], len(engine.order)), dtype=np.float32)
    padded[..., engine.order >= 0] = X[..., engine.order[engine.order >= 0]]
    return engine.compare(torch.as_tensor(padded, device=device)).cpu().numpy()


def loop(models, pairs, X):
    """The definition: form, take the triangle, correlate."""
    kept = whole(pairs)
    brain = np.corrcoef(X.T.astype(np.float64))[kept]
    return np.array([np.corrcoef(brain, model.rows(slice(None))[kept])[0, 1] for model in models])


# rsatoolbox


@pytest.fixture(scope="module")
def toolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rsatoolbox = pytest.importorskip("rsatoolbox")
    return rsatoolbox


@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
@pytest.mark.parametrize("kind", SIMILARITIES)
@pytest.mark.parametrize("brain", ["correlation", "euclidean"])
def test_values_are_those_of_rsatoolbox(toolbox, comparison, kind, brain):
    rng = np.random.default_rng(1)
    n, X, F = 40, rng.standard_normal((25, 40)).astype(np.float32), rng.random((40, 6))
    pairs = pairs_of([["only"]] * n, same_run=True)
    model = feature_similarity(F, kind)
    calculated = toolbox.rdm.calc_rdm(toolbox.data.Dataset(X.T.astype(np.float64)), method=brain)
    vector = calculated.dissimilarities
    if brain == "euclidean":  # theirs is squared, over the number of channels
        calculated = toolbox.rdm.RDMs(np.sqrt(vector * len(X)))
    if kind == "correlation":
        of_model = toolbox.rdm.calc_rdm(toolbox.data.Dataset(F), method="correlation")
    else:
        i, j = np.triu_indices(n, 1)
        of_model = toolbox.rdm.RDMs(1 - model.rows(slice(None))[i, j][None])
    method = {"pearson": "corr", "spearman": "spearman"}[comparison]
    want = toolbox.rdm.compare(calculated, of_model, method=method)[0, 0]
    engine = Comparer([model], pairs, brain=brain, comparison=comparison)
    assert engine.patterns(torch.as_tensor(X))[0] == pytest.approx(want, abs=1e-6)
    assert engine.parts([X[:7], X[7:]])[0] == pytest.approx(want, abs=1e-6)
    if (brain, comparison) == ("correlation", "pearson"):
        assert traces([model], pairs, X[None])[0, 0] == pytest.approx(want, abs=1e-6)


# Against loops


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_runs=st.integers(2, 7),
    longest=st.integers(2, 9),
    n_targets=st.integers(4, 40),
    n_features=st.integers(3, 12),
    shared=st.integers(0, 4),
    same_run=st.booleans(),
    offset=st.sampled_from([0.0, 3.0, 50.0]),
)
def test_traces_equal_a_loop(*, seed, n_runs, longest, n_targets, n_features, shared, same_run, offset):
    rng = np.random.default_rng(seed)
    runs = [[f"run-{k}"] for k in range(n_runs) for _ in range(rng.integers(2, longest + 1))]
    rng.shuffle(runs)
    for _ in range(shared):
        runs[rng.integers(len(runs))] = [f"run-{k}" for k in rng.choice(n_runs, 2, replace=False)]
    pairs, n = pairs_of(runs, same_run=same_run), len(runs)
    sets = [set(run) for run in runs]
    want = [[j < i and (same_run or not sets[i] & sets[j]) for j in range(n)] for i in range(n)]
    np.testing.assert_array_equal(whole(pairs), want)
    assert pairs.n == np.sum(want) == len(pairs.flat())
    if pairs.n < 8:
        return
    F = rng.random((n, n_features)) + rng.integers(0, 2)
    models = [feature_similarity(F, kind) for kind in SIMILARITIES]
    X = rng.standard_normal((3, n_targets, n)) + 0.5 * rng.standard_normal((3, n_targets, n_features)) @ F.T
    X = (X + offset).astype(np.float32)
    expected = np.array([loop(models, pairs, part) for part in X])
    np.testing.assert_allclose(traces(models, pairs, X), expected, atol=2e-5)
    comparer = Comparer(models, pairs)
    np.testing.assert_allclose([comparer.patterns(torch.as_tensor(part)) for part in X], expected, atol=2e-5)
    np.testing.assert_allclose([comparer.parts([part]) for part in X], expected, atol=2e-5)


def test_spearman_is_that_of_scipy_with_ties():
    rng = np.random.default_rng(2)
    n = 30
    pairs = pairs_of([[f"run-{k % 5}"] for k in range(n)])
    ratings = feature_similarity(rng.integers(0, 2, (n, 3)).astype(float), "dot")  # four different values
    X = rng.standard_normal((12, n)).astype(np.float32)
    X[:, 1] = X[:, 0]  # equal patterns tie
    brain = np.corrcoef(X.T.astype(np.float64))[whole(pairs)]
    want = spearmanr(np.round(brain, 9), ratings.rows(slice(None))[whole(pairs)]).statistic
    found = Comparer([ratings], pairs, comparison="spearman").patterns(torch.as_tensor(X))
    assert found[0] == pytest.approx(want, abs=1e-4)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_ranks_share_ties(values):
    found = average_ranks(torch.tensor(values, dtype=torch.float32))
    np.testing.assert_array_equal(found.numpy(), rankdata(values))


def test_wide_features_are_taken_without_factors():
    rng = np.random.default_rng(3)
    pairs = pairs_of([[f"run-{k % 6}"] for k in range(36)])
    models = [feature_similarity(rng.random((36, d)), "correlation") for d in (200, 5, 20)]
    engine = TraceRsa(models, pairs)
    assert (engine.with_factors, engine.without) == ([1], [0, 2])
    X = rng.standard_normal((2, 15, 36)).astype(np.float32)
    np.testing.assert_allclose(traces(models, pairs, X), [loop(models, pairs, part) for part in X], atol=2e-6)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_a_single_model_without_factors_equals_a_loop_over_several_tiles(offset):
    rng = np.random.default_rng(9)
    runs = [[f"run-{k % 7}"] for k in range(2 * LOWER + 30)]
    for k in (3, LOWER, 2 * LOWER + 5):
        runs[k] = ["run-1", "run-5"]
    pairs, F = pairs_of(runs), rng.random((len(runs), 5))
    model = feature_similarity(F, "choice_probability")
    engine = TraceRsa([model], pairs)
    assert (engine.without, len(engine.tiles)) == ([0], 3)
    X = rng.standard_normal((3, 20, len(runs))) + rng.standard_normal((3, 20, 5)) @ F.T
    X = (X + offset * rng.random((3, 20, 1))).astype(np.float32)
    want = [loop([model], pairs, part) for part in X]
    np.testing.assert_allclose(traces([model], pairs, X), want, atol=1e-5)
    assert np.min(want) > 0.02


def test_a_pattern_without_variance_gives_no_number_and_spoils_no_other_searchlight():
    rng = np.random.default_rng(4)
    pairs = pairs_of([[f"run-{k % 3}"] for k in range(12)])
    model = feature_similarity(rng.random((12, 4)), "cosine")
    X = rng.standard_normal((2, 8, 12)).astype(np.float32)
    X[0, :, 5] = 1.7
    found = traces([model], pairs, X)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert np.isnan(Comparer([model], pairs).patterns(torch.as_tensor(X[0]))).all()
    assert np.isnan(Comparer([model], pairs).parts([X[0]])).all()


def test_large_offsets_do_not_cost_the_digits_of_products():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 10))
    products, _, n = products_of([(X[:20] + 1000).astype(np.float32), (X[20:] + 1000).astype(np.float32)])
    centred = X + 1000 - np.mean((X[:20] + 1000).astype(np.float32))
    assert n == 40
    np.testing.assert_allclose(products, centred.T @ centred, atol=0.02)


@given(seed=st.integers(0, 1000), mean=st.floats(-2, 2), k=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_signed_factors_multiply_to_the_similarity(seed, mean, k):
    F = np.random.default_rng(seed).standard_normal((9, k))
    factors, signs = signed_factors(F, mean)
    assert factors.shape[1] <= k + 1
    np.testing.assert_allclose(factors * signs @ factors.T, F @ F.T - mean, atol=1e-10)


# Definitions


def test_similarities_are_what_they_are_called():
    X = np.random.default_rng(6).random((8, 5))
    np.testing.assert_allclose(feature_similarity(X, "correlation").rows(slice(None)), np.corrcoef(X), atol=1e-12)
    np.testing.assert_allclose(feature_similarity(X, "dot").rows(slice(2, 4)), X[2:4] @ X.T, atol=1e-12)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(feature_similarity(X, "cosine").rows(slice(None)), unit @ unit.T, atol=1e-12)
    E = np.exp(X @ X.T)
    third = [k for k in range(8) if k not in (1, 4)]
    want = np.mean([E[1, 4] / (E[1, 4] + E[1, k] + E[4, k]) for k in third])
    assert feature_similarity(X, "choice_probability").rows(slice(None))[1, 4] == pytest.approx(want, rel=1e-5)


def test_undefined_similarities_are_refused():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    assert undefined_rows(X, "cosine").tolist() == [True, False, False]
    assert undefined_rows(X, "correlation").tolist() == [True, True, False]
    assert not undefined_rows(X, "dot").any()
    with pytest.raises(ValueError, match="cosine is not defined for 1 rows, the first is 0"):
        feature_similarity(X, "cosine")
    with pytest.raises(ValueError, match="'euclid' is not one of"):
        feature_similarity(X, "euclid")
    with pytest.raises(ValueError, match="known are"):
        Comparer([Similarity(X)], pairs_of([["a"], ["b"], ["c"]]), brain="cosine")


# Geometry


@pytest.mark.parametrize(("radius", "n"), [(1.0, 7), (2.0, 33), (3.0, 123)])
def test_spheres_have_as_many_voxels_as_points_of_the_lattice(radius, n):
    assert len(sphere(radius, np.eye(4))) == n


def test_spheres_are_round_in_millimetres_on_any_grid():
    rotation = np.linalg.qr(np.random.default_rng(7).standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([2.0, 2.0, 3.5]) @ np.array([[1, 0.4, 0], [0, 1, 0], [0, 0, 1]])
    steps = {tuple(step) for step in sphere(6.3, affine).tolist()}
    wide = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = wide[np.linalg.norm(wide @ affine[:3, :3].T, axis=1) <= 6.3]
    assert steps == {tuple(step) for step in inside.tolist()}


def test_neighbours_stay_in_the_grid_and_the_mask():
    column = np.full(27, -1)
    column[[0, 1, 13]] = [5, 6, 7]
    found = neighbours(np.array([0, 13]), (3, 3, 3), column, cube(3))
    assert sorted(found[0][found[0] >= 0]) == [5, 6, 7]
    assert sorted(found[1][found[1] >= 0]) == [5, 6, 7]
    found = neighbours(np.array([1]), (3, 3, 3), column, sphere(1.0, np.eye(4)))
    assert sorted(found[0][found[0] >= 0]) == [5, 6]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_numbers_of_the_processor():
    rng = np.random.default_rng(8)
    pairs = pairs_of([[f"run-{k % 6}"] for k in range(60)])
    models = [feature_similarity(rng.random((60, 6)), kind) for kind in SIMILARITIES]
    X = rng.standard_normal((4, 30, 60)).astype(np.float32)
    np.testing.assert_allclose(traces(models, pairs, X, "cuda"), traces(models, pairs, X), atol=1e-5)
    for brain in ("correlation", "euclidean"):
        for comparison in ("pearson", "spearman"):
            there, here = (
                Comparer(models, pairs, brain=brain, comparison=comparison, device=device).patterns(
                    torch.as_tensor(X[0], device=device)
                )
                for device in ("cuda", "cpu")
            )
            np.testing.assert_allclose(there, here, atol=1e-5)
