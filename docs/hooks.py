"""Pages of the site that are made when it is built, so that they cannot differ from their source.

The configuration reference and the list of commands come from the code; the change log, the page on
contributing and the experiments with their pictures are files of the repository.
"""

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Pages that are files of the repository, and what links in them are called on the site.
PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "experiments.md": "experiments/README.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
    from config_reference import commands_page, configuration_page

    pages = {name: _page(ROOT / path) for name, path in PAGES.items()}
    pages["reference/configuration.md"] = configuration_page()
    pages["reference/commands.md"] = commands_page()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for picture in sorted((ROOT / "experiments").glob("*.png")):
        files.append(File.generated(config, picture.name, abs_src_path=str(picture)))
    files.append(File.generated(config, "license.txt", abs_src_path=str(ROOT / "LICENSE")))
    return files


def _page(path: Path) -> str:
    """A Markdown file of the repository with links as they are on the site."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", text)
    text = text.replace("](LICENSE)", "](license.txt)").replace(
        "](CONTRIBUTING.md)", "](contributing.md)"
    )
    return text.replace("](../docs/", "](")
