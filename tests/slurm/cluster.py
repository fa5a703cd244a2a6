"""A Slurm cluster of one node on this machine, for tests.

Three daemons (munged, slurmctld, slurmd) run as root from a temporary
directory: no systemd, no cgroups, no accounting, ports that were free.
They are ended by the process ids they were started with, and end with the process that started them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
SBIN = "/usr/sbin:/sbin:/usr/local/sbin"

SLURM_CONF = """\
ClusterName=toporep
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: 2 minutes unless told otherwise.
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/controller
SlurmdSpoolDir={root}/node
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/completed.txt
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# The node promises what is written below, whatever the machine has.
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
MessageTimeout=10
InactiveLimit=0
KillWait=2
OverTimeLimit=0
Waittime=0
MinJobAge=3600
JobRequeue=1
GresTypes=gpu
DefMemPerCPU=500
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=262144 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=3-00:00:00 DefaultTime=10 State=UP
"""
# Empty files stand for the devices: GPUs that can be requested and scheduled, and that no job can use.
GRES_CONF = "AutoDetect=off\nNodeName=localhost Name=gpu File={root}/gpu[0-{last}]\n"


def why_unavailable() -> str | None:
    """Return why no cluster can be started here, or None where one can."""
    if os.geteuid() != 0:
        return "Slurm's daemons run as root here; this user is not root"
    absent = [name for name in DAEMONS if _daemon(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (.ci/install-debian.sh installs them)"
    return None


class SlurmCluster:
    """A running cluster.

    Attributes
    ----------
    root : Path
        Configuration, state and logs of the daemons.
    env : dict of str
        Environment in which `sbatch`, `squeue`, `scontrol` and Snakemake find the cluster.
    """

    def __init__(self, root: Path, *, cpus: int, gpus: int) -> None:
        self.root = root
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        self.env["SLURM_CONF"] = str(root / "slurm.conf")
        self.env["PATH"] = f"{root}/bin{os.pathsep}{self.env['PATH']}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        controller_port, node_port = _free_ports(2)
        settings = {"host": socket.gethostname(), "controller_port": controller_port, "node_port": node_port}
        (root / "slurm.conf").write_text(SLURM_CONF.format(root=root, cpus=cpus, gpus=gpus, **settings))
        (root / "gres.conf").write_text(GRES_CONF.format(root=root, last=gpus - 1))
        for index in range(gpus):
            (root / f"gpu{index}").touch()
        _write_srun(root)

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for name in ("controller", "node"):
            (self.root / name).mkdir()
        self._start("munged", f"--socket={self.root}/munge.socket", f"--key-file={key}")
        _wait_until((self.root / "munge.socket").exists, "munged made no socket", log=self.root / "munged.out")
        self.start_controller()
        self._start("slurmd", "-D", "-N", "localhost")
        _wait_until(lambda: self.node_state() == "idle", "the node takes no jobs", log=self.root / "slurmd.log")

    def start_controller(self) -> None:
        """Start slurmctld on the state that an earlier one left."""
        self._start("slurmctld", "-D")
        _wait_until(self._answers, "slurmctld does not answer", log=self.root / "slurmctld.log")

    def kill_controller(self) -> None:
        """Kill slurmctld without warning; jobs run on."""
        self._processes["slurmctld"].kill()
        self._processes.pop("slurmctld").wait()

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        if "slurmd" in self._processes and "slurmctld" not in self._processes:
            self.start_controller()  # only slurmctld can end the jobs
        if self._answers():
            self.run("scancel", "--partition=main")
            _wait_until(lambda: not self.jobs(), "cancelled jobs run on", log=self.root / "slurmctld.log")
        for name in reversed(list(self._processes)):
            process = self._processes.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, *command: str) -> str:
        """Run a Slurm client command and return what it prints."""
        result = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
        return result.stdout

    def node_state(self) -> str:
        """Return the state of the node, "idle" where it takes jobs and has none."""
        return self.run("sinfo", "--noheader", "--format=%T").strip()

    def jobs(self, *, state: str = "pending,running,completing,suspended", comment: str = "") -> list[str]:
        """Return the ids of the jobs in one of the states whose comment (`rule_<name>…`) starts with `comment`."""
        lines = self.run("squeue", "--noheader", f"--states={state}", "--format=%i|%k").splitlines()
        pairs = [line.split("|", 1) for line in lines]
        return [job for job, text in pairs if text.startswith(comment)]

    def show(self, job: str) -> dict[str, str]:
        """Return what `scontrol show job` tells about a job that slurmctld still remembers."""
        words = self.run("scontrol", "show", "job", job, "--oneliner").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def _start(self, name: str, *arguments: str) -> None:
        # A test run that is killed takes its daemons with it.
        command = ["setpriv", "--pdeathsig", "TERM", str(_daemon(name)), *arguments]
        if name == "munged":
            command.append("--foreground")
            files = {"pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
            command += [f"--{option}={self.root}/{file}" for option, file in files.items()]
        with open(self.root / f"{name}.out", "ab") as out:
            self._processes[name] = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _answers(self) -> bool:
        return "slurmctld" in self._processes and _succeeds(["scontrol", "ping"], self.env)


@contextmanager
def slurm_cluster(*, cpus: int = 2, gpus: int = 2) -> Iterator[SlurmCluster]:
    """Run a cluster of one node that offers `cpus` CPUs and `gpus` make-believe GPUs."""
    # Not pytest's temporary directory: the path of a Unix socket holds 108 characters.
    root = Path(tempfile.mkdtemp(prefix="toporep-slurm-"))
    root.chmod(0o755)
    cluster = SlurmCluster(root, cpus=cpus, gpus=gpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


def _write_srun(root: Path) -> None:
    """Put an `srun` before the real one: Snakemake's job step drops SLURM_CONF from the environment of its srun."""
    wrapper = root / "bin" / "srun"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={root}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    wrapper.chmod(0o755)


def _daemon(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _succeeds(command: list[str], env: dict[str, str]) -> bool:
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    return result.returncode == 0 and "DOWN" not in result.stdout


def _wait_until(reached: Callable[[], bool], failure: str, *, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
            raise RuntimeError(f"{failure} after {seconds:.0f} s; the end of {log.name}:\n{tail}")
        time.sleep(0.1)
