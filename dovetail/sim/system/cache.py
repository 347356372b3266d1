"""Which experts fast memory holds: the least recently used one goes."""

from __future__ import annotations

from collections import Counter, OrderedDict

from dovetail.errors import ProblemError


class ExpertCache:
    """Read-only weights: an expert that goes is not written back.

    Args:
        places: experts that fit.

    Raises:
        ProblemError: if none fits.
    """

    def __init__(self, places: int) -> None:
        if places < 1:
            raise ProblemError("fast memory holds no expert beside the router: enlarge hbm_gib")
        self.places = places
        self.hits = 0
        self.misses = 0
        self._held: OrderedDict[int, None] = OrderedDict()
        self._pins: Counter[int] = Counter()

    def take(self, expert: int) -> bool:
        """Makes an expert the latest used one and keeps it until it is released.

        Returns:
            Whether it was there; if not, its place is reserved and its weights must be copied.

        Raises:
            ProblemError: if all that memory holds is in use.
        """
        self._pins[expert] += 1
        if expert in self._held:
            self.hits += 1
            self._held.move_to_end(expert)
            return True
        self.misses += 1
        if len(self._held) >= self.places:
            self._evict()
        self._held[expert] = None
        return False

    def release(self, expert: int) -> None:
        """Gives an expert free that was taken once."""
        self._pins[expert] -= 1
        if not self._pins[expert]:
            del self._pins[expert]

    def held(self) -> tuple[int, ...]:
        """Experts in order of use, the latest last."""
        return tuple(self._held)

    def _evict(self) -> None:
        for expert in self._held:
            if expert not in self._pins:
                del self._held[expert]
                return
        raise ProblemError(
            f"all {self.places} experts that fast memory holds are in use: copy fewer ahead"
        )
