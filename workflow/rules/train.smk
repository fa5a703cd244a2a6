# Prepared images, or features of images → trained runs. Where no job trains several runs, each run is a job of rule `train`; else each job has a
# rule of its own that lists the files of its runs: up to `stack_size` or `sequence_size` of one data set and condition.

if TOPOREP.one_run_a_job:

    rule train:
        input:
            images=ask(lambda wildcards: TOPOREP.images_of(wildcards.paper, wildcards.dataset)),
            beside=ask(lambda wildcards: TOPOREP.beside_images(wildcards.paper, wildcards.dataset)),
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
        threads: lambda wildcards: TOPOREP.resource("train", "threads", wildcards.paper)
        resources:
            **TOPOREP.gpu("train"),
            mem_mb=lambda wildcards: TOPOREP.resource("train", "mem_mb", wildcards.paper),
            runtime=lambda wildcards: TOPOREP.resource("train", "runtime", wildcards.paper),
        params:
            root=lambda wildcards: ROOT,
            spec=ask(lambda wildcards: TOPOREP.training_spec([TOPOREP.run_of(wildcards)])),
            command=ask(lambda wildcards: TOPOREP.train_command_of(TOPOREP.run_of(wildcards))),
            code=ask(lambda wildcards: TOPOREP.code_hash(TOPOREP.train_command_of(TOPOREP.run_of(wildcards)))),
        shell:
            TOPOREP.train_command

else:
    for job in TOPOREP.training_jobs():

        rule:
            name:
                f"train_{job.name}"
            input:
                images=TOPOREP.images_of(job.runs[0].paper, job.runs[0].dataset),
                beside=TOPOREP.beside_images(job.runs[0].paper, job.runs[0].dataset),
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
            threads: TOPOREP.resource("train", "threads", job.runs[0].paper)
            resources:
                **TOPOREP.gpu("train"),
                mem_mb=TOPOREP.resource("train", "mem_mb", job.runs[0].paper),
                runtime=TOPOREP.resource("train", "runtime", job.runs[0].paper),
            params:
                root=lambda wildcards: ROOT,
                spec=TOPOREP.training_spec(job.runs),
                command=TOPOREP.train_command_of(job.runs[0]),
                code=code_hash(TOPOREP.train_command_of(job.runs[0])),
            shell:
                TOPOREP.train_command
