"""Where the files of a command are: stored as full paths at its first run, and found there by a later run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.overrides import Setting, source_of
from ratio_hpo.core.packaged_files import find_shipped, is_shipped
from ratio_hpo.core.plans import ABOUT as ABOUT_JSON
from ratio_hpo.core.plans import Command
from ratio_hpo.experiment.custom_spec import CustomExperimentSpec
from ratio_hpo.experiment.load import Loaded, load_experiment
from ratio_hpo.experiment.search_setup import Say, SearchOptions
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.study.create_or_load import ABOUT, FORMAT, FORMAT_KEY, study_ids
from ratio_hpo.study.retrying_storage import DATABASE_ERRORS
from ratio_hpo.study.storage import open_storage

DATA = Path("data")
"""The folder of data, unless another one is given."""


def command_of(options: SearchOptions, loaded: Loaded) -> Command:
    """The command that made a study, with every path in full."""
    settings = [(s.key, s.value, s.source) for s in loaded.settings]
    for key, path in _files_of(loaded.spec).items():
        if path.exists():
            settings.append((key, str(path.absolute()), source_of(key, loaded.settings) or str(loaded.path)))
    shipped = loaded.path is None or is_shipped(loaded.path)
    return Command(
        experiment=options.experiment if shipped or loaded.path is None else str(loaded.path.absolute()),
        settings=tuple(settings),
        data_dir=str(options.data_dir),
        modules=_modules_of(loaded.spec),
        strict=options.strict,
        keep_leaks=options.keep_leaks,
    )


def find_places(options: SearchOptions, loaded: Loaded, say: Say) -> tuple[SearchOptions, Loaded]:
    """Options and experiment; files that are not here are those of the study's earlier run, where they still exist.

    A study checks afterwards that their content is what it was made with.
    """
    missing = {key: path for key, path in _files_of(loaded.spec).items() if not path.exists()}
    no_data = _reads_files(loaded.spec) and options.data_dir == DATA.absolute() and not options.data_dir.is_dir()
    no_module = isinstance(loaded.spec, CustomExperimentSpec) and not _importable(loaded.spec.objective)
    made = _made_before(options, loaded.spec) if missing or no_data or no_module else None
    if made is None:
        return options, loaded
    stored = {key: value for key, value, _ in made.settings}
    found = [Setting(key, stored[key], "earlier run") for key in missing if Path(str(stored.get(key, ""))).exists()]
    for setting in found:
        say(f"{setting.key}: {missing[setting.key]} is not here; the study used {setting.value}, which is taken")
    if found:
        loaded = load_experiment(options.experiment, [*loaded.settings, *found])
    if no_data and made.data_dir != str(options.data_dir) and Path(made.data_dir).is_dir():
        say(f"⟨data_dir⟩: {DATA} is not here; the study used {made.data_dir}, which is taken")
        options = replace(options, data_dir=Path(made.data_dir))
    if no_module and made.modules is not None and made.modules not in sys.path:
        sys.path.append(made.modules)
    return options, loaded


def _files_of(spec: StudySpec) -> Mapping[str, Path]:
    """The files and folders that an experiment names by paths, by their keys."""
    found = {}
    if isinstance(spec, ExperimentSpec) and (spec.base.name.startswith((".", "~")) or Path(spec.base.name).is_dir()):
        found["base.name"] = Path(spec.base.name).expanduser()
    space = Path(spec.space)
    if space.suffix in (".yaml", ".yml") or space.parent != Path():
        found["space"] = space
    elif Path("search_spaces", f"{spec.space}.yaml").is_file():
        found["space"] = find_shipped("search_spaces", spec.space)
    return {key: path for key, path in found.items() if not is_shipped(path)}


def _reads_files(spec: StudySpec) -> bool:
    """Whether an experiment reads files below the folder of data."""
    return isinstance(spec, ExperimentSpec) and any(corpus.kind == "files" for corpus in spec.corpora.values())


def _importable(objective: str) -> bool:
    """Whether the module of an objective can be found; why an import fails is told where it is imported."""
    top = objective.partition(":")[0].partition(".")[0]
    here = (Path(f"{top}.py"), Path(top))
    return any(path.exists() for path in here) or top in sys.modules or (bool(top) and find_spec(top) is not None)


def _modules_of(spec: StudySpec) -> str | None:
    """The folder that the module of an objective was imported from; None: it has none, as in an interpreter."""
    if not isinstance(spec, CustomExperimentSpec):
        return None
    name = spec.objective.partition(":")[0].partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    path = Path(file).absolute()
    return str(path.parent.parent if path.name == "__init__.py" else path.parent)


def _made_before(options: SearchOptions, spec: StudySpec) -> Command | None:
    """The command of the study that the options mean, or of the last one of the experiment; None: there is none."""
    try:
        storage = open_storage(options.storage or options.folder.studies_url, create=False, only_read=True)
        ids = study_ids(storage)
        names = [options.study] if options.study is not None else list(reversed(ids))
        found = [storage.get_study_user_attrs(ids[name]) for name in names if name in ids]
    except (RatioHpoError, *DATABASE_ERRORS):  # none yet, or another driver makes it now: the search itself says so
        return None
    for attributes in found:
        if attributes.get(FORMAT_KEY) == FORMAT and attributes[ABOUT]["experiment"] == spec.name:
            return ABOUT_JSON.validate_python(attributes[ABOUT]).command
    return None
