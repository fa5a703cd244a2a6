"""The workflow on a real Slurm: what the cluster does to a job changes no bit of the result."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slurm

REPOSITORY = Path(__file__).resolve().parents[2]
SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")
RUNS = [f"results/demo/runs/truong2025/mnist/ws/{strength}/seed0" for strength in (0.1, 0.3)]
RESULTS = [f"{run}/{name}" for run in RUNS for name in ("weights.safetensors", "history.csv")]
STATE = "results/demo/state"
TRAINING = "rule_train"
FIGURE = "results/demo/figures/fig6_colocalization.pdf"

# One job that trains two runs for long enough to be hit in the middle.
TWO_RUNS = {"stack_size": 2, "mix_conditions": False, "resources": {"train": {"gpu": 1}}}


class Clone:
    """A copy of the repository's files in a folder of its own, in which Snakemake runs."""

    def __init__(self, folder: Path, source: Path, extra: dict, env: dict[str, str]) -> None:
        self.folder, self.env = folder, {**env, "OMP_NUM_THREADS": "1"}
        shutil.copytree(source, folder, dirs_exist_ok=True)
        (folder / "extra.yaml").write_text(yaml.safe_dump(extra))

    def start(self, *arguments: str, targets: list[str]) -> subprocess.Popen:
        """Start Snakemake on the demo data, as its own process group."""
        command = [SNAKEMAKE, *arguments, "--configfile", "config/demo.yaml", "extra.yaml", "--", *targets]
        with open(self.folder / "controller.log", "ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log, process_group=0)

    def on_slurm(self, *arguments: str, targets: list[str]) -> subprocess.Popen:
        """Start Snakemake with the repository's profile; only the waits are shorter."""
        waits = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10")
        return self.start("--profile", "slurm", *waits, *arguments, targets=targets)

    def log(self) -> str:
        return (self.folder / "controller.log").read_text()

    def digests(self) -> dict[str, str]:
        return {name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in RESULTS}

    def has_state(self) -> bool:
        """Whether a run has got through two epochs of training and is not finished."""
        return any(self.folder.glob(f"{STATE}/**/epoch-00002.safetensors"))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The files of the repository as they are now: an edit during the tests changes no clone."""
    folder = tmp_path_factory.mktemp("source")
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(source, tmp_path_factory) -> Clone:
    """Runs trained without Slurm, in one go."""
    clone = Clone(tmp_path_factory.mktemp("uninterrupted"), source, TWO_RUNS, dict(os.environ))
    wait(clone, clone.start("--cores", "1", "--resources", "gpu=1", targets=RESULTS))
    return clone


@pytest.fixture
def clone(cluster, source, uninterrupted, tmp_path) -> Clone:
    """A clone that has the prepared images, so that training is all there is to do."""
    clone = Clone(tmp_path, source, TWO_RUNS, cluster.env)
    for name in ("results/demo/data", ".snakemake/metadata"):
        shutil.copytree(uninterrupted.folder / name, clone.folder / name)
    return clone


def test_figure_is_made_by_slurm_jobs_and_only_training_asks_for_a_gpu(cluster, source, tmp_path):
    clone = Clone(tmp_path, source, {"resources": {"train": {"gpu": 1}}}, cluster.env)
    earlier = set(cluster.jobs(state="all"))
    wait(clone, clone.on_slurm(targets=[FIGURE]), seconds=1200)
    assert (clone.folder / FIGURE).read_bytes().startswith(b"%PDF")
    done = [cluster.show(job) for job in cluster.jobs(state="all") if job not in earlier]
    assert {job["JobState"] for job in done} == {"COMPLETED"}
    with_gpu = {job["Comment"] for job in done if "gpu:1" in job.get("TresPerJob", "")}
    assert with_gpu == {job["Comment"] for job in done if job["Comment"].startswith(TRAINING)} != set()
    assert len(done) > len(with_gpu)


def test_cancelled_job_goes_on_when_the_command_is_given_again(cluster, clone, uninterrupted):
    with training(cluster, clone, "--retries", "0") as (controller, job):
        cluster.run("scancel", job)
        assert controller.wait(timeout=120) != 0, "the controller took a cancelled job for a finished one"
    assert cluster.show(job)["JobState"] == "CANCELLED"
    assert clone.has_state(), "the training state went with the job"
    wait(clone, clone.on_slurm(targets=RESULTS))
    assert clone.digests() == uninterrupted.digests()


def test_requeued_job_goes_on_under_the_same_id(cluster, clone, uninterrupted):
    with training(cluster, clone) as (controller, job):
        cluster.run("scontrol", "requeue", job)
        wait(clone, controller)
    assert cluster.show(job)["Restarts"] == "1"
    assert clone.log().count("has been submitted with SLURM jobid") == 1
    assert clone.digests() == uninterrupted.digests()


def test_job_over_its_time_limit_is_submitted_again_and_goes_on(cluster, clone, uninterrupted):
    with training(cluster, clone) as (controller, job):
        with paused(cluster, job):  # Slurm looks at time limits twice a minute; training would be done by then
            cluster.run("scontrol", "update", f"JobId={job}", "EndTime=now")
            wait_until(lambda: cluster.show(job)["JobState"] != "RUNNING", "the job ran on")
        wait(clone, controller)
    assert cluster.show(job)["JobState"] == "TIMEOUT"
    assert clone.digests() == uninterrupted.digests()


def test_killed_controller_leaves_a_job_that_the_same_command_waits_for(cluster, clone, uninterrupted):
    with training(cluster, clone) as (controller, orphan):
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
    with paused(cluster, orphan):
        again = clone.on_slurm(targets=RESULTS)
        logs = clone.folder / ".snakemake/slurm_logs"
        wait_until(lambda: "another process holds" in text_of(logs), "the second job did not wait for the first")
    wait(clone, again)
    wait_until(lambda: cluster.show(orphan)["JobState"] == "COMPLETED", "the first job did not end")
    assert clone.digests() == uninterrupted.digests()


@contextmanager
def training(cluster, clone: Clone, *arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Give a controller and the id of its training job, which is in the middle of its work."""
    controller = clone.on_slurm(*arguments, targets=RESULTS)
    try:
        wait_until(clone.has_state, "no training state appeared", clone)
        (job,) = cluster.jobs(state="running", comment=TRAINING)
        yield controller, job
    finally:
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
            controller.wait()


@contextmanager
def paused(cluster, job: str) -> Iterator[None]:
    """Stop the processes of a running job for a while; its time runs on."""
    cluster.run("scancel", "--full", "--signal=STOP", job)
    try:
        yield
    finally:
        # Slurm calls a job that got this signal STOPPED, a moment later.
        if cluster.show(job)["JobState"] in ("RUNNING", "STOPPED"):
            cluster.run("scancel", "--full", "--signal=CONT", job)


def wait(clone: Clone, controller: subprocess.Popen, *, seconds: float = 180) -> None:
    """Wait for a controller that is expected to succeed."""
    try:
        code = controller.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
        code = f"none after {seconds:.0f} s"
    logs = text_of(clone.folder / ".snakemake/slurm_logs")
    assert code == 0, f"exit status {code}\n{clone.log()[-4000:]}\n{logs[-4000:]}"


def wait_until(reached: Callable[[], bool], failure: str, clone: Clone | None = None, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, failure + (f"\n{clone.log()[-4000:]}" if clone else "")
        time.sleep(0.1)


def text_of(folder: Path) -> str:
    """All logs below a folder; Snakemake removes those of finished jobs meanwhile."""
    texts = []
    for path in sorted(folder.rglob("*.log")):
        try:
            texts.append(path.read_text(errors="replace"))
        except FileNotFoundError:
            continue
    return "\n".join(texts)
