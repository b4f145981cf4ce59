"""The weights that a training of chains begins with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segtween.compat.swnet_seq.training.recipe import PropagationRecipe
from segtween.errors import ModelError
from segtween.networks.chain import Chain
from segtween.networks.checkpoints import read_checkpoint
from segtween.networks.fitting import identify, load_into


def begin_with(
    chain: Chain,
    recipe: PropagationRecipe,
    files: Sequence[str | Path],
    *,
    before: Path | None = None,
    data_root: Path | None,
) -> dict[str, str]:
    """Fill flow and refinement from weight files; returns the name and sha256 of each file.

    `before` is the file of the training that came before this one. ModelError for another file that holds neither of
    the recipe's networks, or one with other classes or edge.
    """
    parts = {recipe.flow: chain.flow, "guided": chain.refine}
    own = {name: identify(net.state_dict()) for name, net in parts.items()}
    used = {}
    if before is not None and recipe.after is not None:
        checkpoint = read_checkpoint(before)
        chain.flow.load_state_dict(checkpoint.parts["state_dict_of"])
        if recipe.edge == recipe.after.edge:
            chain.refine.load_state_dict(checkpoint.parts["state_dict"])
        used[recipe.after.name] = checkpoint.sha256
    for file in (*recipe.initial, *files):
        path = Path(file)
        if not path.is_file() and not path.is_absolute() and data_root is not None:
            path = data_root / path
        checkpoint = read_checkpoint(path)
        fits = {part: identify(state) for part, state in checkpoint.parts.items()}
        known = {part: fit.kind.network for part, fit in fits.items() if fit and fit.kind.network in parts}
        if not known:
            raise ModelError(
                f"{path} holds {', '.join(str(fit.kind) if fit else 'no known network' for fit in fits.values())}",
                expected=f"weights of {recipe.flow} or of guided",
                do="give another file, or another flow in the recipe",
            )
        for part, network in known.items():
            fit = own[network]
            assert fit is not None
            load_into(parts[network], checkpoint.parts[part], kind=fit.kind, source=f"{path} ({part})")
        used[path.name] = checkpoint.sha256
    return used
