"""Published analyses as settings: one word in a configuration stands for all of them."""

from .expanding import RECIPES, Expanded, Recipe, expand, write_toml

__all__ = ["RECIPES", "Expanded", "Recipe", "expand", "write_toml"]
