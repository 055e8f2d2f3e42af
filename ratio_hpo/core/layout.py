"""Paths below the run folder; no other module builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.core.retry import to_stderr
from ratio_hpo.core.urls import file_url


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths below a run folder, which can be copied or moved: stored paths are relative to it.

    Attributes:
        root: The run folder.

    Examples:
        >>> RunFolder(Path("mlruns")).weights("my-study").as_posix()
        'mlruns/checkpoints/my-study'
    """

    root: Path

    @property
    def studies(self) -> Path:
        """SQLite database of the studies."""
        return self.root / "studies.db"

    @property
    def studies_url(self) -> str:
        return file_url(self.studies)

    @property
    def runs(self) -> Path:
        """SQLite database of MLflow."""
        return self.root / "mlflow.db"

    @property
    def runs_url(self) -> str:
        return file_url(self.runs.resolve(), driver="sqlite+pysqlite")  # `sqlite://` makes MLflow create stray folders

    @property
    def artifacts(self) -> Path:
        """Artifacts of the MLflow runs."""
        return self.root / "artifacts"

    @property
    def stages(self) -> Path:
        """Stage store; its content may be evicted."""
        return self.root / "stages"

    @property
    def items(self) -> Path:
        """Scores of single evaluation items; they are kept when stages are evicted."""
        return self.root / "items"

    @property
    def checkpoints(self) -> Path:
        """Retained checkpoints of all studies."""
        return self.root / "checkpoints"

    def weights(self, study: str) -> Path:
        """Return the folder of a study's retained checkpoints."""
        return self.checkpoints / study

    def kept(self, study: str, point: str) -> Path | None:
        """Return the folder of a point's retained checkpoint, which transformers can load; None if it was not kept."""
        folder = self.weights(study) / point
        return folder if folder.is_dir() else None

    def remote_store(self, url: str | None, say: Callable[[str], None] | None = to_stderr) -> RemoteStore | None:
        """Return the remote store at an address; None without an address.

        Args:
            url: Address of the remote store.
            say: Receives a message when an unavailable remote store is retried.

        Raises:
            ConfigError: If the address is invalid.
        """
        return None if url is None else RemoteStore(url, self.root, say=say)

    @property
    def plots(self) -> Path:
        return self.root / "plots"

    def plot(self, study: str, ending: str = ".png") -> Path:
        """Return the path of a plot of a study: its front, or the plot that the ending names."""
        return self.plots / f"{study}{ending}"

    def report(self, study: str) -> Path:
        """Return the path of a study's report."""
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
        """Cache of the checksums of large files."""
        return self.root / "cache" / "digests.json"

    @property
    def storages(self) -> Path:
        """List of the storages whose studies keep weights and stages in this run folder."""
        return self.root / "storages.txt"

    @property
    def tracking_lock(self) -> Path:
        return self.root / "tracking.lock"
