"""Simulated studies with known truth: BIDS, fMRIPrep-like derivatives, features, planted regions."""

from .dataset import simulate
from .presets import PRESETS

__all__ = ["PRESETS", "simulate"]
