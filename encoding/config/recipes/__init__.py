"""Published analyses as settings: a configuration names one with a single word."""

from .expanding import RECIPES, Expanded, Recipe, expand, write_toml

__all__ = ["RECIPES", "Expanded", "Recipe", "expand", "write_toml"]
