"""The files of a Kaggle competition, with the user's own credentials.

Kaggle's client is `kagglesdk`, on which its command `kaggle` is built: importing it has no effects,
where importing `kaggle` asks the server who the user is, prints, and makes a folder in the home.
The key goes from where the user keeps it into the client and nowhere else; messages are our own,
since those of requests can hold a signed address or a header.
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

    who = "kaggle.com"
    sha256 = None  # Kaggle publishes no checksum; the zip's own CRCs are checked

    def __init__(self, slug: str, unpacked_gb: float) -> None:
        """The competition of that name in Kaggle's addresses, and the size of its files."""
        self.slug = slug
        self.archive = f"{slug}.zip"
        self.unpacked = int(unpacked_gb * 1e9)

    def request(self) -> requests.PreparedRequest:
        """What to ask for the archive: Kaggle answers a request with a signed address.

        Raises:
            UserError: there are no credentials, or Kaggle refuses them.
            requests.RequestException: Kaggle can't be reached.
        """
        logging.getLogger("urllib3").setLevel(logging.INFO)  # lower, it logs signed addresses
        wanted = ApiDownloadDataFilesRequest()
        wanted.competition_name = self.slug
        try:
            with KaggleClient(**credentials()) as client:
                api = client.competitions.competition_api_client
                with api.download_data_files(wanted) as response:
                    return response.request.copy()
        except requests.HTTPError as error:
            answered = error.response is not None and error.response.status_code
            if refusal := self._refusals().get(answered):
                raise UserError(f"{self.who}: {refusal} ({answered})") from None
            raise

    def unpack(self, archive: Path, folder: Path) -> None:
        """The competition's files, as they are."""
        unzip(archive, folder)

    def _refusals(self) -> dict[int, str]:
        return {
            401: f"your key is not accepted; make a new one at {KEYS}, under API",
            403: f"join the competition and accept its rules at {PAGE}/{self.slug}/rules, "
            "with the account that the key belongs to",
            404: f"there is no competition {self.slug}",
        }


def credentials() -> dict[str, str]:
    """What the client signs in with, from where Kaggle's own tools look for it.

    Raises:
        UserError: there is nothing, and the sentence says how to get it; or no key can be so.
    """
    token, _ = get_access_token_from_env()
    username, key = _legacy_key()
    if token:
        found = {"api_token": token.strip()}
    elif username and key:
        found = {"username": username.strip(), "password": key.strip()}
    else:
        raise UserError(
            f"no Kaggle credentials: make an API token at {KEYS}, set it as KAGGLE_API_TOKEN (or "
            "KAGGLE_USERNAME and KAGGLE_KEY, or save kaggle.json in ~/.kaggle), "
            "and accept the competition's rules on its page"
        )
    if not "".join(found.values()).isascii():
        raise UserError(f"your Kaggle key has characters that no key has; copy it anew from {KEYS}")
    return found


def _legacy_key() -> tuple[str, str]:
    held: dict[str, str] = {}
    for file in [folder / "kaggle.json" for folder in _config_folders()]:
        if file.is_file():
            try:
                held = dict(json.loads(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                raise UserError(f"{file}: can't be read as Kaggle's JSON") from None
            break
    username = os.environ.get("KAGGLE_USERNAME") or str(held.get("username", ""))
    return username, os.environ.get("KAGGLE_KEY") or str(held.get("key", ""))


def _config_folders() -> list[Path]:
    if named := os.environ.get("KAGGLE_CONFIG_DIR"):
        return [Path(named)]
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return [Path("~/.kaggle").expanduser(), Path(config).expanduser() / "kaggle"]
