"""Painting by mouse, and a panel whose predictions come from a test."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_runet.plugin.panel import Panel
from napari_runet.plugin.reading import read_layer
from napari_runet.plugin.results import IterationResult, Result

NONE, LEFT = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
PATIENCE = 15_000


def to_canvas(viewer, layer, y, x):
    """Where a pixel of a layer is on the canvas."""
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    point = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5, 0, 1])
    point = point / point[3]
    return QPoint(round(point[0]), round(point[1]))


def paint(viewer, qtbot, layer: Labels, *points):
    """A stroke by mouse through pixels (y, x) of the selected layer."""
    native = viewer.window._qt_viewer.canvas.native
    places = [to_canvas(viewer, layer, y, x) for y, x in points]
    QTest.mouseMove(native, places[0])
    qtbot.wait(30)
    QTest.mousePress(native, LEFT, NONE, places[0])
    for before, after in pairwise(places):
        for part in range(1, 6):
            QTest.mouseMove(native, before + (after - before) * part / 5)
            qtbot.wait(20)
    QTest.mouseRelease(native, LEFT, NONE, places[-1])
    qtbot.wait(60)


def press(button):
    """A click on a button as people do it."""
    assert button.isVisible() and button.isEnabled(), button.text()
    QTest.mouseClick(button, LEFT)


def dock(viewer, show=False) -> Panel:
    """A panel in the viewer's dock."""
    panel = Panel(viewer)
    viewer.window.add_dock_widget(panel, name="Recurrent U-Net", area="right")
    if not show:
        panel.hide()
    return panel


def predict(panel: Panel, image, mask, card, run="run 1"):
    """Put a prediction on show, as if a model had made it: of one iteration (Y, X), or of several, (T, Y, X)."""
    from napari_runet.plugin.layers import results_of
    from napari_runet.plugin.result_layers import ResultLayers

    source = read_layer(image, panel._viewer.dims.point)
    result = Result(image.name, card, run, source, None, 0.5, state="complete")
    masks = np.asarray(mask)
    for plane in masks if masks.ndim == 3 else [masks]:
        result.iterations.append(IterationResult((plane * 255).astype(np.uint8)[np.newaxis], 0.9))
    results = results_of(panel._viewer, image)
    if results is None:
        results = ResultLayers(panel._viewer, image, result)
    else:
        results.begin(result)
    last = len(result)
    results.update(last)
    panel.session.results = results
    panel.stepping.show(last, select=False)
    panel.session.revision += 1
    return SimpleNamespace(results=results, layer=results.iterations[last])


def choose_classes(panel: Panel, card):
    """Have the chosen model tell the same apart as the one whose predictions a test shows."""
    model = panel.session.model
    panel.session.model = replace(model, card=model.card.model_copy(update={"classes": card.classes}))
