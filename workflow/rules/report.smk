# Everything → one page. The command takes what is there; the rule makes first what is missing.

from toporep.config import canonical_json


# What Snakemake's own report (--report) opens with.
report: "../report/workflow.rst"


rule report:
    input:
        figures=[TOPOREP.paths.figure(paper, figure, "png") for paper, figure in TOPOREP.figures(comparison=True)],
        tables=[TOPOREP.paths.table(paper, table, "md") for paper, table in TOPOREP.tables(comparison=True)],
        claims=[TOPOREP.paths.claims(paper, ".csv") for paper in TOPOREP.claimed_papers()],
        texts=[
            os.path.relpath(path)
            for path in (
                TOPOREP.folder / "config" / "catalog.yaml",
                TOPOREP.folder / "docs" / "deviations.md",
                *sorted((TOPOREP.folder / "workflow" / "report").glob("*.rst")),
                *sorted((TOPOREP.folder / "src" / "toporep" / "report").glob("page.[chj]*")),
            )
        ],
    output:
        f"{ROOT}/report.html",
    log:
        TOPOREP.paths.log("report", "report"),
    benchmark:
        f"{ROOT}/benchmarks/report.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: TOPOREP.resource("figure", "threads")
    resources:
        mem_mb=TOPOREP.resource("figure", "mem_mb"),
        runtime=TOPOREP.resource("figure", "runtime"),
    params:
        # Where raw files are changes nothing of it.
        config=canonical_json({**TOPOREP.config.main, "data_dir": None}),
        code=code_hash("report"),
    shell:
        "python -m toporep.cli.report --config {params.config:q} --output {output:q} 2>&1 | tee {log:q}"
