"""What the report must say about how responses were made."""

from ..core import Exclusion


def scaling_note(subject: str) -> Exclusion:
    """Say that scaling over all runs looks across folds.

    Parameters
    ----------
    subject : str
        Label.

    Returns
    -------
    Exclusion
        A warning for the report.
    """
    text = (
        f"sub-{subject}: responses were z-scored over the rows of all runs, held-out runs included, because scale_rows "
        f'= "all" in [load]. Models here take responses about training means, and no score or choice of a penalty '
        f"depends on their unit, so that this moves no score; it would elsewhere"
    )
    return Exclusion("warnings", 0, text)
