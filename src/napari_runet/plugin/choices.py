"""What is to be segmented and with which model: follows the viewer, and says what stands in the way."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from napari.layers import Image, Shapes
from napari.settings import get_plugin_settings

from napari_runet.images.image_input import ImageError
from napari_runet.models.store import ModelStore
from napari_runet.plugin.keys import PLUGIN
from napari_runet.plugin.layers import SUGGESTED_MODEL, images_in, owner_of, results_of
from napari_runet.plugin.plane_correction import correction_of
from napari_runet.plugin.reading import Reading, Source, read_layer, why_not
from napari_runet.plugin.regions import why_no_region
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_runet.images.axes import Axes
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.session import Session


class Choices:
    """Keeps a session's image, reading, model and obstacle up to date.

    Parameters
    ----------
    viewer, session
        What is followed, and what is kept up to date.
    store
        Where models are found.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", store: ModelStore | None = None) -> None:
        self._viewer = viewer
        self._session = session
        self._store = store or ModelStore()
        self._readings: WeakKeyDictionary[Image, Reading] = WeakKeyDictionary()
        self._refused: dict[str, str] = {}
        self._watched: WeakSet[Shapes] = WeakSet()
        self._suggested: WeakSet[Image] = WeakSet()
        session.events.region.connect(self.look_again)
        session.events.shapes.connect(self._watch_shapes)
        session.events.image.connect(self._on_image)

    # The image

    def follow(self) -> None:
        """Take the active layer's image, unless one is pinned; keep the last one where the active layer has none."""
        session = self._session
        images = images_in(self._viewer)
        if not any(session.image is image for image in images):
            session.image, session.pinned = None, False
        if not session.pinned:
            active = self._viewer.layers.selection.active
            owner = owner_of(self._viewer, active) or correction_of(active)
            wanted = owner.image if owner is not None else active
            if any(wanted is image for image in images):
                session.image = wanted
            elif session.image is None and images:
                session.image = images[-1]
        self.look_again()

    def choose_image(self, image: Image) -> None:
        """Take an image and keep it, whichever layer becomes active."""
        self._session.image, self._session.pinned = image, True
        self.look_again()

    def pin(self, pinned: bool) -> None:
        """Keep the present image, or follow the active layer again."""
        self._session.pinned = pinned
        self.follow()

    def source(self, image: Image) -> Source:
        """How an image is read at the plane shown; an `ImageError` when it cannot be."""
        return read_layer(image, self._viewer.dims.point, self._readings.get(image))

    def plane_on_show(self, image: Image) -> tuple[int, ...] | None:
        """Which plane of an image is on show; None for an image that cannot be read."""
        try:
            return self.source(image).index
        except ImageError:
            return None

    def reading(self, image: Image) -> Reading:
        """What a person chose for an image instead of the guess."""
        return self._readings.get(image, Reading())

    def read_as(self, image: Image, axes: "Axes | None" = None, level: int | None = None) -> None:
        """Read an image in another way; None leaves that part to the guess."""
        self._readings[image] = Reading(axes, level)
        self._session.plane_ranges = {}
        self.look_again()

    def _on_image(self) -> None:
        self._session.plane_ranges = {}
        self._take_suggestion()

    def _take_suggestion(self) -> None:
        """Choose the model that an image, such as a sample, names; once, for a person may know better."""
        image, session = self._session.image, self._session
        if image is None or image in self._suggested or not session.models:
            return
        self._suggested.add(image)
        wanted = image.metadata.get(SUGGESTED_MODEL)
        session.model = next((model for model in session.models if model.card.id == wanted), session.model)

    # The model

    def list_models(self) -> None:
        """Look for models, and keep the chosen one where it is still there."""
        session = self._session
        models, problems = self._store.look()
        session.models, session.model_problems = tuple(models), tuple(problems)
        before = session.model
        wanted = before.card.id if before is not None else str(get_plugin_settings(PLUGIN).models.chosen)
        fitting = [model for model in session.models if model.card.id == wanted]
        model = next(iter(fitting or session.models), None)
        if model != before:
            session.model = model
        if before is not None and not fitting:
            instead = f"{model.card.title} is chosen instead" if model is not None else "no model is left"
            session.notice = Notice(f"{before.card.title} is no longer among the models; {instead}.", "warning")
        self._take_suggestion()
        self.look_again()

    def choose_model(self, model: "StoredModel") -> None:
        """Segment with this model from now on, and begin with it when the panel is opened again."""
        self._refused.pop(str(model.folder), None)
        self._session.model = model
        get_plugin_settings(PLUGIN).models.chosen = model.card.id
        self.look_again()

    def refuse_model(self, folder: str, reason: str) -> None:
        """Remember that the engine could not load a model."""
        self._refused[folder] = reason
        self.look_again()

    # What stands in the way

    def look_again(self) -> None:
        """Bring description, obstacle and the masks on show up to date."""
        session = self._session
        if session.image is None:
            session.source, session.description = None, ""
            session.results = None
            session.obstacle = self._no_image()
            return
        try:
            source = self.source(session.image)
        except ImageError as error:
            session.source, session.description, session.obstacle = None, "", str(error)
        else:
            session.description = source.description
            session.obstacle = self._obstacle(session.image, source)
            session.source = source
        if session.results is None or session.results.image is not session.image or not session.results.all():
            session.results = results_of(self._viewer, session.image)

    def _obstacle(self, image: Image, source: Source) -> str:
        model = self._session.model
        if model is None:
            problems = " ".join(self._session.model_problems)
            return f"There is no model to segment with. {problems}".strip()
        refused = self._refused.get(str(model.folder))
        return refused or why_not(source, model.card) or self._no_region(image, source)

    def _no_region(self, image: Image, source: Source) -> str:
        if self._session.region != "shapes":
            return ""  # what is in view changes with every turn of the wheel: told when it is asked for
        return why_no_region("shapes", self._viewer, image, source, self._session.shapes)

    def _watch_shapes(self) -> None:
        shapes = self._session.shapes
        if shapes is not None and shapes not in self._watched:
            self._watched.add(shapes)
            shapes.events.data.connect(self.look_again)
        self.look_again()

    def _no_image(self) -> str:
        if not self._viewer.layers:
            return "No image is open; open one, or a sample from File > Open Sample > Recurrent U-Net."
        return "There is no Image layer; a model needs one, not labels or shapes."

    def ready_images(self) -> tuple[list[Image], list[str]]:
        """All open images that the chosen model can segment, and a sentence for each that it cannot."""
        ready, reasons = [], []
        for image in images_in(self._viewer):
            try:
                reason = self._obstacle(image, self.source(image))
            except ImageError as error:
                reason = str(error)
            if reason:
                reasons.append(reason)
            else:
                ready.append(image)
        return ready, reasons
