"""What the keys on our layers do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_runet.plugin.keys import Actions
    from napari_runet.plugin.panel import Panel


def iteration_actions(panel: "Panel") -> "Actions":
    """What keys do on a layer that shows an iteration."""
    stepping, session = panel.stepping, panel.session
    return {
        "previous": lambda: stepping.step(-1),
        "next": lambda: stepping.step(1),
        "first": lambda: stepping.show(1),
        "last": lambda: stepping.show(stepping.count),
        "play": panel.iterations_section.toggle_play,
        "changes": lambda: stepping.show_changes(not session.changes_shown),
        "paint": panel.correcting.correct_with,
        "erase": lambda: panel.correcting.correct_with(0),
        **_anywhere(panel),
    }


def correction_actions(panel: "Panel") -> "Actions":
    """What keys do on a correction layer."""
    correcting = panel.correcting
    return {
        "paint": correcting.brush,
        "erase": lambda: correcting.brush(0),
        "review": lambda: correcting.reviewing.review("view"),
        "bridge": panel.bridging.at_mouse,
        "carry": panel.carrying.to_next,
        "refine": panel.refining.refine,
        "other_guess": panel.refining.offers.other,
        "take_refined": panel.refining.offers.take,
        **_anywhere(panel),
    }


def _anywhere(panel: "Panel") -> "Actions":
    return {"next_place": panel.places.next, "leave_place": panel.places.out}
