"""kill -9 while messages go out: after the restart each was told, and only what was on the wire may be repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from argon2.profiles import CHEAPEST
from tests.notify.providers import Told, provider

from tocsin.model.notification import Outcome
from tocsin.notify.channels import webhook
from tocsin.notify.deliver import Deliverer
from tocsin.notify.receivers import Integration, Receiver, Receivers
from tocsin.notify.settings import NotifySettings
from tocsin.storage.control import ControlStore
from tocsin.storage.control.passwords import Passwords
from waiting import eventually

COUNT = 30
SENDER = f"""
import sys, time
from tests.notify.providers import notification
from tests.notify.test_killed import deliverer, opened
sender = deliverer(opened(sys.argv[1]), sys.argv[2])
for number in range({COUNT}):
    sender.submit(notification(key=f"n-{{number}}"))
print("submitted", flush=True)
time.sleep(60)
"""


def opened(folder: str) -> ControlStore:
    quick = Passwords(CHEAPEST)
    return ControlStore.open(f"sqlite:///{folder}/control.db", passwords=quick)


def deliverer(control: ControlStore, url: str) -> Deliverer:
    hook = Integration("webhook[0]", "webhook", webhook.Settings(url=url))
    receivers = Receivers({"default": Receiver("default", (hook,))})
    return Deliverer(control.deliveries, receivers, NotifySettings(first_wait_seconds=0.01))


def test_each_message_is_told_after_a_kill_and_none_twice_but_the_one_on_the_wire(tmp_path: Path) -> None:
    with provider(Told(200, hang_seconds=0.03)) as there:
        command = [sys.executable, "-c", SENDER, str(tmp_path), there.url]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout
        assert b"submitted\n" in process.stdout  # after what it may have logged meanwhile
        there.wait(3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        told_before = len(there.asked)
        control = opened(str(tmp_path))
        after = deliverer(control, there.url)
        after.start()
        eventually(lambda: after.waiting() == 0, "all is told")
        rows = control.deliveries.newest()
        after.close()
        control.close()
    assert told_before < COUNT
    assert [row.outcome for row in rows] == [Outcome.SENT] * COUNT
    times = Counter(asked.headers["webhook-id"] for asked in there.asked)
    assert set(times) == {f"n-{number}" for number in range(COUNT)}
    assert sum(times.values()) <= COUNT + 1
