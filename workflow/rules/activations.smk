# Trained runs → activation dumps. One job writes the dumps of up to `dump_size` runs of a data set.

for job in TOPOREP.dump_jobs():

    rule:
        name:
            f"activations_{job.name}"
        input:
            images=TOPOREP.images_of(job.runs[0].dataset),
            weights=[TOPOREP.paths.weights(run) for run in job.runs],
            provenance=[TOPOREP.paths.provenance(run) for run in job.runs],
        output:
            [TOPOREP.paths.activations(run) for run in job.runs],
        log:
            TOPOREP.paths.log("activations", job.name),
        benchmark:
            f"{ROOT}/benchmarks/activations/{job.name}.tsv"
        conda:
            "../envs/train.yaml"
        threads: TOPOREP.resource("activations", "threads")
        resources:
            **TOPOREP.gpu("activations"),
            mem_mb=TOPOREP.resource("activations", "mem_mb"),
            runtime=TOPOREP.resource("activations", "runtime"),
        params:
            root=lambda wildcards: ROOT,
            runs=[run.id for run in job.runs],
            evaluation=TOPOREP.evaluation_spec(job.runs[0].paper, job.runs[0].dataset),
            code=TOPOREP.code_hash("activations"),
        shell:
            "python -m toporep.cli.activations --runs {params.runs:q} --images {input.images:q} --root {params.root:q}"
            " --evaluation {params.evaluation:q} --code-hash {params.code} --threads {threads} 2>&1 | tee {log:q}"
