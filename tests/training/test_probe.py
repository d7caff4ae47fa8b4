"""Peers that are asked whether they are there."""

import asyncio
import errno
import logging
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import tensorflow as tf

from lcseg.errors import LcsegError, PeerLostError
from lcseg.training import probe
from lcseg.training.cluster import Cluster
from lcseg.training.probe import await_peers, hello_of

# What a gRPC server sends as soon as it is connected to, as TensorFlow 2.21's does.
GRPC_GREETING = bytes.fromhex("000018040000000000000400400000000500400000")
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    monkeypatch.setattr(probe, "POLL_S", 0.02)
    monkeypatch.setattr(probe, "SAY_EVERY_S", 0.05)
    # Longer than a test has patience: a worker that lingers in vain fails it.
    monkeypatch.setattr(probe, "LINGER_S", 2 * PATIENCE_S)


def free_addresses(count):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)


def port_of(address):
    return int(address.rpartition(":")[2])


def cluster_of(addresses, index):
    return Cluster(tuple(addresses), index, "LCSEG_HOSTS")


def meet(clusters, deadline_s=PATIENCE_S):
    """Let the workers look for each other at once; the error of each, or None."""
    with ThreadPoolExecutor(len(clusters)) as pool:
        waits = [pool.submit(await_peers, cluster, deadline_s) for cluster in clusters]
        return [wait.exception(PATIENCE_S) for wait in waits]


@contextmanager
def program_at(address, *answers):
    """Something that listens and answers each connection in turn, the last answer for ever."""
    with socket.create_server(("127.0.0.1", port_of(address))) as listener:

        def serve():
            turn = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answers[min(turn, len(answers) - 1)])
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(100):
                        pass
                turn += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            # Closing alone does not wake up who accepts.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_workers_that_are_all_there_meet_and_leave_their_ports_free():
    addresses = free_addresses(3)
    assert meet([cluster_of(addresses, index) for index in range(3)]) == [None] * 3
    for address in addresses:
        # Without SO_REUSEADDR: nothing that TCP keeps of the meeting is in the way.
        with socket.socket() as strict:
            strict.bind(("127.0.0.1", port_of(address)))


def test_one_alone_waits_for_nobody():
    await_peers(cluster_of(["h0.invalid:2222"], 0), deadline_s=0)


def test_who_comes_late_is_waited_for_and_called_missing_until_then():
    addresses, said, is_told = free_addresses(3), [], threading.Event()

    def say(text):
        said.append(text)
        is_told.set()

    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(await_peers, cluster_of(addresses, 0), PATIENCE_S, say)]
        assert is_told.wait(PATIENCE_S)
        waits += [pool.submit(await_peers, cluster_of(addresses, i), PATIENCE_S) for i in (1, 2)]
        assert [wait.exception() for wait in waits] == [None] * 3
    assert said[0] == f"waiting for worker 1 ({addresses[1]}), worker 2 ({addresses[2]})"


def test_who_does_not_come_is_named_and_who_came_is_not():
    addresses = free_addresses(4)
    errors = meet([cluster_of(addresses, index) for index in (0, 2)], deadline_s=0.5)
    assert {str(error) for error in errors} == {
        f"worker 1 ({addresses[1]}), worker 3 ({addresses[3]}): no answer within 0.5 s; "
        "start it, or look why it did not start"
    }
    assert {(type(error), error.exit_code) for error in errors} == {(PeerLostError, 138)}


def test_workers_with_different_lists_find_each_other_at_fault():
    first, second = free_addresses(2)
    again = f"localhost:{port_of(first)}"
    errors = meet([cluster_of([first, second], 0), cluster_of([again, second], 1)])
    fault = "has another list of workers; give all workers the same list"
    assert str(errors[0]) == f"worker 1 ({second}): {fault}"
    assert str(errors[1]) == f"worker 0 ({again}): {fault}"
    assert {(type(error), error.exit_code) for error in errors} == {(LcsegError, 2)}


def test_an_address_that_leads_to_another_worker_is_an_error(monkeypatch):
    monkeypatch.setattr(probe, "LINGER_S", 0.05)
    (own,) = free_addresses(1)
    again = f"localhost:{port_of(own)}"
    (error,) = meet([cluster_of([own, again], 0)])
    assert str(error) == (
        f"worker 1 ({again}): says that it is worker 0; give every worker its own place in the list"
    )


def test_peer_whose_port_grpc_has_opened_already_is_there():
    addresses = free_addresses(2)
    with program_at(addresses[1], GRPC_GREETING):
        assert meet([cluster_of(addresses, 0)]) == [None]


def test_tensorflow_serves_at_the_port_at_once_and_a_peer_started_again_finds_it():
    addresses = free_addresses(2)
    assert meet([cluster_of(addresses, index) for index in range(2)]) == [None] * 2
    server = tf.distribute.Server({"worker": addresses}, job_name="worker", task_index=0)
    assert meet([cluster_of(addresses, 1)]) == [None]
    assert server.target == f"grpc://{addresses[0]}"


def test_another_program_at_the_port_of_a_peer_is_told_before_all_are_there(monkeypatch):
    monkeypatch.setattr(probe, "LINGER_S", 0.05)
    addresses = free_addresses(3)
    with program_at(addresses[1], b"HTTP/1.1 400 Bad Request\r\n"):
        (error,) = meet([cluster_of(addresses, 0)], deadline_s=2 * PATIENCE_S)
    assert str(error) == (
        f"worker 1 ({addresses[1]}): another program answers there: "
        r"b'HTTP/1.1 400 Bad Request\r\n'; end it, or choose another port"
    )


def test_connection_that_closes_without_a_word_is_no_answer_but_the_next_may_be():
    addresses = free_addresses(2)
    with program_at(addresses[1], b"", b"", GRPC_GREETING):
        assert meet([cluster_of(addresses, 0)]) == [None]
    with program_at(addresses[1], b""), pytest.raises(PeerLostError, match="no answer"):
        await_peers(cluster_of(addresses, 0), deadline_s=0.2)


def test_peer_that_never_asks_does_not_hold_up_who_has_met_all(monkeypatch):
    monkeypatch.setattr(probe, "LINGER_S", 0.05)
    addresses = free_addresses(2)
    with program_at(addresses[1], hello_of(cluster_of(addresses, 1), 1)):
        assert meet([cluster_of(addresses, 0)]) == [None]


def test_who_connects_and_says_nothing_is_in_nobodys_way(caplog):
    addresses, is_told = free_addresses(2), threading.Event()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING):
        wait = pool.submit(
            await_peers, cluster_of(addresses, 0), PATIENCE_S, lambda text: is_told.set()
        )
        assert is_told.wait(PATIENCE_S)
        with socket.create_connection(("127.0.0.1", port_of(addresses[0]))):
            await_peers(cluster_of(addresses, 1), PATIENCE_S)
            assert wait.exception() is None
    assert caplog.records == []


def test_name_that_is_not_known_yet_is_looked_up_again(monkeypatch):
    first, second = free_addresses(2)
    named, look_up, failures = f"h1.test:{port_of(second)}", socket.getaddrinfo, []

    def look_up_late(host, *arguments, **options):
        if host != "h1.test":
            return look_up(host, *arguments, **options)
        if len(failures) < 2:
            failures.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_late)
    assert meet([cluster_of([first, named], index) for index in range(2)]) == [None] * 2
    assert len(failures) == 2


def test_own_port_that_stays_taken_is_named(monkeypatch):
    monkeypatch.setattr(probe, "OWN_PORT_S", 0.05)
    addresses = free_addresses(2)
    with program_at(addresses[0], b""), pytest.raises(LcsegError) as error:
        await_peers(cluster_of(addresses, 0), PATIENCE_S)
    assert str(error.value) == (
        f"port {port_of(addresses[0])}: is taken by another process of this machine; "
        "end it, or choose another port"
    )
    assert error.value.exit_code == 2


def test_own_port_that_is_given_up_in_time_is_taken(monkeypatch):
    addresses, create_server = free_addresses(2), socket.create_server
    predecessor = create_server(("127.0.0.1", port_of(addresses[0])))

    def create_after_predecessor(*arguments, **options):
        try:
            return create_server(*arguments, **options)
        except OSError:
            predecessor.close()
            raise

    monkeypatch.setattr(socket, "create_server", create_after_predecessor)
    assert meet([cluster_of(addresses, index) for index in range(2)]) == [None] * 2
    assert predecessor.fileno() == -1


def test_own_port_that_may_not_be_used_is_named_at_once(monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(LcsegError) as error:
        await_peers(cluster_of(["h0:22", "h1:22"], 0), PATIENCE_S)
    assert str(error.value) == "port 22: cannot be listened at: Permission denied"


def test_loopback_address_is_listened_at_alone_so_the_next_one_may_have_the_same_port():
    (address,) = free_addresses(1)
    addresses = [address, f"127.0.0.2:{port_of(address)}"]
    assert meet([cluster_of(addresses, index) for index in range(2)]) == [None] * 2


def test_workers_known_by_name_are_listened_for_at_every_interface():
    addresses = [f"localhost:{port_of(address)}" for address in free_addresses(2)]
    assert meet([cluster_of(addresses, index) for index in range(2)]) == [None] * 2


def test_connection_to_itself_is_no_answer(monkeypatch):
    addresses, connect, made = free_addresses(2), asyncio.open_connection, []

    async def connect_from_that_port(host, port):
        made.append(await connect(host, port, local_addr=(host, port)))
        return made[-1]

    monkeypatch.setattr(asyncio, "open_connection", connect_from_that_port)
    with pytest.raises(PeerLostError):
        await_peers(cluster_of(addresses, 0), deadline_s=0.1)
    assert made


def test_asking_does_not_load_tensorflow():
    program = "import lcseg.training.probe, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
