"""Processes are killed, reloaded, ended and set against each other in the middle of a burst."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest

from sandbox import RecallSandbox
from tests.chaos.client import Client, more
from tests.chaos.judge import assert_acknowledged_is_connected_once
from tests.servers import Server, creates, new_web_processes, wait_for

KILLED = ("a web process", "a worker", "all")


@pytest.mark.environ(RECALL_TIMEOUT_SECONDS="1")  # leases of 8 s
def test_kill_9_loses_and_doubles_nothing(
    server: Server, client: Client, recall: RecallSandbox, chance: random.Random, rounds: int
) -> None:
    """A web process, a worker or all of them at once, after another part of the burst each time."""
    recall.set(latency=0.2)
    master, worker = server.start(), server.start_worker()
    killed = [KILLED[number % len(KILLED)] for number in range(rounds)]
    chance.shuffle(killed)
    for which in killed:
        with client.burst():
            more(client, chance.randint(1, 30))
            if which == "a web process":
                victim = chance.choice(server.workers(master))
                victim.kill()
                new_web_processes(server, master, {victim.pid})
            elif which == "a worker":
                server.kill(worker)
                worker = server.start_worker()
            else:
                server.kill()
                master, worker = server.start(), server.start_worker()
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)


def test_reloads_under_load_lose_and_double_nothing(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    recall.set(latency=0.3)
    master = server.start()
    with client.burst():
        for _ in range(2):
            more(client, 10)
            before = {each.pid for each in server.workers(master)}
            master.send_signal(signal.SIGHUP)
            new_web_processes(server, master, before)
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert set(client.statuses) == {200}


@pytest.fixture
def slow_start(server: Server, tmp_path: Path) -> Path:
    """The server's processes start no further while this file is there."""
    file = tmp_path / "slow-start"
    server.environ |= {
        "EXTENSIONS": "slow_start",
        "PYTHONPATH": str(Path(__file__).parent / "extension"),
        "SLOW_START": str(file),
    }
    return file


def start_all(server: Server) -> subprocess.Popen[bytes]:
    """Start the web server, and wait until both of its processes are ready."""
    master = server.start()
    wait_for(lambda: server.log().count("Worker ready") == 2, "both processes")
    return master


def begin_reload(server: Server, master: subprocess.Popen[bytes], slow_start: Path) -> set[int]:
    """Reload; the new processes do not get ready. Returns the old ones' ids."""
    old = {each.pid for each in server.workers(master)}
    slow_start.touch()
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: len(server.workers(master)) == 4, "old and new side by side")
    return old


def test_a_reload_whose_new_processes_start_slowly_keeps_nobody_waiting(
    server: Server, client: Client, recall: RecallSandbox, slow_start: Path
) -> None:
    """The old ones go on meanwhile: with deliveries and with connects."""
    master = start_all(server)
    with client.burst():
        more(client, 10)
        old = begin_reload(server, master, slow_start)
        connected = len(recall.connections)
        more(client, 10)
        wait_for(lambda: len(recall.connections) >= connected + 10, "connects meanwhile")
        assert old <= {each.pid for each in server.workers(master)}
        slow_start.unlink()
        new_web_processes(server, master, old)
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert set(client.statuses) == {200}


def test_a_new_process_that_is_killed_as_it_starts_is_replaced(
    server: Server, client: Client, recall: RecallSandbox, slow_start: Path
) -> None:
    master = start_all(server)
    with client.burst():
        old = begin_reload(server, master, slow_start)
        victim = next(each for each in server.workers(master) if each.pid not in old)
        victim.kill()
        slow_start.unlink()
        new_web_processes(server, master, {victim.pid, *old})
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert set(client.statuses) == {200}


def test_new_processes_that_are_killed_while_the_old_ones_leave_are_replaced(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """The old ones take nothing more by then, and leave when Recall has answered."""
    server.environ["RECALL_TIMEOUT_SECONDS"] = "30"
    recall.set(latency=15)
    master = start_all(server)
    old = {each.pid for each in server.workers(master)}
    client.start_until_acknowledged()
    wait_for(lambda: creates(recall), "a connect that is under way")
    recall.set(latency=0)
    master.send_signal(signal.SIGHUP)
    wait_for(lambda: server.log().count("Worker ready") == 4, "the new processes")
    wait_for(lambda: server.log().count("Worker exiting") == 1, "the one that calls nobody to end")
    for each in server.workers(master):
        if each.pid not in old:
            each.kill()
    client.start_until_acknowledged()
    assert old & {each.pid for each in server.workers(master)}
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    new_web_processes(server, master, old)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_leave_as_it_is_made_leaves(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    slow = tmp_path / "slow-fork"
    folder = Path(__file__).parent / "slow_fork"
    server.environ |= {"PYTHONPATH": str(folder), "SLOW_FORK": str(slow)}
    slow.touch()
    master = server.start(ready=False)
    wait_for(lambda: len(server.workers(master)) == 2, "its processes")
    master.send_signal(number)
    wait_for(lambda: f"Handling signal: {number.name[3:].lower()}" in server.log(), "the end")
    slow.unlink()
    assert master.wait(timeout=20) == 0  # gunicorn kills after 30 seconds who does not leave


def test_a_reload_in_the_middle_of_the_first_start(
    server: Server, client: Client, recall: RecallSandbox, slow_start: Path
) -> None:
    """A process that is told to leave before it is ready leaves all the same."""
    slow_start.touch()
    master = server.start(ready=False)
    wait_for(lambda: len(server.workers(master)) == 2, "the first processes")
    wait_for(lambda: server.log().count("Booting worker") == 2, "them to start")
    old = begin_reload(server, master, slow_start)
    slow_start.unlink()
    new_web_processes(server, master, old)
    client.start_until_acknowledged()
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert server.terminate(master) == 0


def test_the_end_of_the_server_waits_for_no_reload(
    server: Server, client: Client, recall: RecallSandbox, slow_start: Path
) -> None:
    """What was acknowledged before is connected after the next start."""
    master = start_all(server)
    client.start_until_acknowledged()
    begin_reload(server, master, slow_start)
    for _ in range(3):  # which wait for the first
        master.send_signal(signal.SIGHUP)
        client.start_until_acknowledged()
    slow_start.unlink()
    wait_for(lambda: server.log().count("Worker ready") == 4, "the first reload")
    slow_start.touch()
    wait_for(lambda: server.log().count("Handling signal: hup") == 2, "the second")
    wait_for(lambda: len(server.workers(master)) == 4, "its processes")
    client.start_until_acknowledged()
    master.send_signal(signal.SIGINT)
    assert master.wait(timeout=15) == 0  # a reload may take 30 seconds
    slow_start.unlink()
    server.start()
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)


def test_term_under_load_ends_cleanly_and_the_next_start_finishes(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    recall.set(latency=0.3)
    master, worker = server.start(), server.start_worker()
    with client.burst():
        more(client, 20)
        assert server.terminate(worker) == 0
        assert server.terminate(master) == 0
        server.start()
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert {told["requests"] for told in recall.summary().values()} == {1}  # nothing was cut off


@pytest.mark.environ(DISPATCHER="off", CONNECT_THREADS="2")
def test_eight_workers_race_for_the_same_rows(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """No row is asked for twice, not even under the same key."""
    server.start()
    workers = server.start_workers(8)
    recall.set(latency=0.2)
    with client.burst(senders=8):
        more(client, 100)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert {told["requests"] for told in recall.summary().values()} == {1}
    assert [each.poll() for each in workers] == [None] * 8


def test_one_delivery_on_sixteen_connections_at_once(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    server.start()
    for _ in range(5):
        deliveries = client.start_at_once(copies=16)
        assert {each.status for each in deliveries} == {200}
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert len(recall.connections) == len(server.meetings()) == 5
