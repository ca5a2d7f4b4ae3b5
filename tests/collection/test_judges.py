"""Captions, ratings and tables as judges; conventions; what is shared by neighbours."""

import asyncio
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from encoding.collection import (
    Asking,
    Budget,
    Cosine,
    Design,
    Table,
    Trial,
    check_convention,
    choose,
    make_plan,
    mask_emotions,
    of_captions,
    of_names,
)
from encoding.collection.answered import Matcher, pack
from encoding.collection.budget import Meter
from encoding.collection.schedule import schedule, shard_rows, sharing
from encoding.collection.stimuli import Stimuli, read_captions
from encoding.core import ConfigError, DataError
from encoding.numerics.triplet_ranks import rank_triplets

NAMES = tuple(f"clip{i:02d}" for i in range(20))


def ask(annotator, items, repeat=None):
    repeat = repeat if repeat is not None else [0] * len(items)
    trials = [Trial(i, tuple(row), tuple(row), k) for i, (row, k) in enumerate(zip(items, repeat, strict=True))]
    return asyncio.run(annotator.ask(trials, None))


@pytest.fixture
def ratings(tmp_path):
    values = np.random.default_rng(0).gamma(0.7, size=(20, 6))
    frame = pd.DataFrame(values, columns=[f"r{k}" for k in range(6)])
    frame.insert(0, "stimulus", NAMES)
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "ratings.tsv", sep="\t", index=False)
    return values


# Captions


CAPTIONS = {name: [f"caption {k} of {name}" for k in range(1 + i % 4)] for i, name in enumerate(NAMES)}


def test_first_and_fixed_captions():
    first = of_captions(NAMES, CAPTIONS)
    assert first.texts == tuple(f"caption 0 of {name}" for name in NAMES)
    with pytest.raises(DataError, match="'clip00' has 1 captions, but 2 were needed"):
        of_captions(NAMES, CAPTIONS, policy="fixed", number=2)
    second = of_captions(NAMES[1:4], CAPTIONS, policy="fixed", number=2)
    assert second.texts == tuple(f"caption 1 of {name}" for name in NAMES[1:4])
    with pytest.raises(DataError, match="'new' has 0 captions"):
        of_captions(("new", *NAMES), CAPTIONS)


@pytest.mark.parametrize("policy", ["random", "rotating"])
def test_several_captions_are_used_equally_and_always_of_the_right_stimulus(policy):
    plan = make_plan(Design(kind="full"), NAMES)
    contents = of_captions(NAMES, CAPTIONS, policy=policy)
    shown = choose(plan, contents, policy, seed=3)
    owners = np.array(contents.owners)
    assert np.array_equal(owners[shown], np.array(NAMES)[plan.items])
    used = np.bincount(shown.ravel(), minlength=len(contents))
    for i in range(20):
        part = used[contents.start[i] : contents.start[i + 1]]
        assert np.ptp(part) <= (1 if policy == "rotating" else 40)
        assert part.min() > 0
    assert np.array_equal(shown, choose(plan, contents, policy, seed=3))


def test_random_captions_do_not_depend_on_what_else_is_planned():
    contents = of_captions(NAMES, CAPTIONS, policy="random")
    short, long = (make_plan(Design(n_triplets=n), NAMES) for n in (50, 200))
    assert np.array_equal(choose(short, contents, "random"), choose(long, contents, "random")[:50])


def test_emotion_words_are_masked_and_others_stay():
    text = "A happy man smiles sadly at a scarf, then a frightened scarecrow falls; JOY and contents of a box."
    masked = mask_emotions(text)
    assert masked == "A [...] man [...] [...] at a scarf, then a [...] scarecrow falls; [...] and contents of a box."
    masked_contents = of_captions(("a",), {"a": ["A sad dog."]}, masked=True)
    assert masked_contents.texts == ("A [...] dog.",)
    assert masked_contents.digests != of_captions(("a",), {"a": ["A sad dog."]}).digests


def test_captions_come_from_columns_or_from_a_file_of_their_own(tmp_path):
    (tmp_path / "s.tsv").write_text("stimulus\tcaption_1\tcaption_2\n1\tone\ttwo\n2\tthree\tn/a\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("video_id,description\n1,eins\n2,zwei\n1,drei\n", encoding="utf-8")
    assert read_captions(Stimuli("s.tsv"), tmp_path) == {"1": ["one", "two"], "2": ["three"]}
    assert read_captions(Stimuli("s.tsv", captions="c.csv"), tmp_path) == {"1": ["eins", "drei"], "2": ["zwei"]}
    (tmp_path / "none.tsv").write_text("stimulus\tx\n1\t2\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column of captions"):
        read_captions(Stimuli("none.tsv"), tmp_path)


# Ratings


def test_ratings_call_odd_what_is_not_of_the_most_similar_pair(tmp_path, ratings):
    annotator = Cosine("ratings.tsv").open(of_names(NAMES), tmp_path)
    items = [list(np.random.default_rng(k).permutation(20)[:3]) for k in range(200)]
    for row, answer in zip(items, ask(annotator, items), strict=True):
        pairs = {}
        for i, j in combinations(range(3), 2):
            a, b = ratings[row[i]], ratings[row[j]]
            pairs[3 - i - j] = a @ b / np.sqrt((a @ a) * (b @ b))
        assert answer.outcome == "valid"
        assert answer.choice == max(pairs, key=pairs.get)


def test_equal_similarities_are_not_decided(tmp_path):
    frame = pd.DataFrame({"stimulus": ["a", "b", "c", "d"], "x": [1.0, 2.0, 3.0, 0.0], "y": [0.0, 0.0, 0.0, 0.0]})
    frame.to_csv(tmp_path / "r.csv", index=False)
    annotator = Cosine("r.csv").open(of_names(["a", "b", "c", "d"]), tmp_path)
    assert [answer.outcome for answer in ask(annotator, [[0, 1, 2], [0, 1, 3]])] == ["unparsed", "valid"]


def test_drawn_answers_have_the_probabilities_of_the_choice_model_and_repeat(tmp_path, ratings):
    how = {"temperature": 0.3, "slot_bias": (0.5, 0.0, -0.5)}
    annotator = Cosine("ratings.tsv", **how).open(of_names(NAMES), tmp_path)
    triplet = [4, 9, 1]
    answers = [answer.choice for answer in ask(annotator, [triplet] * 4000, range(4000))]
    unit = ratings / np.linalg.norm(ratings, axis=1, keepdims=True)
    a, b, c = unit[triplet]
    score = np.array([b @ c, a @ c, a @ b]) / 0.3 + how["slot_bias"]
    wanted = np.exp(score) / np.exp(score).sum()
    assert np.allclose(np.bincount(answers) / 4000, wanted, atol=0.03)
    assert answers == [answer.choice for answer in ask(annotator, [triplet] * 4000, range(4000))]


def test_missing_ratings_are_named(tmp_path, ratings):
    with pytest.raises(DataError, match="1 of 21 stimuli have no row, the first is 'new'"):
        Cosine("ratings.tsv").open(of_names((*NAMES, "new")), tmp_path)
    with pytest.raises(ConfigError, match="temperature above 0"):
        Cosine("ratings.tsv", slot_bias=(1.0, 0.0, 0.0))


# Tables


@pytest.mark.parametrize("odd", ["last", "first", "named"])
def test_people_answer_what_they_answered_in_whatever_order_it_is_shown(tmp_path, odd):
    rows = [(0, 1, 2), (2, 1, 0), (3, 5, 4)]
    if odd == "named":
        frame = pd.DataFrame(np.array(NAMES)[rows], columns=["item_1", "item_2", "item_3"])
        frame["answer"] = [NAMES[1], NAMES[2], NAMES[4]]
        frame.to_csv(tmp_path / "t.csv", index=False)
        table, wanted = Table("t.csv", odd="named", column="answer"), (1, 2, 4)
    else:
        np.savetxt(tmp_path / "t.txt", rows, fmt="%d")
        table = Table("t.txt", odd=odd)
        wanted = (2, 0, 4) if odd == "last" else (0, 2, 3)
    annotator = table.open(of_names(NAMES), tmp_path)
    answers = ask(annotator, [[1, 0, 2], [2, 0, 1], [5, 4, 3], [1, 2, 0], [7, 8, 9]], [0, 1, 0, 2, 0])
    assert [answer.outcome for answer in answers] == ["valid"] * 3 + ["error"] * 2
    assert [[1, 0, 2][answers[0].choice], [2, 0, 1][answers[1].choice], [5, 4, 3][answers[2].choice]] == list(wanted)
    assert answers[3].detail == "the table has 2 rows about this triplet"


def test_an_odd_one_that_is_none_of_the_three_is_refused(tmp_path):
    frame = pd.DataFrame([[*NAMES[:3], NAMES[4]]], columns=["item_1", "item_2", "item_3", "odd"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="row 1 calls 'clip04' odd, which is none of its three items"):
        Table("t.csv", odd="named", column="odd").open(of_names(NAMES), tmp_path)


@pytest.mark.parametrize(("column", "name"), [(2, "last"), (0, "first"), (1, "middle")])
def test_convention_of_a_file_is_found(ratings, column, name):
    rng = np.random.default_rng(1)
    unit = ratings / np.linalg.norm(ratings, axis=1, keepdims=True)
    rows = []
    for _ in range(600):
        a, b, c = rng.permutation(20)[:3]
        noisy = np.array([unit[b] @ unit[c], unit[a] @ unit[c], unit[a] @ unit[b]]) + rng.gumbel(0, 0.3, 3)
        odd = int(noisy.argmax())
        rest = [item for slot, item in enumerate((a, b, c)) if slot != odd]
        rows.append(np.insert(rest, column, (a, b, c)[odd]))
    found = check_convention(np.array(rows), ratings)
    assert found.odd == name
    assert f"stands {name}" in found.message
    shuffled = check_convention(rng.permuted(np.array(rows), axis=1), ratings)
    assert shuffled.odd == ""
    assert "cannot tell" in shuffled.message
    assert check_convention(np.array(rows), np.ones((20, 2))).odd == ""


# Order


def test_schedule_puts_neighbours_together_and_spreads_what_comes_on_top():
    plan = make_plan(Design(n_triplets=900, subset=6, repeated=10, repeats=6), NAMES)
    shown = choose(plan, of_names(NAMES))
    rows = schedule(plan, shown, window=10**6)
    assert sorted(rows.tolist()) == list(range(len(plan)))
    assert sharing(shown[rows]).first > 0.95
    assert sharing(shown).first < 0.2
    plain = schedule(plan, shown, window=1)
    extra = np.flatnonzero(plain >= 900) / len(plain)
    assert len(extra) == 70
    assert abs(extra.mean() - 0.5) < 0.12
    assert extra.max() - extra.min() > 0.8
    parts = [shard_rows(rows, (k, 3), window=200) for k in (1, 2, 3)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(plan)))
    saved = sharing(shown[rows]).saved(400, 400)
    assert saved == pytest.approx((100 + sharing(shown[rows]).first * 100 + sharing(shown[rows]).pair * 100) / 400)


def test_trials_are_found_by_what_was_asked():
    plan = make_plan(Design(n_triplets=300), NAMES)
    shown = choose(plan, of_names(NAMES))
    numbers = np.arange(100, 120)[::-1]
    matcher = Matcher(numbers, shown, plan.repeat)
    some = np.random.default_rng(0).permutation(300)[:50]
    keys = pack(numbers[shown[some]], np.zeros(50, dtype=int), n_contents=120, n_repeats=1)
    assert (matcher.n_contents, matcher.n_repeats) == (120, 1)
    assert matcher.rows(np.append(keys, [-1, 5])).tolist() == [*some.tolist(), -1, -1]
    assert np.flatnonzero(matcher.answered(np.sort(keys))).tolist() == sorted(some.tolist())
    assert not matcher.answered(keys[:0]).any()
    with pytest.raises(DataError, match="too many for one store"):
        pack(np.zeros((1, 3)), np.zeros(1), n_contents=10**7, n_repeats=2)
    assert len(np.unique(rank_triplets(plan.items))) == 300


def test_budgets_must_make_sense():
    with pytest.raises(ConfigError, match="price_in and price_out are needed"):
        Budget(money=5)
    with pytest.raises(ConfigError, match="0 or more"):
        Budget(requests=-1)
    nothing = dict.fromkeys(
        ("requests", "tokens_in", "tokens_cached", "tokens_out", "hours", "most_in", "most_out"), 0.0
    )
    assert Meter(Budget(tokens=5), nothing).careful
    assert not Meter(Budget(requests=5), nothing).careful
    assert Asking().window == 100_000
