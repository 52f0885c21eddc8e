"""asl ui: the MLflow UI on this store, on 127.0.0.1."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from asl.addresses import without_passwords
from asl.config.compose import tracking_settings
from asl.errors import UserError

FIRST_PORT = 5000
LAST_PORT = 2**16
PORTS_TRIED = 100
SERVER_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",
    "PYTHONSAFEPATH": "1",  # modules of the working folder, a stranger's perhaps, stay out
    # Otherwise ten processes wait for evaluations of language models.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def main(arguments: Sequence[str]) -> int:
    """Run the UI until it is stopped."""
    parser = argparse.ArgumentParser("asl ui", description="The MLflow UI on the tracked runs.")
    parser.add_argument("--port", type=int, help="default: the first free one from 5000 on")
    parser.add_argument("overrides", nargs="*", help="tracking.uri=…")
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 < options.port < LAST_PORT:
        raise UserError(f"--port={options.port}: choose one from 1 to {LAST_PORT - 1}")
    uri = tracking_settings(options.overrides)["uri"]
    if uri.startswith("http"):
        print(f"{without_passwords(uri)} is a server with a UI of its own: open it in a browser")
        return 0
    from asl.tracking.store import open_tracker
    from asl.tracking.view import prepare_view

    view = prepare_view(open_tracker(tracking_settings(options.overrides)))
    port = options.port or _free_port()
    print(f"MLflow UI: http://127.0.0.1:{port}{view}  (Ctrl-C stops it)", flush=True)
    return _serve(uri, port)


def _serve(uri: str, port: int) -> int:
    """Run MLflow's server until this process is ended, and end all of its processes then."""
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    # An address may hold a password, and anybody can list the arguments of processes.
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": uri} | SERVER_SETTINGS
    server = subprocess.Popen(
        [*command, "--workers", "1", "--uvicorn-opts", "--log-level warning"],
        env=environment,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)


def _free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise UserError(f"--port: no free port from {FIRST_PORT} on; name one")
