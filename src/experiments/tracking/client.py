"""MLflow's client, with what a run needs beyond it."""

from mlflow import MlflowClient


class Client(MlflowClient):  # type: ignore[misc]  # MLflow's is untyped here
    """A client of any store; `experiments` are those met, by name.

    `notice` is what there is to tell of the store itself.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.experiments: dict[str, str] = {}
        self.notice = ""

    def find_runs(self, experiment_id: str, tag: str, value: str) -> list[str]:
        """Return the ids of the runs of an experiment that have a tag."""
        found = self.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", max_results=50_000)
        return [str(run.info.run_id) for run in found]

    def add_run(self, experiment_id: str, time: int, tags: dict[str, str], name: str) -> str:
        """Make a run, and return its id."""
        made = self.create_run(experiment_id, start_time=time, tags=tags, run_name=name)
        return str(made.info.run_id)

    def commit(self) -> None:
        """Make all that was stored since the last time lasting, which waits for the disk."""

    def roll_back(self) -> None:
        """Forget what was stored since the last commit, where that can be."""

    def settle(self) -> None:
        """Store all that is committed in its last place."""

    def close(self) -> None:
        """Let go of the store."""
