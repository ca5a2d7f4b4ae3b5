"""Read a TOML file and build the objects that its tables describe.

Every table describes one object and every key one of its fields; nothing else is allowed. The objects check their own
values; this module checks what depends on several tables.
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from ..comparison.settings import Comparison, Rsa
from ..core import ConfigError, suggest
from ..core.settings import Rule, Unit, distinct, settings
from ..embedding.registry import SOURCES
from ..embedding.sources import FeatureSource, in_order
from ..fitting.budget import ComputeSettings
from ..fitting.models import MODELS, BandedRidge, EncodingModel, Ridge, models_of_subsets, one_model_each
from ..fitting.splits import Split
from ..io.atlases.settings import AtlasFile, RoiGroup
from ..loading.loader import Loader
from ..mapping.settings import BDATA, Maps
from .consistency import check_betas, check_blocks, check_noise, check_series, distinct_names
from .recipes import Recipe, expand
from .tables import TABLES, General, build, build_kind

Delay = Annotated[int, Interval(ge=0, le=1000)]
# Of feature spaces and models, and of models that are called after several; names of files take 255 bytes in all.
LONGEST_NAME, LONGEST_SUM = 60, 200


@settings("[align]")
class Alignment:
    """How feature spaces are aligned with the rows of the responses.

    Examples
    --------
    >>> from encoding.config import Alignment
    >>> Alignment(delays=(1, 2, 3)).delays
    (1, 2, 3)
    """

    delays: Annotated[
        tuple[Delay, ...], Rule("a list of different integers from 0 to 1,000", distinct), Unit("volumes")
    ] = (1, 2, 3, 4)
    """With one row per volume: delays of the features in volumes (finite impulse response model)."""
    centre: bool = True
    """With one row per stimulus: centre features on their mean over each run's rows, as is done to responses."""


@dataclass(frozen=True, slots=True)
class Study:
    """Settings of all stages of a run, without folders and subjects.

    Attributes
    ----------
    features : tuple of FeatureSource
        Feature spaces, in the order in which they are shown.
    models : tuple of Ridge or BandedRidge
        What is fitted, in order; may be empty if there is an analysis of similarity.
    load, align, split, compare, maps, compute
        Settings of the stages.
    seed : int
        Seed of everything random.
    text : str
        The file as it was given.
    auxiliary : tuple of str
        Models of several bands that are fitted only to partition the variance of a larger one; no maps are drawn.
    recipe : Recipe or None
        The published analysis that it follows, if it names one.
    expanded : str
        All settings of the file and its recipe, as TOML.
    rsa : tuple of Rsa
        Analyses of similarity, in order.
    atlases, roi_sets : tuple of AtlasFile, tuple of RoiGroup
        Atlases and ROI sets of the user.

    Examples
    --------
    >>> study.pairs, study.load.kind
    ((('mllm', 'category'),), 'volume')
    """

    features: tuple[FeatureSource, ...]
    models: tuple[EncodingModel, ...]
    load: Loader
    align: Alignment
    split: Split
    compare: Comparison
    maps: Maps
    compute: ComputeSettings
    seed: int = 0
    text: str = ""
    auxiliary: tuple[str, ...] = ()
    recipe: Recipe | None = None
    expanded: str = ""
    rsa: tuple[Rsa, ...] = ()
    atlases: tuple[AtlasFile, ...] = ()
    roi_sets: tuple[RoiGroup, ...] = ()

    @property
    def single(self) -> tuple[str, ...]:
        """Models of one feature space each, none of them nuisance: the ones that are compared with each other."""
        return tuple(
            model.name for model in self.models if len(model.bands) == 1 and model.bands[0] not in self.compare.nuisance
        )

    @property
    def own_atlases(self) -> tuple[str, ...]:
        """Names of atlases that every participant has a file of."""
        return tuple(atlas.name for atlas in self.atlases if "{subject}" in str(atlas.file))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of models that are compared."""
        return self.compare.resolve(self.single, [model.name for model in self.models])

    def resolved(self) -> dict[str, Any]:
        """List every setting with its defaults filled in.

        Returns
        -------
        dict
            JSON.
        """
        content = dataclasses.asdict(self)
        content.pop("text")
        content.pop("expanded")
        content["load"] = self.load.resolved()
        for key in ("atlases", "roi_sets"):  # keys of results stay what they were before there were such tables
            if not content[key]:
                del content[key]
        content["models"] = [{"kind": kind_of(model)} | dataclasses.asdict(model) for model in self.models]
        return content


def kind_of(model: EncodingModel) -> str:
    """Return the kind of a model as named in the configuration.

    Parameters
    ----------
    model : Ridge or BandedRidge
        The model.

    Returns
    -------
    str
        Its ``kind``.

    Examples
    --------
    >>> from encoding.config import kind_of
    >>> [kind_of(model) for model in study.models]
    ['ridge', 'ridge', 'banded_ridge']
    """
    return MODELS.name_of(model)


def read_config(path: str | Path, *, only_features: bool | None = False) -> Study:
    """Read a configuration file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    only_features : bool or None, optional
        Whether feature spaces are all that is needed, so that there may be nothing to load and to fit. None: if the
        file has nothing but feature spaces, some of which are learned from judgments, as for ``encoding embed``.

    Returns
    -------
    Study
        With every object built and checked. No data are touched.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is unknown, or a value is not allowed.

    Examples
    --------
    >>> from encoding.config import read_config
    >>> [source.name for source in read_config("my_study/run.toml").features]
    ['category', 'dimension', 'mllm', 'llm']
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        return parse_config(content.decode("utf-8"), only_features=only_features)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}).") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_config(text: str, *, only_features: bool | None = False) -> Study:
    r"""Build a `Study` from the text of a configuration.

    Parameters
    ----------
    text : str
        TOML.
    only_features : bool or None, optional
        As for `read_config`.

    Returns
    -------
    Study
        With every object built and checked.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed.

    Examples
    --------
    >>> from encoding.config import parse_config
    >>> features = '[[features]]\nname = "mllm"\nfile = "mllm.tsv"\n'
    >>> rest = '[load]\ntask = "video"\n[[fit]]\nkind = "ridge"\nbands = "each"\n'
    >>> parse_config(features + rest).models[0].name
    'mllm'
    """
    given = tomllib.loads(text)
    for key in given:
        if key not in TABLES:
            raise ConfigError(f"unknown key {key!r}. {suggest(key, TABLES)}")
    expanded = expand(given)
    content = expanded.content
    if only_features is None:
        learned = any(table.get("kind") == "judgments" for table in _tables(content, "features"))
        only_features = learned and set(content) <= {"features", "compute", "seed"}
    for keys in (("features",),) if only_features else (("features",), ("load",), ("fit", "rsa")):
        if not any(content.get(key) for key in keys):
            named = " or ".join("[load]" if key == "load" else f"[[{key}]]" for key in keys)
            raise ConfigError(f"table {named} is missing.")
    seed = General(seed=content.get("seed", 0)).seed
    described = [build_kind(SOURCES, table, "[[features]]", "table") for table in _tables(content, "features")]
    features = tuple(source for table in described for source in table.split())
    names = [feature.name for feature in features]
    _unique(names, "[[features]]")
    in_order(features)  # raises if a space that another is made of is not there
    models = tuple(model for table in _tables(content, "fit") for model in _models(table, names))
    compare = build(Comparison, content.get("compare", {}), "[compare]")
    _check_compared(compare, names)
    added = _subsets(models)
    added += _beyond_nuisance((*models, *added), compare)
    models += added
    _unique([model.name for model in models], "[[fit]]")
    study = Study(
        features,
        models,
        build(Loader, content.get("load", {}), "[load]"),
        build(Alignment, content.get("align", {}), "[align]"),
        build(Split, content.get("split", {}), "[split]"),
        compare,
        build(Maps, content.get("map", {}), "[map]"),
        build(ComputeSettings, content.get("compute", {}), "[compute]"),
        seed,
        text,
        tuple(model.name for model in added if len(model.bands) > 1),
        expanded.recipe,
        expanded.text,
        tuple(build(Rsa, table, "[[rsa]]") for table in _tables(content, "rsa")),
        tuple(build(AtlasFile, table, "[[atlas]]") for table in _tables(content, "atlas")),
        tuple(build(RoiGroup, table, "[[roi_set]]") for table in _tables(content, "roi_set")),
    )
    _ = study.pairs  # raises if a pair names an unknown model
    _check_maps(study)
    _check_rows(study)
    _check_rsa(study, names, study.load.per == "stimulus" or study.load.kind == "betas")
    check_noise(study.compare, study.split, per_stimulus=study.load.per == "stimulus" or study.load.kind == "betas")
    check_blocks(study.split, study.load)
    check_series(study.features, study.load)
    check_betas(given, study.load)
    return study


def _check_maps(study: Study) -> None:
    for where, named in (("[[atlas]]", study.atlases), ("[[roi_set]]", study.roi_sets)):
        distinct_names([table.name for table in named], where)
    if study.maps.threshold == "fdr" and study.compare.significance == "none":
        raise ConfigError('[map] threshold = "fdr" needs significance = "noise" in [compare].')
    masks = [name for name in study.maps.atlases if name.startswith(BDATA)]
    if masks and study.load.kind != "bdata":
        raise ConfigError(
            f'[map] atlases: {masks[0]!r} names masks in bdata files, but [load] has kind = "{study.load.kind}".'
        )


def _check_rows(study: Study) -> None:
    per_stimulus = study.load.per == "stimulus" or study.load.kind == "betas"
    if per_stimulus and (study.load.scale_rows is True) != study.align.centre:
        raise ConfigError(
            f"[load] scale_rows = {str(study.load.scale_rows).lower()} with [align] centre = "
            f"{str(study.align.centre).lower()}: what is done to the responses of a run is done to the features. "
            'Set both alike; scale_rows = "all" goes with centre = false.'
        )


def _check_rsa(study: Study, names: list[str], per_stimulus: bool) -> None:
    _unique([analysis.name for analysis in study.rsa], "[[rsa]]")
    for analysis in study.rsa:
        analysis.resolve(names)  # raises if a space is not there
        if analysis.regions == "searchlight" and study.load.kind in ("surface", "cifti", "array"):
            raise ConfigError(
                f"[[rsa]] {analysis.name!r}: searchlights need a volume, but [load] has kind = {study.load.kind!r}. "
                'Set regions = "atlas".'
            )
        if not per_stimulus:
            raise ConfigError(
                f"[[rsa]] {analysis.name!r} compares stimuli, which needs one row per presentation. "
                'Set per = "stimulus" in [load].'
            )


def _tables(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    tables = content.get(key, [])
    if not isinstance(tables, list):
        raise ConfigError(f"[{key}] must be written [[{key}]]: there can be several.")
    for table in tables:
        if not isinstance(table, Mapping):
            raise ConfigError(f"[[{key}]] must be a table, but is {table!r}.")
    return tables


def _models(table: Mapping[str, Any], spaces: list[str]) -> tuple[EncodingModel, ...]:
    settings = dict(table)
    bands = settings.get("bands")
    if bands == "each":
        if settings.get("kind") != "ridge" or "name" in settings:
            raise ConfigError(
                '[[fit]] bands = "each" makes one ridge per feature space: kind must be "ridge", without a name.'
            )
        del settings["bands"], settings["kind"]
        return one_model_each(spaces, **settings)
    if not isinstance(bands, list):
        raise ConfigError(f'[[fit]] bands = {bands!r}, but a list of feature spaces or "each" is needed.')
    for band in bands:
        if band not in spaces:
            raise ConfigError(f"[[fit]] bands: no feature space {band!r} in [[features]]. {suggest(str(band), spaces)}")
    return (build_kind(MODELS, settings, "[[fit]]", None),)


def _subsets(models: tuple[EncodingModel, ...]) -> tuple[EncodingModel, ...]:
    """Make the models of subsets that are asked for and not listed."""
    there = {frozenset(model.bands) for model in models}
    added: list[EncodingModel] = []
    joint = [model for model in models if isinstance(model, BandedRidge) and model.subsets]
    for model in joint:
        for part in models_of_subsets(model):
            if frozenset(part.bands) not in there:
                there.add(frozenset(part.bands))
                added.append(part)
    return tuple(added)


def _check_compared(compare: Comparison, names: list[str]) -> None:
    """Refuse spaces in [compare] that are not there."""
    versions = tuple(name for pair in compare.versions for name in pair)
    for key, mentioned in (("versions", versions), ("nuisance", compare.nuisance)):
        for name in mentioned:
            if name not in names:
                raise ConfigError(f"[compare] {key}: no feature space {name!r} in [[features]]. {suggest(name, names)}")


def _beyond_nuisance(models: tuple[EncodingModel, ...], compare: Comparison) -> tuple[EncodingModel, ...]:
    """Make the models of nuisance spaces, and of each space together with them, that are not listed."""
    nuisance, second = compare.nuisance, {name for _, name in compare.versions}
    if not nuisance:
        return ()
    single = [model.bands[0] for model in models if len(model.bands) == 1]
    wanted = [(space, *nuisance) for space in single if space not in nuisance and space not in second]
    if not wanted:
        raise ConfigError(
            f"[compare] nuisance = {list(nuisance)}: no model of one other feature space in [[fit]] is left to compare."
        )
    there = {frozenset(model.bands) for model in models}
    added = [bands for bands in dict.fromkeys((nuisance, *wanted)) if frozenset(bands) not in there]
    return tuple(Ridge(bands) if len(bands) == 1 else BandedRidge(bands) for bands in added)


def _unique(names: list[str], where: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: name = {name!r}, but a text is needed.")
        if names.count(name) > 1:
            raise ConfigError(f"{where}: the name {name!r} is used {names.count(name)} times.")
        if not re.fullmatch(r"[A-Za-z0-9_+]+", name):
            raise ConfigError(
                f"{where}: name {name!r} may only contain letters, digits, _ and +: it becomes part of file names."
            )
        longest = LONGEST_NAME if "+" not in name else LONGEST_SUM
        if len(name) > longest:
            raise ConfigError(
                f"{where}: name {name!r} has {len(name)} characters, but {longest} are the most; it becomes part of "
                f"file names and labels of figures."
            )
        alike = [other for other in names if other != name and _label(str(other)) == _label(name)]
        if alike:
            raise ConfigError(f"{where}: names {name!r} and {alike[0]!r} would give the same file names; rename one.")


def _label(name: str) -> str:
    """Remove underscores from a name, as BIDS labels have none."""
    return name.replace("_", "")
