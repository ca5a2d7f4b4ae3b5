"""Plans: unique, balanced, split by triplet, the same bytes for the same seed."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.collection.designs import Design, make_plan, read_listed
from encoding.core import ConfigError, DataError, Plan
from encoding.core.plans import SPLITS
from encoding.io.store import load, save
from encoding.numerics.triplet_ranks import count_triplets, pair_counts, rank_triplets

NAMES = tuple(f"clip{i:03d}" for i in range(60))


def plan_bytes(plan):
    return hashlib.sha256(plan.items.tobytes() + plan.repeat.tobytes() + plan.split.tobytes()).hexdigest()


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(["balanced", "random"]),
    n=st.integers(6, 40),
    share=st.floats(0.05, 0.9),
    subset=st.integers(0, 5).filter(lambda k: k not in (1, 2)),
    order=st.sampled_from(["drawn", "cyclic", "all"]),
    seed=st.integers(0, 2**40),
)
def test_plan_asks_each_triplet_once(kind, n, share, subset, order, seed):
    free = count_triplets(n) - count_triplets(subset)
    wanted = max(1, int(share * free))
    plan = make_plan(Design(kind=kind, n_triplets=wanted, subset=subset, order=order), NAMES[:n], seed=seed)
    times = {"drawn": 1, "cyclic": 3, "all": 6}[order]
    assert len(plan) == times * (wanted + count_triplets(subset))
    ranks = rank_triplets(plan.items)
    assert len(np.unique(ranks[plan.repeat == 0])) == len(plan) / times
    # All presentations of a triplet are in one split, each in another order.
    for rank in np.unique(ranks)[:20]:
        rows = ranks == rank
        assert len(set(plan.split[rows].tolist())) == 1
        assert sorted(plan.repeat[rows].tolist()) == list(range(times))
        assert len({tuple(row) for row in plan.items[rows].tolist()}) == times
        if times >= 3:
            assert (np.bincount(plan.items[rows][:, 0]).max()) == times // 3
    inside = plan.split == SPLITS.index("subset")
    members = np.unique(plan.items[inside])
    assert len(members) == subset
    assert not np.isin(plan.items[~inside], members).all(axis=1).any()


def test_balanced_plan_covers_pairs_evenly_and_random_does_not():
    pairs = {}
    for kind in ("balanced", "random"):
        plan = make_plan(Design(kind=kind, n_triplets=3000), NAMES)
        pairs[kind] = np.ptp(pair_counts(plan.items, len(NAMES)))
    assert pairs["balanced"] <= 3 < pairs["random"]


@pytest.mark.parametrize("kind", ["balanced", "random"])
def test_longer_plan_begins_with_the_shorter(kind):
    short = make_plan(Design(kind=kind, n_triplets=500), NAMES)
    long = make_plan(Design(kind=kind, n_triplets=900), NAMES)
    assert np.array_equal(short.items, long.items[:500])
    assert np.array_equal(short.split, long.split[:500])


def test_full_plan_has_all_triplets():
    plan = make_plan(Design(kind="full"), NAMES[:9])
    assert sorted(rank_triplets(plan.items).tolist()) == list(range(84))


def test_bytes_depend_on_the_seed_only():
    design = Design(n_triplets=2000, subset=8, repeated=10, repeats=4, validation=0.1)
    code = (
        "import hashlib; from encoding.collection.designs import Design, make_plan\n"
        "design = Design(n_triplets=2000, subset=8, repeated=10, repeats=4, validation=0.1)\n"
        "plan = make_plan(design, [f'clip{i:03d}' for i in range(60)], seed=3)\n"
        "text = plan.items.tobytes() + plan.repeat.tobytes() + plan.split.tobytes()\n"
        "import sys; sys.stdout.write(hashlib.sha256(text).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert elsewhere.stdout == plan_bytes(make_plan(design, NAMES, seed=3))
    assert plan_bytes(make_plan(design, NAMES, seed=4)) != plan_bytes(make_plan(design, NAMES, seed=3))
    # Pinned: a plan that money was spent on must come out again in every later version.
    assert (
        plan_bytes(make_plan(design, NAMES, seed=3))
        == "fde0d2bac193ab27ab837888ae109b89ae9860ecfa65ebf485638ea20ec037f0"
    )
    assert (
        plan_bytes(make_plan(design, NAMES, seed=3, version=1))
        == "426b13b89dfdd9ad306a14c63ba48794a8f59fde95fd736074bd92c03c262559"
    )


def test_saved_plan_comes_back(tmp_path):
    plan = make_plan(Design(n_triplets=100), NAMES, seed=1)
    folder = save(plan, tmp_path / "plan")
    back = load(folder)
    assert isinstance(back, Plan)
    assert plan_bytes(back) == plan_bytes(plan)
    assert back.stimuli == NAMES
    assert back.provenance.key == plan.provenance.key
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = save(make_plan(Design(n_triplets=100), NAMES, seed=1), tmp_path / "again")
    assert files == {path.name: path.read_bytes() for path in again.iterdir()}


def test_splits_have_their_shares_and_belong_to_triplets():
    plan = make_plan(Design(kind="random", n_triplets=20_000, test=0.1, validation=0.2), NAMES)
    shares = np.bincount(plan.split, minlength=4) / len(plan)
    assert np.allclose(shares, [0.7, 0.2, 0.1, 0], atol=0.01)
    other = make_plan(Design(kind="full", test=0.1, validation=0.2), NAMES)
    split = dict(zip(rank_triplets(other.items).tolist(), other.split.tolist(), strict=True))
    assert [split[rank] for rank in rank_triplets(plan.items).tolist()] == plan.split.tolist()


def test_repeated_triplets_are_asked_so_often_in_their_own_split():
    plan = make_plan(Design(n_triplets=3000, repeated=25, repeats=6), NAMES)
    ranks, times = np.unique(rank_triplets(plan.items), return_counts=True)
    assert sorted(np.unique(times).tolist()) == [1, 6]
    assert (times == 6).sum() == 25
    for rank in ranks[times == 6]:
        rows = rank_triplets(plan.items) == rank
        assert sorted(plan.repeat[rows].tolist()) == list(range(6))
        assert set(plan.split[rows].tolist()) == {SPLITS.index("test")}
    assert len(plan) == 3000 + 25 * 5


def test_order_of_a_file_is_forgotten(tmp_path):
    # The third item of each row is the odd one, as in published files: it must not end up in one slot.
    rng = np.random.default_rng(0)
    rows = np.array([rng.permutation(60)[:3] for _ in range(1500)])
    rows[:, 2] = 59 - np.sort(rows, axis=1)[:, 0] // 6
    rows = rows[[len(set(row)) == 3 for row in rows.tolist()]]
    path = tmp_path / "train_90.txt"
    np.savetxt(path, rows, fmt="%d")
    design = Design(kind="file", file=path.name)
    listed, inputs = read_listed(design, NAMES, tmp_path)
    plan = make_plan(design, NAMES, listed=listed)
    last = {rank: row[2] for rank, row in zip(rank_triplets(rows).tolist(), rows.tolist(), strict=True)}
    slots = [row.index(last[rank]) for rank, row in zip(rank_triplets(plan.items), plan.items.tolist(), strict=True)]
    assert np.bincount(slots).min() > 0.29 * len(plan)
    shuffled = make_plan(design, NAMES, listed=rng.permuted(rows, axis=1)[rng.permutation(len(rows))])
    assert plan_bytes(shuffled) == plan_bytes(plan)
    assert list(inputs) == ["train_90.txt"]


def test_triplets_that_were_not_chosen_by_chance_are_for_training(tmp_path):
    from encoding.collection.designs import read_trained

    rng = np.random.default_rng(0)
    rows = np.array([rng.choice(len(NAMES), 3, replace=False) for _ in range(300)])
    frame = pd.DataFrame(np.array(NAMES)[rows], columns=["item_1", "item_2", "item_3"])
    frame["split"] = np.where(np.arange(300) < 150, "train", "")
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    design = Design(kind="file", file="t.tsv", test=0.3, validation=0.3)
    listed, _ = read_listed(design, NAMES, tmp_path)
    plan = make_plan(design, NAMES, listed=listed, trained=read_trained(design, NAMES, tmp_path))
    first = np.isin(rank_triplets(plan.items), rank_triplets(rows[:150]))
    assert (plan.split[first] == 0).all()
    free = make_plan(design, NAMES, listed=listed)
    assert np.array_equal(plan.items, free.items)
    assert np.array_equal(plan.split[~first], free.split[~first])
    assert 0.5 < (plan.split[~first] > 0).mean() < 0.7
    frame.assign(split="odd").to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match="split 'odd'"):
        read_trained(design, NAMES, tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".tsv", ".csv", ".parquet"])
def test_every_kind_of_file_is_read(tmp_path, suffix):
    import pandas as pd

    rows = np.array(list(itertools.combinations(range(6), 3)))
    path = tmp_path / f"triplets{suffix}"
    frame = pd.DataFrame(np.array(NAMES)[rows], columns=["item_1", "item_2", "item_3"])
    writers = {
        ".npy": lambda: np.save(path, rows),
        ".txt": lambda: np.savetxt(path, rows, fmt="%d"),
        ".tsv": lambda: frame.to_csv(path, sep="\t", index=False),
        ".csv": lambda: frame.to_csv(path, index=False),
        ".parquet": lambda: frame.to_parquet(path),
    }
    writers[suffix]()
    listed, _ = read_listed(Design(kind="file", file=path.name), NAMES, tmp_path)
    assert np.array_equal(listed, rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1 60\n", "numbers run from 0 to 60, but there are 60 stimuli"),
        ("0 1\n", "three whole numbers per row"),
        ("0 1 1\n", "row 1 names a stimulus twice"),
        ("", "cannot be read"),
    ],
)
def test_bad_files_of_numbers_are_refused(tmp_path, content, message):
    (tmp_path / "t.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_listed(Design(kind="file", file="t.txt"), NAMES, tmp_path)


def test_unknown_names_in_a_file_are_refused(tmp_path):
    (tmp_path / "t.tsv").write_text("item_1\titem_2\titem_3\nclip000\tclip001\tclip0x2\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 1, item_3: no stimulus 'clip0x2'"):
        read_listed(Design(kind="file", file="t.tsv"), NAMES, tmp_path)
    with pytest.raises(DataError, match="no column 'a'"):
        read_listed(Design(kind="file", file="t.tsv", columns=("a", "b", "c")), NAMES, tmp_path)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "balance", "n_triplets": 1}, "did you mean 'balanced'"),
        ({"kind": "balanced"}, "n_triplets = 0"),
        ({"kind": "full", "n_triplets": 5}, "leave it out"),
        ({"kind": "file"}, "each needs the other"),
        ({"n_triplets": 5, "test": 0.6, "validation": 0.4}, "leave some for training"),
        ({"n_triplets": 5, "order": "fixed"}, "order = 'fixed': 'drawn', 'cyclic' or 'all' is needed"),
        ({"n_triplets": 5, "repeats": 1}, "repeats = 1: an integer from 2 to 32,761 is needed"),
    ],
)
def test_bad_designs_are_refused(settings_, message):
    with pytest.raises(ConfigError, match=message):
        Design(**settings_)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"n_triplets": 40_000}, "have 34,220 different triplets"),
        ({"n_triplets": 5, "subset": 61}, "3 to 60 stimuli"),
        ({"n_triplets": 5, "subset": ("clip00",)}, "no stimulus 'clip00'. Did you mean 'clip0"),
        ({"n_triplets": 50, "repeated": 50}, "repeated = 50, but there are"),
    ],
)
def test_impossible_designs_are_refused(settings_, message):
    with pytest.raises(ConfigError, match=message):
        make_plan(Design(**settings_), NAMES)


def test_a_plan_refuses_what_cannot_be_asked():
    n = np.zeros(1)
    with pytest.raises(DataError, match="show a stimulus twice"):
        Plan(("a", "b", "c"), [[0, 1, 1]], n, n)
    with pytest.raises(DataError, match="three different of 3 stimuli"):
        Plan(("a", "b", "c"), [[0, 1, 3]], n, n)
    with pytest.raises(DataError, match="splits run from 9"):
        Plan(("a", "b", "c"), [[0, 1, 2]], n, n + 9)


@pytest.mark.parametrize("n_triplets", [2_000, 20_000, 300_000])
def test_balanced_plan_covers_at_least_as_many_pairs_as_a_random_one(n_triplets):
    names = [f"clip{i:04d}" for i in range(2180)]
    covered = {
        kind: (pair_counts(make_plan(Design(kind=kind, n_triplets=n_triplets), names).items, 2180) > 0).sum()
        for kind in ("balanced", "random")
    }
    assert covered["balanced"] >= covered["random"]
    assert covered["balanced"] >= 0.999 * min(3 * n_triplets, 2180 * 2179 / 2)
