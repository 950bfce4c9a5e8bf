import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.reading import read_layer
from napari_runet.plugin.regions import region_of


def test_the_whole_image_is_no_region() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    assert region_of("whole", viewer, image, read_layer(image, viewer.dims.point), None) is None


def test_shapes_enclose_what_lies_in_them_also_through_transforms() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)), scale=(2, 2), translate=(10, 20))
    box = np.array([[4, 6], [4, 15], [13, 15], [13, 6]])
    shapes = Shapes([box * 2.0 + (10, 20)], shape_type="rectangle")
    viewer.add_layer(shapes)
    region = region_of("shapes", viewer, image, read_layer(image, viewer.dims.point), shapes)
    assert region is not None
    whole = np.zeros((40, 60), bool)
    whole[region.slices] = region.mask
    assert whole[5:13, 7:15].all()
    whole[4:14, 6:16] = False
    assert not whole.any()


def test_an_ellipse_is_smaller_than_its_box_and_lines_enclose_nothing() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((100, 100)))
    corners = np.array([[10, 10], [10, 90], [90, 90], [90, 10]])
    ellipse = viewer.add_shapes([corners], shape_type="ellipse")
    region = region_of("shapes", viewer, image, read_layer(image, (0, 0)), ellipse)
    assert region is not None and region.mask is not None
    assert region.mask.sum() == pytest.approx(np.pi * 40**2, rel=0.03)
    line = viewer.add_shapes([np.array([[0, 0], [50, 50]])], shape_type="line")
    with pytest.raises(ImageError, match="encloses nothing"):
        region_of("shapes", viewer, image, read_layer(image, (0, 0)), line)


def test_shapes_on_another_plane_are_left_out() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 40, 60)))
    viewer.dims.set_current_step(0, 3)
    square = [[10, 10], [10, 20], [20, 20], [20, 10]]
    shapes = viewer.add_shapes([[[1, *point] for point in square]], shape_type="polygon")
    with pytest.raises(ImageError, match="encloses nothing"):
        region_of("shapes", viewer, image, read_layer(image, viewer.dims.point), shapes)
    viewer.dims.set_current_step(0, 1)
    assert region_of("shapes", viewer, image, read_layer(image, viewer.dims.point), shapes) is not None


def test_shapes_outside_the_image_and_none_at_all_are_sentences() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 60)))
    source = read_layer(image, (0, 0))
    far = viewer.add_shapes([np.array([[100, 100], [100, 120], [120, 120]])], shape_type="polygon")
    for shapes in (far, None):
        with pytest.raises(ImageError):
            region_of("shapes", viewer, image, source, shapes)


def look_at(viewer: ViewerModel, center: tuple[float, float], height: float) -> None:
    """Have so many world units be in view from top to bottom."""
    viewer.scene.camera.center = center
    viewer.scene.camera.zoom = viewer.canvas.viewbox_size(viewer.layers)[0] / height


@pytest.mark.parametrize("levels", [1, 3])
def test_in_view_is_what_is_in_view_of_an_image_with_levels_too(levels: int) -> None:
    viewer = ViewerModel()
    arrays = [np.zeros((2048 // 2**level, 2048 // 2**level), np.uint8) for level in range(levels)]
    image = viewer.add_image(arrays if levels > 1 else arrays[0], scale=(2, 2))
    look_at(viewer, (2000, 2000), 200)
    region = region_of("view", viewer, image, read_layer(image, viewer.dims.point), None)
    assert region is not None and region.mask is None
    assert (region.y, region.height) == (950, 101)


def test_in_view_of_a_rotated_image_are_not_the_corners_of_a_box() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((1000, 1000), np.uint8), rotate=45)
    middle = tuple(image.data_to_world((500, 500)))
    look_at(viewer, middle, 100)
    region = region_of("view", viewer, image, read_layer(image, viewer.dims.point), None)
    assert region is not None and region.mask is not None
    height, width = np.asarray(viewer.canvas.viewbox_size(viewer.layers)) / viewer.scene.camera.zoom
    assert region.mask.sum() == pytest.approx(height * width, rel=0.05)
    assert not region.mask[0, 0] and region.mask[region.height // 2, region.width // 2]


def test_where_nothing_of_the_image_is_in_view_a_sentence_says_so() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((100, 100), np.uint8), rotate=45)
    look_at(viewer, (5000, 5000), 100)
    with pytest.raises(ImageError, match="Nothing of the image is in view"):
        region_of("view", viewer, image, read_layer(image, viewer.dims.point), None)
