"""All that the panel shows and lets people choose, as one object that can be watched."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Optional

from psygnal import SignalGroupDescriptor

from napari_runet.plugin.plane_queue import PlaneScope
from napari_runet.plugin.regions import RegionKind
from napari_runet.settings import FineTuningSettings, SegmentationSettings

if TYPE_CHECKING:
    from napari.layers import Image, Shapes

    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.versions import CandidateModel
    from napari_runet.reviewing.places import Place

Stage = Literal["idle", "running", "cancelling"]
NoticeKind = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Activity:
    """What is being done: `fraction` in [0, 1] and `seconds_left`, each None while it cannot be told."""

    stage: Stage = "idle"
    text: str = ""
    fraction: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for people."""

    text: str = ""
    kind: NoticeKind = "info"


TuningStage = Literal["idle", "running", "stopping", "deciding"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Where fine-tuning stands; `before` and `after` are scores on what was held out, None where unknown."""

    stage: TuningStage = "idle"
    text: str = ""
    seconds_left: float | None = None
    before: float | None = None
    after: float | None = None


@dataclass(eq=False)
class Session:
    """The state of one panel; ``session.events.<field>`` tells of each change.

    A program that pressed Segment waits for ``activity.stage`` to become "idle" again; ``notice.kind`` is then
    "error" when it failed.

    Parameters
    ----------
    image, pinned
        The image to be segmented, and whether it stays when another layer becomes active.
    source, description, obstacle
        The plane on show as it is read (None where it cannot be), the same in words, and why it cannot be segmented
        as things stand, empty when it can.
    scope, plane_ranges
        Which planes of a stack the button means; for a range of them, by axis letter, the first and the last.
    live
        Whether the plane on show is segmented as soon as it is reached.
    models, model_problems, model
        The models there are, a sentence for each that is damaged, and the one chosen.
    settings, region, shapes
        The options.
    activity, notice, device
        What is being done, what was last to say, and where the network runs and why.
    results, shown
        The masks on show, and which of their iterations (0 for none).
    revision
        Grows whenever something inside `results` has changed.
    changes_shown, playing
        Whether the pixels that flipped are drawn, and whether the iterations are played.
    correction, corrected
        What is corrected on the plane on show (None for nothing), and a number that grows whenever it changes.
    bridging
        Whether a click on the correction layer bridges a gap.
    correction_notice, journal_problem
        What there is to say about correcting; why corrections are not being saved, empty when they are.
    recovered
        What was kept of this image from an earlier time and is not open, as a sentence; empty for nothing.
    place, places_left, uncertainty_shown, next_notice
        The doubtful place that the view was flown to (None for none), how many are left on the plane (None while it
        has not been scored), whether the score is drawn, and what there is to say about it.
    refine_always, refined_pixels, refine_notice
        Whether each stroke is followed by further iterations, how many pixels they would change (and nobody took yet),
        and what there is to say about it.
    tuning_settings, start_from, learn_from_earlier
        The options of fine-tuning, the model it starts from (None for the one that segments), and whether it also
        learns from images that were corrected earlier and are not open.
    tuning, tuning_notice, candidate
        Where fine-tuning stands, what there is to say about it, and the model that waits for a decision.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    image: Optional["Image"] = None
    pinned: bool = False
    source: Optional["Source"] = None
    description: str = ""
    obstacle: str = ""
    scope: PlaneScope = "shown"
    plane_ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    live: bool = False
    models: tuple["StoredModel", ...] = ()
    model_problems: tuple[str, ...] = ()
    model: Optional["StoredModel"] = None
    settings: SegmentationSettings = field(default_factory=SegmentationSettings)
    region: RegionKind = "whole"
    shapes: Optional["Shapes"] = None
    activity: Activity = field(default_factory=Activity)
    notice: Notice = field(default_factory=Notice)
    device: str = ""
    results: Optional["ResultLayers"] = None
    shown: int = 0
    revision: int = 0
    changes_shown: bool = False
    playing: bool = False
    correction: Optional["PlaneCorrection"] = None
    corrected: int = 0
    bridging: bool = False
    correction_notice: Notice = field(default_factory=Notice)
    journal_problem: str = ""
    recovered: str = ""
    place: Optional["Place"] = None
    places_left: int | None = None
    uncertainty_shown: bool = False
    next_notice: Notice = field(default_factory=Notice)
    refine_always: bool = False
    refined_pixels: int = 0
    refine_notice: Notice = field(default_factory=Notice)
    tuning_settings: FineTuningSettings = field(default_factory=FineTuningSettings)
    start_from: Optional["StoredModel"] = None
    learn_from_earlier: bool = True
    tuning: Tuning = field(default_factory=Tuning)
    tuning_notice: Notice = field(default_factory=Notice)
    candidate: Optional["CandidateModel"] = None
