# Metrics → figures; the targets that a user asks for.


for paper in TOPOREP.sections:

    rule:
        name:
            paper
        input:
            TOPOREP.figure_files(paper),
            TOPOREP.table_files(paper),
            TOPOREP.claims_files(paper),


# A rule a figure, so that each has a caption of its own in Snakemake's report.
for paper, figure in TOPOREP.figures(comparison=True):

    rule:
        name:
            f"figure_{paper}_{figure}"
        input:
            list(TOPOREP.figure_inputs(paper, figure).values()),
        output:
            pdf=report(
                TOPOREP.paths.figure(paper, figure, "pdf"),
                category=paper,
                labels=report_labels(paper, figure, "pdf"),
                caption=f"../report/{figure}.rst",
            ),
            png=TOPOREP.paths.figure(paper, figure, "png"),
            csv=TOPOREP.paths.figure(paper, figure, "csv"),
        log:
            TOPOREP.paths.log("figures", f"{paper}/{figure}"),
        benchmark:
            f"{ROOT}/benchmarks/figures/{paper}/{figure}.tsv"
        conda:
            "../envs/analysis.yaml"
        threads: TOPOREP.resource("figure", "threads")
        resources:
            mem_mb=TOPOREP.resource("figure", "mem_mb"),
            runtime=TOPOREP.resource("figure", "runtime"),
        params:
            paper=paper,
            figure=figure,
            inputs=TOPOREP.figure_arguments(paper, figure),
            settings=TOPOREP.figure_settings(paper, figure),
            code=code_hash("figure", f"toporep.figures.{paper}.{figure}"),
        shell:
            "python -m toporep.cli.figure {params.paper} {params.figure} --input {params.inputs:q}"
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
    benchmark:
        f"{ROOT}/benchmarks/figures/{{figure}}.{{ext}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("figure", "threads")
    resources:
        mem_mb=TOPOREP.resource("figure", "mem_mb"),
        runtime=TOPOREP.resource("figure", "runtime"),
    shell:
        # Copied under another name and then renamed, so that a copy is whole or not there.
        "(cp {input:q} {output:q}.part && mv {output:q}.part {output:q}) 2> {log:q}"
