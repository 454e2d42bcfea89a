"""The exception family: one line, a remedy, an exit code; and the nearest right word wherever a name is wrong."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Callable

import pytest
import torch
import typer

from vggapps import errors
from vggapps.cli import app as door
from vggapps.errors import SettingsError, VggappsError, argument, unknown
from vggapps.vgg._device import pick_device, pick_dtype
from vggapps.vgg._extractor import FeatureExtractor
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan, get_plan

CODES = {
    "VggappsError": 1,
    "SettingsError": 2,
    "PictureError": 3,
    "OutputExistsError": 4,
    "WeightsError": 5,
    "OutOfMemoryError": 6,
    "DivergedError": 1,
}
BUILTIN = {
    "SettingsError": ValueError,
    "PictureError": OSError,
    "OutputExistsError": FileExistsError,
    "WeightsError": RuntimeError,
    "OutOfMemoryError": MemoryError,
    "DivergedError": ArithmeticError,
}
TINY = Plan("tiny", "tiny", ((4,), (4,)))
CPU = torch.device("cpu")


def family() -> dict[str, type[VggappsError]]:
    return {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, VggappsError)}


def test_exit_codes() -> None:
    assert {name: error.exit_code for name, error in family().items()} == CODES


@pytest.mark.parametrize("name", CODES)
def test_one_line_a_remedy_and_a_journey_between_processes(name: str) -> None:
    error = family()[name]("the sky is green", "look again")
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert type(each) is type(error)
        assert (each.message, each.hint) == ("the sky is green", "look again")
        assert str(each) == "the sky is green (look again)"
        assert isinstance(each, BUILTIN.get(name, Exception))
    assert str(family()[name]("the sky is green")) == "the sky is green"


@pytest.mark.parametrize(
    ("said", "told"), [("a\nb", r"a\nb"), ("\x1b[2J", r"\x1b[2J"), ("\udce9", r"\udce9"), ("é", "é")]
)
def test_what_users_gave_does_not_break_the_line(said: str, told: str) -> None:
    error = VggappsError(said, said)
    assert (error.message, error.hint) == (told, told)
    assert unknown("layer", said, [said]).message == f"there is no layer '{told}'"


NAMED = SettingsError(
    f"{argument('style_size')} is 3", f"use {argument('size', 512)}, {argument('dtype', 'half')}", "ls"
)


def test_an_argument_is_called_as_in_python() -> None:
    for each in (NAMED, pickle.loads(pickle.dumps(NAMED))):
        assert str(each) == "style_size is 3 (use size=512, dtype='half'; or run: ls)"
    assert SettingsError("all is lost", run="ls").hint == "run: ls"


def test_others_call_arguments_as_they_like_and_need_not_name_commands() -> None:
    error = NAMED.about("a.png").worded(lambda name, value: f"<{name}|{value}>", commands=False)
    assert type(error) is SettingsError
    assert (error.message, error.hint) == ("a.png: <style_size|> is 3", "use <size|512>, <dtype|half>")
    assert str(error.worded(lambda name, value: "no more")) == str(error)


@pytest.mark.parametrize("value", ["two\nlines", "it's", "\ufdd0size\ufdd1", "", 0, False, "a\ufdd0b\ufdd0c\ufdd1"])
def test_values_of_users_do_not_break_the_text(value: object) -> None:
    for text in (f"{argument('name', value)} is set", f"it is {value}"):
        for error in (SettingsError(text), SettingsError(text).worded(lambda name, value: f"--{name} {value}")):
            assert error.message.isprintable()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("relu41", "did you mean 'relu4_1'? the choices are: relu3_1, relu4_1"),
        ("zebra", "the choices are: relu3_1, relu4_1"),
    ],
)
def test_unknown(word: str, hint: str) -> None:
    error = unknown("layer", word, (name for name in ("relu3_1", "relu4_1")))
    assert (error.message, error.hint) == (f"there is no layer '{word}'", hint)


@pytest.mark.parametrize(
    ("wrong", "message", "near"),
    [
        (lambda: get_plan("vgg91"), "there is no network 'vgg91'", "vgg19"),
        (lambda: VGG("resnet50"), "there is no network 'resnet50'", None),
        (lambda: VGG(TINY, head="convv"), "there is no head 'convv'", "conv"),
        (lambda: VGG(TINY, pooling="avarage"), "there is no pooling 'avarage'", "average"),
        (lambda: VGG(TINY, padding="reflekt"), "there is no padding 'reflekt'", "reflect"),
        (lambda: initialize(VGG(TINY, head="none"), "xavier"), "there is no initialisation 'xavier'", None),
        (lambda: FeatureExtractor(VGG(TINY, head="none"), ["relu21"]), "there is no layer 'relu21'", "relu2_1"),
        (lambda: VGG(TINY, head="none").features(torch.zeros(1, 3, 8, 8), ["conv9"]), "there is no layer", "conv"),
        (lambda: pick_device("cud"), "there is no device 'cud'", "cuda"),
        (lambda: pick_dtype("bfloat61", CPU), "there is no dtype 'bfloat61'", "bfloat16"),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(wrong: Callable[[], object], message: str, near: str | None) -> None:
    with pytest.raises(errors.SettingsError) as error:
        wrong()
    assert error.value.message.startswith(message)
    assert "the choices are: " in error.value.hint
    assert error.value.hint.startswith(f"did you mean '{near}" if near else "the choices")


def test_a_layer_of_a_missing_head() -> None:
    with pytest.raises(errors.SettingsError, match=r"this tiny ends at pool2: it has no fc6 .*head='fc'"):
        VGG(TINY, head="none").check(["relu1_1", "fc6"])


class TestCommandLine:
    """One place turns the family into a line, a hint and an exit code."""

    @pytest.fixture
    def fail(self, cli, monkeypatch: pytest.MonkeyPatch):
        def run(error: BaseException):
            def raises() -> None:
                raise error

            monkeypatch.setattr(door, "app", typer.Typer())
            door.app.command("fail")(raises)
            return cli()

        return run

    @pytest.mark.parametrize(("name", "code"), CODES.items())
    def test_family(self, fail, name: str, code: int) -> None:
        ran = fail(family()[name]("the sky is green", "look again"))
        assert (ran.code, ran.out, ran.err) == (code, "", "error: the sky is green\nhint: look again\n")

    @pytest.mark.parametrize(
        "error",
        [
            builtins.MemoryError(),
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        ],
    )
    def test_other_peoples_lack_of_memory(self, fail, error: Exception) -> None:
        ran = fail(error)
        assert (ran.code, ran.err.splitlines()[0]) == (6, "error: there is not enough memory")

    def test_arguments_are_options(self, fail) -> None:
        switch = argument("overwrite", True)
        ran = fail(
            SettingsError(f"{argument('style_weight')} is 3", f"use {argument('tv_weight', 0.5)} or {switch}", "ls")
        )
        assert ran.err == "error: --style-weight is 3\nhint: use --tv-weight 0.5 or --force; or run: ls\n"

    def test_a_defect_is_called_one(self, fail) -> None:
        ran = fail(KeyError("relu"))
        assert ran.code == 1
        assert ran.err == ("error: KeyError: 'relu'\nhint: this is a bug in vggapps: -vv shows the traceback\n")

    def test_interrupted(self, fail) -> None:
        assert fail(KeyboardInterrupt()).code == 130
