"""encoding collect: from a configuration to files, in one folder, as often as one likes."""

import json
import runpy
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loopback import by_hash
from test_runner import Serving

from encoding.cli import build_parser, main
from encoding.collection import ANNOTATORS, available_prompts
from encoding.collection.results import file_name
from encoding.config import read_config
from encoding.config.collect import read_collection, resolved
from encoding.core import ConfigError
from encoding.io.judgments.files import read_judgments
from encoding.io.store import load
from encoding.workflow import cluster

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
seed = 2

[stimuli]
table = "stimuli.tsv"
show = "{show}"

[design]
n_triplets = 120
subset = 4
repeated = 5
repeats = 4

{annotators}

[budget]
price_in = 1.0
price_out = 2.0

[collect]
folder = "out"
"""
COSINE = '[[annotator]]\nkind = "cosine"\nfile = "ratings.tsv"\n'
PEOPLE = '[[annotator]]\nkind = "table"\nfile = "people.tsv"\n'
MODEL = '[[annotator]]\nkind = "openai"\nmodel = "toy/model-1"\nprompt = "captions-letter"\nurl = "{url}"\n'


def write(folder, annotators=COSINE, show="names", **replace):
    rng = np.random.default_rng(0)
    names = [f"clip{i:02d}" for i in range(12)]
    stimuli = pd.DataFrame({"stimulus": names, "caption": [f"Somebody does thing {i}." for i in range(12)]})
    stimuli.to_csv(folder / "stimuli.tsv", sep="\t", index=False)
    ratings = pd.DataFrame(rng.gamma(1, size=(12, 4)), columns=list("abcd"))
    pd.concat([stimuli["stimulus"], ratings], axis=1).to_csv(folder / "ratings.tsv", sep="\t", index=False)
    text = CONFIG.format(annotators=annotators, show=show)
    for old, new in replace.items():
        text = text.replace(old, new)
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_ratings_from_plan_to_files(tmp_path, capsys):
    config = write(tmp_path)
    assert main(["collect", "plan", "--config", config]) == 0
    out = capsys.readouterr().out
    assert "139 trials of 124 triplets about 12 stimuli" in out
    assert "20 trials asked (20 valid)" in out
    plan = load(tmp_path / "out" / "plan")
    assert main(["collect", "run", "--config", config]) == 0
    assert "finished; 119 valid; 0 of 139 trials left" in capsys.readouterr().out
    assert main(["collect", "run", "--config", config]) == 0
    assert "nothing to ask" in capsys.readouterr().out
    assert main(["collect", "status", "--config", config]) == 0
    assert "139" in capsys.readouterr().out
    assert main(["collect", "export", "--config", config]) == 0
    assert "judgments.parquet: 139 rows" in capsys.readouterr().out
    judgments = read_judgments(tmp_path / "out" / "export" / "cosine" / "judgments.parquet")
    assert judgments.stimuli == plan.stimuli
    assert sorted(map(tuple, judgments.items.tolist())) == sorted(map(tuple, plan.items.tolist()))
    train = np.load(tmp_path / "out" / "export" / "cosine" / "train_90.npy")
    test = np.load(tmp_path / "out" / "export" / "cosine" / "test_10.npy")
    assert len(train) + len(test) == 120
    assert main(["collect", "check", "--config", config]) == 0
    assert (tmp_path / "out" / "quality.html").stat().st_size > 20_000


def test_model_with_costs_shards_and_merging(tmp_path, capsys):
    def answer(request):
        return by_hash(request) | {"tokens_in": 200, "tokens_cached": 50}

    with Serving(answer) as server:
        config = write(tmp_path, MODEL.format(url=server.url), show="captions")
        assert main(["collect", "plan", "--config", config]) == 0
        out = capsys.readouterr().out
        assert "200 tokens in (50 cached), 1.0 out, 1.00 requests" in out
        assert "119 trials: 119 requests, 23,800 tokens in, 119 out" in out
        assert "0.02 USD" in out
        for part in ("1/2", "2/2"):
            assert main(["collect", "run", "--config", config, "--shard", part]) == 0
        assert server.n_requests == 139
        capsys.readouterr()
        assert main(["collect", "merge", "--config", config]) == 0
        assert "119 answers added" in capsys.readouterr().out
        assert main(["collect", "run", "--config", config]) == 0
        assert server.n_requests == 139
        assert main(["collect", "export", "--config", config, "--annotator", "toy/model-1"]) == 0
    judgments = read_judgments(tmp_path / "out" / "export" / "toy-model-1" / "judgments.parquet")
    assert len(judgments) == 139
    assert np.isfinite(judgments.probabilities).all()
    assert set(judgments.split.tolist()) == {"train", "test", "subset"}
    table = pd.read_parquet(tmp_path / "out" / "export" / "toy-model-1" / "judgments.parquet")
    odd = table[["item_1", "item_2", "item_3"]].astype(str).to_numpy()[np.arange(139), table["choice"]]
    assert table["odd"].astype(str).tolist() == odd.tolist()


def test_workers_ask_shards_and_end_with_the_same_judgments(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "PROCESSES", False)
    found = []
    for folder, jobs in (("one", "1"), ("many", "3")):
        (tmp_path / folder).mkdir()
        config = write(tmp_path / folder)
        assert main(["collect", "plan", "--config", config]) == 0
        assert main(["collect", "run", "--config", config, "--n-jobs", jobs]) == 0
        assert "finished; 119 valid" in capsys.readouterr().out
        assert main(["collect", "export", "--config", config]) == 0
        found.append(read_judgments(tmp_path / folder / "out" / "export" / "cosine" / "judgments.parquet"))
    np.testing.assert_array_equal(found[0].items, found[1].items)
    np.testing.assert_array_equal(found[0].choice, found[1].choice)
    assert main(["collect", "run", "--config", config, "--n-jobs", "2", "--shard", "1/2"]) == 1
    assert "leave --shard out" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["[budget]\nrequests = 100", "per_minute = 10\n\n[budget]"])
def test_workers_do_not_multiply_what_is_limited(tmp_path, capsys, monkeypatch, limit):
    monkeypatch.setattr(cluster, "PROCESSES", False)
    model = MODEL.format(url="http://127.0.0.1:9/v1")
    config = write(tmp_path, model, show="captions", **{"[budget]": limit})
    assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
    assert main(["collect", "run", "--config", config, "--n-jobs", "2"]) == 1
    assert "2 workers would each spend as much" in capsys.readouterr().err


def test_a_server_that_is_down_gives_exit_status_1_and_keeps_the_plan(tmp_path, capsys):
    config = write(tmp_path, MODEL.format(url="http://127.0.0.1:9/v1") + "tries = 1\n", show="captions")
    assert main(["collect", "plan", "--config", config]) == 0
    assert "no connection" in capsys.readouterr().out or (tmp_path / "out" / "plan").is_dir()
    assert main(["collect", "run", "--config", config, "--retry-errors"]) == 1
    assert "trials left" in capsys.readouterr().out


def test_people_in_the_wrong_convention_are_pointed_out(tmp_path, capsys):
    config = write(tmp_path, COSINE + PEOPLE + 'odd = "first"\n')
    ratings = pd.read_csv(tmp_path / "ratings.tsv", sep="\t").set_index("stimulus")
    unit = ratings.to_numpy() / np.linalg.norm(ratings.to_numpy(), axis=1, keepdims=True)
    rows = []
    for a in range(12):
        for b in range(a):
            for c in range(b):
                odd = int(np.argmax([unit[b] @ unit[c], unit[a] @ unit[c], unit[a] @ unit[b]]))
                three = [a, b, c]
                last = three.pop(odd)
                rows.append([ratings.index[i] for i in (*three, last)])
    frame = pd.DataFrame(rows, columns=["item_1", "item_2", "item_3"])
    frame.to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
    assert main(["collect", "run", "--config", config, "--annotator", "cosine"]) == 0
    assert main(["collect", "check", "--config", config]) == 0
    page = (tmp_path / "out" / "quality.html").read_text(encoding="utf-8")
    assert "said to hold the odd one first, but the odd one stands last" in page
    capsys.readouterr()


def test_a_plan_of_another_design_is_not_used(tmp_path, capsys):
    config = write(tmp_path)
    assert main(["collect", "run", "--config", config]) == 1
    assert "there is no plan yet" in capsys.readouterr().err
    assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
    write(tmp_path, **{"n_triplets = 120": "n_triplets = 121"})
    assert main(["collect", "run", "--config", config]) == 1
    assert "another design, seed or list of stimuli" in capsys.readouterr().err


def test_a_longer_plan_uses_the_answers_of_the_shorter(tmp_path, capsys):
    config = write(tmp_path)
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    main(["collect", "run", "--config", config])
    write(tmp_path, **{"n_triplets = 120": "n_triplets = 150", "repeated = 5": "repeated = 0"})
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    capsys.readouterr()
    assert main(["collect", "run", "--config", config]) == 0
    assert "30 valid; 0 of 154 trials left" in capsys.readouterr().out


def test_same_configuration_gives_the_same_plan_byte_for_byte(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        main(["collect", "plan", "--config", write(tmp_path / name), "--dry-run", "0"])
        files = (tmp_path / name / "out" / "plan").iterdir()
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 2", "seed = -2", "integer of 0 or more"),
        ("[budget]", "[budgets]", "Did you mean 'budget'"),
        ("[design]", "[design]\nfoo = 1", "unknown key 'foo'"),
        ('kind = "cosine"', 'kind = "cosin"', "Did you mean 'cosine'"),
        ('kind = "cosine"', 'kind = "cosine"\napi_key = "sk-1"', "keys do not belong in files"),
        (COSINE, COSINE + COSINE, "2 are called 'cosine'"),
        (COSINE, "", "table \\[annotator\\] is missing"),
        ('show = "names"', 'show = "name"', "did you mean 'names'"),
        ('folder = "out"', "window = 0", "1 or more is needed"),
        ("seed = 2", "seed = ", "not valid TOML"),
    ],
)
def test_bad_configurations_are_refused(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_collection(write(tmp_path, **{old: new}))
    assert "sk-1" not in str(caught.value)


def test_one_file_serves_collecting_and_fitting(tmp_path):
    text = Path(write(tmp_path)).read_text(encoding="utf-8")
    both = tmp_path / "both.toml"
    rest = (ROOT / "examples" / "haxby.toml").read_text(encoding="utf-8")
    both.write_text(rest.rstrip() + "\n" + text.replace("seed = 2", ""), encoding="utf-8")
    assert read_config(both).models
    assert resolved(read_collection(both))["annotators"][0]["kind"] == "cosine"


def test_several_annotators_must_be_told_apart(tmp_path):
    collection = read_collection(write(tmp_path, COSINE + COSINE.replace('"cosine"\n', '"cosine"\nname = "b"\n')))
    with pytest.raises(ConfigError, match=r"There are 2 annotators\. Name one"):
        collection.annotator("")
    with pytest.raises(ConfigError, match="Known: cosine, b"):
        collection.annotator("c")


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b"])
def test_bad_shards_are_usage_errors(text, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["collect", "run", "--config", "x", "--shard", text])
    assert "is not a part such as 3/16" in capsys.readouterr().err


def test_names_of_folders_are_harmless():
    assert file_name("../..//etc") == "etc"
    assert file_name("a b:c") == "a-b-c"
    assert file_name("..") == "annotator"


def test_example_runs_in_seconds(tmp_path, capsys):
    start = time.process_time()
    names = runpy.run_path(str(ROOT / "examples" / "plot_collect.py"))
    report = names["main"](tmp_path)
    assert time.process_time() - start < 30
    out = capsys.readouterr().out
    assert report.is_file()
    assert "hasty: slots" in out
    assert "flagged: True" in out


def test_configuration_in_the_documents_is_good(tmp_path):
    text = (ROOT / "docs" / "collection.md").read_text(encoding="utf-8")
    (config,) = [block for block in text.split("```")[1::2] if "[design]" in block]
    path = tmp_path / "run.toml"
    path.write_text(config, encoding="utf-8")
    collection = read_collection(path)
    assert collection.design.n_triplets == 12_000_000
    assert collection.annotator("").prompt == "captions-letter"
    listed = text[text.index("| `kind` |") : text.index("Several `[[annotator]]`")]
    assert all(f"`{kind}`" in listed for kind in ANNOTATORS)
    assert all(f"`{prompt}`" in listed for prompt in available_prompts())


def test_commands_in_the_documents_parse():
    text = (ROOT / "docs" / "collection.md").read_text(encoding="utf-8")
    lines = [line.partition("#")[0].split() for line in text.splitlines() if line.startswith("encoding collect")]
    assert {line[2] for line in lines} == {"all", "plan", "run", "status", "check", "export", "merge"}
    for line in lines:
        build_parser().parse_args(line[1:])


def test_page_of_trials_and_soft_and_averaged_files(tmp_path, capsys):
    def answer(request):
        found = by_hash(request)
        return {"content": "<b>I cannot</b>"} | ({"logprobs": [("x", -0.1)]} if "thing 3." in str(request) else found)

    with Serving(answer) as server:
        config = write(
            tmp_path,
            MODEL.format(url=server.url),
            show="captions",
            **{"n_triplets = 120": 'n_triplets = 60\norder = "all"'},
        )
        assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
        assert main(["collect", "run", "--config", config]) == 0
    assert main(["collect", "export", "--config", config, "--soft", "--average-orders"]) == 0
    folder = tmp_path / "out" / "export" / "toy-model-1"
    judgments = read_judgments(folder / "judgments.parquet")
    soft = np.load(folder / "train_90_soft.npy")
    hard = np.load(folder / "train_90.npy")
    assert len(soft) == len(hard) < 60
    assert np.allclose(soft[:, 3:].sum(axis=1), 1, atol=1e-5)
    by_triplet = {tuple(sorted(row)): row[2] for row in hard.tolist()}
    for row in soft:
        assert by_triplet[tuple(int(i) for i in row[:3])] == row[int(row[3:].argmax())]
        same = (np.sort(judgments.items, axis=1) == row[:3]).all(axis=1) & (judgments.choice >= 0)
        same &= judgments.repeat < 6
        mean = np.take_along_axis(
            judgments.probabilities[same], np.argsort(judgments.items[same], axis=1), axis=1
        ).mean(axis=0)
        assert np.allclose(mean, row[3:], atol=1e-5)
    capsys.readouterr()
    assert main(["collect", "trials", "--config", config, "--most", "60"]) == 0
    page = (tmp_path / "out" / "trials.html").read_text(encoding="utf-8")
    assert "60 trials" in capsys.readouterr().err
    content = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    outcomes = [trial["outcome"] for trial in content["trials"]]
    assert 20 <= outcomes.count("unparsed") < 60
    assert "<b>I cannot" not in page
    assert all(f"Somebody does thing {int(name[4:])}." == text for trial in content["trials"]
               for name, text in zip(trial["items"], trial["texts"], strict=True))  # fmt: skip
    assert "Odd one out (A, B or C)" in content["prompts"]


def test_power_and_the_next_round(tmp_path, capsys):
    config = write(
        tmp_path,
        COSINE + "temperature = 0.02\n",
        **{"subset = 4": "subset = 0", "repeated = 5": "repeated = 0", "n_triplets = 120": "n_triplets = 900"},
    )
    frames = [pd.read_csv(tmp_path / name, sep="\t") for name in ("stimuli.tsv", "ratings.tsv")]
    for name, frame in zip(("stimuli.tsv", "ratings.tsv"), frames, strict=True):
        copies = [frame.assign(stimulus=frame["stimulus"] + suffix) for suffix in ("", "b", "c")]
        pd.concat(copies).to_csv(tmp_path / name, sep="\t", index=False)
    assert main(["collect", "plan", "--config", config]) == 0
    assert main(["collect", "power", "--config", config, "--numbers", "300,900", "--dims", "3"]) == 0
    out = capsys.readouterr().out
    assert "best_loss" in out
    assert len(pd.read_csv(tmp_path / "out" / "power.csv")) == 2
    assert main(["collect", "run", "--config", config]) == 0
    assert main(["collect", "next", "--config", config, "--most", "50"]) == 0
    table = pd.read_csv(tmp_path / "out" / "next.tsv", sep="\t")
    assert len(table) == 900 + 50
    asked = load(tmp_path / "out" / "plan")
    names = np.sort(np.array(asked.stimuli)[asked.items], axis=1).tolist()
    rows = np.sort(table[["item_1", "item_2", "item_3"]].to_numpy().astype(str), axis=1).tolist()
    assert sorted(rows[:900]) == sorted(names)
    assert not {tuple(row) for row in rows[900:]} & {tuple(row) for row in names}
    assert (table["split"] == "train").tolist() == [*[False] * 900, *[True] * 35, *[False] * 15]
    # The next round: what was chosen is for training.
    text = (
        Path(config)
        .read_text(encoding="utf-8")
        .replace("n_triplets = 900", 'kind = "file"\nfile = "out/next.tsv"\nvalidation = 0.25')
    )
    Path(config).write_text(text, encoding="utf-8")
    assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
    plan = load(tmp_path / "out" / "plan")
    triplets = [tuple(row) for row in np.sort(np.array(plan.stimuli)[plan.items], axis=1).tolist()]
    chosen = {tuple(row) for row in rows[900:935]}
    assert {int(plan.split[k]) for k, triplet in enumerate(triplets) if triplet in chosen} == {0}
    assert 0.25 < (plan.split > 0).mean() < 0.45
    assert main(["collect", "run", "--config", config]) == 0


def test_what_a_server_does_not_take_is_said_when_planning(tmp_path, capsys):
    from test_servers import error, reply, serving

    def answer(request):
        if "temperature" in request:
            return 400, error("Unsupported value: 'temperature' does not support 0 with this model."), {}
        if request["messages"][0]["role"] == "system":
            return 400, error("System role not supported"), {}
        return 200, reply("B"), {}

    with serving(answer) as (url, _):
        config = write(tmp_path, MODEL.format(url=url).replace("captions-letter", "captions-text"), show="captions")
        assert main(["collect", "plan", "--config", config]) == 0
        out = capsys.readouterr().out
        assert "adapted         no temperature; the system message is put before the first question" in out
        assert "20 trials asked (20 valid)" in out
        assert main(["collect", "run", "--config", config]) == 0
    assert "adapted to the server: no temperature" in capsys.readouterr().out


def test_a_model_that_changes_under_its_name_is_pointed_out(tmp_path, capsys):
    from test_servers import reply, serving

    number = iter(range(1000))

    def answer(_):
        return 200, reply("B", system_fingerprint=f"fp_{next(number) // 100}"), {}

    with serving(answer) as (url, _):
        config = write(tmp_path, MODEL.format(url=url).replace("captions-letter", "captions-text"), show="captions")
        assert main(["collect", "all", "--config", config]) == 0
    err = capsys.readouterr().err
    assert "toy/model-1: 139 of 139 trials" in err
    assert err.count("\n") < 20  # no bar off a terminal
    assert main(["collect", "check", "--config", config]) == 0
    assert "2 models or fingerprints answered: toy fp_0 (100 answers from" in capsys.readouterr().err
    assert "fp_1" in (tmp_path / "out" / "quality.html").read_text(encoding="utf-8")
