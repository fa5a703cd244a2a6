"""The report: figures, tables, claims and deviations in one HTML file, with what made them and what they took."""
