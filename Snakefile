# TopoRep: every figure of four papers on topographic neural networks as a target.
#
#   snakemake -n                                                   what would run
#   snakemake --cores 2 --configfile config/demo.yaml              everything, small, without a network
#   snakemake --profile slurm results/figures/fig6_colocalization.pdf
#
# One file a stage, in the order in which data flow.


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluations.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"


rule all:
    input:
        [TOPOREP.figure_files(paper) for paper in TOPOREP.sections],
        [TOPOREP.table_files(paper) for paper in TOPOREP.sections],
        [TOPOREP.claims_files(paper) for paper in TOPOREP.config.papers],


check_targets()
check_claims()
claim_folder()
