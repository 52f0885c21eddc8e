"""The only room that imports mlflow."""

import os

# Table creation and migrations are not news to a person who trains.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# Nor is a run on this machine anybody else's; the telemetry would also leave a file in the home.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
