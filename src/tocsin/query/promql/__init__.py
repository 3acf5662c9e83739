"""PromQL: text in, series over time out."""
