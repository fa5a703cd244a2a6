# Metrics → tables.


# A rule a table, so that each has a caption of its own in Snakemake's report.
for paper, table in TOPOREP.tables(comparison=True):

    rule:
        name:
            f"table_{paper}_{table}"
        input:
            list(TOPOREP.figure_inputs(paper, table).values()),
        output:
            csv=report(
                TOPOREP.paths.table(paper, table, "csv"),
                category=paper,
                labels=report_labels(paper, table, "csv"),
                caption=f"../report/{table}.rst",
            ),
            md=report(
                TOPOREP.paths.table(paper, table, "md"),
                category=paper,
                labels=report_labels(paper, table, "md"),
                caption=f"../report/{table}.rst",
            ),
            tex=TOPOREP.paths.table(paper, table, "tex"),
        log:
            TOPOREP.paths.log("tables", f"{paper}/{table}"),
        benchmark:
            f"{ROOT}/benchmarks/tables/{paper}/{table}.tsv"
        conda:
            "../envs/analysis.yaml"
        threads: TOPOREP.resource("figure", "threads")
        resources:
            mem_mb=TOPOREP.resource("figure", "mem_mb"),
            runtime=TOPOREP.resource("figure", "runtime"),
        params:
            paper=paper,
            table=table,
            inputs=TOPOREP.figure_arguments(paper, table),
            settings=TOPOREP.table_settings(paper, table),
            code=code_hash("table", f"toporep.tables.{paper}.{table}"),
        shell:
            "python -m toporep.cli.table {params.paper} {params.table} --input {params.inputs:q}"
            " --settings {params.settings:q} --outputs {output:q} 2>&1 | tee {log:q}"


localrules:
    table_by_name,


rule table_by_name:
    input:
        ask(lambda wildcards: TOPOREP.table_by_name(wildcards.table, wildcards.table_ext)),
    output:
        f"{ROOT}/tables/{{table}}.{{table_ext}}",
    log:
        f"{ROOT}/logs/tables/{{table}}.{{table_ext}}.log",
    benchmark:
        f"{ROOT}/benchmarks/tables/{{table}}.{{table_ext}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("figure", "threads")
    resources:
        mem_mb=TOPOREP.resource("figure", "mem_mb"),
        runtime=TOPOREP.resource("figure", "runtime"),
    shell:
        # Copied under another name and then renamed, so that a copy is whole or not there.
        "(cp {input:q} {output:q}.part && mv {output:q}.part {output:q}) 2> {log:q}"
