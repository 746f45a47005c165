"""The networks that are trained: generator, encoder and discriminator.

Files of this folder import one another, ``config`` and ``errors``; never its siblings ``data``,
``classifiers`` and ``metrics``.
"""
