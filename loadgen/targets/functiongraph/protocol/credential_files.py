"""Files in which the vendors' tools keep credentials: ``~/.huaweicloud/credentials`` and OpenStack's ``clouds.yaml``.

Both are read into plain entries that know where they stand, so that whatever is wrong with them is said with file and
line. No message shows a line of such a file, since it may hold a secret.

Sources: the credential provider of the vendor's Python SDK (huaweicloudsdkcore), whose file is an INI file with the
sections ``[basic]`` (a project's services) and ``[global]``; openstacksdk, *Configuring OpenStack SDK Applications*,
whose ``secure.yaml`` takes precedence over what is in ``clouds.yaml``.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from loadgen.targets.port import TargetError
from loadgen.text import file, yaml
from loadgen.text.fault import Fault, Place, ScenarioError

_LONGEST = 1 << 20
_CLOUDS = ("clouds.yaml", "clouds.yml")
_SECURE = ("secure.yaml", "secure.yml")


class CredentialsError(TargetError):
    """There are no credentials to be had as asked for; the message says what was seen, where, and what to do."""


class Entry(Struct, frozen=True):
    """A value of a file, and where it stands. The repr leaves the value out."""

    value: str
    place: Place

    def __repr__(self) -> str:
        return f"Entry(*** at {self.place.source}:{self.place.line})"


class Section(Struct, frozen=True):
    """The entries of one section of an INI file, or of one cloud, by name; and where it begins."""

    entries: Mapping[str, Entry]
    place: Place
    warnings: tuple[str, ...]

    def first(self, *names: str) -> Entry | None:
        """The entry of the first of these names that is there and not empty."""
        return next((self.entries[name] for name in names if name in self.entries and self.entries[name].value), None)


def profile(path: Path, name: str = "basic") -> Section:
    """A section of a credentials file. Raises CredentialsError."""
    sections = _ini(_text(path), str(path))
    warnings = _open_to_others(path)
    if name in sections:
        return Section(sections[name][1], sections[name][0], warnings)
    seen = ", ".join(f"[{each}]" for each in sections) or "no section"
    raise _error(Place(str(path)), f"got {seen}, expected the section [{name}] with ak and sk")


def cloud(directories: list[Path], name: str | None) -> Section | None:
    """A cloud of the first clouds.yaml in these directories, None when none has one.

    ``name`` may be None where the file has a single cloud. Raises CredentialsError.
    """
    path = _first(directories, _CLOUDS)
    return None if path is None else cloud_of(path, _first(directories, _SECURE), name)


def cloud_of(path: Path, secure: Path | None, name: str | None) -> Section:
    """The same of this file, with what the other one has for the same cloud on top of it."""
    clouds = _clouds(path)
    if name is None and len(clouds.nodes) == 1:
        name = next(iter(clouds.nodes))
    names = ", ".join(clouds.nodes) or "none"
    if name is None:
        raise _error(clouds.place, f"got the clouds {names}, expected OS_CLOUD to name one of them")
    if name not in clouds.nodes:
        raise _error(clouds.place, f'there is no cloud "{name}", which OS_CLOUD names; there are: {names}')
    found, where = clouds.nodes[name], clouds.keys[name]
    entries = _entries(found)
    warnings = _open_to_others(path)
    if secure is not None and (more := _clouds(secure).nodes.get(name)) is not None:
        entries |= _entries(more)
        warnings = _open_to_others(secure)
    return Section(entries, _unread(where), warnings)


def _first(directories: list[Path], names: tuple[str, ...]) -> Path | None:
    found = (directory / name for directory in directories for name in names)
    return next((path for path in found if file.there(path)), None)


def _clouds(path: Path) -> yaml.Fields:
    try:
        root, duplicates = yaml.parse(_text(path), str(path))
    except ScenarioError as error:
        raise _error(error.faults[0].place, error.faults[0].message) from None
    if duplicates:
        raise _error(duplicates[0].place, duplicates[0].message)
    clouds = root.nodes.get("clouds") if isinstance(root, yaml.Fields) else None
    if not isinstance(clouds, yaml.Fields):
        raise _error(Place(str(path), 1, 1), "expected a mapping such as clouds: {otc: {auth: {...}}}")
    return clouds


def _entries(cloud: yaml.Node) -> dict[str, Entry]:
    """The single values of a cloud and of its ``auth``, which take precedence."""
    if not isinstance(cloud, yaml.Fields):
        raise _error(cloud.place, "expected a cloud to be a mapping such as {auth: {username: ...}}")
    auth = cloud.nodes.get("auth", yaml.Fields({}, {}, cloud.place))
    if not isinstance(auth, yaml.Fields):
        raise _error(auth.place, "expected auth to be a mapping such as {username: ..., password: ...}")
    entries = {}
    for fields in (cloud, auth):
        if "<<" in fields.nodes:
            raise _error(fields.keys["<<"], "got a merge key (<<), which YAML 1.2 does not have: write the values out")
        for key, value in fields.nodes.items():
            if isinstance(value, yaml.Scalar) and value.value is not None:
                entries[key] = Entry(value.text, _unread(value.place))
    return entries


def _ini(text: str, source: str) -> dict[str, tuple[Place, dict[str, Entry]]]:
    """The sections of an INI file: ``[name]``, then lines ``key = value`` or ``key: value``; # and ; begin comments."""
    sections: dict[str, tuple[Place, dict[str, Entry]]] = {}
    current: dict[str, Entry] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        place, content = Place(source, number, 1), line.strip()
        if not content or content[0] in "#;":
            continue
        if heading := re.fullmatch(r"\[([^\]]+)\]", content):
            if heading[1] in sections:
                raise _error(place, f"got the section [{heading[1]}] twice; keep one of them")
            current = {}
            sections[heading[1]] = place, current
            continue
        parts = re.fullmatch(r"([^=:\s]+)\s*[=:]\s*(.*)", content)
        if parts is None:
            raise _error(place, "got neither a [section] nor a line such as ak = value; correct this line")
        if current is None:
            raise _error(place, f"got {parts[1]} before any section; write [basic] above it")
        if parts[1].lower() in current:
            raise _error(place, f"got {parts[1]} twice in one section; keep one of them")
        current[parts[1].lower()] = Entry(parts[2], place)
    return sections


def _text(path: Path) -> str:
    try:
        with file.opened(path) as source:
            raw = source.read(_LONGEST + 1)
    except OSError as error:
        raise _error(Place(str(path)), f"cannot read this file: {file.reason(error)}") from error
    if len(raw) > _LONGEST:
        raise _error(Place(str(path)), "the file is larger than 1 MiB, far more than credentials need")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(str(path), raw.count(b"\n", 0, error.start) + 1, 1)
        raise _error(place, "got bytes that are not UTF-8, expected UTF-8 text; save it as that") from None


def _open_to_others(path: Path) -> tuple[str, ...]:
    mode = path.stat().st_mode
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ()
    return (f"{path} holds credentials and is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}",)


def _unread(place: Place) -> Place:
    """The place without its line, which may hold a secret."""
    return Place(place.source, place.line, place.column)


def _error(place: Place, message: str) -> CredentialsError:
    return CredentialsError(Fault(_unread(place), (), message).render())
