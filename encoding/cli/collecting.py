"""Commands that collect judgments: collect all, plan, run, batch, status, check, export, merge."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ConfigError
from .options import add_command
from .progress import say

if TYPE_CHECKING:
    from ..collection import Collection, Opened, RunStatus

RETRIED = ("unparsed", "truncated", "error", "refused")


def add_collecting(commands: Any) -> None:
    """Add the commands that collect judgments of stimuli."""
    command = commands.add_parser(
        "collect",
        help="collect odd-one-out judgments about videos or captions",
        description="Plan trials, ask models or read people's answers, and export the judgments.",
    )
    actions = command.add_subparsers(metavar="ACTION", required=True, dest="action")
    _action(actions, "all", _all, "plan, run, check and export, in this order")
    plan = _action(actions, "plan", _plan, "write the plan, and ask some trials to estimate time and costs")
    plan.add_argument(
        "--dry-run", "--dry_run", type=int, default=20, metavar="N",
        help="trials to ask per annotator; their answers count (default: 20; 0 asks nothing)",
    )  # fmt: skip
    run = _action(actions, "run", _run, "ask the planned trials that have no answer yet")
    run.add_argument("--annotator", default="", metavar="NAME", help="annotator to ask (default: all, in turn)")
    run.add_argument(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="K/N",
        help="only part K of N, to divide the work among machines",
    )
    run.add_argument(
        "--n-jobs", "--n_jobs", type=int, default=1, metavar="N",
        help="workers on this machine, one shard each, merged at the end (default: 1; 0: one per processor)",
    )  # fmt: skip
    run.add_argument(
        "--retry-errors", "--retry_errors", action="store_true", help="ask again the trials that ended in an error"
    )
    run.add_argument(
        "--retry", type=_outcomes, default=(), metavar="OUTCOMES",
        help="ask trials with these outcomes again: unparsed, truncated, error, refused, separated by commas",
    )  # fmt: skip
    _action(actions, "status", _status, "show progress and costs of every annotator")
    show = _action(actions, "trials", _trials, "write a page of single trials: what was shown, asked and replied")
    show.add_argument("--most", type=int, default=300, metavar="N", help="trials per judge (default: 300)")
    _action(actions, "check", _check, "write the quality report")
    export = _action(actions, "export", _export, "write judgments as Parquet, and train_90 and test_10 files")
    export.add_argument("--annotator", default="", metavar="NAME", help="annotator (default: all)")
    export.add_argument("--soft", action="store_true", help="write train_90_soft.npy too: items and probabilities")
    export.add_argument("--average-orders", "--average_orders", action="store_true",
                        help="one row per triplet, a mean over its presentations")  # fmt: skip
    batch = _action(actions, "batch", _batch, "ask through batch files, at half the price of many services")
    batch.add_argument(
        "step",
        choices=("write", "send", "fetch", "read"),
        help="write files, send them, fetch what is done; or read a file that was downloaded by hand",
    )
    batch.add_argument("--annotator", default="", metavar="NAME", help="annotator to ask")
    batch.add_argument("--most", type=int, default=0, metavar="N", help="write: trials at most (default: all)")
    batch.add_argument("--retry", type=_outcomes, default=(), metavar="OUTCOMES", help="write: as for run")
    batch.add_argument("--wait", type=float, default=0.0, metavar="S", help="fetch: ask every S seconds until done")
    batch.add_argument("--file", type=Path, help="read: the file of results")
    batch.add_argument(
        "--final", action="store_true", help="read: no other file comes; requests without result are errors"
    )
    page = _action(actions, "page", _page, "write an experiment for people as one HTML file that needs no network")
    page.add_argument("--output", type=Path, help="the file (default: experiment.html in the folder of the collection)")
    for name, default, text in (("trials", 100, "trials per participant"), ("lists", 1, "different lists of trials"),
                                ("practice", 3, "practice trials"), ("catch", 5, "trials with a known answer"),
                                ("pause", 250, "milliseconds after an answer")):  # fmt: skip
        page.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})")
    page.add_argument(
        "--show", default="auto", choices=("auto", "captions", "pictures", "videos"), help="what is shown"
    )
    page.add_argument("--sound", action="store_true", help="play the sound of videos")
    page.add_argument("--consent", type=Path, metavar="FILE", help="text to agree to first")
    page.add_argument("--instructions", type=Path, metavar="FILE", help="text before the first trial")
    page.add_argument("--question", default="", metavar="TEXT", help="question shown above every trial")
    page.add_argument(
        "--post", default="", metavar="URL", help="address that answers are sent to (default: a file is saved)"
    )
    power = _action(
        actions, "power", _power, "simulate how good embeddings become with more judgments, and what these cost"
    )
    power.add_argument("--numbers", type=_numbers, default=(1000, 2000, 4000, 8000), metavar="N,N",
                       help="judgments (default: 1000,2000,4000,8000)")  # fmt: skip
    power.add_argument(
        "--designs", type=_words, default=("balanced",), metavar="D,D", help="balanced, random, active, uncertain"
    )
    power.add_argument("--noise", type=_floats, default=(1.0,), metavar="T,T", help="temperatures of the judges")
    power.add_argument("--dims", type=int, default=8, metavar="N", help="true dimensions (default: 8)")
    power.add_argument("--seeds", type=int, default=1, metavar="N", help="repetitions (default: 1)")
    following = _action(actions, "next", _next, "choose the triplets of the next round from the answers so far")
    following.add_argument("--annotator", default="", metavar="NAME", help="annotator whose answers are used")
    following.add_argument("--most", type=int, default=1000, metavar="N", help="triplets (default: 1000)")
    following.add_argument("--uniform", type=float, default=0.3, metavar="SHARE",
                           help="share of triplets drawn at random (default: 0.3)")  # fmt: skip
    _action(actions, "merge", _merge, "merge the answers of all shards")


def _action(actions: Any, name: str, function: Callable[[argparse.Namespace], int], text: str) -> Any:
    action = add_command(actions, name, function, text)
    action.add_argument("--config", type=Path, required=True, help="TOML configuration")
    return action


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 3/16")
    return int(number), int(count)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word.replace("_", "")) for word in _words(text))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in _words(text))


def _outcomes(text: str) -> tuple[str, ...]:
    chosen = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in chosen:
        if word not in RETRIED:
            raise argparse.ArgumentTypeError(f"{word!r} cannot be asked again; known are {', '.join(RETRIED)}")
    return chosen


def _open(options: argparse.Namespace) -> "Opened":
    from ..collection import open_collection
    from ..config.collect import read_collection

    return open_collection(read_collection(options.config))


class _Bar:
    """Shows how many trials are answered, how many answers are valid, and what was spent.

    Off a terminal, as in the log of a batch system, it prints a line per tenth of the trials instead of a bar.
    """

    def __init__(self, name: str, currency: str) -> None:
        self.name, self.currency = name, currency
        self.bar: Any = None
        self.tenths = -1

    def __call__(self, progress: "RunStatus") -> None:
        from tqdm import tqdm

        if not sys.stderr.isatty():
            self._log(progress)
            return
        if self.bar is None:
            self.bar = tqdm(total=progress.planned, initial=progress.before, desc=self.name, unit=" trials",
                            file=sys.stderr, mininterval=0.2)  # fmt: skip
        self.bar.update(progress.before + progress.asked - self.bar.n)
        valid = f"{progress.outcomes['valid'] / progress.asked:.1%} valid" if progress.asked else ""
        money = f", {progress.money:.2f} {self.currency}" if progress.money else ""
        self.bar.set_postfix_str(f"{valid}{money}")
        if progress.reason:
            self.bar.close()

    def _log(self, progress: "RunStatus") -> None:
        done = progress.before + progress.asked
        tenths = 10 * done // max(progress.planned, 1)
        if tenths > self.tenths and progress.asked:
            self.tenths = tenths
            valid, money = progress.outcomes["valid"] / progress.asked, f"{progress.money:.2f} {self.currency}"
            say(f"{self.name}: {done:,} of {progress.planned:,} trials, {valid:.1%} valid, {money}")


def _all(options: argparse.Namespace) -> int:
    from ..collection import collect_judgments
    from ..config.collect import read_collection

    collection = read_collection(options.config)
    bars: dict[str, _Bar] = {}

    def watch(name: str, progress: "RunStatus") -> None:
        bars.setdefault(name, _Bar(name, collection.budget.currency))(progress)

    print(collect_judgments(collection, watch=watch))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from ..collection import dry_run, name_of, plan_collection
    from ..config.collect import read_collection

    collection = read_collection(options.config)
    opened, summary = plan_collection(collection)
    splits = ", ".join(f"{name} {n:,}" for name, n in summary["splits"].items() if n)
    print(f"{summary['trials']:,} trials of {summary['triplets']:,} triplets about {summary['stimuli']:,} stimuli")
    print(f"  splits          {splits}")
    print(f"  pairs           each in {summary['pair_least']:,} to {summary['pair_most']:,} of the drawn triplets")
    same, before = summary["same_first"], summary["same_first_unordered"]
    print(f"  order           {same:.0%} of the trials begin like the one before ({before:.0%} as drawn)")
    for group in summary["same"]:
        say(f"the same is shown of: {', '.join(group)} (name the original as duplicate_of to leave copies out)")
    for name, problem in summary["left_out"].items():
        say(f"left out: {name}: {problem}")
    print(f"  written to      {collection.folder / 'plan'}")
    useful = True
    for settings in collection.annotators if options.dry_run else ():
        found = dry_run(opened, name_of(settings), options.dry_run)
        _print_estimate(found, collection.budget.currency)
        useful &= not _useless(found)
    return 0 if useful else 1


def _useless(found: dict[str, Any]) -> bool:
    """Whether a server replied, and none of its answers is valid."""
    replied = any(not detail.startswith("no connection") for _, detail in found["reasons"])
    return bool(found["asked"]) and not found["outcomes"]["valid"] and replied


def _print_estimate(found: dict[str, Any], currency: str) -> None:
    from ..collection.asking import reasons

    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in found["outcomes"].items() if n)
    print(f"{found['annotator']}: {found['asked']} trials asked ({outcomes or found['reason']})")
    if found["reason"] != "finished" and outcomes:
        print(f"  stopped         {found['reason']}")
    for line in reasons(found["reasons"]):
        print(f"  not valid       {line}")
    if found.get("no_judgments"):
        print(f"  no judgments    {', '.join(f'{n:,} {why}' for why, n in found['no_judgments'].items())}")
    if found["lessons"]:
        print(f"  adapted         {'; '.join(found['lessons'])} (the server does not take what was asked for)")
    if "left" not in found or not found["outcomes"]["valid"]:
        return
    if found["tokens_in"]:
        print(
            f"  per trial       {found['tokens_in']:.0f} tokens in ({found['tokens_cached']:.0f} cached), "
            f"{found['tokens_out']:.1f} out, {found['requests']:.2f} requests, {found['latency']:.2f} s"
        )
        print(
            f"  still to come   {found['left']:,} trials: {found['total_requests']:,.0f} requests, "
            f"{found['total_tokens_in']:,.0f} tokens in, {found['total_tokens_out']:,.0f} out"
        )
        print(
            f"  prefix cache    about {found['saved']:.0%} of the prompt tokens can be reused, by the order of trials"
        )
    if found["total_money"]:
        print(
            f"  money           {found['total_money']:,.2f} {currency}; {found['total_money_cached']:,.2f} {currency} "
            f"if prefixes are cached"
        )
    fast, slow = _duration(found["total_hours"]), _duration(found["total_hours_slow"])
    if fast == slow:
        print(f"  time            about {fast}")
    else:
        print(
            f"  time            {fast} if the server keeps the pace at full concurrency, {slow} at that of this trial"
        )


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"


def _run(options: argparse.Namespace) -> int:
    from ..collection import name_of, run_collection
    from ..collection.asking import reasons

    opened = _open(options)
    collection = opened.collection
    chosen = [collection.annotator(options.annotator)] if options.annotator else list(collection.annotators)
    complete = True
    n_jobs = options.n_jobs if options.n_jobs > 0 else os.cpu_count() or 1
    if n_jobs > 1:
        if options.shard != (1, 1):
            raise ConfigError("--n-jobs makes shards of its own: leave --shard out.")
        return _run_shards(options, collection, [name_of(settings) for settings in chosen], n_jobs)
    for settings in chosen:
        name = name_of(settings)
        bar = _Bar(name, collection.budget.currency)
        done = run_collection(opened, name, shard=options.shard, retry_errors=options.retry_errors,
                              retry=options.retry, watch=bar)  # fmt: skip
        outcomes = ", ".join(f"{n:,} {outcome}" for outcome, n in done.outcomes.items() if n) or "nothing to ask"
        waiting = f"; {done.waiting:,} wait in batches" if done.waiting else ""
        print(f"{name}: {done.reason}; {outcomes}; {done.left:,} of {done.planned:,} trials left{waiting}")
        for line in reasons(done.reasons):
            print(f"  not valid: {line}")
        if done.lessons:
            print(f"  adapted to the server: {'; '.join(done.lessons)}")
        if done.reason == "finished" and done.none_valid:
            say(f"{name}: none of its answers is valid; --retry unparsed,truncated,error asks such trials again")
        complete &= done.reason == "finished" and not done.none_valid
        if done.reason == "interrupted":
            return 130
    return 0 if complete else 1


def _run_shards(options: argparse.Namespace, collection: "Collection", names: list[str], n_jobs: int) -> int:
    """Ask by several workers."""
    from ..collection import run_shards
    from ..workflow.cluster import open_workers

    complete = True
    with open_workers(n_jobs=n_jobs) as workers:
        for name in names:
            found = run_shards(
                collection, name, n_jobs, workers, retry_errors=options.retry_errors, retry=options.retry
            )
            reasons = ", ".join(dict.fromkeys(one.reason for one in found))
            asked, left, planned = (sum(getattr(one, what) for one in found) for what in ("asked", "left", "planned"))
            valid, any_valid = sum(one.outcomes["valid"] for one in found), any(one.any_valid for one in found)
            print(f"{name}: {reasons}; {valid:,} valid of {asked:,} asked; {left:,} of {planned:,} trials left")
            complete &= reasons == "finished" and (any_valid or not any(one.none_valid for one in found))
    return 0 if complete else 1


def _status(options: argparse.Namespace) -> int:
    from ..collection import status

    table = status(_open(options))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}") if len(table) else "no answers yet")
    return 0


def _check(options: argparse.Namespace) -> int:
    from ..collection import check_collection
    from ..collection.results import changed_models

    opened = _open(options)
    path, found = check_collection(opened)
    for warning in (*changed_models(opened), *(warning for quality in found for warning in quality.warnings)):
        say(warning)
    print(path)
    return 0


def _trials(options: argparse.Namespace) -> int:
    from ..collection.trials_page import write_trials

    opened = _open(options)
    path = opened.collection.folder / "trials.html"
    for name, n in write_trials(opened, path, most=options.most).items():
        say(f"{name}: {n} trials")
    print(path)
    return 0


def _export(options: argparse.Namespace) -> int:
    from ..collection import export_collection

    for folder, counts in export_collection(
        _open(options), options.annotator, soft=options.soft, average=options.average_orders
    ).items():
        for name, n in counts.items():
            print(f"{folder}/{name}: {n:,} rows")
    return 0


def _batch(options: argparse.Namespace) -> int:
    from ..collection import fetch_batches, read_batch, send_batches, write_batches
    from ..collection.batches import unread

    opened = _open(options)
    if options.step == "write":
        files = write_batches(opened, options.annotator, most=options.most, retry=options.retry)
        print("\n".join(map(str, files)) or "nothing to ask")
        return 0
    if options.step == "read":
        if options.file is None:
            raise ConfigError("collect batch read: --file, the file of results, is needed.")
        print(f"{read_batch(opened, options.annotator, options.file, final=options.final):,} answers are new")
        if n_left := unread(opened, options.annotator):
            say(f"{n_left:,} requests have no result yet; read further files, or --final if there are none")
        return 0
    send = options.step == "send"
    states = send_batches(opened, options.annotator) if send else fetch_batches(
        opened, options.annotator, wait=options.wait)  # fmt: skip
    for state in states:
        print(f"{state['file']}: {state['status']}, {state['requests']:,} requests, {state['read']:,} answers read")
    if not states:
        print("nothing to send" if send else "no batches yet")
    return 0 if all(state["status"] not in ("failed", "expired", "cancelled") for state in states) else 1


def _page(options: argparse.Namespace) -> int:
    from ..collection import Experiment, write_page

    opened = _open(options)
    texts: dict[str, Any] = {
        name: _text(getattr(options, name)) for name in ("consent", "instructions") if getattr(options, name)
    }
    texts |= {"question": options.question} if options.question else {}
    names = ("trials", "lists", "practice", "catch", "pause", "show", "sound", "post")
    how = Experiment(**{name: getattr(options, name) for name in names}, **texts, seed=opened.collection.seed)
    path = options.output or opened.collection.folder / "experiment.html"
    made = write_page(opened, path, how)
    say(f"{made['lists']} lists of {made['trials']} trials about {made['stimuli']} stimuli, {made['megabytes']:.1f} MB")
    print(path)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error}).") from error


def _power(options: argparse.Namespace) -> int:
    from ..workflow.power import Power, simulate_power

    opened = _open(options)
    power = Power(
        n_stimuli=len(opened.plan.stimuli), n_dims=options.dims, numbers=options.numbers, designs=options.designs,
        noise=options.noise, seeds=options.seeds,
    )  # fmt: skip
    table = simulate_power(power, watch=say)
    kept = ["accuracy", "best_accuracy", "loss", "best_loss", "similarity", "dims"]
    means = table.groupby(["design", "noise", "judgments"], sort=False)[kept].mean().reset_index()
    for name, price, hours in _prices(opened):
        means[f"{opened.collection.budget.currency}, {name}"] = means["judgments"] * price
        means[f"hours, {name}"] = means["judgments"] * hours
    print(means.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    table.to_csv(opened.collection.folder / "power.csv", index=False)
    return 0


def _prices(opened: "Opened") -> list[tuple[str, float, float]]:
    """Return money and hours per judgment of the annotators that have answered."""
    from ..collection import status

    if not (opened.collection.folder / "answers.sqlite").is_file():
        return []
    rows = status(opened).to_dict("records")
    return [(row["annotator"], row["money"] / row["answered"], row["hours"] / row["answered"])
            for row in rows if row["answered"] and row["requests"]]  # fmt: skip


def _next(options: argparse.Namespace) -> int:
    from ..workflow.power import write_next

    path, n = write_next(_open(options), options.annotator, options.most, uniform=options.uniform)
    print(f'{path}: {n:,} new triplets; ask them with kind = "file" and validation = 0.25 in [design]')
    return 0


def _merge(options: argparse.Namespace) -> int:
    from ..collection import merge_shards

    opened = _open(options)
    if not opened.collection.folder.is_dir():
        raise ConfigError(f"{opened.collection.folder} is not a folder.")
    total = merge_shards(opened)
    print(f"{total['stores']} stores merged: {total['added']:,} answers added, {total['known']:,} were there already")
    return 0
