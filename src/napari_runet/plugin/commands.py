"""Menu commands; each opens the panel where it is not open."""

from typing import TYPE_CHECKING, cast

from napari.utils.notifications import show_info

from napari_runet.plugin.layers import without_proxy

if TYPE_CHECKING:
    import napari

    from napari_runet.plugin.panel import Panel

PLUGIN, WIDGET = "napari-runet", "Recurrent U-Net"


def open_panel(viewer: "napari.Viewer") -> "Panel":
    """The viewer's panel, opened or brought to the front."""
    dock, panel = without_proxy(viewer).window.add_plugin_dock_widget(PLUGIN, WIDGET)
    dock.show()
    dock.raise_()
    return cast("Panel", panel)


def segment_this_image(viewer: "napari.Viewer") -> None:
    """Segment the image of the selected layer."""
    panel = open_panel(viewer)
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


def _say_why(panel: "Panel", reason: str) -> None:
    """Nothing was begun: say so where a person looks who has pressed no button of the panel."""
    idle = panel.session.activity.stage == "idle"
    show_info(reason if idle else "Something is being segmented; wait for it, or cancel it.")
