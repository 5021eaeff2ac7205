"""The model that MLflow loads and serves: a checkpoint, and the code that it was trained with."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class Served(PythonModel):  # type: ignore[misc]  # MLflow's is untyped here
    """Computes the outputs of items as the data set stores them."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network and fill in the checkpoint's tensors."""
        from experiments.runs.predictor import predictor

        self._predict = predictor(Path(context.artifacts["checkpoint"]))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> npt.NDArray[Any]:
        """Return outputs [N, ...] for items [N, *item]: a logit a class, or one prediction."""
        import torch

        items = torch.from_numpy(np.asarray(model_input, dtype=np.float32))
        return self._predict(items).numpy()


set_model(Served())
