"""The process of a step: forked from one that has loaded what it needs, or started anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fastmtl.plan import StepSpec
from worker import launcher
from worker.launcher import Forked, Launcher, Started, StepProcess
from worker.protocol import OUTPUT, REQUEST, RESULT, Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")
WITH_TORCH = StepSpec(kind="score", name="score", version=1, params={})
WITHOUT = StepSpec(kind="select", name="select", version=1, params={})
STANDS_IN = """
import pathlib, sys, worker.template as template, worker.child as child
template.LOADED = ()

def compute(folder):
    {code}
    return 0

child.compute = compute
sys.exit(template.main())
"""


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Templates]:
    made = Templates(tmp_path, monkeypatch)
    yield made
    made.end()


class Templates:
    """Launchers whose template loads nothing and computes the code that is given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self._launchers: list[Launcher] = []
        self._started: list[StepProcess] = []

    def launcher(self, code: str, seconds: float = 60, before: str = "") -> Launcher:
        program = self.folder / "template.py"
        text = STANDS_IN.replace("    {code}", textwrap.indent(textwrap.dedent(code), "    "))
        program.write_text(textwrap.dedent(before) + text)
        self._patch.setattr(launcher, "TEMPLATE", (sys.executable, str(program)))
        self._launchers.append(Launcher(warm_seconds=seconds))
        return self._launchers[-1]

    def started(self, launch: Launcher, spec: StepSpec = WITH_TORCH, **environment: str) -> StepProcess:
        process = launch.start(self.folder, spec, environment)
        self._started.append(process)
        return process

    def forked(self, launch: Launcher, spec: StepSpec = WITH_TORCH, **environment: str) -> Forked:
        process = self.started(launch, spec, **environment)
        assert isinstance(process, Forked)
        return process

    def end(self) -> None:
        for each in self._started:
            each.end()
            each.stdout.close()
        for launch in self._launchers:
            launch.close()


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_steps_are_forked_one_after_another_from_one_process_each_in_one_of_its_own(templates, tmp_path):
    launch = templates.launcher('import os; print(os.getpid(), os.getppid(), os.getsid(0), os.environ["ABOUT"])')
    lines = []
    for about in ("one", "other"):
        process = templates.forked(launch, ABOUT=about)
        lines.append(process.stdout.read().split())
        assert process.wait() == 0
        process.end()
    (first, parent, session, one), (second, again, _, other) = lines
    assert (one, other) == ("one", "other")
    assert first == session != second
    assert parent == again


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("return 3", 3),
        ("raise KeyError", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("import sys; sys.exit(5)", 1),
    ],
)
def test_how_a_forked_process_ended_is_known_as_of_one_that_was_started(templates, tmp_path, code, expected):
    process = templates.forked(templates.launcher(code))
    assert process.wait() == expected
    assert process.poll() == process.returncode == expected


def test_waiting_for_a_forked_process_ends_after_the_time_that_is_said(templates, tmp_path):
    process = templates.forked(templates.launcher("import time; time.sleep(60)"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    process.end()


def test_a_forked_process_is_killed_with_all_that_it_started(templates, tmp_path):
    code = """
        import subprocess, sys, time
        born = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(born.pid, flush=True)
        time.sleep(60)
    """
    process = templates.forked(templates.launcher(code))
    born = int(process.stdout.readline())
    process.end()
    assert process.returncode == -signal.SIGKILL
    assert gone(born)


def test_a_process_that_is_not_forked_yet_is_ended_with_what_still_loads(templates, tmp_path):
    launch = templates.launcher("return 0", before="import time; time.sleep(60)")
    process = templates.forked(launch)
    began = time.monotonic()
    process.end()
    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 30


def test_a_step_goes_with_its_template_and_the_next_has_a_new_one(templates, tmp_path):
    launch = templates.launcher("import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
    process = templates.forked(launch)
    pid, template = map(int, process.stdout.readline().split())
    os.kill(template, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert gone(pid)
    another = templates.forked(launch)
    assert int(another.stdout.readline().split()[1]) != template
    another.end()


def test_a_template_without_a_step_ends_and_the_next_step_has_a_new_one(templates, tmp_path):
    launch = templates.launcher("import os; print(os.getppid())", seconds=0.2)
    first = templates.forked(launch)
    template = int(first.stdout.read())
    first.end()
    assert gone(template)
    second = templates.forked(launch)
    assert int(second.stdout.read()) != template
    second.end()


def test_only_a_step_with_torch_makes_a_template_and_others_take_it_where_it_is(templates, tmp_path):
    launch = templates.launcher("print(1)")
    assert isinstance(templates.started(launch, WITHOUT), Started)
    assert templates.forked(launch, WITH_TORCH).wait() == 0
    assert templates.forked(launch, WITHOUT).wait() == 0


def test_a_template_and_its_step_end_with_their_worker(templates, tmp_path):
    templates.launcher("import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
    worker = tmp_path / "parent.py"
    worker.write_text(
        "import sys, pathlib, time\n"
        "from fastmtl.plan import StepSpec\n"
        "from worker import launcher\n"
        f"launcher.TEMPLATE = {launcher.TEMPLATE!r}\n"
        "spec = StepSpec(kind='score', name='score', version=1, params={})\n"
        f"step = launcher.Launcher(warm_seconds=60).start(pathlib.Path({str(tmp_path)!r}), spec, {{}})\n"
        "print(step.stdout.readline(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(worker)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(each) for each in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(pids) == 2 and all(map(gone, pids))


def test_where_loading_touched_a_gpu_the_fork_loads_anew(templates, tmp_path):
    """The library that stands in for the driver is the C library: it is mapped in every process."""
    request(tmp_path)
    launch = templates.launcher("return 3", before='import worker.template\nworker.template.DRIVERS = ("libc.so",)')
    assert templates.forked(launch).wait() == 0  # not 3: what computed was not what the template has
    assert (tmp_path / RESULT).exists()


def test_a_template_that_cannot_fork_says_so_and_goes_on(templates):
    refused_once = """
        import os
        fork = os.fork
        def refuse():
            os.fork = fork
            raise BlockingIOError("no more processes")
        os.fork = refuse
    """
    launch = templates.launcher("return 0", before=refused_once)
    assert templates.forked(launch).wait() == 1
    assert templates.forked(launch).wait() == 0


def test_how_a_template_ended_is_how_its_step_did(templates):
    launch = templates.launcher("return 0", before="import sys; sys.exit(7)")
    assert templates.forked(launch).wait() == 7


def test_a_worker_that_ends_ends_the_step_that_still_runs(templates):
    launch = templates.launcher("import time; print(1, flush=True); time.sleep(60)")
    process = templates.forked(launch)
    process.stdout.readline()
    launch.close()
    assert process.poll() == -signal.SIGKILL
    process.end()


def test_a_step_is_ended_though_its_template_stands_still(templates, monkeypatch):
    monkeypatch.setattr(launcher, "END_SECONDS", 0.2)
    launch = templates.launcher("import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
    process = templates.forked(launch)
    pid, template = map(int, process.stdout.readline().split())
    os.kill(template, signal.SIGSTOP)
    process.end()
    assert process.returncode == -signal.SIGKILL
    assert gone(pid) and gone(template)


def test_what_a_step_prints_without_flushing_is_not_lost_nor_told_by_the_next(templates):
    launch = templates.launcher("print('once')", before="print('while it loads')")
    for _ in range(2):
        process = templates.forked(launch)
        assert process.stdout.read().split() == ["once"]
        process.end()


def request(folder: Path) -> StepSpec:
    """Write down that a small step is wanted."""
    spec = StepSpec(kind="calibrate_plain", name="plain", version=1, params={})
    asked = Request(spec=spec.to_json(), datasets={}, inputs={}, device="cpu", threads=1)
    (folder / REQUEST).write_text(asked.model_dump_json())
    return spec


def test_the_true_template_computes_a_step(tmp_path):
    spec, launch = request(tmp_path), Launcher(warm_seconds=60)
    launch._ready(WITH_TORCH)
    process = launch.start(tmp_path, spec, {})
    assert isinstance(process, Forked)
    assert process.wait() == 0
    process.end()
    process.stdout.close()
    assert json.loads((tmp_path / RESULT).read_text())["seconds"] > 0
    assert (tmp_path / OUTPUT).is_dir()
    launch.close()
