"""★ Channels: one module, one way to tell somebody.

A module has a frozen `Settings` dataclass (its own section of the settings is `notify_<module>`), with a property
`lacks` that names what is still to be configured ('' when it can be used), a `PACE` its provider allows, and
`send(settings, message)`, which gives a Receipt or raises DeliveryError. Where Alertmanager has the same channel, the
fields bear its names and `ALERTMANAGER` says under which keys of a receiver and from which globals it comes. A module
whose provider tells who acknowledged has `acknowledged(settings, reference, message)`, too.
"""
