"""The only room that imports mlflow."""

import os

# Table creation and migrations are not news to a person who trains.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
