"""One HTML file that asks people: the trials of a plan with their captions, pictures or videos, and nothing to load."""

import base64
import json
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ConfigError, DataError, digest
from ..io.atomic import write_text
from ..io.clips import inside
from .schedule import schedule
from .study import Opened

SHOWN = ("auto", "captions", "pictures", "videos")
PLAYED = (".mp4", ".webm", ".m4v", ".ogv")  # what browsers play; other videos are shown as pictures
MOST_MB = 300  # of a page; browsers become slow, and mail and forms refuse it
INSTRUCTIONS = """You will see three items at a time. Two of them belong together, one does not: choose the odd one out.

Click or touch it, or press 1, 2 or 3. There is no right or wrong answer; go by your first impression. If you have to \
stop, open this page again later on the same device with the same name, and you go on where you were."""
WORDS = {
    "next": "Continue", "agree": "I have read this and agree to take part.", "who": "Your participant name or code:",
    "back": "Welcome back. You go on where you stopped.", "practice": "(practice)",
    "keys": "Click, touch, or press 1, 2, 3.",
    "save": "Save your answers", "saving": "Your answers are being saved.",
    "saved": "Your answers were saved as a file; if there is none, use the link below. Please send it to the "
             "researchers.",
    "forgets": "This browser keeps nothing: if you close the page, your answers are lost.",
    "sending": "Your answers are being sent. Please wait.", "sent": "Your answers were sent. You can close this page.",
    "unsent": "Your answers could not be sent. Please save them and send the file to the researchers.",
}  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """Settings of an experiment with people.

    Attributes
    ----------
    trials : int
        Trials per participant.
    lists : int
        Different lists of trials; participants share them as evenly as their names are drawn.
    practice, catch : int
        Practice trials before, and trials with a known answer (one item twice, and another) among the others.
    show : {"auto", "captions", "pictures", "videos"}
        What is shown; "auto" takes what the plan shows, and videos where browsers play them.
    question, title, instructions, consent, thanks : str
        Texts; without a consent text there is no consent screen.
    post : str
        Address to which answers are sent; "" saves them as a file.
    sound : bool
        Whether videos are heard.
    pause : int
        Milliseconds between an answer and the next trial.
    seed : int
        Seed of what is drawn.

    Examples
    --------
    >>> from encoding.collection import Experiment
    >>> Experiment(trials=80, lists=3).catch
    5
    """

    trials: int = 100
    lists: int = 1
    practice: int = 3
    catch: int = 5
    show: str = "auto"
    question: str = "Which is the odd one out?"
    title: str = "Odd one out"
    instructions: str = INSTRUCTIONS
    consent: str = ""
    thanks: str = "Thank you, that was all."
    post: str = ""
    sound: bool = False
    pause: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        """Check values."""
        if min(self.trials, self.lists) < 1 or min(self.practice, self.catch, self.pause) < 0:
            raise ConfigError(
                f"collect page: trials = {self.trials}, lists = {self.lists}, practice = {self.practice}, catch = "
                f"{self.catch}, pause = {self.pause}: 1 or more, 1 or more, and three numbers from 0 are needed."
            )
        if self.show not in SHOWN:
            raise ConfigError(f"collect page: show = {self.show!r}. Known: {', '.join(SHOWN)}.")
        if self.post and not self.post.startswith(("https://", "http://")):
            raise ConfigError(f"collect page: post = {self.post!r}, but an address with https:// is needed.")


def write_page(opened: Opened, path: str | Path, experiment: Experiment | None = None) -> dict[str, Any]:
    """Write an experiment for people as one HTML file.

    Parameters
    ----------
    opened : Opened
        The plan.
    path : str or Path
        The HTML file.
    experiment : Experiment, optional
        How people are asked.

    Returns
    -------
    dict
        "lists", "trials" (per participant, with practice and catch trials), "stimuli", "megabytes".

    Raises
    ------
    DataError
        If the plan has fewer trials than asked for, or the page would be too large.

    Examples
    --------
    >>> from encoding.collection import Experiment, write_page
    >>> written = write_page(captioned, "experiment.html", Experiment(trials=10, lists=2, practice=0, catch=0))
    >>> written["lists"], written["trials"], written["stimuli"]
    (2, 10, 10)
    """
    how = experiment or Experiment()
    rng = np.random.default_rng(how.seed)
    needed = how.trials * how.lists
    if needed > len(opened.plan):
        raise DataError(
            f"{opened.collection.folder}: {how.lists} lists of {how.trials} trials are {needed:,}, but the plan has "
            f"{len(opened.plan):,}. Take fewer, or plan more."
        )
    rows = schedule(opened.plan, opened.shown, window=1, most=needed).reshape(how.lists, how.trials)
    names = list(opened.plan.stimuli)
    lists = [_with_catch([_named(opened, row) for row in rng.permutation(part).tolist()], names, how.catch, rng)
             for part in rows]  # fmt: skip
    practice = [{"items": [names[i] for i in rng.choice(len(names), 3, replace=False)], "kind": "practice"}
                for _ in range(how.practice)]  # fmt: skip
    used = sorted(
        {name for trial in [*practice, *(trial for part in lists for trial in part)] for name in trial["items"]}
    )
    stimuli = _stimuli(opened, used, how.show)
    plan = opened.plan.provenance.key
    content = {
        "id": digest([plan, json.dumps([lists, practice, how.show])])[:16], "plan": plan, "title": how.title,
        "question": how.question, "instructions": how.instructions, "consent": how.consent, "thanks": how.thanks,
        "post": how.post, "sound": how.sound, "pause": how.pause, "words": WORDS, "lists": lists,
        "practice": practice, "stimuli": stimuli,
    }  # fmt: skip
    # Within a script element only these could end it or begin a comment.
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    template = (files(__package__) / "experiment.html").read_text(encoding="utf-8")
    page = template.replace("/*EXPERIMENT*/", text)
    size = len(page.encode("utf-8", "replace")) / 1e6
    if size > MOST_MB:
        raise DataError(
            f"{path}: the page would have {size:,.0f} MB with {len(used)} stimuli, more than {MOST_MB}. Take fewer "
            f'trials and lists, shorter clips, or show = "pictures".'
        )
    write_text(path, page)
    total = how.practice + len(lists[0])
    return {"lists": how.lists, "trials": total, "stimuli": len(used), "megabytes": size}


def _named(opened: Opened, row: int) -> dict[str, Any]:
    return {"items": [opened.plan.stimuli[i] for i in opened.plan.items[row].tolist()], "kind": "trial"}


def _with_catch(
    trials: list[dict[str, Any]], names: list[str], n_catch: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Spread trials over a list in which one item is shown twice, so that the other is odd."""
    for place in np.linspace(0, len(trials), n_catch + 2)[1:-1][::-1]:
        twice, other = (names[i] for i in rng.choice(len(names), 2, replace=False))
        items = [twice, twice, other]
        items = [items[i] for i in rng.permutation(3)]
        trials.insert(int(place), {"items": items, "kind": "catch", "expected": other})
    return trials


def _stimuli(opened: Opened, used: list[str], show: str) -> dict[str, tuple[str, str]]:
    contents = opened.what.contents
    first = dict(zip(contents.stimuli, contents.start[:-1].tolist(), strict=True))
    found = {}
    for name in used:
        caption, images = contents.texts[first[name]], contents.images[first[name]]
        clip = _clip(opened, name) if show == "videos" or (show == "auto" and images) else None
        if show in ("auto", "captions") and caption:
            found[name] = ("caption", caption)
        elif clip is not None and show != "captions":
            found[name] = ("video", _data(clip))
        elif images and show in ("auto", "pictures"):
            found[name] = ("picture", _data(images[len(images) // 2]))
        else:
            raise DataError(
                f"Stimulus {name!r} has nothing to show as {show!r}. `show` in [stimuli] decides whether captions or "
                f"frames are read; videos must be one of {', '.join(PLAYED)}."
            )
    return found


def _clip(opened: Opened, name: str) -> Path | None:
    settings, stimuli = opened.collection.stimuli, opened.what.stimuli
    (row,) = np.flatnonzero(stimuli.stimulus == name)
    path = str(stimuli.path[row])
    if not path or Path(path).suffix.lower() not in PLAYED:
        return None
    base = opened.collection.base
    folder = base / settings.folder if settings.folder else (base / settings.table).parent
    return inside(folder, path)


def _data(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
