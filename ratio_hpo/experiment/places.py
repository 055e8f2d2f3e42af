"""List of the storages whose studies keep weights and stages below a run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ratio_hpo.core.errors import ConfigError, RatioHpoError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.overrides import Setting, source_of
from ratio_hpo.core.packaged_files import find_shipped, is_shipped
from ratio_hpo.core.plans import ABOUT as ABOUT_JSON
from ratio_hpo.core.plans import Command
from ratio_hpo.core.urls import lasting_url, shown_url, with_driver
from ratio_hpo.experiment.load import Loaded, load_experiment
from ratio_hpo.experiment.search_setup import RunOptions, Say
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import CustomExperimentSpec, StudySpec
from ratio_hpo.storage.connect import open_storage
from ratio_hpo.storage.retrying_storage import DATABASE_ERRORS
from ratio_hpo.study.create_or_load import ABOUT, FORMAT, FORMAT_KEY, study_ids

DEFAULT = "default"
"""Name of the storage below the run folder in the list."""


def remember_storage(folder: RunFolder, url: str | None) -> None:
    """Add a storage to the list of the run folder.

    Args:
        folder: The run folder.
        url: Storage URL. None: the storage below the run folder.
    """
    key = _key(url)
    if key not in _listed_storages(folder):
        folder.root.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder.storages, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(f"{key}\n")


def check_storages(folder: RunFolder, urls: Sequence[str | None]) -> None:
    """Check that the given storages include all storages of the run folder, so that no used file counts as garbage.

    Raises:
        ConfigError: A storage is missing.
    """
    missing = sorted(_listed_storages(folder) - {_key(url) for url in urls})
    if missing:
        raise ConfigError(
            f"⟨storage⟩: {folder.root} also holds weights and stages of studies in {missing[0]}; name all of its "
            f"storages, so that no used file is deleted ({DEFAULT} means the one below ⟨root⟩)"
        )


def _listed_storages(folder: RunFolder) -> set[str]:
    file = folder.storages
    listed = set(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else set()
    return listed | ({DEFAULT} if folder.studies.is_file() else set())


def _key(url: str | None) -> str:
    return DEFAULT if url is None else shown_url(with_driver(lasting_url(url)))


DATA = Path("data")
"""Default data folder."""


def command_of(options: RunOptions, loaded: Loaded) -> Command:
    """Return the command that created a study, with absolute paths."""
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


def repeat_command(command: Command, options: RunOptions) -> RunOptions:
    """Return the options with the experiment, data and settings of a stored command; settings of the options win."""
    return replace(
        options,
        experiment=command.experiment,
        settings=(*(Setting(*setting) for setting in command.settings), *options.settings),
        data_dir=Path(command.data_dir),
        strict=command.strict,
        keep_leaks=command.keep_leaks,
    )


def find_places(options: RunOptions, loaded: Loaded, say: Say) -> tuple[RunOptions, Loaded]:
    """Replace missing paths of a command by the paths that the study's earlier run used, if those exist.

    The study later checks that the content of the files is unchanged.

    Returns:
        Options and experiment with paths that exist, where known.
    """
    missing = {key: path for key, path in _files_of(loaded.spec).items() if not path.exists()}
    no_data = _reads_files(loaded.spec) and options.data_dir == DATA.absolute() and not options.data_dir.is_dir()
    no_module = isinstance(loaded.spec, CustomExperimentSpec) and not _importable(loaded.spec.objective)
    earlier = _earlier_command(options, loaded.spec) if missing or no_data or no_module else None
    if earlier is None:
        return options, loaded
    stored = {key: value for key, value, _ in earlier.settings}
    restored = [Setting(key, stored[key], "earlier run") for key in missing if Path(str(stored.get(key, ""))).exists()]
    for setting in restored:
        say(
            f"{setting.key}: {missing[setting.key]} does not exist; using {setting.value} as in the study's earlier run"
        )
    if restored:
        loaded = load_experiment(options.experiment, [*loaded.settings, *restored])
    if no_data and earlier.data_dir != str(options.data_dir) and Path(earlier.data_dir).is_dir():
        say(f"⟨data_dir⟩: {DATA} does not exist; using {earlier.data_dir} as in the study's earlier run")
        options = replace(options, data_dir=Path(earlier.data_dir))
    if no_module and earlier.modules is not None and earlier.modules not in sys.path:
        sys.path.append(earlier.modules)
    return options, loaded


def _files_of(spec: StudySpec) -> Mapping[str, Path]:
    """Return the files and folders that an experiment refers to, by key."""
    paths = {}
    if isinstance(spec, ExperimentSpec) and (spec.base.name.startswith((".", "~")) or Path(spec.base.name).is_dir()):
        paths["base.name"] = Path(spec.base.name).expanduser()
    space = Path(spec.space)
    if space.suffix in (".yaml", ".yml") or space.parent != Path():
        paths["space"] = space
    elif Path("search_spaces", f"{spec.space}.yaml").is_file():
        paths["space"] = find_shipped("search_spaces", spec.space)
    return {key: path for key, path in paths.items() if not is_shipped(path)}


def _reads_files(spec: StudySpec) -> bool:
    """Return whether an experiment reads files below the data folder."""
    return isinstance(spec, ExperimentSpec) and any(corpus.kind == "files" for corpus in spec.corpora.values())


def _importable(objective: str) -> bool:
    """Return whether the module of an objective exists; import errors are reported by `import_objective`."""
    top = objective.partition(":")[0].partition(".")[0]
    candidates = (Path(f"{top}.py"), Path(top))
    return any(path.exists() for path in candidates) or top in sys.modules or (bool(top) and find_spec(top) is not None)


def _modules_of(spec: StudySpec) -> str | None:
    """Return the folder that a custom objective was imported from, or None if it has no file."""
    if not isinstance(spec, CustomExperimentSpec):
        return None
    name = spec.objective.partition(":")[0].partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    path = Path(file).absolute()
    return str(path.parent.parent if path.name == "__init__.py" else path.parent)


def _earlier_command(options: RunOptions, spec: StudySpec) -> Command | None:
    """Return the stored command of the study, or of the experiment's last study; None if no study exists."""
    try:
        storage = open_storage(options.storage or options.folder.studies_url, create=False, only_read=True)
        ids = study_ids(storage)
        names = [options.study] if options.study is not None else list(reversed(ids))
        candidates = [storage.get_study_user_attrs(ids[name]) for name in names if name in ids]
    except (RatioHpoError, *DATABASE_ERRORS):  # the search reports a storage that is missing or unreadable
        return None
    for attributes in candidates:
        if attributes.get(FORMAT_KEY) == FORMAT and attributes[ABOUT]["experiment"] == spec.name:
            return ABOUT_JSON.validate_python(attributes[ABOUT]).command
    return None
