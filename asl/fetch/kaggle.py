"""The files of a Kaggle competition, with the user's own credentials.

Kaggle's client here is `kagglesdk`, the base of its command `kaggle`: importing `kaggle` itself
asks the server who the user is, prints, and makes a folder in the home. The key is passed to the
client and nowhere else. Messages never quote those of requests, which may contain a signed address
or a header.
"""

import json
import logging
import os
from pathlib import Path

import requests
from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kaggle_env import get_access_token_from_env

from asl.errors import UserError
from asl.fetch.unzip import unzip

PAGE = "https://www.kaggle.com/competitions"
KEYS = "https://www.kaggle.com/settings"


class Competition:
    """All files of a competition, which Kaggle packs into one zip."""

    server = "kaggle.com"
    sha256 = None  # Kaggle publishes no checksum; the CRCs of the zip are checked

    def __init__(self, slug: str, unpacked_gb: float) -> None:
        """The competition's name in Kaggle's addresses, and the size of its files."""
        self.slug = slug
        self.archive = f"{slug}.zip"
        self.unpacked = int(unpacked_gb * 1e9)

    def request(self) -> requests.PreparedRequest:
        """The request for the archive, at a signed address that Kaggle answers with.

        Raises:
            UserError: there are no credentials, or Kaggle refuses them.
            requests.RequestException: Kaggle can't be reached.
        """
        logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs signed addresses
        query = ApiDownloadDataFilesRequest()
        query.competition_name = self.slug
        try:
            with KaggleClient(**credentials()) as client:
                api = client.competitions.competition_api_client
                with api.download_data_files(query) as response:
                    return response.request.copy()
        except requests.HTTPError as error:
            status = error.response is not None and error.response.status_code
            if refusal := self._refusals().get(status):
                raise UserError(f"{self.server}: {refusal} ({status})") from None
            raise

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the competition's files unchanged."""
        unzip(archive, folder)

    def _refusals(self) -> dict[int, str]:
        return {
            401: f"your key is not accepted; make a new one at {KEYS}, under API",
            403: f"join the competition and accept its rules at {PAGE}/{self.slug}/rules, "
            "with the account that the key belongs to",
            404: f"there is no competition {self.slug}",
        }


def credentials() -> dict[str, str]:
    """Arguments of the client to sign in with, from where Kaggle's own tools keep them.

    Raises:
        UserError: there are none, or the key has characters that no key has.
    """
    token, _ = get_access_token_from_env()
    saved = _saved_key()
    username = os.environ.get("KAGGLE_USERNAME") or str(saved.get("username", ""))
    key = os.environ.get("KAGGLE_KEY") or str(saved.get("key", ""))
    if not token and not (username and key):
        raise UserError(
            f"no Kaggle credentials: make an API token at {KEYS}, set it as KAGGLE_API_TOKEN (or "
            "KAGGLE_USERNAME and KAGGLE_KEY, or save kaggle.json in ~/.kaggle), "
            "and accept the competition's rules on its page"
        )
    arguments = {"api_token": token} if token else {"username": username, "password": key}
    if not "".join(arguments.values()).isascii():
        raise UserError(f"your Kaggle key has characters that no key has; copy it anew from {KEYS}")
    return {name: value.strip() for name, value in arguments.items()}


def _saved_key() -> dict[str, str]:
    """The content of kaggle.json; empty where there is none."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    named = os.environ.get("KAGGLE_CONFIG_DIR")
    for folder in [named] if named else ["~/.kaggle", f"{config}/kaggle"]:
        file = Path(folder).expanduser() / "kaggle.json"
        if file.is_file():
            try:
                return dict(json.loads(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                raise UserError(f"{file}: can't be read as Kaggle's JSON") from None
    return {}
