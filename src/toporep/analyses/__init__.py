"""Analyses: apply kernels to activation dumps, one dump in memory at a time.

Each module `toporep.analyses.<name>` except `dumps` is an analysis and has
`run(dump_paths, settings, provenance) -> (metric, summary)`: two datasets of the schemas `<name>` (a value a run) and
`<name>_summary` (mean, SEM and n over seeds).
"""
