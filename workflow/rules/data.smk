# Raw data → prepared images.


rule prepare:
    output:
        f"{ROOT}/data/{{source}}.nc",
    log:
        f"{ROOT}/logs/prepare/{{source}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prepare/{{source}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("prepare", "threads")
    resources:
        mem_mb=TOPOREP.resource("prepare", "mem_mb"),
        runtime=TOPOREP.resource("prepare", "runtime"),
    params:
        source=ask(lambda wildcards: TOPOREP.source_settings(wildcards.source)),
        code=TOPOREP.code_hash("prepare"),
    shell:
        "python -m toporep.cli.prepare --source {wildcards.source} --output {output:q} 2>&1 | tee {log:q}"
