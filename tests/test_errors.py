import pickle
import signal

from hypothesis import given
from hypothesis import strategies as st

from lcseg.errors import InterruptedRunError, LcsegError, PeerLostError, UnknownCodesError


def test_error_says_where_what_and_what_to_do_in_one_line():
    error = LcsegError("a.tif", "has 3 bands, expected 4", "pass an image with the bands")
    assert str(error) == "a.tif: has 3 bands, expected 4; pass an image with the bands"
    assert (error.where, error.exit_code) == ("a.tif", 2)


def test_error_without_a_known_fix_ends_after_the_problem():
    assert str(LcsegError("--out", "is missing")) == "--out: is missing"


@given(st.text(), st.text(), st.text())
def test_error_is_one_line_whatever_it_quotes(where, problem, fix):
    assert len(str(LcsegError(where, problem, fix)).splitlines()) <= 1


def test_interrupted_run_exits_as_the_shell_expects_of_its_signal():
    error = InterruptedRunError("run", "was stopped", "run it again", signal.SIGTERM)
    assert error.exit_code == 143
    assert str(error) == "run: was stopped; run it again"


def test_unknown_codes_are_caught_as_any_other_error():
    assert issubclass(UnknownCodesError, LcsegError)
    assert UnknownCodesError("lc.tif", "codes 7").exit_code == 2


def test_lost_peer_exits_as_a_fault_that_passes():
    error = PeerLostError("worker 1 (h1:2222)", "no answer within 60 s", "start it")
    assert error.exit_code == 138
    assert str(error) == "worker 1 (h1:2222): no answer within 60 s; start it"


def test_error_crosses_to_another_process_whole():
    interrupted = InterruptedRunError("a", "b", "c", 15)
    for error in (LcsegError("a", "b", "c"), PeerLostError("a", "b", "c"), interrupted):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
