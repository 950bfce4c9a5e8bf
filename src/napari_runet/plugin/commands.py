"""Menu commands; each opens the panel where it is not open."""

from typing import TYPE_CHECKING, cast

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
    open_panel(viewer).segment_now()


def segment_all_images(viewer: "napari.Viewer") -> None:
    """Segment all open images, one after the other."""
    open_panel(viewer).segment_all()


def segment_a_folder(viewer: "napari.Viewer") -> None:
    """Open the window that segments folders."""
    open_panel(viewer).batch_section.open_window()
