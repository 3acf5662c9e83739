"""Tells people and systems what the alerting pipeline decided.

Enters: a `Notification` for a receiver. Leaves: a message at each of the receiver's channels, and a receipt in the
delivery log. `deliver.py` queues, retries and falls back; `channels/` holds one file a channel; `receivers.py` makes
receivers out of Alertmanager's configuration and out of our own settings. Called by the pipeline, the pages, REST and
`tocsin notify`, through the composition root.
"""
