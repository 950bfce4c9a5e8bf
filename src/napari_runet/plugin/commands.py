"""Menu commands; each opens the panel where it is not open."""

from typing import TYPE_CHECKING

from napari.utils.notifications import show_info

from napari_runet.plugin.layers import without_proxy
from napari_runet.plugin.panel import Panel

if TYPE_CHECKING:
    import napari

DOCK = "Recurrent U-Net (Recurrent U-Net)"
"""What napari's Plugins menu calls the panel's dock, by which it knows that the panel is open."""


def open_panel(viewer: "napari.Viewer") -> Panel:
    """The viewer's panel, opened or brought to the front."""
    viewer = without_proxy(viewer)
    window = viewer.window
    panel = next((widget for widget in window.dock_widgets.values() if isinstance(widget, Panel)), None)
    if panel is None:
        panel = Panel(viewer)
        window.add_dock_widget(panel, name=DOCK)
    dock = panel.parentWidget()
    assert dock is not None
    dock.show()
    dock.raise_()
    return panel


def segment_this_image(viewer: "napari.Viewer") -> None:
    """Segment the image of the selected layer, also where another one was kept in the panel."""
    panel = open_panel(viewer)
    panel.choices.pin(False)
    if not panel.segment_now():
        _say_why(panel, panel.session.obstacle)


def segment_all_images(viewer: "napari.Viewer") -> None:
    """Segment all open images, one after the other."""
    panel = open_panel(viewer)
    if not panel.segment_all():
        _say_why(panel, panel.session.notice.text)


def segment_a_folder(viewer: "napari.Viewer") -> None:
    """Open the window that segments folders."""
    open_panel(viewer).batch_section.open_window()


def _say_why(panel: Panel, reason: str) -> None:
    """Nothing was begun: say so where a person looks who has pressed no button of the panel."""
    idle = panel.session.activity.stage == "idle"
    show_info(reason if idle else "Something is being segmented; wait for it, or cancel it.")
