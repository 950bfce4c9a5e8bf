"""Which image is segmented, and how it is read."""

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QMenu, QWidget

from napari_runet.plugin.layers import images_in
from napari_runet.plugin.reading import levels_of, other_readings
from napari_runet.plugin.widgets import SPACING, allow, column, combo_box, fill, small_button, text_label, title_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.session import Session


class ImageSection(QWidget):
    """The image, a pin that holds it, and a line that says how it is read."""

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices") -> None:
        super().__init__()
        self._viewer, self._session, self._choices = viewer, session, choices
        self.images = combo_box("image", self.refresh)
        self.images.setToolTip("The image to be segmented: that of the selected layer, until you choose one here.")
        self.images.activated.connect(self._choose)
        self.pin = small_button("Pin", "Keep this image, whichever layer is selected.")
        self.pin.setCheckable(True)
        self.pin.clicked.connect(choices.pin)
        self.description = text_label("description")
        self.change = small_button("Change", "Read the dimensions of this image in another way.")
        self.change.clicked.connect(self._offer_readings)
        self._lay_out()
        session.events.image.connect(self.refresh)
        session.events.pinned.connect(self._show_pin)
        session.events.description.connect(self._describe)
        self.refresh()

    def _lay_out(self) -> None:
        first, second = QHBoxLayout(), QHBoxLayout()
        for row, wide, narrow in ((first, self.images, self.pin), (second, self.description, self.change)):
            row.setSpacing(SPACING)
            row.addWidget(wide, 1)
            row.addWidget(narrow)
        layout = column()
        layout.addWidget(title_label("Image"))
        layout.addLayout(first)
        layout.addLayout(second)
        self.setLayout(layout)

    def refresh(self) -> None:
        """List the open images again."""
        fill(self.images, [(image.name, image) for image in images_in(self._viewer)], self._session.image)
        self.images.setEnabled(self.images.count() > 0)
        allow(self.pin, self._session.image is not None, "No image is open.")
        self._describe()

    def _show_pin(self) -> None:
        self.pin.setChecked(self._session.pinned)

    def _describe(self) -> None:
        self.description.setText(self._session.description)
        readable = bool(self._session.description)
        self.description.setVisible(readable)
        self.change.setVisible(readable or self._session.image is not None)

    def _choose(self, position: int) -> None:
        self._choices.choose_image(self.images.itemData(position))

    def _offer_readings(self) -> None:
        menu = self.readings_menu()
        menu.exec(self.change.mapToGlobal(self.change.rect().bottomLeft()))

    def readings_menu(self) -> QMenu:
        """A menu of every way to read the image, and of its levels."""
        menu = QMenu(self)
        image = self._session.image
        if image is None:
            return menu
        chosen = self._choices.reading(image)
        level = chosen.level or 0
        try:
            source = self._choices.source(image)
            now, level = source.input.axes, source.level
        except ValueError:
            now = None
        for axes, text in other_readings(image, level):
            choose = partial(self._choices.read_as, image, axes, chosen.level)
            _add_choice(menu, text, axes == now, choose)
        arrays = levels_of(image)
        if len(arrays) > 1:
            menu.addSeparator()
            for number, array in enumerate(arrays):
                text = f"Level {number}:  {' x '.join(map(str, array.shape))}"
                choose = partial(self._choices.read_as, image, chosen.axes, number)
                _add_choice(menu, text, number == level, choose)
        return menu


def _add_choice(menu: QMenu, text: str, chosen: bool, choose: "Callable[[], None]") -> None:
    action = QAction(text, menu)
    action.setCheckable(True)
    action.setChecked(chosen)
    action.triggered.connect(lambda: choose())
    menu.addAction(action)
