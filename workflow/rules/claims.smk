# Metrics → the ledger of claims: what a paper says, tested against the values of every run.


rule claims:
    input:
        [TOPOREP.claims_files(paper) for paper in TOPOREP.config.papers],


localrules:
    claims,


# A rule a paper, which reads the metric files that its claims name.
for paper in TOPOREP.claimed_papers():

    rule:
        name:
            f"claims_{paper}"
        input:
            claims=TOPOREP.claims_file(paper),
            tables=ask(lambda wildcards, paper=paper: TOPOREP.claims_tables(paper)),
            metrics=ask(lambda wildcards, paper=paper: list(TOPOREP.claims_inputs(paper).values())),
        output:
            csv=report(
                TOPOREP.paths.claims(paper, ".csv"),
                category=paper,
                labels=report_labels(paper, "claims", "csv"),
                caption="../report/claims.rst",
            ),
            markdown=report(
                TOPOREP.paths.claims(paper, ".md"),
                category=paper,
                labels=report_labels(paper, "claims", "md"),
                caption="../report/claims.rst",
            ),
            points=TOPOREP.paths.claims(paper, "_points.csv"),
        log:
            TOPOREP.paths.log("claims", paper),
        benchmark:
            f"{ROOT}/benchmarks/claims/{paper}.tsv"
        conda:
            "../envs/analysis.yaml"
        threads: TOPOREP.resource("analysis", "threads")
        resources:
            mem_mb=TOPOREP.resource("analysis", "mem_mb"),
            runtime=TOPOREP.resource("analysis", "runtime"),
        params:
            scale=TOPOREP.config.scale,
            paper=TOPOREP.claims_settings(paper),
            metrics=ask(lambda wildcards, paper=paper: TOPOREP.claims_arguments(paper)),
            code=code_hash("claims"),
        shell:
            "python -m toporep.cli.claims --claims {input.claims:q} --paper {params.paper:q} --scale {params.scale}"
            " --metrics {params.metrics:q} --csv {output.csv:q} --markdown {output.markdown:q}"
            " --points {output.points:q} 2>&1 | tee {log:q}"
