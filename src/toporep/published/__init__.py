"""Published results: the metric files of full-scale runs, where they come from, and what is drawn again from them.

Laid out as any folder of results, `metrics/<paper>/<dataset>/…` and `claims/<paper>…`, with `<paper>/manifest.json` and
`<paper>/runs.csv` beside these. Nothing here trains, and nothing imports torch.
"""
