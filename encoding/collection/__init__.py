"""Judgments about stimuli: planned, asked, kept, checked."""
