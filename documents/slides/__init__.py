"""make docs: the presentation, from docs/presentation/presentation.yaml to an editable .pptx, and its PDF.

    python -m documents.slides

All is native: text in placeholders, tables, charts, shapes, and connectors that stay glued to them. A name in braces is
a figure or a value of the manifests, as documents/pages.py has them, so a presentation that does not
follow them is stale.
"""
