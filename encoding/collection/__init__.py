"""Judgments about stimuli: planned, asked, kept, checked."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .asking import collect_judgments, dry_run, merge_shards, run_collection, run_shards
    from .baselines import Colours, Words
    from .batches import fetch_batches, read_batch, send_batches, write_batches
    from .budget import Budget
    from .combining import average_orders, pool
    from .contents import Contents, choose, mask_emotions, of_captions, of_frames, of_names, of_videos
    from .designs import Design, make_plan
    from .exporting import Source, export, exported
    from .frames import Framing, take_frames
    from .openai import OpenAI
    from .page import Experiment, write_page
    from .prompts import Prompt, available_prompts, load_prompt
    from .quality import Quality, assess, judge_agreement, repeat_agreement, slot_use
    from .ratings_judge import Cosine
    from .results import check_collection, export_collection, status
    from .runner import Asking, RunStatus, collect
    from .stimuli import Stimuli
    from .study import ANNOTATORS, Collecting, Collection, Opened, name_of, open_collection, plan_collection
    from .tabled import Table, check_convention
    from .transformers import Transformers
    from .trials import Annotator, Answer, Stopped, Trial
    from .trials_page import write_trials
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "ANNOTATORS",
    "Annotator",
    "Answer",
    "Asking",
    "Budget",
    "Collecting",
    "Collection",
    "Colours",
    "Contents",
    "Cosine",
    "Design",
    "Experiment",
    "Framing",
    "OpenAI",
    "Opened",
    "Prompt",
    "Quality",
    "RunStatus",
    "Source",
    "Stimuli",
    "Stopped",
    "Table",
    "Transformers",
    "Trial",
    "Words",
    "assess",
    "available_prompts",
    "average_orders",
    "check_collection",
    "check_convention",
    "choose",
    "collect",
    "collect_judgments",
    "dry_run",
    "export",
    "export_collection",
    "exported",
    "fetch_batches",
    "judge_agreement",
    "load_prompt",
    "make_plan",
    "mask_emotions",
    "merge_shards",
    "name_of",
    "of_captions",
    "of_frames",
    "of_names",
    "of_videos",
    "open_collection",
    "plan_collection",
    "pool",
    "read_batch",
    "repeat_agreement",
    "run_collection",
    "run_shards",
    "send_batches",
    "slot_use",
    "status",
    "take_frames",
    "write_batches",
    "write_page",
    "write_trials",
]
