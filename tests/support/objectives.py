"""Settings of small runs for models that are functions of their parameters."""

ITEMS = ["dataset.items=100", "batch_size=35"]
NOISE = ["dataset=noise", "dataset.std=1"]
OBJECTIVES = {
    "surface": [*NOISE, "model.function=himmelblau", *ITEMS],
    "quadratic": [
        "dataset=noise",
        "dataset.std=1",
        "dataset.dimension=5",
        "model.rotation=1",
        *ITEMS,
    ],
    "quadratic_deep": ["dataset=quadratic_deep", "batch_size=35"],
    "logistic": ["dataset=logistic", *ITEMS],
}
