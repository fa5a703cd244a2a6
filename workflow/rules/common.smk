# Configuration, names and helpers of all rules. Loads neither torch nor xarray.
import atexit
import contextlib
import io
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from toporep.controller import claim
from toporep.errors import TopoRepError
from toporep.results_folder import check_clock, check_writable
from toporep.workflow import Workflow

try:
    TOPOREP = Workflow.from_config(config, Path(workflow.basedir))
except TopoRepError as error:
    raise WorkflowError(str(error)) from None

ROOT = TOPOREP.config.root

# A prefix takes the place of Snakemake's own, without which a command that fails before `| tee` would count as done.
_prefix = "set -euo pipefail; "
# The environment that runs Snakemake has the package's own version; one that Snakemake makes (--sdm conda) has
# the third-party packages alone. PYTHONPATH serves both.
_prefix += f"export PYTHONPATH={str(Path(workflow.basedir) / 'src')!r}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; "
if not workflow.deployment_settings.deployment_method:
    _prefix += f"export PATH={str(Path(sys.executable).parent)!r}:$PATH; "
# Where raw files are does not change what they hold: an environment variable, not a parameter.
_prefix += f"export TOPOREP_DATA={TOPOREP.data_dir!r}; "
shell.prefix(_prefix)


wildcard_constraints:
    paper="|".join(TOPOREP.config.papers),
    dataset="|".join(TOPOREP.datasets),
    condition="|".join(TOPOREP.conditions),
    seed=r"\d+",
    source=r"\w+",
    analysis=r"\w+",
    figure=r"\w+",
    ext="pdf|png|csv",
    table=r"\w+",
    table_ext="csv|md|tex",


def ask(function):
    """Give a rule's input or params function whose mistakes are told in one line."""

    def answer(wildcards):
        try:
            return function(wildcards)
        except TopoRepError as error:
            raise WorkflowError(str(error)) from None

    return answer


def code_hash(command, *modules):
    """Give a params function for the hash of a command's code, which is read only for a rule that is asked for."""
    return ask(lambda wildcards: TOPOREP.code_hash(command, *modules))


def report_labels(paper, name, file):
    """What Snakemake's report says of a file beside its category; it sorts by the first label, as text."""
    names = [*TOPOREP.catalog[paper], "claims"]
    return {
        "no.": f"{1 + names.index(name):02}",
        "figure or table": name,
        "file": file,
        "scale": TOPOREP.config.scale,
    }


def check_targets():
    """Stop at once at a target that nothing makes, and name the near ones."""
    targets = ARGUMENTS.targets if ARGUMENTS else None
    try:
        TOPOREP.check_targets(targets or [], rules=[rule.name for rule in workflow.rules])
    except TopoRepError as error:
        raise WorkflowError(str(error)) from None


def check_claims():
    """Stop at once at a claim that cannot be tested; jobs that Snakemake starts need not look again."""
    try:
        if ARGUMENTS:
            TOPOREP.check_claims()
    except TopoRepError as error:
        raise WorkflowError(str(error)) from None


def claim_folder():
    """Let the same command go on where an earlier one was killed; stop at once where it cannot."""
    check_results_folder()
    if ARGUMENTS and not ARGUMENTS.dryrun and claim(".snakemake"):
        print("The last Snakemake here was killed; its locks are removed.", file=sys.stderr)


def check_results_folder():
    """Refuse a folder that cannot be written, or in which times of files tell nothing."""
    try:
        if ARGUMENTS:
            check_clock(ROOT)
        # Whoever may only read can still look at what there is.
        if ARGUMENTS and not any(getattr(ARGUMENTS, name, None) for name in ("dryrun", "report", "lint", "unlock")):
            check_writable(ROOT)
    except TopoRepError as error:
        raise WorkflowError(str(error)) from None


def audit():
    """Print what the jobs of a dry run would cost, below Snakemake's own list."""
    if workflow._dag is None:
        # There was a mistake, which Snakemake has told.
        return
    jobs = list(workflow.dag.needrun_jobs(exclude_finished=False))
    wanted = [file for job in workflow.dag.targetjobs for file in job.output or job.input]
    if not jobs and not (wanted and all(map(os.path.exists, wanted))):
        # Here too: what was asked for is not there, and nothing would make it.
        return
    planned = [
        TOPOREP.planned(
            map(str, job.output),
            gpus=job.resources.get("gpu", 0),
            minutes=job.resources.get("runtime", 0),
        )
        for job in jobs
    ]
    print(TOPOREP.audit(planned), file=sys.stderr)
    absent = TOPOREP.absent(str(path) for job in jobs for path in job.output)
    if absent:
        print("\n  ".join(["Not found here, and these jobs need it:", *absent]), file=sys.stderr)


def _arguments():
    """Snakemake's command line, whose targets Snakemake knows only after it has read the rules.

    None for a job that Snakemake starts, and where there is no command line.
    """
    if Path(sys.argv[0]).name not in ("snakemake", "__main__.py"):
        return None
    from snakemake.cli import parse_args

    # Snakemake has parsed them before, and has said what there is to say.
    with contextlib.redirect_stderr(io.StringIO()):
        _, arguments = parse_args(sys.argv[1:])
    return None if arguments.target_jobs else arguments


ARGUMENTS = _arguments()
if ARGUMENTS and ARGUMENTS.dryrun:
    # Snakemake calls nothing of a workflow's own after a dry run.
    atexit.register(audit)
