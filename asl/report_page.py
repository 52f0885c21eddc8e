"""HTML pages of reports: one look, one file with everything inside, all text escaped."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader


def report_page(template: Path, **values: object) -> str:
    """Render a template that extends `report.html`.

    Args:
        template: its file.
        values: what it shows, and functions that it calls, by name.
    """
    loader = FileSystemLoader([template.parent, Path(__file__).parent])
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template.name).render(values)
