"""Lists of docs/index.md that are counted."""

from clustercast import catalog


def catalogue() -> str:
    """How much the catalogue holds."""
    counts = (
        (catalog.chip_names(), "chips", "chips list"),
        (catalog.fabric_names(), "fabrics", "fabrics list"),
        (catalog.model_names(), "models", "models list"),
    )
    return ", ".join(f"{len(names)} {what} (`clustercast {verb}`)" for names, what, verb in counts) + "."
