"""What visitors read when something goes wrong, and what a page takes on."""

from __future__ import annotations

import logging
import re

import gradio as gr
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vggapps import errors
from vggapps.errors import PictureError, SettingsError, VggappsError, argument
from vggapps.web.limits import Limits
from vggapps.web.messages import control, label, sentence, shown_error

SEEDED = settings(derandomize=True, deadline=None)
NAMES = st.from_regex(r"a[abcxyz019_.]{0,5}-?[abcxyz019_.]{0,4}z", fullmatch=True)
FAMILY = st.sampled_from(
    [VggappsError, SettingsError, PictureError, errors.WeightsError, errors.OutOfMemoryError, errors.DivergedError]
)


@SEEDED
@given(field=st.from_regex(r"[a-z]{1,8}(_[a-z]{1,8}){0,2}", fullmatch=True))
def test_an_argument_is_called_as_its_control_is(field: str) -> None:
    said = sentence(SettingsError(f"{argument(field)} is 3", f"choose {argument(field, 4)}"))
    assert said == f"‘{label(field)}’ is 3; choose ‘{label(field)}’ 4."
    assert label(field).lower() == field.replace("_", " ")


def test_a_switch_is_named_without_its_value() -> None:
    assert control("scale_to_a", "True") == "‘Scale to a’"


def test_labels_are_words() -> None:
    assert [label("style_weight"), label("size"), label("tv_weight")] == ["Style weight", "Size", "TV weight"]


@SEEDED
@given(folders=st.lists(NAMES, min_size=1, max_size=4), file=NAMES, kind=FAMILY, quoted=st.sampled_from(["", "'", '"']))
def test_no_sentence_names_a_folder_of_the_server(folders: list[str], file: str, kind: type, quoted: str) -> None:
    path = "/" + "/".join([*folders, file])
    said = sentence(kind(f"{quoted}{path}{quoted}: it can't be read", f"see {path}"))
    assert "/" not in said
    assert said.count(file) >= 2
    for folder in folders:
        assert folder in file or folder not in said


def test_a_file_is_named_without_its_folder_and_as_it_is_written() -> None:
    assert sentence(PictureError("/srv/secret/x.png: it can't be read")) == "x.png: it can't be read."
    assert sentence(PictureError("is it /srv/secret/x.png")) == "Is it x.png."


def test_two_hyphens_in_a_files_name_are_no_option() -> None:
    assert sentence(PictureError("rose--red.png: it can't be read")).startswith("rose--red.png:")


def test_folders_with_blanks_are_not_named_either() -> None:
    assert "secret" not in sentence(PictureError("/srv/my secret place/x.png: it can't be read"))


@SEEDED
@given(start=st.sampled_from("aBé‘7"), more=st.text("aB -'é", max_size=20), stops=st.integers(0, 3))
@pytest.mark.parametrize("hint", ["", "do so", "do so."])
def test_a_sentence_begins_large_and_ends_with_one_full_stop(hint: str, start: str, more: str, stops: int) -> None:
    said = sentence(SettingsError(f"{start} {more}e{'.' * stops}", hint))
    assert re.search(r"[^.]\.$", said)
    assert said[0] == start.upper()


def test_a_question_ends_with_its_mark() -> None:
    assert sentence(PictureError("there is no such file", "did you mean a.png?")).endswith("?")


@SEEDED
@given(field=st.sampled_from(["size", "style_weight", "seed"]), value=st.integers(-9, 9))
def test_what_the_settings_refuse_is_told_in_the_words_of_the_page(field: str, value: int) -> None:
    said = sentence(SettingsError(f"{argument(field)} is {value}", "it must be at least 32"))
    assert said.startswith(f"‘{label(field)}’ is {value}")
    assert "it must be at least 32" in said


@pytest.mark.parametrize("hint", ["", "save it as JPEG"])
def test_visitors_are_not_told_to_run_commands(hint: str) -> None:
    said = sentence(PictureError("rose.heic: HEIC needs an extra package", hint, "pip install 'vggapps[heif]'"))
    assert said == "rose.heic: HEIC needs an extra package" + (f"; {hint}." if hint else ".")


OUTSIDERS = [RuntimeError, KeyError, ValueError, OSError, TypeError, ZeroDivisionError]


@pytest.mark.parametrize("kind", OUTSIDERS)
def test_what_nobody_meant_is_told_by_a_number_that_is_in_the_log(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    error = kind("open('/srv/secret/key.pem') failed for user root")
    with caplog.at_level(logging.ERROR, logger="vggapps.web.messages"):
        said, again = sentence(error), sentence(error)
    assert "secret" not in said
    assert "root" not in said
    assert "open" not in said
    numbers = [re.search(r"\b[0-9a-f]{6}\b", text) for text in (said, again)]
    assert all(numbers)
    assert numbers[0][0] != numbers[1][0]  # type: ignore[index]
    for number, record in zip(numbers, caplog.records, strict=True):
        assert number
        assert number[0] in record.getMessage()
        assert record.exc_info
        assert record.exc_info[1] is error  # the log has it all


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_too_little_memory_is_told_as_that(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    said = sentence(error)
    assert "memory" in said
    assert "smaller" in said
    assert "alloc" not in said
    assert not caplog.records


def test_the_names_of_files_are_no_html() -> None:
    error = shown_error(PictureError("<img src=x onerror=alert(1)>.png & co: it is text, not a picture"))
    assert "<" not in error.message
    assert "&lt;img src=x onerror=alert(1)&gt;.png &amp; co" in error.message
    assert not error.print_exception


def test_an_error_for_visitors_is_passed_on_as_it_is() -> None:
    error = gr.Error("already told")
    assert shown_error(error) is error


@given(
    size=st.integers(16, 4096),
    steps=st.integers(1, 5000),
    pictures=st.integers(1, 16),
    work=st.floats(1, 300),
    most=st.integers(128, 4096),
)
@example(size=1024, steps=125, pictures=1, work=130.0, most=1024)
@settings(SEEDED, max_examples=400)
def test_a_run_is_taken_on_just_where_it_is_small_enough_and_the_advice_is_good(
    size: int, steps: int, pictures: int, work: float, most: int
) -> None:
    limits = Limits(max_work=work, max_size=most)
    small = size <= most and size * size * steps * pictures <= work * 1e6
    if small:
        limits.check_work(size, steps, pictures)
        return
    with pytest.raises(SettingsError) as refused:
        limits.check_work(size, steps, pictures)
    numbers = dict(re.findall(r"(up to|a size of) (\d+)", refused.value.hint))
    assert numbers or "a smaller size and fewer steps" in refused.value.hint
    if size > most:
        assert numbers == {"up to": str(most)}
        return
    if "up to" in numbers:
        assert int(numbers["up to"]) >= 1
        limits.check_work(size, int(numbers["up to"]), pictures)
    if "a size of" in numbers:
        assert int(numbers["a size of"]) >= 32
        limits.check_work(int(numbers["a size of"]), steps, pictures)


def test_nobody_is_advised_to_choose_a_size_of_nothing() -> None:
    with pytest.raises(SettingsError) as refused:
        Limits(max_work=0.1).check_work(64, 400)
    assert "size of 0" not in refused.value.hint


@pytest.mark.parametrize("wrong", [{"max_upload": 0}, {"max_size": 64}, {"max_waiting": -1}, {"max_seconds": 0.5}])
def test_limits_that_would_let_nobody_do_anything_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Limits(**wrong)  # type: ignore[arg-type]
