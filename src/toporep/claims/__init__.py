"""The ledger of claims: what a paper says, tested against the values of every run.

`config/claims/<paper>.yaml` holds the claims; docs/claims.md tells how to read the result and how to add one.
`entries` reads and checks the file without NumPy, because Snakemake does so each time that it reads the rules.
"""
