# Prepared images → trained runs. With stack_size 1 each run is a job of rule `train`; with a larger one each job
# trains up to that many runs of one data set, and has a rule of its own that lists their files.

if TOPOREP.stack_size == 1:

    rule train:
        input:
            ask(lambda wildcards: TOPOREP.images_of(wildcards.dataset)),
        output:
            TOPOREP.paths.weights(TOPOREP.run_pattern),
            TOPOREP.paths.history(TOPOREP.run_pattern),
            TOPOREP.paths.provenance(TOPOREP.run_pattern),
        log:
            TOPOREP.paths.log("train", TOPOREP.run_pattern),
        benchmark:
            f"{ROOT}/benchmarks/train/{TOPOREP.run_pattern}.tsv"
        conda:
            "../envs/train.yaml"
        threads: TOPOREP.resource("train", "threads")
        resources:
            **TOPOREP.gpu("train"),
            mem_mb=TOPOREP.resource("train", "mem_mb"),
            runtime=TOPOREP.resource("train", "runtime"),
        params:
            root=lambda wildcards: ROOT,
            spec=ask(lambda wildcards: TOPOREP.training_spec([TOPOREP.run_of(wildcards)])),
            code=TOPOREP.code_hash("train"),
        shell:
            TOPOREP.train_command

else:
    for job in TOPOREP.training_jobs():

        rule:
            name:
                f"train_{job.name}"
            input:
                TOPOREP.images_of(job.runs[0].dataset),
            output:
                [TOPOREP.paths.weights(run) for run in job.runs],
                [TOPOREP.paths.history(run) for run in job.runs],
                [TOPOREP.paths.provenance(run) for run in job.runs],
            log:
                TOPOREP.paths.log("train", job.name),
            benchmark:
                f"{ROOT}/benchmarks/train/{job.name}.tsv"
            conda:
                "../envs/train.yaml"
            threads: TOPOREP.resource("train", "threads")
            resources:
                **TOPOREP.gpu("train"),
                mem_mb=TOPOREP.resource("train", "mem_mb"),
                runtime=TOPOREP.resource("train", "runtime"),
            params:
                root=lambda wildcards: ROOT,
                spec=TOPOREP.training_spec(job.runs),
                code=TOPOREP.code_hash("train"),
            shell:
                TOPOREP.train_command
