"""Solvers of ridge and banded ridge: sufficient statistics, kernels, and himalaya."""
