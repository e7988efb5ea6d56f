import pytest

from pipelines.output_dir import OutputError
from pipelines.rejects import TooManyRejects
from pipelines.verb import verb


@pytest.mark.parametrize(
    "error", [OutputError("held"), TooManyRejects("half"), ValueError("odd"), OSError("full")]
)
def test_what_can_be_mended_is_one_line_and_status_1(error, capsys):
    @verb("cook")
    def main(argv):
        raise error

    assert main(["--salt"]) == 1
    assert capsys.readouterr().err == f"cook: {error}\n"


def test_a_missing_module_names_the_extra_that_brings_it(capsys):
    @verb("cook", extra="kitchen")
    def main(argv):
        import no_such_pan  # noqa: F401

    assert main([]) == 1
    assert "no_such_pan'; pip install 'babelear[kitchen]'" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback():
    @verb("cook")
    def main(argv):
        raise KeyError("salt")

    with pytest.raises(KeyError):
        main([])


def test_work_that_is_done_is_status_0():
    seen = []
    assert verb("cook")(seen.append)(["--salt"]) == 0
    assert seen == [["--salt"]]
