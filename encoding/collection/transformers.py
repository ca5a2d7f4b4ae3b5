"""A model of the transformers library in this process: no server, and exact probabilities of the labels."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from ..core import ConfigError, DataError
from ..core.settings import OneOf, Probability, Text, settings
from .contents import Contents
from .prompts import Prompt, load_prompt
from .reading import EDGES, read_logprobs
from .trials import Answer, Ledger, Trial

DTYPES = ("auto", "float32", "bfloat16", "float16")


@settings("[[annotator]]")
class Transformers:
    """A model of the transformers library, run in this process.

    Examples
    --------
    >>> from encoding.collection import Transformers
    >>> Transformers("a-model", "odd_one_out_captions").device
    'cpu'
    """

    model: Text
    """Folder or name of a causal or vision-language model; it is loaded, never trained."""
    prompt: Text
    """A prompt that is answered by the probability of a letter."""
    name: str = ""
    """Name of the annotator in tables; that of the model if left out."""
    device: Text = "cpu"
    """Device, as torch names it."""
    dtype: Annotated[str, OneOf(DTYPES)] = "auto"
    """Type of the weights."""
    batch: Annotated[int, Interval(ge=1, le=100_000)] = 8
    """Trials that go through the model at once."""
    least_mass: Probability = 0.1
    """Probability that the three labels must have together for an answer to be valid."""

    def open(self, contents: Contents, base: str | Path = ".") -> "ModelAnnotator":
        """Make the annotator; the model is loaded when it is first asked.

        Parameters
        ----------
        contents : Contents
            What can be shown.
        base : str or Path, optional
            Folder that the prompt and a model's folder are relative to.

        Returns
        -------
        ModelAnnotator
            Ready to be asked.
        """
        return ModelAnnotator(self, load_prompt(self.prompt, base), contents, Path(base))


class ModelAnnotator:
    """An annotator that is a model in this process."""

    def __init__(self, settings: Transformers, prompt: Prompt, contents: Contents, base: Path) -> None:
        self.name, self.batch, self.concurrency = settings.name or settings.model, settings.batch, 1
        if prompt.answer != "logprobs" or len(prompt.turns) != 1:
            raise ConfigError(
                f'[[annotator]] prompt {prompt.name!r}: kind "transformers" reads the probability of one letter; use '
                f'"captions-letter" or "frames-letter", or a server.'
            )
        has = "captions" if any(contents.texts) else "frames" if any(contents.images) else "neither"
        if contents.videos:
            raise ConfigError('kind "transformers" sees frames, not videos: set show = "frames" in [stimuli].')
        if has != prompt.shows:
            raise ConfigError(f"[[annotator]] prompt {prompt.name!r} shows {prompt.shows}, but [stimuli] gives {has}.")
        self._settings, self._prompt, self._contents = settings, prompt, contents
        folder = base / settings.model
        self._where = str(folder) if folder.is_dir() else settings.model
        self._loaded: tuple[Any, Any] | None = None
        self._labels: dict[int, str] = {}

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers."""
        return {
            "kind": "transformers",
            "model": self._settings.model,
            "dtype": self._settings.dtype,
            "least_mass": self._settings.least_mass,
            "prompt": self._prompt.name,
            "prompt_hash": self._prompt.digest,
        }

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Load the model."""
        try:
            import torch
            import transformers
        except ImportError as error:
            raise DataError("This needs transformers: pip install 'brain-encoding[transformers]'.") from error
        framed = self._prompt.shows == "frames"
        kind = transformers.AutoModelForImageTextToText if framed else transformers.AutoModelForCausalLM
        reader = transformers.AutoProcessor if framed else transformers.AutoTokenizer
        try:
            processor = reader.from_pretrained(self._where)
            dtype = self._settings.dtype
            model = kind.from_pretrained(self._where, dtype=dtype if dtype == "auto" else getattr(torch, dtype))
        except (OSError, ValueError) as error:
            raise DataError(f"Model {self._where!r} cannot be loaded ({error}).") from error
        model.eval().to(self._settings.device)
        tokenizer = getattr(processor, "tokenizer", processor)
        tokenizer.padding_side = "left"  # so that the answer comes last in every row
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        names = {label.casefold(): label for label in self._prompt.labels}
        for number in range(len(tokenizer)):
            word = str(tokenizer.decode([number])).strip(EDGES).casefold()
            if word in names:
                self._labels[number] = names[word]
        self._loaded = processor, model
        try:
            yield {"transformers": transformers.__version__, "torch": torch.__version__}
        finally:
            self._loaded = None

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:
        """Run a batch of trials through the model."""
        ledger.request()
        # In a thread, so that answers can be written meanwhile.
        return await asyncio.to_thread(self._compute, list(trials))

    def _compute(self, trials: list[Trial]) -> list[Answer]:
        import torch

        assert self._loaded is not None
        processor, model = self._loaded
        texts, images = zip(*(self._fill(trial, processor) for trial in trials), strict=True)
        if self._prompt.shows == "frames":
            inputs = processor(text=list(texts), images=list(images), padding=True, return_tensors="pt")
        else:
            inputs = processor(list(texts), padding=True, return_tensors="pt", add_special_tokens=False)
        inputs = inputs.to(self._settings.device)
        with torch.inference_mode():
            logits = model(**inputs).logits[:, -1].float().log_softmax(dim=-1)
        numbers = list(self._labels)
        found = logits[:, numbers].tolist()
        n_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        answers = []
        for row, n in zip(found, n_tokens, strict=True):
            tokens = [
                {"token": self._labels[number], "logprob": value} for number, value in zip(numbers, row, strict=True)
            ]
            best = max(tokens, key=lambda token: token["logprob"], default={"token": ""})["token"]
            answer = read_logprobs(tokens, self._prompt.labels, str(best), self._settings.least_mass)
            answers.append(answer._replace(tokens_in=int(n), tries=1))
        return answers

    def _fill(self, trial: Trial, processor: Any) -> tuple[str, list[Any]]:
        """Write a trial in the model's own format of a chat."""
        from PIL import Image

        turn = self._prompt.turns[0]
        content: list[dict[str, str]] = [{"type": "text", "text": turn.pieces[0]}]
        images: list[Any] = []
        for slot, piece in zip(turn.slots, turn.pieces[1:], strict=True):
            shown = trial.shown[slot]
            for path in self._contents.images[shown]:
                with Image.open(path) as picture:
                    images.append(picture.convert("RGB"))
                content.append({"type": "image"})
            content.append({"type": "text", "text": self._contents.texts[shown] + piece})
        text = "".join(part["text"] for part in content if "text" in part)
        framed = self._prompt.shows == "frames"
        messages: list[dict[str, Any]] = []
        if self._prompt.system:
            system = self._prompt.system
            messages.append({"role": "system", "content": [{"type": "text", "text": system}] if framed else system})
        messages.append({"role": "user", "content": content if framed else text})
        return processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True), images
