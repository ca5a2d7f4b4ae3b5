"""What the quality report says is true of judgments of which the truth is known."""

import numpy as np
import pytest
from scipy.stats import chisquare

from encoding.collection import (
    Design,
    assess,
    average_orders,
    judge_agreement,
    make_plan,
    pool,
    repeat_agreement,
    slot_use,
)
from encoding.collection.participants import assess_participants
from encoding.collection.quality import chance_ceiling, noise_ceiling
from encoding.collection.quality_report import write_quality
from encoding.core import DataError, Judgments
from encoding.numerics.triplet_ranks import rank_triplets

NAMES = tuple(f"clip{i:02d}" for i in range(20))
STRENGTH = np.random.default_rng(5).normal(size=20)


def judge(plan, name, *, bias=(0, 0, 0), noise=1.0, soft=False, seed=0):
    """Judgments of a judge who calls items odd by their strength, prefers slots, and draws or tells probabilities."""
    score = STRENGTH[plan.items] / noise + np.array(bias)
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    draw = np.random.default_rng(seed).random((len(p), 1))
    choice = p.argmax(axis=1) if soft else (draw > np.cumsum(p, axis=1)).sum(axis=1)
    n = len(plan)
    return Judgments(
        NAMES, plan.items, choice, p if soft else np.full((n, 3), np.nan), np.full(n, "valid"), np.ones(n), plan.repeat,
        np.full(n, "train"), np.full(n, name),
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return make_plan(Design(kind="full", test=0.0, repeated=60, repeats=12), NAMES)


def test_fair_judge_is_not_accused_and_a_partial_one_is(plan):
    fair, partial = judge(plan, "fair"), judge(plan, "partial", bias=(1.5, 0, -0.4))
    (a,), (b,) = assess(fair), assess(partial)
    assert not a.slots.flagged
    assert a.warnings == ()
    assert b.slots.flagged
    assert b.slots.p < 1e-6
    assert b.slots.statistic == pytest.approx(chisquare(np.bincount(partial.choice)).statistic)
    assert np.allclose(b.slots.shares, np.bincount(partial.choice) / len(partial))
    assert any("not used equally" in warning for warning in b.warnings)


def test_small_preferences_that_are_certain_are_not_pointed_out():
    choice = np.repeat([0, 1, 2], [102_000, 99_000, 99_000]).astype(np.int8)
    use = slot_use(choice, np.full((300_000, 3), np.nan))
    assert use.p < 1e-6
    assert not use.flagged


def test_probabilities_are_averaged_where_they_are_known(plan):
    judgments = judge(plan, "soft", soft=True, bias=(1.0, 0, 0))
    use = slot_use(judgments.choice, judgments.probabilities)
    assert np.allclose(use.shares, judgments.probabilities.mean(axis=0), atol=1e-6)


def test_noise_ceiling_is_that_of_the_choice_probabilities(plan):
    judgments = judge(plan, "fair")
    ceiling, pairs, per_triplet = repeat_agreement(judgments.items, judgments.choice)
    assert ceiling.n == len(per_triplet) == 60
    ranks, times = np.unique(rank_triplets(plan.items), return_counts=True)
    repeated = plan.items[np.isin(rank_triplets(plan.items), ranks[times > 1]) & (plan.repeat == 0)]
    p = np.exp(STRENGTH[repeated])
    p /= p.sum(axis=1, keepdims=True)
    expected = (p**2).sum(axis=1).mean()
    assert pairs.low < expected < pairs.high
    assert pairs.high - pairs.low < 0.2
    assert ceiling.low < ceiling.share < ceiling.high


def test_agreement_counts_stimuli_and_not_slots():
    items = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    ceiling, pairs, _ = repeat_agreement(items, np.array([2, 0, 1]))
    assert (ceiling.share, pairs.share) == (1.0, 1.0)
    ceiling, pairs, _ = repeat_agreement(items, np.array([0, 0, 0]))
    assert (ceiling.share, pairs.share) == (pytest.approx(1 / 3), 0.0)
    assert repeat_agreement(items, np.array([2, -1, -1]))[0].n == 0


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (2, 2 / 3), (3, (3 * 1 + 18 * 2 / 3 + 6 / 3) / 27)])
def test_ceiling_by_chance(n, expected):
    assert chance_ceiling(n) == pytest.approx(expected)


def test_random_judge_is_named(plan):
    judgments = judge(plan, "dice", noise=1e9)
    (quality,) = assess(judgments)
    assert any("no more often than by chance" in warning for warning in quality.warnings)
    draws = [
        repeat_agreement(judge(plan, "d", noise=1e9, seed=s).items, judge(plan, "d", noise=1e9, seed=s).choice)
        for s in range(5)
    ]
    assert np.mean([ceiling.share for ceiling, _, _ in draws]) == pytest.approx(chance_ceiling(12), abs=0.02)


def test_judges_agree_as_often_as_their_probabilities_say(plan):
    a, b = judge(plan, "a", seed=1), judge(plan, "b", seed=2)
    table = judge_agreement(Judgments.concat([a, b]))
    p = np.exp(STRENGTH[plan.items[plan.repeat == 0]])
    p /= p.sum(axis=1, keepdims=True)
    (row,) = table.to_dict("records")
    assert (row["a"], row["b"], row["triplets"]) == ("a", "b", 1140)
    assert row["low"] < (p**2).sum(axis=1).mean() < row["high"]
    other = Judgments(("x", "y", "z"), [[0, 1, 2]], [0], np.full((1, 3), np.nan), ["valid"], [1], [0], [""], ["c"])
    with pytest.raises(DataError, match="20 and 3 stimuli"):
        Judgments.concat([a, other])


def test_averaging_over_orders_cancels_a_preference_exactly():
    plan = make_plan(Design(kind="full", test=0.0, order="all"), NAMES[:8])
    fair = judge(plan, "x", soft=True)
    partial = judge(plan, "x", soft=True, bias=(1.2, 0.1, -0.6))
    once = average_orders(partial)
    assert len(once) == 56
    assert np.all(once.weight == 6)
    # The mean over orders does not depend on how slots are preferred: relabelling them gives the same.
    for order in ((1, 2, 0), (2, 1, 0)):
        other = average_orders(judge(plan, "x", soft=True, bias=np.array((1.2, 0.1, -0.6))[list(order)]))
        assert np.allclose(once.probabilities, other.probabilities, atol=1e-6)
    truth = average_orders(fair)
    assert np.mean(once.choice == truth.choice) == 1.0
    assert np.array_equal(np.sort(once.items, axis=1), once.items)


def test_averaging_hard_answers_ends_in_ties_that_are_not_decided():
    plan = make_plan(Design(kind="full", test=0.0, order="cyclic"), NAMES[:5])
    n = len(plan)
    first = Judgments(
        NAMES[:5], plan.items, np.zeros(n), np.full((n, 3), np.nan), np.full(n, "valid"), np.ones(n), plan.repeat,
        np.full(n, ""), np.full(n, "always first"),
    )  # fmt: skip
    once = average_orders(first)
    assert np.all(once.outcome == "unparsed")
    assert np.allclose(once.probabilities, 1 / 3)


def timed(judgments, order=None):
    n = len(judgments)
    return {
        "answered": np.arange(n, dtype=float) if order is None else order,
        "latency": np.ones(n),
        "mass": np.full(n, 0.9),
    }


def test_drift_is_found_and_sorted_stimuli_are_no_drift(plan):
    steady = judge(plan, "steady", bias=(0.4, 0, 0))
    # Trials that begin with the same stimulus ran together.
    by_first = np.argsort(np.argsort(plan.items[:, 0], kind="stable")).astype(float)
    (quality,) = assess(steady, timed(steady, by_first))
    assert quality.drift_p > 1e-3
    late = judge(plan, "x", bias=(2.0, 0, 0))
    choice = np.where(np.arange(len(plan)) < len(plan) / 2, steady.choice, late.choice)
    columns = {
        name: getattr(steady, name)
        for name in ("items", "probabilities", "outcome", "weight", "repeat", "split", "annotator")
    }
    drifting = Judgments(NAMES, choice=choice, **columns)
    (quality,) = assess(drifting, timed(drifting))
    assert quality.drift_p < 1e-6
    assert any("changes over time" in warning for warning in quality.warnings)
    assert quality.drift["first"].iloc[-1] > quality.drift["first"].iloc[0] + 0.2


def test_people_drift_within_their_sessions_and_not_by_who_comes_last(plan):
    """Somebody who prefers a slot and took part last is no drift; everybody tiring is."""
    n, k = len(plan), 8
    who = np.array([f"p{i * k // n}" for i in range(n)])  # one after the other
    fair, biased = judge(plan, "people"), judge(plan, "people", bias=(2.0, 0, 0))

    def assessed(choice):
        columns = {name: getattr(fair, name) for name in
                   ("items", "probabilities", "outcome", "weight", "repeat", "split", "annotator")}  # fmt: skip
        judgments = Judgments(NAMES, choice=choice, **columns)
        (quality,) = assess(judgments, {**timed(judgments), "participant": who})
        return quality

    last = assessed(np.where(who == "p7", biased.choice, fair.choice))
    assert last.drift_p > 1e-3
    assert not any("changes over" in warning for warning in last.warnings)
    tired = assessed(np.where(np.arange(n) * k % n / n > 0.6, biased.choice, fair.choice))
    assert tired.drift_p < 1e-6
    assert any("changes over sessions" in warning for warning in tired.warnings)


def test_refusals_are_counted_by_stimulus(plan, tmp_path):
    judgments = judge(plan, "shy")
    shy = (judgments.items == 4).any(axis=1)
    columns = {
        name: getattr(judgments, name) for name in ("items", "probabilities", "weight", "repeat", "split", "annotator")
    }
    outcome = np.where(shy, "refused", judgments.outcome)
    judgments = Judgments(NAMES, choice=np.where(shy, -1, judgments.choice), outcome=outcome, **columns)
    found = write_quality(tmp_path / "q.html", judgments, extra=timed(judgments), warnings=("Look at this.",))
    assert found[0].refused[0] == ("clip04", int(shy.sum()), int(shy.sum()))
    assert found[0].outcomes["refused"] == shy.sum()
    assert any("of the answers are valid" in warning for warning in found[0].warnings)
    page = (tmp_path / "q.html").read_text(encoding="utf-8")
    for word in (
        "Look at this.",
        "clip04",
        "Validity and refusals",
        "Agreement of repetitions",
        "Drift over time",
        "0.90",
    ):
        assert word in page
    assert page.count("<img") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_no_judgments_are_refused():
    empty = Judgments(("a", "b", "c"), np.zeros((0, 3)), [], np.zeros((0, 3)), [], [], [], [], [])
    with pytest.raises(DataError, match="no judgments to check"):
        assess(empty)


def test_identical_requests_are_no_evidence(plan):
    """A judge of temperature 0 that answers at random by what it is shown agrees with itself, and is found out."""
    code = (plan.items.astype(np.int64) * (1, 1009, 10007)).sum(axis=1)
    choice = np.random.default_rng(0).integers(0, 3, code.max() + 1)[code]
    n = len(plan)
    judgments = Judgments(
        NAMES, plan.items, choice, np.full((n, 3), np.nan), np.full(n, "valid"), np.ones(n), plan.repeat,
        np.full(n, ""), np.full(n, "hash"),
    )  # fmt: skip
    (quality,) = assess(judgments, timed(judgments, np.argsort(np.argsort(code, kind="stable")).astype(float)))
    assert quality.presentations == 6
    assert quality.ceiling.share == pytest.approx(1 / 3, abs=0.06)
    assert any("no more often than by chance" in warning for warning in quality.warnings)
    assert not any("changes over time" in warning for warning in quality.warnings)


def test_ceiling_is_that_of_the_best_prediction(plan):
    soft = judge(plan, "soft", soft=True)
    ceiling = noise_ceiling(soft.items, soft.choice, probabilities=soft.probabilities)
    ranks, times = np.unique(rank_triplets(plan.items), return_counts=True)
    repeated = plan.items[np.isin(rank_triplets(plan.items), ranks[times > 1]) & (plan.repeat == 0)]
    p = np.exp(STRENGTH[repeated])
    assert ceiling.share == pytest.approx((p / p.sum(axis=1, keepdims=True)).max(axis=1).mean(), abs=1e-5)


def test_participants_who_guess_prefer_a_slot_or_do_not_look_are_flagged():
    rng = np.random.default_rng(0)
    triplets = np.array([rng.permutation(20)[:3] for _ in range(150)])
    rows = []
    for name in ("a", "b", "c", "d", "guesses", "biased", "lapses", "tires"):
        shown = np.array([rng.permutation(three) for three in triplets])
        p = np.exp(2.5 * STRENGTH[shown])
        p /= p.sum(axis=1, keepdims=True)
        p = {"guesses": np.full_like(p, 1 / 3), "biased": p * (9, 1, 1) / (p * (9, 1, 1)).sum(1, keepdims=True)}.get(
            name, p
        )
        choice = (rng.random((150, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(0, 2)
        reaction = rng.gamma(5, 0.4, 150)
        if name == "lapses":
            choice[60:100], reaction[60:100] = 1, 0.1
        if name == "tires":  # at an ordinary speed, and in all slots
            choice[100:] = rng.integers(0, 3, 50)
        rows.append((shown, choice, np.full(150, name), reaction))
    items, choice, who, reaction = (np.concatenate(part) for part in zip(*rows, strict=True))
    table = assess_participants(items, choice, who, reaction=reaction).set_index("participant")
    assert (table.loc[["a", "b", "c", "d"], "flags"] == "").all()
    assert "by chance" in table.loc["guesses", "flags"]
    assert "prefers a slot" in table.loc["biased", "flags"]
    assert "faster than anybody can look" in table.loc["lapses", "flags"]
    assert "in a row" in table.loc["lapses", "flags"]
    assert table.loc["tires", "flags"] == "agrees with the others as by chance in part 3 of 3 of the trials"


def test_pooled_judges_weigh_as_much_as_they_are_reliable(plan):
    judges = [judge(plan, "good", noise=0.3, seed=1), judge(plan, "fair", noise=0.6, seed=2),
              judge(plan, "dice", noise=1e9, seed=3), judge(plan, "dice 2", noise=1e9, seed=4)]  # fmt: skip
    pooled, reliability = pool(Judgments.concat(judges))
    assert reliability["good"] > reliability["fair"] > 0.5
    assert max(reliability["dice"], reliability["dice 2"]) < 0.45
    right = STRENGTH[pooled.items].argmax(axis=1)
    alone = average_orders(judges[1])
    assert (pooled.choice == right).mean() > (alone.choice == STRENGTH[alone.items].argmax(axis=1)).mean()
    with pytest.raises(DataError, match="two or more are needed"):
        pool(judges[0])
