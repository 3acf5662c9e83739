"""Rules as Prometheus has them: files in; alerts, recorded series and an account of every evaluation out.

`rule_text` reads and writes rule files, `template` fills labels and annotations, `alerting` and `evaluation` say what
becomes of a group at one time, `engine` runs all groups by the clock. `unit_test` and `backtest` run the same
evaluation over other series. Called by `app`, the API, the pages and the command line.
"""
