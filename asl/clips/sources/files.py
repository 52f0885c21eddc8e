"""Which files of a folder are clips, or frames of clips, and what their paths or a csv file say."""

import csv
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from asl.clips.names import sorted_names
from asl.clips.sources.arrays import NO_SIGNERS, UNKNOWN_SIGNER, Signs, sign_names
from asl.clips.sources.base import Entry, Listing, Problem, without_odd_names
from asl.clips.store import is_store_folder
from asl.errors import UserError, unknown

FIELDS = ("signer", "sign", "sequence", "frame")

_Row = tuple[Entry, dict[str, str]]  # a clip, and its columns


class ClipFiles:
    """The files of a folder that are clips, with sign and signer of each.

    Attributes:
        frame: matches the name of a frame's file; None where a file is a clip.
    """

    def __init__(
        self,
        root: str | Path,
        files: str,
        suffix: str,
        *,
        path: str | None = None,
        sign: str | None = None,
        signer: str | None = None,
        signs: Signs | None = None,
    ) -> None:
        """Checks the arguments.

        Args:
            root: the folder.
            files: pattern of the paths, such as `{signer}/{sign}/{sequence}.npy`, where `*` matches
                anything; `{frame}`, alone in a file's name, is the number of a frame, and any
                other name, `{view}` say, is a column. Or a csv file that lists the clips; what
                else it says of them are columns.
            suffix: of the files, `.npy` say.
            path: the csv's column of paths, relative to `root`; `path` where None.
            sign: the csv's column of labels, names or numbers; `sign` where None.
            signer: the csv's column of signers; `participant_id` where None, `none` where they are
                unknown.
            signs: names of labels, see `asl.clips.sources.arrays.sign_names`.

        Raises:
            UserError: there is no such folder, or the pattern or a column is wrong.
        """
        self.root, self._files, self._suffix = Path(root), files, suffix
        if not self.root.is_dir():
            raise UserError(f"data.root={root}: there is no such folder")
        self._pattern = None if files.endswith(".csv") else _pattern(files, suffix)
        for key, column in {"path": path, "sign": sign, "signer": signer}.items():
            if self._pattern and column is not None:
                raise UserError(f"{key}={column}: files={files} is no csv file and has no columns")
        self._columns = {
            "path": path or "path",
            "sign": sign or "sign",
            "signer": signer or "participant_id",
        }
        self._names = sign_names(signs)
        self.frame = self._pattern.frame if self._pattern else None

    def listing(self) -> tuple[Listing, list[str]]:
        """All clips of the csv in its order, or of the folder, sorted; and the signs, in order.

        Problems are a file that does not match the pattern or is not in the csv, a row without
        path or sign, and a label without a name.

        Raises:
            UserError: there is no file with the suffix, or the csv is missing or lacks a column.
        """
        found = sorted(_files_below(self.root, self._suffix))
        if not found:
            raise UserError(f"data.root={self.root}: holds no {self._suffix} file")
        paths, odd_names = without_odd_names(found)
        if self._pattern:
            rows, problems = _by_pattern(self._pattern, paths)
            signers = "signer" in self._pattern.fields
        else:
            rows, problems = self._from_csv(paths)
            signers = self._columns["signer"] != "none"
        problems += odd_names
        entries, further = [], []
        for row, values in rows:
            sign = self._names.get(row.sign) if self._names else row.sign
            if sign is None:
                problems.append(Problem(row.path, f"sign {row.sign!r} is not in signs"))
            else:
                entries.append(row._replace(sign=sign))
                further.append(values)
        if not signers:
            problems.append(Problem(self._files, NO_SIGNERS, kept=True))
        names = further[0] if further else ()
        columns = {name: [values[name] for values in further] for name in names}
        signs = list(self._names.values()) or sorted_names([e.sign for e in entries])
        return Listing(entries, problems, columns), signs

    def _from_csv(self, paths: list[str]) -> tuple[list[_Row], list[Problem]]:
        rows, problems = [], []
        named: set[str] = set()
        for number, (path, sign, signer, further) in enumerate(self._csv_rows(), start=2):
            if not path or not sign or not signer:
                problems.append(Problem(self._files, f"line {number} has an empty cell"))
            elif Path(path).is_absolute() or ".." in Path(path).parts:
                problems.append(Problem(path, "should be relative to the folder, and inside it"))
            elif "\0" in path:
                problems.append(Problem(path, "is no name of a file"))
            elif path in named:
                problems.append(Problem(path, f"named more than once in {self._files}"))
            else:
                rows.append((Entry(path, signer, path.removesuffix(self._suffix), sign), further))
            named.add(path)
        strays = [path for path in paths if path not in named]
        return rows, problems + [Problem(path, f"not named in {self._files}") for path in strays]

    def _csv_rows(self) -> Iterator[tuple[str, str, str, dict[str, str]]]:
        """Path, label, signer and further cells of each row; empty cells are empty texts."""
        columns = self._columns
        path = self.root / self._files
        if not path.is_file():
            raise UserError(f"files={self._files}: {self.root} holds no such file")
        with path.open(newline="", encoding="utf-8-sig") as file:
            try:
                reader = csv.DictReader(file, strict=True)
                names = reader.fieldnames or []
                for key, column in columns.items():
                    if column not in names and (key, column) != ("signer", "none"):
                        raise unknown(key, column, names)
                others = [name for name in names if name and name not in columns.values()]
                for row in reader:
                    signer = row.get(columns["signer"], UNKNOWN_SIGNER) or ""
                    place = Path(row[columns["path"]] or "").as_posix()
                    further = {name: row[name] or "" for name in others}
                    sign = row[columns["sign"]] or ""
                    yield "" if place == "." else place, sign, signer, further
            except (csv.Error, UnicodeDecodeError) as error:
                raise UserError(f"{path}: is not a csv file ({error})") from error


class _Pattern(NamedTuple):
    """The pattern of the paths.

    Attributes:
        files: the user's text.
        fields: names of its fields.
        shortest: matches a path with each field as short as possible.
        longest: the same with each field as long as possible.
        frame: matches the file name of a frame; None where a file is a clip.
        suffix: of the files.
    """

    files: str
    fields: set[str]
    shortest: re.Pattern[str]
    longest: re.Pattern[str]
    frame: re.Pattern[str] | None
    suffix: str


def _pattern(files: str, suffix: str) -> _Pattern:
    fields = re.findall(r"\{(.*?)\}", files)
    if not files.endswith(suffix) or not all(map(_is_field, fields)) or "sign" not in fields:
        names = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise UserError(
            f"files={files}: should be a csv file, or a path that ends in {suffix} and has "
            f"{{sign}} in it; choose from {names} and *; any other {{NAME}} is a column"
        )
    folder, _, name = files.rpartition("/")
    frame = None
    if "frame" in fields:
        if "{frame}" in folder or re.findall(r"\{.*?\}|\*", name) != ["{frame}"] or not folder:
            raise UserError(f"files={files}: {{frame}} should be alone, in the file's name")
        frame = _regex(name, "")
    return _Pattern(files, set(fields), _regex(files, "?"), _regex(files, ""), frame, suffix)


def _is_field(name: str) -> bool:
    """Whether this may be a part of a path: not if it is nearly, but not quite, one of `FIELDS`."""
    misspelt = get_close_matches(name, FIELDS, cutoff=0.8) and name not in FIELDS
    return name.isidentifier() and not misspelt


def _regex(files: str, lazy: str) -> re.Pattern[str]:
    """A regular expression for the paths; a repeated field must have the same value again."""
    pieces, fields = [], set()
    for piece in re.split(r"(\{.*?\}|\*)", files):
        field = piece[1:-1] if piece.startswith("{") else ""
        if piece == "*":
            pieces.append(f"[^/]+{lazy}")
        elif not field:
            pieces.append(re.escape(piece))
        elif field in fields:
            pieces.append(f"(?P={field})")
        else:
            value = r"\d+" if field == "frame" else f"[^/]+{lazy}"
            pieces.append(f"(?P<{field}>{value})")
        fields.add(field)
    return re.compile("".join(pieces))


def _by_pattern(pattern: _Pattern, paths: list[str]) -> tuple[list[_Row], list[Problem]]:
    rows: dict[str, _Row] = {}
    problems = []
    for path in paths:
        match, other = pattern.shortest.fullmatch(path), pattern.longest.fullmatch(path)
        if match is None or other is None:
            problems.append(Problem(path, f"does not fit files={pattern.files}"))
        elif match.groups() != other.groups():
            problems.append(Problem(path, f"fits files={pattern.files} in more than one way"))
        else:
            clip = path.rpartition("/")[0] if pattern.frame else path
            fields = match.groupdict()
            sign, signer = fields.pop("sign"), fields.pop("signer", UNKNOWN_SIGNER)
            fields.pop("frame", None)
            rows[clip] = Entry(clip, signer, clip.removesuffix(pattern.suffix), sign), fields
    return list(rows.values()), problems


def _files_below(root: Path, suffix: str) -> Iterator[str]:
    """All files with a suffix below a folder, except those of clip stores."""
    for folder, folders, names in os.walk(root):
        if is_store_folder(Path(folder)):
            folders.clear()
            continue
        inside = Path(folder).relative_to(root)
        yield from ((inside / name).as_posix() for name in names if name.endswith(suffix))
