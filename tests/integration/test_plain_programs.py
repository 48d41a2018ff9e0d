"""Programs that `python` runs: several jobs in one process, forks, more slots than CPUs, reported restarts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SHMFLINK = [sys.executable, "-c", "from shmflink.cli.entry import main; main()", "run"]
HEAD = """
    from shmflink.common import WatermarkStrategy
    from shmflink.datastream import StreamExecutionEnvironment
    from shmflink.datastream.connectors.number_seq import NumberSequenceSource

    def environment():
        return StreamExecutionEnvironment.get_execution_environment()

    def endless(env):
        numbers = NumberSequenceSource(0, 10**12)
        return env.from_source(numbers, WatermarkStrategy.no_watermarks(), "numbers").set_parallelism(1)
"""


def _file(folder: Path, body: str) -> str:
    path = folder / "job.py"
    path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
    return str(path)


def _run(command: list[str], folder: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, _file(folder, body), *arguments], capture_output=True, text=True, timeout=240)


def _python(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable], folder, body)


BOTH = pytest.mark.parametrize("command", [[sys.executable], SHMFLINK], ids=["python", "shmflink run"])

DROPPED = """
    for number in endless(environment()).execute_and_collect():
        print(number)
        break
    print(list(environment().from_collection([5]).execute_and_collect()))
"""


@BOTH
def test_a_dropped_iterator_cancels_its_job_and_the_next_job_runs(tmp_path, command):
    done = _run(command, tmp_path, DROPPED)
    assert (done.returncode, done.stdout) == (0, "0\n[5]\n"), done.stderr
    assert "share" not in done.stderr, "the slots of a job that is being cancelled are free again"


@BOTH
def test_a_job_runs_beside_one_that_never_ends(tmp_path, command):
    done = _run(
        command,
        tmp_path,
        """
        env = environment()
        endless(env).filter(lambda n: False).print()
        env.execute_async("endless")
        print(list(environment().from_collection([5]).execute_and_collect()))
        """,
    )
    assert (done.returncode, done.stdout) == (0, "[5]\n"), done.stderr


def test_a_job_that_waits_for_slots_says_so(tmp_path):
    """`--slots` fixes the number: the second job can only start when the first is over."""
    done = _run(
        SHMFLINK,
        tmp_path,
        """
        import os, threading, time
        from shmflink.client.followed_jobs import FollowedJobs

        said = threading.Event()
        env = environment()
        endless(env).filter(lambda n: False).print()
        client = env.execute_async("endless")
        show = FollowedJobs.handle
        def heard(self, message):
            show(self, message)
            if type(message).__name__ == "JobNotice":
                said.set()
        FollowedJobs.handle = heard
        env = environment()
        env.from_collection([5]).print()
        waiting = env.execute_async("second")
        assert said.wait(120)
        client.cancel().result()
        waiting.get_job_execution_result().result()
        """,
        "--slots",
        "1",
    )
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    assert "Job 'second' waits for 1 slot: 0 of 1 are free; 'endless' (" in done.stderr
    assert done.stderr.count("waits for 1 slot") == 1


@BOTH
def test_a_parallelism_above_the_cpus_shares_them(tmp_path, command):
    cpus = len(os.sched_getaffinity(0))
    done = _run(
        command,
        tmp_path,
        f"""
        env = environment()
        env.set_parallelism({cpus + 3})
        env.from_collection(list(range({cpus + 3}))).rebalance().map(lambda x: x).print()
        env.execute("many")
        """,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(int(line.split("> ")[1]) for line in lines) == list(range(cpus + 3))
    assert len({line.split("> ")[0] for line in lines}) == cpus + 3, "every subtask printed"
    assert f"{cpus + 3} slots share {cpus} CPUs" in done.stderr


def test_slots_that_the_program_fixes_are_not_exceeded(tmp_path):
    done = _python(
        tmp_path,
        """
        from shmflink.common import Configuration
        env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict({"cluster.slots": "1"}))
        env.set_parallelism(3)
        env.from_collection([1]).rebalance().map(lambda x: x).print()
        env.execute("many")
        """,
    )
    assert done.returncode == 1
    assert (
        "needs 3 slots (group 'default': 3), but the cluster has 1: add slots (--slots 3, or the option" in done.stderr
    )


FORKED = """
    import multiprocessing
    import os

    def plus_one(n):
        env = environment()
        env.set_parallelism(1)
        with env.from_collection([n]).map(lambda x: x + 1).execute_and_collect() as rows:
            return list(rows)

    if __name__ == "__main__":
        print("parent", plus_one(0))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            try:
                print("children", pool.map_async(plus_one, [1, 2]).get(120))
            except Exception as error:
                print("children", type(error).__name__, error)
        print("parent again", plus_one(5))
"""


def test_a_fork_after_a_job_has_a_cluster_of_its_own(tmp_path):
    done = _python(tmp_path, FORKED)
    assert (done.returncode, done.stdout) == (0, "parent [1]\nchildren [[2], [3]]\nparent again [6]\n"), done.stderr


def test_under_shmflink_run_a_fork_is_told_that_the_cluster_is_not_its_own(tmp_path):
    done = _run(SHMFLINK, tmp_path, FORKED)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (first, third) == ("parent [1]", "parent again [6]")
    assert second.startswith("children UsageError this process (pid ")
    assert "was forked from the one that the cluster belongs to" in second


def test_what_the_parent_began_is_not_the_forks(tmp_path):
    """Neither waiting nor reading nor dropping there disturbs the parent's job."""
    done = _python(
        tmp_path,
        """
        import os

        rows = endless(environment()).execute_and_collect()
        print(next(rows), flush=True)
        env = environment()
        endless(env).filter(lambda n: False).print()
        client = env.execute_async("endless")
        if os.fork() == 0:
            for wait in (rows.next, client.get_job_execution_result().result, client.cancel):
                try:
                    wait()
                except Exception as error:
                    print(type(error).__name__, "forked" in str(error), flush=True)
            del rows
            os._exit(0)
        os.wait()
        print(next(rows), client.get_job_execution_result().done())
        """,
    )
    assert (done.returncode, done.stdout) == (0, "0\n" + 3 * "UsageError True\n" + "1 False\n"), done.stderr


def test_a_restart_is_told_on_standard_error_with_its_cause(tmp_path):
    done = _python(
        tmp_path,
        """
        from shmflink.common import Configuration

        env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict({
            "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "2",
            "restart-strategy.fixed-delay.delay": "10 ms",
        }))
        env.enable_checkpointing(200)
        def parse(x):
            if x == 5:
                raise ValueError("poison record")
            return x
        env.set_parallelism(1)
        env.from_collection(list(range(10))).map(parse).print()
        env.execute("poisoned")
        """,
    )
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if " restarts: " in line]
    assert len(told) == 2, "each restart once"
    for line in told:
        assert line.startswith("Job 'poisoned' (")
        assert line.endswith("failed with ValueError: poison record")


def test_nothing_is_said_while_all_is_well(tmp_path):
    done = _python(tmp_path, "env = environment(); env.from_collection([1]).print(); env.execute()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "") or done.stdout.endswith("> 1\n")
    assert done.stderr == ""


def test_a_coroutine_function_is_refused_before_anything_runs(tmp_path):
    done = _python(
        tmp_path,
        """
        async def look_up(x):
            return x + 1

        environment().from_collection([1, 2]).map(look_up).print()
        """,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("shmflink.errors.UsageError: look_up() (")
    assert "was never awaited" not in done.stderr


@BOTH
def test_our_errors_show_the_program_s_lines_and_the_message_alone(tmp_path, command):
    nowhere = """
        from shmflink.common import Configuration
        env = environment()
        env.configure(Configuration().set_string("execution.state-recovery.path", "/nowhere"))
        env.from_collection([1]).print()
        def submit():
            env.execute()
        submit()
    """
    done = _run(command, tmp_path, nowhere)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    shown = lines[lines.index("Traceback (most recent call last):") :]
    assert [line.strip() for line in shown if not line.strip().startswith(("File", "~", "^"))] == [
        "Traceback (most recent call last):",
        "submit()",
        "env.execute()",
        "shmflink.errors.CheckpointError: /nowhere is not a checkpoint or savepoint: it does not exist",
    ]


def test_a_refusal_before_any_job_is_told_as_briefly(tmp_path):
    done = _python(tmp_path, "environment().set_parallelism(0)")
    assert "shmflink/datastream" not in done.stderr
    assert "environment().set_parallelism(0)" in done.stderr
    assert done.stderr.count("Error: ") == 1
