"""A run's model in MLflow, which MLflow can load and serve without this machine's files."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

import experiments
from experiments.runs.events import Event
from experiments.tracking.store import patient

_PACKAGES = ("torch", "torchvision", "omegaconf", "safetensors", "numpy")


def add(
    client: MlflowClient, run: str, event: Event, checkpoint: Path, code: Sequence[Path]
) -> None:
    """Log a checkpoint with the code that makes a model of it, unless the run has its model."""
    if _has_model(client, run):
        return
    inputs = TensorSpec(np.dtype("float32"), (-1, *event["input_shape"]))
    outputs = TensorSpec(np.dtype("float32"), (-1, event["outputs"]))
    # Without this MLflow files the model under its first experiment, in the working directory.
    mlflow.set_experiment(experiment_id=client.get_run(run).info.experiment_id)
    with patient():
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run,
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"checkpoint": str(checkpoint)},
            signature=ModelSignature(inputs=Schema([inputs]), outputs=Schema([outputs])),
            code_paths=[str(Path(experiments.__file__).parent), *map(str, code)],
            pip_requirements=[f"{name}=={version(name)}" for name in _PACKAGES],
        )


def _has_model(client: MlflowClient, run: str) -> bool:
    """Say whether a run has a whole model, and remove what an upload that was cut off left."""
    facts = client.get_run(run)
    linked = {output.model_id for output in facts.outputs.model_outputs}
    found = client.search_logged_models([facts.info.experiment_id], f"source_run_id = '{run}'")
    whole = False
    for model in found:
        if model.status == LoggedModelStatus.READY and model.model_id in linked:
            whole = True
        else:
            client.delete_logged_model(model.model_id)
    return whole
