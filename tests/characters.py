"""The characters that UTF-8 can write, named by category: by codec, as by default, Hypothesis first tries each of them.

That takes seconds in each process of a fresh checkout, most of all where coverage is measured.
"""

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])
