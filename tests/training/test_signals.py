"""Signals that are noted rather than obeyed at once."""

import os
import signal
import threading

import pytest

from lcseg.training.signals import SIGNALS, StopRequest


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_is_noted_and_the_second_acts_as_before(number):
    seen = []
    before = signal.signal(number, lambda received, frame: seen.append(received))
    try:
        with StopRequest() as stop:
            assert not stop.signal_number
            os.kill(os.getpid(), number)
            assert stop.signal_number == number
            assert seen == []
            os.kill(os.getpid(), number)
            assert seen == [number]
        os.kill(os.getpid(), number)
        assert seen == [number, number]
    finally:
        signal.signal(number, before)


def test_handlers_are_given_back_without_a_signal_and_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyError), StopRequest():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise KeyError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_nothing_is_set_and_nothing_fails():
    before, noted = signal.getsignal(signal.SIGTERM), []

    def work():
        with StopRequest() as stop:
            noted.extend([stop.signal_number, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert noted == [0, before]
