"""Random programs, edited in one place: whatever a cached run skips is what a plain run would compute.

The truth is what plain Python computes; nothing here knows how a key is made.

    templates, kinds/   the kinds of code, as text
    grow, imports       random programs of them
    program             a program's text, with slots where an edit chooses another text
    neutral             edits that must not matter
    zygote, processes   programs run in forks of processes that have imported lightwork
    compare, shrink     cached runs against plain ones
"""
