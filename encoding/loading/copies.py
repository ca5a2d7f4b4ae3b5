"""Data that occur twice: what is held out would also be learned from, or nothing was measured."""

import hashlib
from collections.abc import Sequence

import numpy as np

from ..core import DataError
from ..io.bids.confounds import Confounds

# With fewer targets, rows of two measurements may be equal by chance; whole runs are not.
ENOUGH_TARGETS = 20
SHARE = 0.5  # of a run's rows that another run has too, from which on it counts as a copy of that run


class Copies:
    """Rows of the runs of one subject, by their content."""

    def __init__(self, subject: str, rows: str = "volumes") -> None:
        self.subject, self.rows = subject, rows
        self._run_of: dict[bytes, str] = {}
        self._whole: dict[tuple[bytes, ...], str] = {}
        self._confounds: dict[bytes, str] = {}

    def add(self, values: np.ndarray, run: str) -> tuple[str, ...]:
        """Note the raw rows (n_rows, n_targets) of a run; refuse a copy of an earlier one, and warn of single copies.

        Rows that are constant over all targets tell nothing, and are not compared.
        """
        where = f"sub-{self.subject}, {run}"
        prints = [_fingerprint(row) for row in values]
        told = tuple(one for one in prints if one)
        other = self._whole.setdefault(told, run) if told else run
        shared: Sequence[bytes] = ()
        if other == run and values.shape[1] >= ENOUGH_TARGETS:
            shared = [one for one in told if self._run_of.get(one, run) != run]
            other = self._run_of[shared[0]] if shared else run
        if other != run and (not shared or len(shared) >= SHARE * len(told)):
            raise DataError(
                f"{where}: {len(shared) or len(told)} of its {len(values)} {self.rows} are, number by number, "
                f"{self.rows} of {other}. One is a copy under another name: what is held out would be learned from. "
                f"Replace it, or remove it and leave its number out."
            )
        for one in told:
            self._run_of.setdefault(one, run)
        warnings = []
        if shared:
            warnings.append(f"{where}: {len(shared)} {self.rows} are also {self.rows} of {other}, number by number")
        if values.shape[1] >= ENOUGH_TARGETS:
            warnings += self._within(prints, where)
        return tuple(warnings)

    def _within(self, prints: list[bytes], where: str) -> list[str]:
        first: dict[bytes, int] = {}
        copies = [
            (place, first[one]) for place, one in enumerate(prints) if one and first.setdefault(one, place) != place
        ]
        if not copies:
            return []
        place, original = copies[0]
        return [
            f"{where}: {len(copies)} {self.rows} are copies of others of the run; the first is number {place + 1}, "
            f"equal to number {original + 1}"
        ]

    def add_confounds(self, confounds: Confounds | None, run: str) -> tuple[str, ...]:
        """Return a warning of confounds that are constant, or are those of another run."""
        if confounds is None or not confounds.values.shape[1]:
            return ()
        where, values = f"sub-{self.subject}, {run}", confounds.values[confounds.kept]
        constant = int((np.ptp(values, axis=0) == 0).sum())
        if constant:
            return (f"{where}: {constant} of {values.shape[1]} confounds are constant, and take nothing out",)
        one = hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()
        other = self._confounds.setdefault(one, run)
        return () if other == run else (f"{where}: its confounds are, number by number, those of {other}",)


def _fingerprint(row: np.ndarray) -> bytes:
    if not len(row) or (row == row[0]).all() or not np.isfinite(row).any():
        return b""
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()
