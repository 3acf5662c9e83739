"""The pages people look at.

A request enters a module of `pages/`, which asks `tocsin.query` with the reader's scope and hands plain values to a
template of the same name; HTML leaves. `site.add_pages` mounts everything on an application that carries its
collaborators in `app.state.tocsin`.
"""
