"""The panel: composes the sections, and connects them with the viewer and the engine."""

import atexit
from contextlib import ExitStack
from typing import TYPE_CHECKING
from weakref import WeakMethod, ref

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_runet.plugin.asking import AskBeforeClosing
from napari_runet.plugin.batch_section import BatchSection
from napari_runet.plugin.bridging import Bridging
from napari_runet.plugin.carrying import Carrying
from napari_runet.plugin.choices import Choices
from napari_runet.plugin.correct_section import CorrectSection
from napari_runet.plugin.correcting import Correcting
from napari_runet.plugin.deciding import Deciding
from napari_runet.plugin.engine_bridge import EngineBridge
from napari_runet.plugin.exchanging import Exchanging
from napari_runet.plugin.fine_tune_section import FineTuneSection
from napari_runet.plugin.fine_tuning import FineTuning
from napari_runet.plugin.image_section import ImageSection
from napari_runet.plugin.iterations_section import IterationsSection
from napari_runet.plugin.key_actions import correction_actions, iteration_actions
from napari_runet.plugin.large_section import LargeSection
from napari_runet.plugin.layer_keys import LayerKeys
from napari_runet.plugin.layers import without_proxy
from napari_runet.plugin.live import Live
from napari_runet.plugin.making import Making
from napari_runet.plugin.mask_actions import MaskActions
from napari_runet.plugin.model_section import ModelSection
from napari_runet.plugin.next_places import NextPlaces
from napari_runet.plugin.next_section import NextSection
from napari_runet.plugin.options_section import OptionsSection
from napari_runet.plugin.planning import Planning
from napari_runet.plugin.refine_section import RefineSection
from napari_runet.plugin.refining import Refining
from napari_runet.plugin.running_work import RunningWork
from napari_runet.plugin.segment_section import SegmentSection
from napari_runet.plugin.segmentation import Segmentation
from napari_runet.plugin.session import Notice, Session
from napari_runet.plugin.stack_section import StackSection
from napari_runet.plugin.stepping import Stepping
from napari_runet.plugin.widgets import Column, Fold, column, lay_out_now

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.utils.events import Event, EventEmitter
    from qtpy.QtGui import QShowEvent

    from napari_runet.plugin.reading import Source

_SOON_MS = 200


class Panel(QWidget):
    """Segments the images of a viewer.

    A program presses Segment by `segment_now`, and knows by ``panel.session``: the run is over when
    ``session.activity.stage`` is "idle" (watch ``session.events.activity``), and has failed when
    ``session.notice.kind`` is "error"; the sentence is ``session.notice.text``.

    Parameters
    ----------
    viewer
        The viewer that it is docked in.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._viewer = viewer = without_proxy(viewer)
        self.session = Session()
        self.choices = Choices(viewer, self.session)
        self.stepping = Stepping(viewer, self.session)
        self.engine = EngineBridge(self)
        self.planning = Planning(viewer, self.session, self.choices)
        self.segmentation = Segmentation(viewer, self.session, self.choices, self.stepping, self.engine)
        self.live = Live(self.session, self.planning, self.segmentation, self)
        self.running_work = RunningWork(self.session)
        self.masks = MaskActions(viewer, self.session, self.stepping, self)
        self.correcting = Correcting(viewer, self.session, self.choices)
        self.bridging = Bridging(viewer, self.session)
        self.carrying = Carrying(viewer, self.session, self.choices, self.correcting)
        self.refining = Refining(viewer, self.session, self.engine, self.segmentation, self.stepping, self)
        self.places = NextPlaces(viewer, self.session, self.correcting, self)
        self.tuning_engine = EngineBridge(self)
        self.deciding = Deciding(viewer, self.session, self.choices, self.correcting, self.tuning_engine)
        self.fine_tuning = FineTuning(self.session, self.correcting, self.tuning_engine, self.deciding)
        self.making = Making(self.session, self.choices, self.engine)
        self.exchanging = Exchanging(viewer, self.session, self.correcting)
        self._asking: AskBeforeClosing | None = None
        self._make_sections()
        self._lay_out()
        self.keys = LayerKeys(
            self.session, self.stepping, iteration_actions(self), correction_actions(self), self.correcting.correct
        )
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.keys.follow_settings)
        self._follow_viewer()
        self._follow_session()
        self.choices.list_models()
        self.choices.follow()
        self._take_theme()
        ends, leave = self._ends(), WeakMethod(self._unfollow_viewer)
        there, weakly = ref(self), [WeakMethod(end) for end in ends]

        def end_with_python() -> None:
            # now, for while Qt is taken down timers may be gone before the panel is
            if there() is not None:
                _end(*(end() for end in weakly))
                ends.clear()

        def end_with_panel() -> None:
            atexit.unregister(end_with_python)
            _end(leave(), *ends)

        self._end_with_python = atexit.register(end_with_python)
        self.destroyed.connect(end_with_panel)

    # What people, and programs, do

    def segment_now(self) -> bool:
        """Segment the chosen image, as the large button does; False when that cannot be done now.

        ``session.obstacle`` then says why, unless a run is under way.
        """
        self.choices.look_again()
        if self.session.obstacle or self.session.image is None:
            return False
        begun = self.segmentation.segment(self.planning.queue([self.session.image]))
        self._lay_out_now()
        return begun

    def segment_all(self) -> bool:
        """Segment all open images one after the other; those that cannot be are named in ``session.notice``."""
        images, reasons = self.choices.ready_images()
        if not images:
            text = " ".join(reasons) or self.session.obstacle
            self.session.notice = Notice(text, "error")
            return False
        return self.segmentation.segment(self.planning.queue(images, reasons))

    # How it is put together

    def _make_sections(self) -> None:
        self.image_section = ImageSection(self._viewer, self.session, self.choices)
        self.model_section = ModelSection(self.session, self.choices, self.making)
        self.stack_section = StackSection(self.session)
        self.segment_section = SegmentSection(
            self.session, self.segment_now, self.segment_all, self.segmentation.cancel
        )
        self.options_section = OptionsSection(self._viewer, self.session, self.stepping.set_threshold)
        self.iterations_section = IterationsSection(
            self.session,
            self.stepping,
            edit_copy=self.masks.edit_a_copy,
            confidence=self.masks.show_confidence,
            save=self.masks.ask_where_to_save,
        )
        self.options_fold = Fold("Options", self.options_section)
        self.correct_section = CorrectSection(
            self._viewer, self.session, self.correcting, self.bridging, self.carrying, self.exchanging
        )
        self.refine_section = RefineSection(self.session, self.refining)
        self.next_section = NextSection(self.session, self.places)
        self.fine_tune_section = FineTuneSection(self.session, self.fine_tuning)
        self.large_section = LargeSection(self._viewer, self.session)
        self.batch_section = BatchSection(self._viewer, self.session, self.choices, self.correcting)

    def _lay_out(self) -> None:
        content = QWidget()
        inner = column(margins=8)
        sections = (
            self.image_section,
            self.model_section,
            self.stack_section,
            self.segment_section,
            self.options_fold,
            self.iterations_section,
            self.next_section,
            self.correct_section,
            self.refine_section,
            self.fine_tune_section,
            self.large_section,
            self.batch_section,
        )
        for position, section in enumerate(sections):
            if position:
                inner.addSpacing(4)
            inner.addWidget(section)
        inner.addStretch(1)
        content.setLayout(inner)
        self.scroll_area = Column(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll_area)

    def _follow_viewer(self) -> None:
        viewer, events, camera = self._viewer, self._viewer.layers.events, self._viewer.scene.camera.events
        self._followed: list[tuple[EventEmitter, Callable[..., None]]] = [
            (viewer.layers.selection.events.active, self._on_selected),
            (events.removed, self._on_removed),
            (events.inserted, self._on_layers),
            (events.removed, self._on_layers),
            (events.renamed, self._on_renamed),
            (viewer.dims.events.current_step, self._on_dims),
            (viewer.events.theme, self._take_theme),
            (camera.center, self._on_camera),
            (camera.zoom, self._on_camera),
        ]
        for event, callback in self._followed:
            event.connect(callback)
        viewer.mouse_drag_callbacks.append(self.correcting.in_hand.on_press)

    def _unfollow_viewer(self) -> None:
        if not self._followed:
            return
        for event, callback in self._followed:
            event.disconnect(callback)
        self._followed.clear()
        self._viewer.mouse_drag_callbacks.remove(self.correcting.in_hand.on_press)

    def _follow_session(self) -> None:
        events = self.session.events
        events.results.connect(self.stepping.look)
        events.source.connect(self.stepping.look_at_plane)
        events.model.connect(self._warm_up)
        events.source.connect(self._on_source)
        events.image.connect(self._say_nothing)
        events.model.connect(self._on_model)
        events.image.connect(self.correcting.look)
        for engine in (self.engine, self.tuning_engine):  # after all others who are told
            engine.told.connect(self._lay_out_now)

    def _lay_out_now(self, *_: object) -> None:
        window = self.window()
        if window is not None and self.isVisible():
            lay_out_now(window)

    def _on_selected(self) -> None:
        self.choices.follow()

    def _on_model(self) -> None:
        """Which model segments from now on is said of the one that was chosen; another one is by now."""
        self._say_nothing()
        if self.session.tuning.stage == "idle":
            self.session.tuning_notice = Notice()

    def _say_nothing(self) -> None:
        """What was said of correcting another image or plane, or with another model, is not said of this one."""
        self.session.correction_notice = self.session.refine_notice = Notice()

    def _on_source(self, source: "Source | None", before: "Source | None") -> None:
        if source is not None and before is not None and source.index != before.index:
            self._say_nothing()

    def _on_dims(self) -> None:
        self.choices.look_again()
        self.correcting.look()

    def _on_camera(self) -> None:
        self.correcting.look_soon()

    def _on_removed(self, event: "Event") -> None:
        self.segmentation.forget(event.value)

    def _on_layers(self) -> None:
        self.choices.follow()
        self.image_section.refresh()
        self.options_section.list_shapes()
        self.correcting.look()

    def _on_renamed(self) -> None:
        self.image_section.refresh()
        self.options_section.list_shapes()

    def _warm_up(self) -> None:
        if self.isVisible():
            self.segmentation.warm_up()

    def _take_theme(self) -> None:
        theme = get_theme(self._viewer.theme)
        self.iterations_section.set_colors(theme.background.as_hex(), theme.text.as_hex())
        self.fine_tune_section.set_colors(theme.background.as_hex(), theme.text.as_hex())

    # Coming and going

    def showEvent(self, event: "QShowEvent | None") -> None:  # noqa: N802
        """Start the worker when the panel is seen first."""
        super().showEvent(event)
        self.engine.start()
        self.segmentation.warm_up()
        self.iterations_section.prepare_plot()
        self._soon.start(_SOON_MS)
        window = self.window()
        if self._asking is None and window is not None and window is not self:
            self._asking = AskBeforeClosing(self.session, self.correcting, self)
            window.installEventFilter(self._asking)

    def _ends(self) -> "list[Callable[[], object]]":
        """What ends that which goes on beside the panel."""
        batches = self.batch_section.batching.close, self.large_section.batching.close
        return [self.places.close, self.correcting.close, self.engine.close, self.tuning_engine.close, *batches]

    def _put_down(self) -> None:
        """Nothing happens in the viewer by itself any more, nor by clicks and keys on the layers that stay."""
        session = self.session
        session.playing = session.live = session.refine_always = False
        self.bridging.stop()
        self.correcting.reviewing.end_lasso()
        self.keys.release()
        self.large_section.stop_looking()

    def event(self, event: QEvent | None) -> bool:
        """End the worker when napari takes the panel out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._unfollow_viewer()
            self._put_down()
            self.segmentation.abandon()
            self.fine_tuning.abandon()
            atexit.unregister(self._end_with_python)
            _end(*self._ends())
        return bool(super().event(event))


def _end(*ends: "Callable[[], object] | None") -> None:
    """Call what ends a panel, as far as it is still there: all of it, also where one raises."""
    with ExitStack() as stack:
        for end in reversed(ends):
            if end is not None:
                stack.callback(end)
