# Evaluations of runs → metrics. One job an analysis and data set, over all runs.


rule analysis:
    input:
        ask(lambda wildcards: TOPOREP.dumps_of(wildcards.paper, wildcards.dataset, wildcards.analysis)),
    output:
        metric=f"{ROOT}/metrics/{{paper}}/{{dataset}}/{{analysis}}.nc",
        summary=f"{ROOT}/metrics/{{paper}}/{{dataset}}/{{analysis}}_summary.nc",
    log:
        f"{ROOT}/logs/metrics/{{paper}}/{{dataset}}/{{analysis}}.log",
    benchmark:
        f"{ROOT}/benchmarks/metrics/{{paper}}/{{dataset}}/{{analysis}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("analysis", "threads")
    resources:
        mem_mb=lambda wildcards: TOPOREP.resource("analysis", "mem_mb", wildcards.paper),
        runtime=lambda wildcards: TOPOREP.resource("analysis", "runtime", wildcards.paper),
    params:
        scale=TOPOREP.config.scale,
        module=ask(lambda wildcards: TOPOREP.analysis_module(wildcards.paper, wildcards.analysis)),
        settings=ask(lambda wildcards: TOPOREP.analysis_settings(wildcards.paper, wildcards.analysis)),
        code=ask(
            lambda wildcards: TOPOREP.code_hash(
                "analyze", f"toporep.analyses.{TOPOREP.analysis_module(wildcards.paper, wildcards.analysis)}"
            )
        ),
    shell:
        "python -m toporep.cli.analyze {params.module} --settings {params.settings:q} --scale {params.scale}"
        " --code-hash {params.code} --output {output.metric:q} --summary {output.summary:q} --dumps {input:q}"
        " 2>&1 | tee {log:q}"
