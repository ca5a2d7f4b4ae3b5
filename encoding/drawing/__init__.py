"""Figures and the HTML report: arrays and tables in, pictures out.

Nothing here knows of subjects' files, configurations or models; `encoding.mapping` decides what is drawn.
Figures are built without pyplot, so none stays alive behind the caller's back, and nothing asks for a network.
"""
