"""What is said about a run."""

from typing import TYPE_CHECKING

from napari_runet.images.axes import name_plane
from napari_runet.wording import counted

if TYPE_CHECKING:
    from napari_runet.engine.messages import Finished, Progress
    from napari_runet.plugin.result_layers import ResultLayers


def next_text(event: "Progress") -> str:
    """The iteration and tile that are being computed, given what was done last."""
    turn = event.done >= event.total and event.iteration < event.iterations
    iteration, tile = (event.iteration + 1, 1) if turn else (event.iteration, min(event.done + 1, event.total))
    tiles = f", tile {tile} of {event.total}" if event.total > 1 else ""
    return f"iteration {iteration} of {event.iterations}{tiles}"


def done_text(name: str, event: "Finished") -> str:
    """What was computed, where and how quickly, and whether the image was rescaled for it."""
    done = f"{name}: {counted(event.iterations, 'iteration')} in {event.seconds:.1f} s on {event.device.upper()}."
    return " ".join(filter(None, (done, event.notice, event.rescaled)))


def stopped_text(iterations: int) -> str:
    """How far a run went that was stopped."""
    if iterations == 0:
        return "Stopped; nothing was changed."
    return f"Stopped after iteration {iterations}; later iterations were not computed."


def plane_text(results: "ResultLayers | None") -> str:
    """What is known of the plane of a stack that is on show; empty for an ordinary image."""
    if results is None or not results.is_stack:
        return ""
    result = results.result
    plane = name_plane(result.source.input.axes, result.source.index).capitalize()
    count = len(result)
    if count == 0:
        return f"{plane} has not been segmented."
    before = ", going on from the frame before" if result.goes_on else ""
    earlier = ", of an earlier run" if result.press != results.latest.press else ""
    return f"{plane}: {counted(count, 'iteration')}{before}{earlier}."
