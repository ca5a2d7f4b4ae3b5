"""Fits are kept, pages follow what they show, and what can be known before a fit is said before it."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from encoding.cli import main
from encoding.config import parse_config
from encoding.core import AlignmentError, ConfigError, DataError, FeatureSpace, Samples, SplitError
from encoding.embedding import (
    FeatureTable,
    JudgmentTable,
    SourceContext,
    SparseEmbedding,
    agree,
    embed,
    learn,
    simulate_judgments,
)
from encoding.embedding.from_judgments import STEP
from encoding.embedding.kept import keep, keep_fit, kept, kept_fit
from encoding.io.store import load
from encoding.workflow.checks import check_features
from encoding.workflow.jobs import Places

from .conftest import planted

N = 24
NAMES = [f"clip{k}" for k in range(N)]
QUICK = {"n_dims": 2, "lambdas": (0.02,), "ridges": (0.0,), "reweight": 0, "halves": False, "resamples": 0}
FAST = {"n_permutations": 5, "n_bootstrap": 5}


def table(**changes):
    return JudgmentTable(**{"name": "judge", "file": "j.txt", "stimuli": "names.txt", "seeds": (0, 1)} | QUICK | FAST
                         | {"categories": "emotions"} | changes)  # fmt: skip


def odd_last(judgments):
    rows = np.arange(len(judgments))
    others = [judgments.items[rows, (judgments.choice + shift) % 3] for shift in (1, 2)]
    return np.stack([*others, judgments.items[rows, judgments.choice]], axis=1)


def ratings(folder, name="emotions"):
    return embed(FeatureTable(name, f"{name}.tsv"), folder)


def related(folder):
    return {"emotions": ratings(folder), "affect": ratings(folder, "affect")}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with judgments, two tables of ratings, and an embedding with its page."""
    top = tmp_path_factory.mktemp("kept")
    truth = planted(3, n_items=N, n_dims=2) + 0.1
    np.savetxt(top / "j.txt", odd_last(simulate_judgments(truth, 3_000, seed=0)), fmt="%d")
    (top / "names.txt").write_text("\n".join(NAMES) + "\n")
    rng = np.random.default_rng(0)
    for name, columns in (("emotions", ("joy", "fear", "awe")), ("affect", ("valence", "arousal"))):
        frame = pd.DataFrame(rng.random((N, len(columns))), columns=columns)
        frame.insert(0, "stimulus", NAMES)
        frame.to_csv(top / f"{name}.tsv", sep="\t", index=False)
    learn(table(), top, top / "out", related=related(top))
    return top


@pytest.fixture
def folder(learned, tmp_path):
    shutil.copytree(learned, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def no_fit(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("fitted again")

    monkeypatch.setattr("encoding.embedding.consensus.fit_consensus", refuse)
    monkeypatch.setattr(SparseEmbedding, "fit", refuse)


def page(folder):
    return (folder / "out" / "judge.html").read_text()


def rename(folder, name, old, new):
    path = folder / f"{name}.tsv"
    path.write_text(path.read_text().replace(old, new, 1))


def other_name(folder):
    return {"moods": dataclasses.replace(ratings(folder), name="moods")}


def other_values(folder):
    frame = pd.read_csv(folder / "emotions.tsv", sep="\t")
    frame["joy"] = frame["joy"].to_numpy()[::-1]
    frame.to_csv(folder / "emotions.tsv", sep="\t", index=False)


def pictures(folder):
    from PIL import Image

    (folder / "frames").mkdir()
    Image.new("RGB", (64, 48), (10, 100, 200)).save(folder / "frames" / "clip3.png")


def second(folder):
    space = load(folder / "out" / "judge")
    assert space.provenance.step == STEP
    return {"rival": dataclasses.replace(space, name="rival")}


@pytest.fixture
def drawn(monkeypatch):
    """Contexts that pages are drawn with, which takes long; their files are empty."""
    contexts = []

    def draw(path, name, result, judgments, context):
        contexts.append(context)
        path.write_text("")

    monkeypatch.setattr("encoding.embedding.shown.write_page", draw)
    return contexts


def test_a_page_follows_names_of_ratings_without_a_fit(folder, no_fit):
    assert ">joy<" in page(folder)
    rename(folder, "emotions", "joy", "TERROR")
    learn(table(), folder, folder / "out", related=related(folder))
    assert ">TERROR<" in page(folder)
    assert ">joy<" not in page(folder)


def test_ratings_of_both_kinds_may_have_the_same_name(folder, no_fit):
    rename(folder, "affect", "valence", "fear")
    learn(table(dimensions="affect"), folder, folder / "out", related=related(folder))
    figure = next((folder / "out" / "judge_files").glob("what-the-dimensions-mean-1.svg")).read_text()
    assert all(name in figure for name in ("fear (category)", "fear (dimension)", "joy", "arousal"))
    assert "joy (" not in figure
    with pytest.raises(ConfigError, match="categories = 'affect', dimensions = 'affect', but the page compares the"):
        table(categories="affect", dimensions="affect")


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"seeds": (0,)}, {"threshold": 0.5, "halves": True, "resamples": 3}),
        ({}, {"temperature": 0.5, "similarity": "dot", "n_judgments": 50, "soft": True, "n_repeats": 2}),
        ({"test": "names.txt"}, {"test_share": 0.2}),
        ({"file": "", "ratings": "emotions"}, {"annotator": "bob", "odd": "first", "count_from": 1, "stimuli": None}),
        ({}, {"spike": 0.1, "slab": 2.0, "share": 0.5}),
    ],
)
def test_settings_that_a_fit_does_not_use_do_not_fit_again(folder, given, changes):
    def key(**more):
        return table(**given, **more).inputs_key(SourceContext(folder, folder / "out", related(folder)))

    assert key(**changes) == key()
    assert key(max_iter=9) != key()


@pytest.mark.parametrize(
    ("do", "changes"),
    [
        (other_values, {}),
        (lambda _: None, {"categories": "affect"}),
        (lambda _: None, {"dimensions": "affect"}),
        (lambda _: None, {"categories": None}),
        (pictures, {"frames": "frames"}),
        (lambda _: None, {"n_permutations": 6}),
        (lambda _: None, {"n_bootstrap": 6}),
        (lambda _: None, {"learning_curve": True, "learning_shares": (0.5,)}),
        (second, {}),
        (other_name, {"categories": "moods"}),
    ],
)
def test_a_page_follows_what_it_shows_without_a_fit(folder, no_fit, drawn, do, changes):
    space = load(folder / "out" / "judge")
    spaces = (do(folder) or {}) | related(folder)
    for _ in range(2):
        again = learn(table(**changes), folder, folder / "out", related=spaces)
        assert len(drawn) == 1
    assert np.array_equal(again.values, space.values)
    assert again.provenance.key == space.provenance.key


def test_frames_are_shown_as_they_are_now(folder, no_fit, drawn):
    pictures(folder)
    for number, name in enumerate(("clip4", "clip4", "joined", "joined")):
        shutil.copy(folder / "frames" / "clip3.png", folder / "frames" / f"{name}.png")
        learn(table(frames="frames"), folder, folder / "out", related=related(folder))
        assert len(drawn) == 1 + number // 2
    (folder / "frames" / "clip4.png").write_bytes((folder / "frames" / "clip4.png").read_bytes() + b" ")
    learn(table(frames="frames"), folder, folder / "out", related=related(folder))
    assert len(drawn) == 3


def test_what_is_drawn_from_the_kept_fit_is_the_same(folder, no_fit):
    before = {path.name: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    (folder / "out" / "judge.html").unlink()
    learn(table(), folder, folder / "out", related=related(folder))
    after = {path.name: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    assert set(after) == set(before)
    assert [name for name in after if after[name] != before[name] and not name.endswith(".owner")] == []


@pytest.mark.parametrize("ends", ["encoding.embedding.shown.write_page", "encoding.embedding.learning.learning_curve"])
def test_what_was_fitted_outlives_what_fails_after_it(folder, monkeypatch, drawn, ends):
    source = table(seeds=(0, 2), learning_curve=True, learning_shares=(0.5,))

    def fail(*_, **__):
        raise AlignmentError("no page today")

    with monkeypatch.context() as patch:
        patch.setattr(ends, fail)
        with pytest.raises(AlignmentError, match="no page today"):
            learn(source, folder, folder / "out", related=related(folder))
    assert not (folder / "out" / "judge_drawn.json").exists()
    assert not (folder / "out" / "judge.html").exists()
    assert load(folder / "out" / "judge").provenance.config["seeds"] == (0, 2)  # the page fails, not the feature space
    monkeypatch.setattr("encoding.embedding.consensus.fit_consensus", lambda *_, **__: pytest.fail("fitted again"))
    learn(source, folder, folder / "out", related=related(folder))
    curve = pd.read_csv(folder / "out" / "judge_curve.tsv", sep="\t")
    assert curve["share"].tolist() == [0.5, 1.0]
    monkeypatch.setattr("encoding.embedding.learning.learning_curve", lambda *_, **__: pytest.fail("fitted again"))
    learn(dataclasses.replace(source, n_bootstrap=7), folder, folder / "out", related=related(folder))
    assert [context.n_bootstrap for context in drawn] == [5, 7]


def test_nothing_is_left_of_an_earlier_result(folder, drawn):
    out = folder / "out"
    assert (out / "judge_choices.tsv").is_file()
    (out / "judge_intervals.tsv").write_text("of a variational fit\n")
    (out / "judge_files" / "intervals-of-weights-1.svg").write_text("<svg/>")
    (out / "judge_files" / "samples.tsv").write_text("of a feature space that is called judge_files\n")
    learn(table(learning_curve=True, learning_shares=(0.5,)), folder, out, related=related(folder))
    assert (out / "judge_curve.tsv").is_file()
    learn(table(seeds=(0,)), folder, out, related=related(folder))
    names = {path.name for path in out.rglob("*") if path.is_file()}
    assert not [name for name in names if "reproducibility" in name or "intervals" in name or "worth" in name]
    assert not names & {"judge_choices.tsv", "judge_dimensions.tsv", "judge_curve.tsv"}
    assert {"judge_path.tsv", "judge.html", "judge.npy", "samples.tsv"} <= names


def test_fits_come_back_as_they_were(tmp_path):
    judgments = simulate_judgments(planted(3, n_items=N, n_dims=2) + 0.1, 600, seed=0)
    judgments = dataclasses.replace(judgments, annotator=np.where(np.arange(600) % 2, "ann", "bob"))
    found = SparseEmbedding("variational", judge_noise=True, lambdas=(0.02,), ridges=(0.0,), reweight=0).fit(judgments)
    for given in (found, agree([found, found])):
        keep_fit(tmp_path / "fit.npz", "key", given)
        again = kept_fit(tmp_path / "fit.npz", "key", "cpu")
        one, other = given, again
        if given is not found:
            pd.testing.assert_frame_equal(given.dimensions, again.dimensions)
            pd.testing.assert_frame_equal(given.choices, again.choices)
            assert np.array_equal(given.embedding, again.embedding)
            one, other = given.runs[1], again.runs[1]
        assert set(vars(one)) == set(vars(other))
        for name, value in vars(one).items():
            there = vars(other)[name]
            assert type(value) is type(there), name
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(value, there)
            elif isinstance(value, np.ndarray):
                assert value.dtype == there.dtype
                np.testing.assert_array_equal(value, there)
            else:
                assert value == there
    assert kept_fit(tmp_path / "fit.npz", "another key", "cpu") is None
    assert kept_fit(tmp_path / "nothing.npz", "key", "cpu") is None


def test_a_damaged_fit_is_named(folder):
    (folder / "out" / "judge_fit.npz").write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"judge_fit.npz: the kept fit is damaged .*Remove the file"):
        learn(table(n_bootstrap=7), folder, folder / "out", related=related(folder))
    with pytest.raises(TypeError, match="mixes kinds"):
        keep(folder / "x.npz", "key", {"table": pd.DataFrame({"a": ["text", 1]})})
    keep(folder / "x.npz", "key", {"a": (1, [None, "b"], {"c": np.inf})})
    assert kept(folder / "x.npz", "key") == {"a": (1, (None, "b"), {"c": np.inf})}


def test_no_space_is_made_of_dimensions_that_are_not_reliable(folder, no_fit):
    with pytest.raises(ConfigError, match="a single fit does not show how reliable a dimension is"):
        table(only_reliable=True, seeds=(0,))
    full = load(folder / "out" / "judge")
    first = kept_fit(folder / "out" / "judge_fit.npz", _key(folder), "cpu")
    assert first.to_feature_space("judge").n_features == full.n_features
    none = dataclasses.replace(first, dimensions=first.dimensions.assign(reliable=False))
    with pytest.raises(DataError, match=r"'judge': only_reliable = true, but none of 2 dimensions is reliable"):
        none.to_feature_space("judge", only_reliable=True)
    one = dataclasses.replace(none, dimensions=none.dimensions[:1])
    with pytest.raises(DataError, match="a single dimension may be what several have in common"):
        one.to_feature_space("judge", only_reliable=True)
    before = page(folder)
    some = learn(table(only_reliable=True), folder, folder / "out", related=related(folder))  # of the fit that is kept
    assert some.n_features == first.dimensions["reliable"].sum()
    assert some.provenance.key != full.provenance.key
    assert page(folder) == before


def _key(folder):
    from encoding.embedding.from_judgments import _Keys

    return _Keys.of(table(), folder, related(folder)).fit


def test_embeddings_of_other_stimuli_are_not_compared(folder, no_fit):
    far = dataclasses.replace(second(folder)["rival"], samples=Samples.of_stimuli([f"word{k}" for k in range(N)]))
    learn(table(), folder, folder / "out", related=related(folder) | {"far": far})
    assert "far is left out. " in page(folder)


def with_header(folder, **columns):
    rows = np.loadtxt(folder / "j.txt", dtype=int)
    frame = pd.DataFrame(np.asarray(NAMES)[rows], columns=["item_1", "item_2", "item_3"])
    frame["choice"] = frame["item_3"]
    frame.assign(**columns).to_csv(folder / "j.csv", index=False)


def unlike(n):
    names = NAMES[:n] + [f"other{k}" for k in range(N - n)]
    return FeatureSpace("emotions", np.random.default_rng(0).random((N, 3)), Samples.of_stimuli(names), tuple("abc"))


WRONG = {
    "no judgments": (
        lambda folder: (folder / "garbage.txt").write_text("hello\n"), {"file": "garbage.txt"}, DataError,
        "garbage.txt",
    ),
    "a test that is in the file": (
        lambda folder: shutil.copy(folder / "j.txt", folder / "t.txt"), {"test": "t.txt"}, SplitError, "in two parts",
    ),
    "an unknown annotator": (
        lambda folder: with_header(folder, annotator="ann"), {"file": "j.csv", "annotator": "bob"}, DataError,
        "no judgments of 'bob'",
    ),
    "noise of one judge": (
        lambda folder: with_header(folder, annotator="ann"), {"file": "j.csv", "judge_noise": True}, DataError,
        r"'judge', .*j\.csv: .*judge_noise = True, but all judgments are of one annotator",
    ),
    "slots that are not of showing": (None, {"slot_bias": True}, DataError, "slot_bias = True, but the odd item is in"),
    "a target that is left over": (
        lambda folder: with_header(folder, choice=np.asarray(NAMES)[np.loadtxt(folder / "j.txt", dtype=int)[:, 0]]),
        {"file": "j.csv", "task": "match"}, DataError, "leave the first item over",
    ),
    "no test part": (
        None, {"learning_curve": True, "test_share": 0.0}, DataError,
        "learning_curve = true, but no judgments are kept for testing",
    ),
    "a split without training": (
        lambda folder: with_header(folder, split="test"), {"file": "j.csv"}, DataError,
        "no judgment is in the part 'train'",
    ),
    "one triplet": (
        lambda folder: (folder / "t.txt").write_text("0 1 2\n1 2 0\n"), {"file": "t.txt", "test_share": 0.0}, DataError,
        "about the same stimuli",
    ),
    "ratings of other stimuli": (
        lambda _: {"emotions": unlike(0)}, {}, AlignmentError,
        r"'judge', .*j\.txt: categories = 'emotions' has ratings of 0 of the 24 .*\(here 'clip0', there 'other0'",
    ),
    "ratings of two stimuli": (
        lambda folder: {"emotions": ratings(folder), "affect": unlike(2)}, {"dimensions": "affect"}, AlignmentError,
        "dimensions = 'emotions' has ratings of 2 of the 24",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_would_fail_later_is_found_before(folder, no_fit, case):
    do, changes, kind, message = WRONG[case]
    found = do(folder) if do is not None else None
    spaces = related(folder) | (found if isinstance(found, dict) else {})
    source = table(**changes)
    with pytest.raises(kind, match=message):
        source.check_with(SourceContext(folder, folder / "out", spaces))
    with pytest.raises(kind, match=message):
        learn(source, folder, folder / "out", related=spaces)


def test_a_part_of_the_page_that_will_be_missing_is_said(folder):
    def notes(**spaces):
        return table(dimensions="affect").check_with(SourceContext(folder, folder / "new", related(folder) | spaces))

    assert notes(emotions=unlike(20)) == ()
    assert "19 of the 24 judged stimuli have ratings; from fewer than 20" in notes(emotions=unlike(19))[0]


def test_what_cannot_be_checked_is_said(folder, monkeypatch):
    context = SourceContext(folder, folder / "new", related(folder))
    assert table().check_with(context) == ()
    assert "'emotions' goes with it is known once" in table().check_with(SourceContext(folder, folder))[0]
    (folder / "names.txt").write_text("\n".join([*NAMES, "unseen"]) + "\n")
    assert "unseen" in table().check_with(context)[0]
    monkeypatch.setattr("encoding.embedding.from_judgments.LARGEST", 10)
    assert table().check_with(context) == ("judge: j.txt is too large to be read before the run",)


def test_what_is_made_already_is_not_read_again(folder, monkeypatch):
    monkeypatch.setattr("encoding.embedding.from_judgments.gather_judgments", lambda *_: pytest.fail("read again"))
    assert table().check_with(SourceContext(folder, folder / "out", related(folder))) == ()


def test_simulated_judgments_are_checked_before_they_are_many(folder):
    source = table(file="", stimuli=None, ratings="emotions", n_judgments=10**9, learning_curve=True, test_share=0.0)
    with pytest.raises(DataError, match=r"'judge': ratings = 'emotions': learning_curve = true"):
        source.check_with(SourceContext(folder, folder / "new", related(folder)))


def test_stimuli_that_a_sample_of_judgments_leaves_out_are_not_missed(folder, monkeypatch):
    source = table(file="", stimuli=None, ratings="emotions", n_judgments=2_000)
    context = SourceContext(folder, folder / "new", related(folder))
    assert source.check_with(context) == ()
    monkeypatch.setattr("encoding.embedding.from_judgments.MOST_SIMULATED", 3)
    assert source.check_with(context) == ()
    assert "items are in no judgment" in dataclasses.replace(source, n_judgments=3).check_with(context)[0]


SPACES = """
[[features]]
kind = "judgments"
name = "judge"
file = "{file}"
stimuli = "names.txt"
categories = "emotions"

[[features]]
name = "emotions"
file = "{ratings}.tsv"
"""


def test_the_command_checks_what_is_only_learned(folder, capsys):
    config = folder / "learn.toml"
    config.write_text(SPACES.format(file="j.txt", ratings="emotions"))
    assert main(["check", str(config)]) == 0
    told = capsys.readouterr().out
    assert "good for encoding embed" in told
    assert "not checked     responses, models and maps: encoding run also needs [load], and [[fit]] or [[rsa]]" in told
    assert main(["check", str(config), str(folder)]) == 0
    config.write_text(SPACES.format(file="names.txt", ratings="nowhere"))
    capsys.readouterr()
    assert main(["check", str(config)]) == 1
    told = capsys.readouterr().err
    assert "2 problems" in told
    assert "names.txt" in told
    assert "nowhere.tsv" in told
    study = parse_config(SPACES.format(file="j.txt", ratings="affect"), only_features=None)
    assert check_features(study, Places(folder, folder / "out", folder / "work")) == ()


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ('[[features]]\nname = "emotions"\nfile = "emotions.tsv"\n', r"\[load\]"),
        (SPACES + '[[fit]]\nkind = "ridge"\nbands = "each"\n', r"\[load\]"),
        (SPACES + '[load]\ntask = "video"\nkind = "volume"\n', r"\[\[fit\]\] or \[\[rsa\]\]"),
        (SPACES + "[map]\ndpi = 50\n", r"\[load\]"),
    ],
)
def test_what_a_run_needs_is_still_asked_for(text, missing):
    with pytest.raises(ConfigError, match=f"table {missing} is missing"):
        parse_config(text, only_features=None)
