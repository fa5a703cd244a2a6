# Trained runs → what an evaluation finds of each: activation dumps, responses to tuning stimuli, answers to noisy images.
# One job evaluates up to `dump_size` runs of a data set and condition.

for evaluation in EVALUATIONS:
    for job in TOPOREP.evaluation_jobs():

        rule:
            name:
                f"{evaluation}_{job.name}"
            input:
                images=TOPOREP.images_of(job.runs[0].dataset),
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
            threads: TOPOREP.resource(evaluation, "threads")
            resources:
                **TOPOREP.gpu(evaluation),
                mem_mb=TOPOREP.resource(evaluation, "mem_mb"),
                runtime=TOPOREP.resource(evaluation, "runtime"),
            params:
                root=lambda wildcards: ROOT,
                evaluation=evaluation,
                runs=[run.id for run in job.runs],
                settings=TOPOREP.evaluation_spec(job.runs[0].paper, job.runs[0].dataset, evaluation),
                code=code_hash(evaluation),
            shell:
                "python -m toporep.cli.{params.evaluation} --runs {params.runs:q} --images {input.images:q}"
                " --root {params.root:q} --evaluation {params.settings:q} --code-hash {params.code}"
                " --threads {threads} 2>&1 | tee {log:q}"
