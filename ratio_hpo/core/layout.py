"""The run folder: where everything below it is. Nobody else puts names together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.core.retry import to_stderr
from ratio_hpo.core.urls import file_url


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The places below a run folder. It can be copied or moved: what is stored names places relative to it.

    Examples:
        >>> RunFolder(Path("mlruns")).weights("my-study").as_posix()
        'mlruns/checkpoints/my-study'
    """

    root: Path

    @property
    def studies(self) -> Path:
        """The SQLite file of studies."""
        return self.root / "studies.db"

    @property
    def studies_url(self) -> str:
        return file_url(self.studies)

    @property
    def runs(self) -> Path:
        """The SQLite file of MLflow."""
        return self.root / "mlflow.db"

    @property
    def runs_url(self) -> str:
        return file_url(self.runs.resolve(), driver="sqlite+pysqlite")  # MLflow makes stray folders of the short form

    @property
    def artifacts(self) -> Path:
        """Artifacts of MLflow's runs."""
        return self.root / "artifacts"

    @property
    def stages(self) -> Path:
        """The stage store, which evicts."""
        return self.root / "stages"

    @property
    def items(self) -> Path:
        """Scores of single evaluation items, which stay when stages are evicted."""
        return self.root / "items"

    @property
    def checkpoints(self) -> Path:
        """Kept weights of all studies."""
        return self.root / "checkpoints"

    def weights(self, study: str) -> Path:
        """Kept weights of a study."""
        return self.checkpoints / study

    def kept(self, study: str, point: str) -> Path | None:
        """The folder of a point's kept weights, which transformers loads; None: they are not kept."""
        folder = self.weights(study) / point
        return folder if folder.is_dir() else None

    def remote_store(self, url: str | None, say: Callable[[str], None] | None = to_stderr) -> RemoteStore | None:
        """What is shared of it at an address; None: nothing is.

        Args:
            say: is told when the remote store is waited for.

        Raises:
            ConfigError: nothing that can be shared at.
        """
        return None if url is None else RemoteStore(url, self.root, say=say)

    @property
    def plots(self) -> Path:
        return self.root / "plots"

    def plot(self, study: str, ending: str = ".png") -> Path:
        """A picture of a study, its front unless the ending names another one."""
        return self.plots / f"{study}{ending}"

    def report(self, study: str) -> Path:
        """The report of a study."""
        return self.root / "reports" / f"{study}.html"

    @property
    def windows(self) -> Path:
        """Tokenised data."""
        return self.root / "cache" / "windows"

    @property
    def tokenizers(self) -> Path:
        return self.root / "cache" / "tokenizers"

    @property
    def digests(self) -> Path:
        """Checksums of large files that were worked out before."""
        return self.root / "cache" / "digests.json"

    @property
    def storages(self) -> Path:
        """The storages whose studies keep weights and stages here."""
        return self.root / "storages.txt"

    @property
    def tracking_lock(self) -> Path:
        return self.root / "tracking.lock"
