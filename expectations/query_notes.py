"""What is said beside a query that is shown: who may run it, and how long it gives the figures beside it."""

import re

# By the first of these that a query reads.
ROLES = (
    (r'\b(raw|staging|intermediate|candidate)"?\.', "sevenfold_transformer, the pipeline's own"),
    (r'\bmdm"?\."?mdm_', "sevenfold_transformer, the pipeline's own"),
    (r'\brestricted"?\.', "sevenfold_pii_reader"),
    (r"", "sevenfold_auditor"),
)
PUBLISHED = "It reads what is published: it gives these figures as long as no later run has published."
MADE_ANEW = "It reads what each run makes anew: it gives these figures as long as no later run has begun."
SAMPLED = "It reads the tables as they are when it is run: a later run, or a correction, changes what it finds."
# By the first of these that a query holds; of what is kept by run nothing is to be said.
REACHES = (
    (r"\bmdm\.mdm_|\bstaging\.", MADE_ANEW),
    (r"%\(run_id\)s", ""),
    (
        r"%\(as_of_date\)s",
        "It reads what is published up to this date: it gives these figures until a run restates it.",
    ),
    (r"\b(marts|restricted)\.", PUBLISHED),
    (r"\b(intermediate|mdm|quality)\.", MADE_ANEW),
    (r"", "It reads what is in force when it is run."),
)


def role_of(query: str) -> str:
    """The group whose members may run a query."""
    return next(role for place, role in ROLES if re.search(place, query))


def figure_note(name: str, query: str, why_unread: str | None, is_kept: bool) -> str:
    """What is said beside the query of a figure.

    Args:
        name: Of the figure.
        query: As it is run, with the run as a parameter.
        why_unread: Why it could not be run when the report was written; None when it could.
        is_kept: Whether its rows are beside the page as CSV.
    """
    if why_unread is not None:
        return f"It could not be run when this page was written: {why_unread}."
    reach = next(words for part, words in REACHES if re.search(part, query))
    kept = f"Those of this page stay in csv/{name}.csv." if reach and is_kept else ""
    return " ".join(filter(None, [f"For a member of {role_of(query)}.", reach, kept]))


def sample_note(query: str) -> str:
    """What is said beside the query that finds the rows of a failure."""
    return f"For a member of {role_of(query)}. {SAMPLED}"
