# Trained runs → what an evaluation finds of each: activation dumps, responses to tuning stimuli, answers to noisy images,
# logits under noise, responses to sets of images.
# One job evaluates up to `dump_size` runs of a data set and condition.

for job in TOPOREP.evaluation_jobs():
    for evaluation, command in TOPOREP.evaluations_of(job).items():

        rule:
            name:
                f"{evaluation}_{job.name}"
            input:
                **TOPOREP.evaluation_inputs(job, evaluation),
                weights=[TOPOREP.paths.weights(run) for run in job.runs],
                history=[TOPOREP.paths.history(run) for run in job.runs],
                provenance=[TOPOREP.paths.provenance(run) for run in job.runs],
            output:
                [TOPOREP.paths.evaluation(evaluation, run) for run in job.runs],
            log:
                TOPOREP.paths.log(evaluation, job.name),
            benchmark:
                f"{ROOT}/benchmarks/{evaluation}/{job.name}.tsv"
            conda:
                "../envs/train.yaml"
            threads: TOPOREP.resource(evaluation, "threads", job.runs[0].paper)
            resources:
                **TOPOREP.gpu(evaluation),
                mem_mb=TOPOREP.resource(evaluation, "mem_mb", job.runs[0].paper),
                runtime=TOPOREP.resource(evaluation, "runtime", job.runs[0].paper),
            params:
                root=lambda wildcards: ROOT,
                command=command,
                runs=[run.id for run in job.runs],
                settings=TOPOREP.evaluation_spec(job.runs[0].paper, job.runs[0].dataset, evaluation),
                more=TOPOREP.evaluation_arguments(job, evaluation),
                code=code_hash(command),
            shell:
                "python -m toporep.cli.{params.command} --runs {params.runs:q} --images {input.images:q}"
                " --root {params.root:q} --evaluation {params.settings:q} --code-hash {params.code}"
                " --threads {threads} {params.more:q} 2>&1 | tee {log:q}"
