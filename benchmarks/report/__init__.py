"""From stored figures to one page: HTML, Markdown for a job summary, PNGs for the README.

``sections`` says what each section shows and where its figures come from, ``charts`` draws,
``page`` writes; ``readme`` puts figures into the README. Nothing is measured here.
"""
