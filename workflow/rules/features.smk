# Folders of images, or rendered stimuli → features of a network that is not trained further. Where training makes them anew
# in each epoch, its images are listed alone.


for kind, rule_name in (("cached", "features"), ("live", "image_list")):
    sources = TOPOREP.feature_sources(kind)
    if not sources:
        continue

    rule:
        name:
            rule_name
        output:
            **{ext: TOPOREP.paths.features("{source}", ext) for ext in (("nc", "npy") if kind == "cached" else ("nc",))},
        log:
            TOPOREP.paths.log("features", "{source}"),
        benchmark:
            f"{ROOT}/benchmarks/features/{{source}}.tsv"
        wildcard_constraints:
            source="|".join(sources),
        conda:
            "../envs/train.yaml"
        threads: TOPOREP.resource("features", "threads")
        resources:
            **(TOPOREP.gpu("features") if kind == "cached" else {}),
            mem_mb=TOPOREP.resource("features", "mem_mb"),
            runtime=TOPOREP.resource("features", "runtime"),
        params:
            source=ask(lambda wildcards: TOPOREP.image_set_settings(wildcards.source)),
            features=ask(lambda wildcards: TOPOREP.features_spec(wildcards.source)),
            # An option with a value, or nothing.
            array=lambda wildcards, output: ["--array", output.npy] if "npy" in output.keys() else [],
            code=code_hash("features"),
        shell:
            "python -m toporep.cli.features --source {wildcards.source} --features {params.features:q}"
            " --output {output.nc:q} {params.array:q} --threads {threads} 2>&1 | tee {log:q}"
