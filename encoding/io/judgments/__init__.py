"""Odd-one-out judgments: the store of answers, and files in and out."""
