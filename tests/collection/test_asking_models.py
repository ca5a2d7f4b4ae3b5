"""Prompts, what is sent, how replies are read, and that keys stay where they belong."""

import json
import logging
import math
import time
import traceback

import pytest
from loopback import completion
from test_runner import Serving, setup

from encoding.collection import Answer, OpenAI, available_prompts, collect, load_prompt, of_captions, of_names
from encoding.collection.client import Client, _retry_after, check_url
from encoding.collection.concurrency import Gate
from encoding.collection.prompts import parse_prompt
from encoding.collection.reading import read_logprobs, read_reply, read_text
from encoding.collection.secrets import Secret
from encoding.core import ConfigError
from encoding.io.judgments.answers import AnswerStore

LETTER = load_prompt("captions-text")
SENTENCE = load_prompt("captions-sentence")
SOFT = load_prompt("captions-letter")
OWN = (
    'shows = "captions"\nanswer = "letter"\nlabels = ["A", "B", "C"]\n'
    '[[turns]]\nmax_tokens = 2\ntext = "{first}{second}{third}"\n'
)


# Prompts


@pytest.mark.parametrize("name", available_prompts())
def test_prompts_of_the_package_are_whole(name):
    prompt = load_prompt(name)
    assert len(prompt.digest) == 64
    assert prompt.about
    shown = [slot for turn in prompt.turns for slot in turn.slots]
    assert shown == [0, 1, 2]
    if prompt.answer == "logprobs":
        assert prompt.turns[-1].max_tokens == 1


def test_the_designs_of_the_study_are_there():
    assert len(load_prompt("frames-two-turns").turns) == 2
    assert len(load_prompt("captions-sentence").turns) == 1


def test_hash_of_a_prompt_is_that_of_its_words(tmp_path):
    content = OWN.encode()
    (tmp_path / "own.toml").write_bytes(content)
    assert load_prompt("own.toml", tmp_path).digest == parse_prompt("other", content.replace(b"\n", b"\r\n")).digest
    assert parse_prompt("x", content + b"# a word more\n").digest != parse_prompt("x", content).digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{third}", "{fourth}", "stands for nothing"),
        ("{third}", "", "must stand in it once"),
        ('labels = ["A", "B", "C"]', 'labels = ["A", "a", "C"]', "three different ones"),
        ('answer = "letter"', 'answer = "sentence"', "needs a pattern"),
        ('answer = "letter"', 'answer = "guess"', "known are"),
        ("max_tokens = 2", "max_tokens = 0", "1 or more"),
        ('shows = "captions"', "", "'shows' is missing"),
        ('shows = "captions"', 'shows = "captions"\nnew = 1', "unknown key 'new'"),
        ('shows = "captions"', "shows = captions", "not valid TOML"),
    ],
)
def test_bad_prompts_are_refused(old, new, message):
    with pytest.raises(ConfigError, match=message):
        parse_prompt("own", OWN.replace(old, new).encode())


def test_unknown_prompts_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'captions-letter'"):
        load_prompt("caption-letter")
    with pytest.raises(ConfigError, match="no file"):
        load_prompt("own.toml", tmp_path)


# Reading


def test_probabilities_are_summed_over_ways_to_write_a_label():
    tokens = [("A", 0.3), (" A", 0.1), ("a", 0.05), ("B", 0.2), ("\u2581C", 0.1), ("The", 0.2), ("AB", 0.04)]
    answer = read_logprobs([{"token": t, "logprob": math.log(p)} for t, p in tokens], ("A", "B", "C"), "A", 0.1)
    assert answer.outcome == "valid"
    assert answer.choice == 0
    assert answer.mass == pytest.approx(0.75)
    assert answer.probabilities == pytest.approx((0.6, 0.2 / 0.75, 0.1 / 0.75))


def test_unlikely_labels_and_ties_are_no_answers():
    few = read_logprobs([{"token": "A", "logprob": math.log(0.05)}], ("A", "B", "C"), "The", 0.1)
    assert (few.outcome, few.choice) == ("unparsed", -1)
    assert few.mass == pytest.approx(0.05)
    tie = read_logprobs([{"token": t, "logprob": -1.0} for t in "AB"], ("A", "B", "C"), "A", 0.1)
    assert (tie.outcome, tie.choice, tie.detail) == ("unparsed", -1, "two labels are equal")


@pytest.mark.parametrize(
    ("text", "prompt", "cut", "outcome", "choice"),
    [
        ("B", LETTER, False, "valid", 1),
        (" **b**.", LETTER, False, "valid", 1),
        ("B", LETTER, True, "valid", 1),
        ("The answer is C", LETTER, False, "valid", 2),
        ("Answer: A.", LETTER, False, "valid", 0),
        ("A and B are alike", LETTER, False, "unparsed", -1),
        ("The answer is A. No, the answer is B.", LETTER, False, "valid", 1),  # the last statement counts
        ("A dog", LETTER, False, "unparsed", -1),
        ("A dog and a", LETTER, True, "truncated", -1),
        ("", LETTER, False, "unparsed", -1),
        ("I'm sorry, but I can't help with that.", LETTER, False, "refused", -1),
        ("I\u2019m sorry, I cannot judge people.", SENTENCE, False, "refused", -1),
        ("Video 1 is sad. Video 2 stands apart because", SENTENCE, False, "valid", 1),
        ("Video 2 stands apart. Indeed, video 2 stands apart.", SENTENCE, False, "valid", 1),
        ("Video 2 stands apart, or Video 3 stands apart.", SENTENCE, False, "unparsed", -1),
        ("Video 2 stands apart because it", SENTENCE, True, "truncated", -1),
        ("Video 4 stands apart.", SENTENCE, False, "unparsed", -1),
        ("Video 1, video 2 and video 3 are all sad.", SENTENCE, False, "unparsed", -1),
        ("No doubt video 2 stands apart", SENTENCE, False, "valid", 1),
        ("If I look at emotions video 2 stands apart", SENTENCE, False, "valid", 1),
        ("Neither smiles and video 2 stands apart", SENTENCE, False, "valid", 1),
        ("I don't think video 2 stands apart", SENTENCE, False, "unparsed", -1),
        ("Neither video 1 nor video 2 stands apart", SENTENCE, False, "unparsed", -1),
    ],
)
def test_texts_are_read_and_nothing_is_guessed(text, prompt, cut, outcome, choice):
    answer = read_text(text, prompt, cut=cut)
    assert (answer.outcome, answer.choice, answer.reply) == (outcome, choice, text)


def test_refusals_are_seen_wherever_servers_write_them():
    assert read_reply(completion(content="", refusal="No."), LETTER, 0.1).outcome == "refused"
    assert read_reply(completion(content="B", finish="content_filter"), LETTER, 0.1).outcome == "refused"
    assert read_reply(completion(content=None), LETTER, 0.1).outcome == "unparsed"


# What is sent


def test_requests_hold_items_in_the_order_of_the_plan(tmp_path, names):
    odd = 'Says "no" \\ and \n\u00e9\U0001f600'
    captions = {name: [f"{odd} {i}"] for i, name in enumerate(names)}
    plan, shown, contents = setup(names, captions, n_triplets=40)
    seen = []

    def answer(request):
        seen.append(request)
        return {"content": "A", "logprobs": [("A", -0.1)]}

    with Serving(answer) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI(
            "toy", "captions-letter", url=server.url, seed=5, extra={"chat_template_kwargs": {"enable_thinking": False}}
        ).open(contents)
        collect(plan, shown, contents, annotator, store)
    assert len(seen) == 40
    wanted = {tuple(row) for row in plan.items.tolist()}
    clean = " ".join(odd.split())
    for request in seen:
        system, user = request["messages"]
        assert system == {"role": "system", "content": SOFT.system}
        lines = user["content"].splitlines()
        items = tuple(
            int(line.removeprefix(f"{label}: {clean} ")) for label, line in zip("ABC", lines[2:5], strict=True)
        )
        wanted.remove(items)
        rest = {key: value for key, value in request.items() if key != "messages"}
        assert rest == {
            "model": "toy", "max_tokens": 1, "temperature": 0.0, "seed": 5, "logprobs": True, "top_logprobs": 20,
            "chat_template_kwargs": {"enable_thinking": False},
        }  # fmt: skip
    assert not wanted


def test_two_turns_are_one_conversation(tmp_path, names):
    from pathlib import Path

    from PIL import Image

    from encoding.collection import Design, choose, make_plan, of_frames

    frames = {}
    for i, name in enumerate(names):
        path = tmp_path / f"{i}.jpg"
        Image.new("RGB", (8, 8), (i * 9, 0, 0)).save(path)
        frames[name] = [(Path(path), str(i))]
    plan = make_plan(Design(n_triplets=10), names)
    contents = of_frames(names, frames)
    shown = choose(plan, contents)
    seen = []

    def answer(request):
        seen.append(request["messages"])
        if len(request["messages"]) == 2:
            return {"content": "One is sad, two are not.", "tokens_in": 1000, "tokens_out": 50}
        return {
            "content": "Video 3 stands apart, it is sad.",
            "tokens_in": 1100,
            "tokens_cached": 1000,
            "tokens_out": 9,
        }

    with Serving(answer) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "frames-two-turns", url=server.url, concurrency=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        spent = store.spent(1)
    assert progress.outcomes["valid"] == 10
    assert [len(messages) for messages in seen] == [2, 4] * 10
    assert seen[1][:2] == seen[0]
    assert [message["role"] for message in seen[1]] == ["system", "user", "assistant", "user"]
    assert seen[1][2]["content"] == "One is sad, two are not."
    assert sum(part["type"] == "image_url" for part in seen[1][1]["content"]) == 3
    assert (spent["tokens_in"], spent["tokens_cached"], spent["tokens_out"]) == (21000, 10000, 590)
    assert spent["requests"] == 20


def test_a_server_without_probabilities_is_told_once(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions)
    with Serving(lambda _: {"content": "A"}) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, concurrency=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert server.n_requests == 1
    assert "gives no probabilities" in progress.reason
    assert "captions-text" in progress.reason


def test_what_is_shown_must_fit_the_prompt(names, captions):
    with pytest.raises(ConfigError, match="shows frames, but \\[stimuli\\] gives captions"):
        OpenAI("toy", "frames-letter").open(of_captions(names, captions))
    with pytest.raises(ConfigError, match="gives neither"):
        OpenAI("toy", "captions-letter").open(of_names(names))


def test_identity_holds_what_shapes_answers_and_not_where_they_come_from(names, captions):
    contents = of_captions(names, captions)

    def identity(**how):
        return OpenAI(**({"model": "m", "prompt": "captions-letter"} | how)).open(contents).identity()

    assert identity(url="http://elsewhere:1/v1", concurrency=3, timeout=9.0) == identity()
    for change in (
        {"model": "n"},
        {"temperature": 1.0},
        {"seed": 1},
        {"extra": {"top_k": 1}},
        {"prompt": "captions-text"},
    ):
        assert identity(**change) != identity()
    json.dumps(identity())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "model = '': a string that is not empty is needed"),
        ({"concurrency": 0}, "concurrency = 0: an integer from 1 to 100,000 is needed"),
        ({"least_mass": 2.0}, "least_mass = 2.0: a number from 0 to 1 is needed"),
        ({"extra": {"messages": []}}, "'messages' has a key of its own"),
        ({"url": "http://me:pa55@host/v1"}, "Keys belong in the environment"),
        ({"url": "http://host/v1?key=zzz9"}, "Keys belong in the environment"),
        ({"url": "host:8000"}, "an address such as"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        OpenAI(**({"model": "m", "prompt": "captions-letter"} | settings))
    assert "pa55" not in str(caught.value)
    assert "zzz9" not in str(caught.value)


# Keys

KEY = "sk-test-0123456789abcdef"


def test_a_key_is_sent_and_kept_nowhere(tmp_path, names, captions, monkeypatch, caplog):
    monkeypatch.setenv("TOY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    plan, shown, contents = setup(names, captions, n_triplets=30)

    def answer(_request):
        return {"content": f"my key is {KEY}", "logprobs": [("?", -0.1)]}

    def fault(number, _body):
        return (400, {"X": KEY}) if number % 2 else None

    with Serving(answer, fault=fault) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, key_variable="TOY_KEY", concurrency=1).open(
            contents
        )
        collect(plan, shown, contents, annotator, store)
        assert all(f"Authorization: Bearer {KEY}" in head for head in server.heads if head.startswith("POST"))
        assert KEY not in repr(annotator.__dict__)
        replies = {row[0] for row in store.base.execute("SELECT reply FROM answers")}
    assert "my key is [hidden]" in replies
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in caplog.text


def test_a_key_that_a_server_quotes_is_hidden_in_messages(tmp_path, names, captions, monkeypatch):
    monkeypatch.setenv("TOY_KEY", KEY)
    plan, shown, contents = setup(names, captions)
    with Serving(lambda _: {}, fault=lambda *_: 401) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        server._send_plain = server._send
        server._send = lambda writer, status, content, **how: server._send_plain(
            writer, status, {"error": f"wrong key {KEY}, or sk-ab******yz"} if status == 401 else content, **how
        )
        annotator = OpenAI("toy", "captions-letter", url=server.url, key_variable="TOY_KEY").open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert "wrong key [hidden], or [hidden]" in progress.reason
    assert "TOY_KEY" in progress.reason


def test_secrets_do_not_show_themselves(monkeypatch):
    monkeypatch.setenv("TOY_KEY", KEY)
    secret = Secret("TOY_KEY")
    assert KEY not in f"{secret!r} {secret} {vars(Secret)}"
    try:
        raise ValueError(secret)
    except ValueError:
        assert KEY not in traceback.format_exc()
    with pytest.raises(TypeError, match="not written anywhere"):
        secret.__reduce__()
    assert secret.redact(f"x {KEY} y Bearer abc.def-1") == "x [hidden] y Bearer [hidden]"
    monkeypatch.delenv("TOY_KEY")
    with pytest.raises(ConfigError, match="TOY_KEY is not set"):
        Secret("TOY_KEY", needed=True)
    monkeypatch.setenv("TOY_KEY", "a\nb")
    with pytest.raises(ConfigError, match="characters that no key has"):
        Secret("TOY_KEY")


# The client


def test_retry_after_is_read_in_both_forms():
    assert _retry_after("2.5") == 2.5
    assert _retry_after(None) is None
    assert _retry_after("soon") is None
    from email.utils import formatdate

    assert _retry_after(formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=2)


def test_addresses_keep_their_path():
    assert check_url("http://127.0.0.1:8000/v1/") == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize("per_minute", [1200])
def test_rate_per_minute_is_kept(tmp_path, names, captions, per_minute):
    plan, shown, contents = setup(names, captions, n_triplets=30)
    with Serving(lambda _: {"content": "A", "logprobs": [("A", -0.1)]}) as server, AnswerStore(tmp_path / "a") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, per_minute=per_minute).open(contents)
        start = time.monotonic()
        collect(plan, shown, contents, annotator, store)
    assert time.monotonic() - start >= 29 * 60 / per_minute


def test_an_answer_is_plain():
    assert Answer("error").choice == -1
    assert Client("http://a/v1", Secret(""), Gate(1), timeout=1, tries=1).url == "http://a/v1"


def test_missing_packages_are_named(tmp_path, names, captions, monkeypatch):
    import sys

    from encoding.core import DataError
    from encoding.io.clips import read_clip

    plan, shown, contents = setup(names, captions)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.setitem(sys.modules, "av", None)
    with AnswerStore(tmp_path / "a.sqlite") as store, pytest.raises(DataError, match=r"brain-encoding\[collect\]"):
        collect(plan, shown, contents, OpenAI("toy", "captions-letter").open(contents), store)
    with pytest.raises(DataError, match=r"brain-encoding\[collect\]"):
        read_clip(tmp_path / "a.mp4", 3)
