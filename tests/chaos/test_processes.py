"""Processes are killed, reloaded, ended and set against each other in the middle of a burst."""

from __future__ import annotations

import random
import signal

import pytest

from sandbox import RecallSandbox
from tests.chaos.client import Client, more
from tests.chaos.judge import assert_acknowledged_is_connected_once
from tests.servers import Server, new_web_processes, wait_for

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


def test_a_new_process_that_is_killed_as_it_starts_is_replaced(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """Once the old ones have left: until then gunicorn makes no other."""
    master = server.start()
    wait_for(lambda: server.log().count("Worker ready") == 2, "both processes")
    with client.burst():
        old = {each.pid for each in server.workers(master)}
        master.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log().count("Booting worker") == 4, "the new ones to start")
        victim = next(each for each in server.workers(master) if each.pid not in old)
        victim.kill()
        new_web_processes(server, master, {victim.pid, *old})
        more(client, 10)
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)


def test_a_reload_in_the_middle_of_the_first_start(
    server: Server, client: Client, recall: RecallSandbox
) -> None:
    """A process that is told to leave before it is ready leaves all the same."""
    master = server.start(ready=False)
    wait_for(lambda: server.log().count("Booting worker") == 2, "the first processes to start")
    old = {each.pid for each in server.workers(master)}
    master.send_signal(signal.SIGHUP)
    new_web_processes(server, master, old)
    client.start_until_acknowledged()
    assert_acknowledged_is_connected_once(server, recall, client.acknowledged)
    assert server.terminate(master) == 0


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
