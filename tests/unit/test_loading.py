"""Loading the operator's handler modules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from internal.adapters.handlers import shipped
from internal.adapters.handlers.loading import load_handlers
from internal.domain.handlers import Handlers

ONE = """
from windlass import handler

@handler("{type}")
async def run(job: dict, ctx): ...
"""

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write an importable module; gives back its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def refusal(*modules: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the text
        load_handlers(modules, shipped())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_installation_has_mock_and_http() -> None:
    assert set(Handlers(shipped())) == {"mock", "http"}


def test_handlers_of_named_modules_join_the_shipped_ones(write: Write) -> None:
    loaded = load_handlers(
        [write("own_thumbs", ONE.format(type="thumb")), write("own_mail", ONE.format(type="mail"))],
        shipped(),
    )
    assert set(loaded) == {"mock", "http", "thumb", "mail"}


def test_a_handler_that_two_modules_show_counts_once(write: Write) -> None:
    first = write("own_first", ONE.format(type="thumb"))
    second = write("own_second", f"from {first} import run")
    assert "thumb" in load_handlers([first, second, first], shipped())


def test_a_missing_module_is_named(write: Write) -> None:
    assert "the module own_absent cannot be imported" in refusal("own_absent")
    assert "PYTHONPATH" in refusal("own_absent")
    needs = write("own_needs", "import own_dependency")
    assert "own_needs" in refusal(needs)
    assert "own_dependency" in refusal(needs)


@pytest.mark.parametrize("text", ["raise OSError('no\\nkey')", "def", "1 / 0"])
def test_a_module_that_breaks_is_named_with_what_broke(write: Write, text: str) -> None:
    assert "own_broken cannot be imported" in refusal(write("own_broken", text))


def test_a_module_without_a_handler_is_refused(write: Write) -> None:
    assert "own_empty has no handler" in refusal(write("own_empty", "x = 1"))


@pytest.mark.parametrize("name", ["", ".relative"])
def test_a_name_that_is_no_module_is_refused(name: str) -> None:
    assert "cannot be imported" in refusal(name)


def test_a_type_of_the_shipped_ones_is_taken(write: Write) -> None:
    message = refusal(write("own_http", ONE.format(type="http")))
    assert "'http' has two handlers" in message
    assert "own_http" in message
