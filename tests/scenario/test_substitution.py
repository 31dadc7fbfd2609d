from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text import yaml
from loadgen.text.fault import Fault
from loadgen.text.substitution import escaped, holds_literal, masked, substitute


def resolve(text: str, **environment: str) -> tuple[Any, list[Fault]]:
    root, _ = yaml.parse(text, "f.yaml")
    assert root is not None
    faults: list[Fault] = []
    return yaml.data(substitute(root, environment, faults)), faults


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: ${N}", 5),
        ('a: "${N}"', "5"),
        ("a: ${N}/s", "5/s"),
        ("a: ${MISSING:-7}", 7),
        ("a: ${MISSING:-}", None),
        ("a: ${EMPTY:-x}", "x"),
        ('a: "${EMPTY}"', ""),
        ("a: $$N and $${N}", "$N and ${N}"),
        ("a: 5$ and $N", "5$ and $N"),
        ("a: ${MAPPING}", "{b: 1}"),
        ("a: ${DOLLAR}", "${N}"),
        ("a: ${A:-${N}}", 5),
        ("a: ${A:-${B:-${N}0}}", 50),
        ("a: ${A:-x${N}y${B:-z}}", "x5yz"),
        ("a: ${A:-${EMPTY}}${N}", 5),
        ("a: ${N:-${NOPE}}", 5),
        ("a: ${A:-$${N}}", "${N}"),
        ("a: ${A:-5$$}", "5$"),
        ("a: ${A:-{}}", "{}"),
        ("a: ${A:-${DOLLAR}}", "${N}"),
    ],
)
def test_a_reference_is_replaced_and_typed_as_if_written(text: str, value: object) -> None:
    found, faults = resolve(text, N="5", EMPTY="", MAPPING="{b: 1}", DOLLAR="${N}")
    assert not faults
    assert found == {"a": value}


def test_keys_are_not_substituted() -> None:
    assert resolve("${N}: 1", N="a") == ({"${N}": 1}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, '${NOPE}']", "f.yaml:1:8: a[1]: the environment variable NOPE is not set"),
        ("a: ${1}", "expected ${NAME} or ${NAME:-default}"),
        ("a: ${open", "expected ${NAME} or ${NAME:-default}"),
        ("a: ${A:-", "f.yaml:1:4: a: got ${A:- without its }"),
        ("a: ${A:-${N}", "got ${A:- without its }"),
        ("a: ${A:-${B:-x}", "got ${A:- without its }"),
        ("a: ${A:-${1}}", "got ${, expected ${NAME} or ${NAME:-default}"),
        ("a: ${A:=x}", "got ${, expected ${NAME} or ${NAME:-default}"),
        ("a: ${A-x}", "got ${, expected ${NAME} or ${NAME:-default}"),
        ("a: ${A:?x}", "got ${, expected ${NAME} or ${NAME:-default}"),
        ("a: ${#A}", "got ${, expected ${NAME} or ${NAME:-default}"),
        ("a: ${A:-${NOPE}}", "the environment variable NOPE is not set"),
        (f"a: {'${A:-' * 20_000}x{'}' * 20_000}", "got more than 20 references in each other's defaults"),
        ("a: ${BAD}", "not UTF-8"),
        ("a: ${HUGE}", "expected a number below"),
    ],
)
def test_what_cannot_be_replaced_is_located(text: str, message: str) -> None:
    _, (fault,) = resolve(text, BAD="\udcff", HUGE="1e999")
    assert message in fault.render()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("secret", "***"),
        ("${TOKEN}", "${TOKEN}"),
        ("${TOKEN:-secret}", "${TOKEN}"),
        ("Bearer ${TOKEN}", "Bearer ${TOKEN}"),
        ("Bearer secret", "***"),
        ("secret${A}${B}", "***${A}${B}"),
        ("$$", "***"),
        ("${A:-${B}}", "${A:-${B}}"),
        ("${A:-${B:-secret}}", "${A:-${B}}"),
        ("${A:-x${B}y}", "${A:-***${B}***}"),
        ("Bearer ${A:-${B}}", "Bearer ${A:-${B}}"),
        ("${A:-secret${B:-${C}}}", "${A:-***${B:-${C}}}"),
        ("${A:-secret", "***"),
        ("Bearer {{row}}", "Bearer {{row}}"),
        ("secret-{{row}}{{other}}-more", "***{{row}}{{other}}***"),
    ],
)
def test_a_masked_secret_shows_no_literal_part(raw: str, shown: str) -> None:
    root, _ = yaml.parse(f"a: '{raw}'", "f.yaml")
    assert root is not None
    scalar = yaml.find(root, ("a",))
    assert isinstance(scalar, yaml.Scalar)
    assert masked(scalar) == shown


@pytest.mark.parametrize(
    ("raw", "literal"),
    [("${A}", False), ("Bearer ${A:-${B}}", False), ("${A:-x}", True), ("${A:-${B:-x}}", True), ("${A", True)],
)
def test_a_default_is_literal_however_deep(raw: str, literal: bool) -> None:
    root, _ = yaml.parse(f"a: '{raw}'", "f.yaml")
    assert root is not None
    scalar = yaml.find(root, ("a",))
    assert isinstance(scalar, yaml.Scalar)
    assert holds_literal(scalar) is literal


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20) | st.text("${}NAE:-", max_size=12))
def test_escaped_text_comes_back(text: str) -> None:
    document = yaml.dump({"a": escaped(text)})
    assert resolve(document, NAME="x") == ({"a": text}, [])
