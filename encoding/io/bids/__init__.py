"""BIDS datasets: an index of their files, entities, sidecars, and confounds."""
