from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.targets.functiongraph.protocol.credential_files import CredentialsError, Section, cloud, cloud_of, profile


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", "", "got no section, expected the section [basic] with ak and sk"),
        ("[global]\nak=s3cret\n", "", "got [global], expected the section [basic]"),
        ("ak=s3cret\n", ":1:1", "got ak before any section; write [basic] above it"),
        ("[basic]\nak s3cret\n", ":2:1", "got neither a [section] nor a line such as ak = value"),
        ("[basic]\n\n# note\n= s3cret\n", ":4:1", "got neither a [section]"),
        ("[basic]\nak=s3cret\nAK=s3cret\n", ":3:1", "got AK twice"),
        ("[basic]\n[basic]\n", ":2:1", "got the section [basic] twice"),
        (b"[basic]\nak=s3cr\xff\n", ":2:1", "got bytes that are not UTF-8"),
        ("x" * (1 << 20 | 1), "", "the file is larger than 1 MiB"),
    ],
)
def test_a_malformed_credentials_file_is_located(tmp_path: Path, text: str | bytes, line: str, message: str) -> None:
    path = write(tmp_path / "credentials", text)
    with pytest.raises(CredentialsError) as error:
        profile(path)
    assert str(error.value).startswith(f"{path}{line}: {message}")
    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", ":1:1", "expected a mapping such as clouds:"),
        ("clouds: 5\n", ":1:1", "expected a mapping such as clouds:"),
        ("clouds:\n  otc: s3cret\n", ":2:8", "expected a cloud to be a mapping"),
        ("clouds:\n  otc:\n    auth: s3cret\n", ":3:11", "expected auth to be a mapping"),
        ("clouds:\n  otc:\n    auth: {a: s3cret\n", ":", "this is not YAML"),
        ("clouds:\n  otc: {a: 1}\n  otc: {a: 2}\n", ":3:3", "duplicate key"),
        ("clouds:\n  otc:\n    <<: {a: s3cret}\n", ":3:5", "got a merge key"),
        ("clouds: {a: {}, b: {}}\n", ":1:9", 'there is no cloud "otc", which OS_CLOUD names; there are: a, b'),
        (b"clouds:\n  otc: \xff\n", ":2:1", "got bytes that are not UTF-8"),
    ],
)
def test_a_malformed_clouds_yaml_is_located(tmp_path: Path, text: str | bytes, line: str, message: str) -> None:
    path = write(tmp_path / "clouds.yaml", text)
    with pytest.raises(CredentialsError) as error:
        cloud([tmp_path], "otc")
    assert str(error.value).startswith(f"{path}{line}")
    assert message in str(error.value)
    assert "s3cr" not in str(error.value)


def test_of_several_clouds_one_must_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", "clouds: {a: {}, b: {}}\n")
    with pytest.raises(CredentialsError, match="got the clouds a, b, expected OS_CLOUD to name one"):
        cloud_of(path, None, None)


def test_no_file_is_no_cloud(tmp_path: Path) -> None:
    assert cloud([tmp_path], None) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_worth_a_warning(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "credentials", "[basic]\nak=a\n", mode)
    assert profile(path).warnings == (
        f"{path} holds credentials and is open to others (mode {mode:04o}): chmod 600 {path}",
    )


def test_a_file_of_ones_own_is_not(tmp_path: Path) -> None:
    assert profile(write(tmp_path / "credentials", "[basic]\nak=a\n")).warnings == ()


def test_no_repr_shows_a_value(tmp_path: Path) -> None:
    section = profile(write(tmp_path / "credentials", "[basic]\nak=s3cret\n"))
    assert isinstance(section, Section)
    assert "s3cret" not in repr(section)
