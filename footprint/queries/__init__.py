"""Queries: the questions people ask, each on top of `footprint.figures`.

Comparisons (`comparison`, `model_comparison`, `pareto`), checks (`energy_balance`, `aggregation_lag`, `ledger_verification`,
`agent_liveness`, `unlogged_traffic`, `split_diagnostics`), uncertainty (`uncertainty_budget`, `sensitivity`), targets and savings
(`objectives`, `indicators`, `avoidable_energy`, `batch_efficiency`), scenarios (`what_if`, `hourly_emissions`, `hourly_profile`,
`hosted_models`), provenance (`lineage`, `raw_readings`, `declared_facts`, `factor_diff`, `methods`), and exports
(`boamps_export`, `codecarbon_export`).
"""
