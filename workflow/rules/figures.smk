# Metrics → figures; the targets that a user asks for.


for paper in TOPOREP.config.papers:

    rule:
        name:
            paper
        input:
            TOPOREP.figure_files(paper),


rule figure:
    input:
        ask(
            lambda wildcards: TOPOREP.figure_inputs(
                wildcards.paper, wildcards.figure
            ).values()
        ),
    output:
        pdf=report(
            f"{ROOT}/figures/{{paper}}/{{figure}}.pdf",
            category="{paper}",
            labels={"figure": "{figure}", "scale": TOPOREP.config.scale},
            caption="../report/figure.rst",
        ),
        png=f"{ROOT}/figures/{{paper}}/{{figure}}.png",
        csv=f"{ROOT}/figures/{{paper}}/{{figure}}.csv",
    log:
        f"{ROOT}/logs/figures/{{paper}}/{{figure}}.log",
    benchmark:
        f"{ROOT}/benchmarks/figures/{{paper}}/{{figure}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("figure", "threads")
    resources:
        mem_mb=TOPOREP.resource("figure", "mem_mb"),
        runtime=TOPOREP.resource("figure", "runtime"),
    params:
        inputs=ask(
            lambda wildcards: TOPOREP.figure_arguments(
                wildcards.paper, wildcards.figure
            )
        ),
        settings=ask(
            lambda wildcards: TOPOREP.figure_settings(
                wildcards.paper, wildcards.figure
            )
        ),
        title=ask(
            lambda wildcards: TOPOREP.figure_title(wildcards.paper, wildcards.figure)
        ),
        code=ask(
            lambda wildcards: TOPOREP.code_hash(
                "figure", f"toporep.figures.{wildcards.paper}.{wildcards.figure}"
            )
        ),
    shell:
        "python -m toporep.cli.figure {wildcards.paper} {wildcards.figure} --input {params.inputs:q}"
        " --settings {params.settings:q} --outputs {output:q} 2>&1 | tee {log:q}"


localrules:
    all,
    figure_by_name,


rule figure_by_name:
    input:
        ask(lambda wildcards: TOPOREP.figure_by_name(wildcards.figure, wildcards.ext)),
    output:
        f"{ROOT}/figures/{{figure}}.{{ext}}",
    log:
        f"{ROOT}/logs/figures/{{figure}}.{{ext}}.log",
    conda:
        "../envs/analysis.yaml"
    shell:
        "cp {input:q} {output:q} 2> {log:q}"
