"""Atlases: shipped, from fMRIPrep, or from files of the user."""
