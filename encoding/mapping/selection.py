"""Which regions a chart shows, and what it says in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

MOST_REGIONS = 30
NETWORKS = "_networks"  # end of the names of sets that only group regions to networks


@dataclass(frozen=True, eq=False, slots=True)
class Chart:
    """Regions that are shown together in one chart."""

    title: str  # What they are
    rows: pd.DataFrame  # Rows of the regions table, of all metrics

    def of_models(self, metric: str, models: Sequence[str]) -> pd.DataFrame:
        """Choose the rows of whole models."""
        rows = self.rows
        chosen = (rows["metric"] == metric) & (rows["feature"] == "all") & rows["model"].isin(list(models))
        return self.named(rows[chosen & rows["value"].notna()])

    def of_parts(self, metric: str) -> list[tuple[str, pd.DataFrame]]:
        """Choose the rows of parts of models."""
        rows = self.rows[(self.rows["metric"] == metric) & self.rows["value"].notna()]
        return [(str(model), self.named(of_model)) for model, of_model in rows.groupby("model", sort=False)]

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """Append the confidence in a region to its name, in a table of regions of this chart that will be shown.

        What stands behind a comma ("low: sphere of 4 mm, centre within 3 mm of ...") is left to the tables on disk.
        """
        if "confidence" not in self.rows or "region" not in table:
            return table
        told = self.rows[["region", "confidence"]].drop_duplicates().set_index("region")["confidence"]
        known = {
            region: f"{region} ({text.split(',')[0]})"
            for region, text in told.items()
            if isinstance(text, str) and text
        }
        return table.assign(region=table["region"].map(lambda region: known.get(region, region)))


def set_of(sets: Sequence[str], wanted: str) -> str:
    """Choose the ROI set of an atlas that is shown; "" for none."""
    sets = [name for name in dict.fromkeys(sets) if not name.endswith(NETWORKS)]
    chosen = sets[0] if wanted == "auto" and sets else wanted
    if chosen not in sets and f"{chosen}_as_released" in sets:
        chosen = f"{chosen}_as_released"
    return chosen if chosen in sets else ""


def charts(regions: pd.DataFrame, roi_set: str) -> list[Chart]:
    """Choose which regions are shown together."""
    found = []
    for atlas, rows in regions[regions["atlas"] != ""].groupby("atlas", sort=False):
        networks = rows[rows["level"] == "network"]
        if len(networks):
            found.append(Chart(f"{atlas}: networks", networks))
        sets = list(rows.loc[rows["level"] == "roi_set", "set"].unique())
        chosen = set_of(sets, roi_set)
        if chosen:
            found.append(Chart(f"{atlas}: {chosen}", rows[(rows["level"] == "roi_set") & (rows["set"] == chosen)]))
        areas = rows[rows["level"] == "region"]
        if (
            not len(networks)
            and all(name.endswith(NETWORKS) for name in sets)
            and areas["region"].nunique() <= MOST_REGIONS
        ):
            found.append(Chart(f"{atlas}: regions", areas))
    return found or [Chart("All targets", regions[regions["level"] == "brain"])]
