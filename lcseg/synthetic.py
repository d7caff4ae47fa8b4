"""Synthetic landscapes: made-up aerial scenes whose land cover is known everywhere.

    scene = make_landscape(Landscape(size_px=768, seed=7))
    label_hw = load_scheme("chesapeake-4").encode(scene.codes_hw)

Cover is decided first and painted second, so that a change can be planted in between:

    survey = survey_ground(config)
    truth_hw = decide_cover(survey, config)
    truth_hw[truth_hw == TREES] = BARREN
    image_hwc = render(truth_hw, survey, config)

Only additions, products, quotients and uniform draws make the pixels, since sines, Gaussians and
BLAS may round differently from machine to machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_LABEL, WATER, TREES, LOW_VEGETATION, BARREN, IMPERVIOUS, ROAD = range(7)

# Reflected light as (red, green, blue, near infrared), 0 .. 255. What confuses a classifier of
# single pixels is deliberate: lush crops are like crowns, dry ones like soil, roofs like both.
CLEAR_WATER, MUDDY_WATER = (40, 60, 66, 30), (104, 104, 82, 62)
LEAFY_TREES, BROWN_TREES = (74, 100, 58, 150), (122, 110, 82, 124)
SOIL, SAND = (138, 112, 88, 100), (196, 180, 150, 140)
ASPHALT, CONCRETE = (104, 104, 106, 88), (170, 165, 156, 138)
SHADE = (0.42, 0.48, 0.58, 0.36)
LAWN = 0
CROPS = np.array(
    [
        (98, 118, 72, 150),
        (76, 104, 58, 158),
        (84, 126, 60, 176),
        (112, 128, 78, 148),
        (156, 150, 100, 134),
        (176, 160, 116, 128),
        (134, 110, 86, 102),
        (150, 126, 98, 106),
    ],
    np.float32,
)
ROOFS = np.array(
    [
        (126, 124, 124, 104),
        (116, 90, 74, 88),
        (158, 96, 76, 112),
        (208, 206, 200, 170),
        (78, 78, 84, 66),
    ],
    np.float32,
)


@dataclass(frozen=True)
class Landscape:
    """What a synthetic scene is like."""

    size_px: int = 768  # Side of the square scene, in pixels of 1 m.
    seed: int = 0  # Scenes of different seeds differ in everything.
    unlabelled_share: float = 0.0  # Share of the scene whose label is missing, in blobs.
    nodata_share: float = 0.0  # Share of the scene that the image does not cover, as a wedge.
    noise: float = 4.0  # Largest error of the sensor, in grey levels; 0 means none.

    def __post_init__(self) -> None:
        if self.size_px < 32:
            raise ValueError(f"size_px is {self.size_px}, expected 32 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")
        for name in ("unlabelled_share", "nodata_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 .. 1, without 1")
        if self.noise < 0:
            raise ValueError(f"noise is {self.noise}, expected 0 or more")


@dataclass(frozen=True)
class Scene:
    """An image, its label, and the truth behind both."""

    image_hwc: np.ndarray  # uint8 [H, W, 4]: red, green, blue, near infrared; 0 is no data.
    codes_hw: np.ndarray  # uint8: Chesapeake codes, 0 where the label is missing.
    truth_hw: np.ndarray  # uint8: Chesapeake codes everywhere.
    valid_hw: np.ndarray  # bool: whether there is an image.


@dataclass(frozen=True)
class Survey:
    """How the ground is divided: blocks between roads, fields and house plots in the blocks."""

    road_px: np.ndarray  # float32: distance to the edge of the nearest road, below 0 on it.
    is_village: np.ndarray  # bool: whether the block is a village.
    field_hw: np.ndarray  # int: number of the field.
    rows_px: np.ndarray  # float32: place across the rows of the field.
    border: np.ndarray  # float32: distance to the border of the field, in widths of the field.
    plot_hw: np.ndarray  # int: number of the plot.
    house_u: np.ndarray  # float32: offset from the middle of the plot's house, in half houses.
    house_v: np.ndarray  # float32: the same, at right angles; positive towards the street.


def make_landscape(config: Landscape) -> Scene:
    """Make the scene of a configuration, the same bytes on every machine."""
    survey = survey_ground(config)
    truth_hw = decide_cover(survey, config)
    rng = np.random.default_rng([config.seed, 3])
    score_hw = make_noise(rng, config.size_px, 160, 1)
    codes_hw = np.where(top(score_hw, config.unlabelled_share), NO_LABEL, truth_hw)
    y, x = np.mgrid[: config.size_px, : config.size_px]
    valid_hw = ~top(draw(rng, -1, 1) * x + draw(rng, -1, 1) * y, config.nodata_share)
    image_hwc = render(truth_hw, survey, config) * valid_hw[..., None]
    return Scene(image_hwc, codes_hw.astype(np.uint8), truth_hw, valid_hw)


def survey_ground(config: Landscape) -> Survey:
    """Divide the ground into blocks, the blocks into fields and house plots."""
    rng, size_px = np.random.default_rng([config.seed, 0]), config.size_px
    x, y = grid_xy(size_px)
    slope = draw(rng, -0.9, 0.9)
    length = float(np.sqrt(1 + slope * slope))
    u_px = (x + slope * y) / length + 40 * make_noise(rng, size_px, 400, 100)
    v_px = (y - slope * x) / length + 40 * make_noise(rng, size_px, 400, 100)
    column_hw, part_u, width_px = locate(u_px, draw_cuts(rng, size_px))
    v_px += pick(rng, column_hw, 0, 150)  # Minor roads end at the main ones.
    row_hw, part_v, depth_px = locate(v_px, draw_cuts(rng, size_px))
    block_hw = column_hw * 1009 + row_hw
    is_village = pick(rng, block_hw) < 0.25

    has_road = pick(rng, block_hw + (part_v > 0.5)) < 0.6
    to_main = to_edge(part_u) * width_px - pick(rng, column_hw + (part_u > 0.5), 4, 8)
    to_minor = to_edge(part_v) * depth_px - 3.5
    to_street = to_edge(3 * part_v % 1) * depth_px / 3 - 3
    road_px = np.minimum(to_main, np.where(has_road, to_minor, to_main))
    road_px = np.minimum(road_px, np.where(is_village, to_street, road_px))

    is_long = pick(rng, block_hw) < 0.5
    strip_hw = np.where(is_long, part_u, part_v) * np.floor(pick(rng, block_hw, 1, 5))
    plot_u, plot_v = 8 * part_u, 6 * part_v
    plot_hw = block_hw * 48 + np.floor(plot_u).astype(int) * 6 + np.floor(plot_v).astype(int)
    faces_up = np.floor(plot_v) % 2 == 0  # Two rows of plots lie between two streets.
    house_v = (plot_v % 1 - pick(rng, plot_hw, 0.4, 0.6)) / pick(rng, plot_hw, 0.18, 0.32)
    return Survey(
        road_px=road_px,
        is_village=is_village,
        field_hw=block_hw * 7 + np.floor(strip_hw).astype(int),
        rows_px=np.where(is_long, u_px, v_px),
        border=to_edge(strip_hw % 1),
        plot_hw=plot_hw,
        house_u=(plot_u % 1 - pick(rng, plot_hw, 0.4, 0.6)) / pick(rng, plot_hw, 0.18, 0.32),
        house_v=np.where(faces_up, -house_v, house_v),
    )


def decide_cover(survey: Survey, config: Landscape) -> np.ndarray:
    """Decide the land cover, uint8 [H, W] of Chesapeake codes; later layers lie on earlier ones."""
    rng, size_px = np.random.default_rng([config.seed, 1]), config.size_px
    truth_hw = np.full((size_px, size_px), LOW_VEGETATION, np.uint8)
    is_house, is_driveway, is_garden_tree = build_houses(rng, survey)
    for code, mask_hw in (
        (TREES, grow_forest(rng, survey) | is_garden_tree),
        (BARREN, lay_bare(rng, survey)),
        (ROAD, is_driveway),
        (IMPERVIOUS, is_house),
        (WATER, run_river(rng, size_px)),
        (ROAD, survey.road_px < 0),
        (WATER, top(make_noise(rng, size_px, 260, 8), 0.1)),
    ):
        truth_hw[mask_hw] = code
    return truth_hw


def grow_forest(rng: np.random.Generator, survey: Survey) -> np.ndarray:
    """Where forest grows: woods that follow the fields in part, and hedges between some fields."""
    size_px = len(survey.field_hw)
    woods = make_noise(rng, size_px, 220, 4) + pick(rng, survey.field_hw, -0.3, 0.3)
    hedge = make_noise(rng, size_px, 40, 4) + pick(rng, survey.field_hw, -1, 1)
    is_hedge = (survey.border < 0.07) & (hedge > 0.2) & ~survey.is_village
    return top(woods - survey.is_village * np.float32(0.5), 0.3) | is_hedge


def lay_bare(rng: np.random.Generator, survey: Survey) -> np.ndarray:
    """Where the soil is bare: pits and building sites, straight where they meet a border."""
    score_hw = make_noise(rng, len(survey.field_hw), 130, 4)
    return top(score_hw + pick(rng, survey.field_hw, -0.3, 0.3), 0.06)


def run_river(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Where a river runs: a winding band through the middle part of the scene."""
    x, y = grid_xy(size_px)
    slope, shift_px = draw(rng, -1, 1), draw(rng, -0.2, 0.2) * size_px
    bend_px = 110 * make_noise(rng, size_px, 320, 20)
    return abs(x + slope * y + bend_px + shift_px) < draw(rng, 8, 20)


def build_houses(
    rng: np.random.Generator, survey: Survey
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where houses, driveways and garden trees are: on most plots of a village, and on few others."""
    u, v = survey.house_u, survey.house_v
    is_built = pick(rng, survey.plot_hw) < np.where(survey.is_village, 0.85, 0.02)
    is_house = np.maximum(abs(u), abs(v)) < 1
    is_driveway = (abs(u - 0.6) < 0.22) & (v > 0)
    crown = (u - 1.3) * (u - 1.3) + (v + 1.3) * (v + 1.3)
    is_tree = crown < pick(rng, survey.plot_hw, -0.4, 1)
    return is_built & is_house, is_built & is_driveway, is_built & is_tree


def render(truth_hw: np.ndarray, survey: Survey, config: Landscape) -> np.ndarray:
    """Paint land cover as an image.

    Args:
        truth_hw: uint8 [H, W], codes 1 .. 6. Where it does not change, the paint does not either,
            but for shadows.
        survey: the ground, which gives fields and roofs their own tones.
        config: of which the seed gives season, light and sensor.

    Returns:
        uint8 [H, W, 4], red, green, blue and near infrared, 1 .. 255.
    """
    rng, size_px = np.random.default_rng([config.seed, 2]), config.size_px
    image_hwc = np.zeros((*truth_hw.shape, 4), np.float32)
    for code, paint in PAINTERS.items():
        is_code = truth_hw == code
        image_hwc[is_code] = paint(rng, survey)[is_code]
    height_m = raise_heights(rng, truth_hw, survey)
    image_hwc *= light(height_m, draw(rng, -1, 1))
    x, y = grid_xy(size_px)
    falloff = 1 + (draw(rng, -0.15, 0.15) * x + draw(rng, -0.15, 0.15) * y) / size_px
    gain, haze = draw(rng, 0.88, 1.1, (4,)), draw(rng, 0, 10, (4,))
    image_hwc = blur(image_hwc * falloff[..., None] * gain + haze)
    image_hwc += draw(rng, -config.noise, config.noise, image_hwc.shape)
    return image_hwc.clip(1, 255).astype(np.uint8)


def paint_water(rng, survey):
    mud = make_noise(rng, len(survey.plot_hw), 300, 20) + draw(rng, -0.4, 0.6)
    return mix(CLEAR_WATER, MUDDY_WATER, mud.clip(0, 1))


def paint_trees(rng, survey):
    kind = make_noise(rng, len(survey.plot_hw), 100, 3)
    return mix(LEAFY_TREES, BROWN_TREES, (0.8 * kind + draw(rng, 0.0, 0.6)).clip(0, 1))


def paint_fields(rng, survey):
    crop = np.floor(pick(rng, survey.field_hw, 0, len(CROPS))).astype(int)
    tone = CROPS[np.where(survey.is_village, LAWN, crop)]
    rows = to_edge(survey.rows_px / pick(rng, survey.field_hw, 3, 6) % 1) - 0.25
    rows *= np.where(survey.is_village, 0, pick(rng, survey.field_hw, -0.2, 0.5))
    patchy = 0.1 * make_noise(rng, len(rows), 60, 2)
    return tone * (1 + rows + patchy)[..., None]


def paint_soil(rng, survey):
    return mix(SOIL, SAND, 0.4 + 0.8 * make_noise(rng, len(survey.plot_hw), 60, 2))


def paint_roofs(rng, survey):
    roof = np.floor(pick(rng, survey.plot_hw, 0, len(ROOFS))).astype(int)
    return ROOFS[roof] * pick(rng, survey.plot_hw, 0.85, 1.15)[..., None]


def paint_roads(rng, survey):
    share = pick(rng, survey.field_hw // 7) + 0.15 * make_noise(rng, len(survey.plot_hw), 30, 2)
    return mix(ASPHALT, CONCRETE, share)


PAINTERS = {
    WATER: paint_water,
    TREES: paint_trees,
    LOW_VEGETATION: paint_fields,
    BARREN: paint_soil,
    IMPERVIOUS: paint_roofs,
    ROAD: paint_roads,
}


def raise_heights(rng, truth_hw: np.ndarray, survey: Survey) -> np.ndarray:
    """Height above the ground in m: crowns, gabled roofs, and the mounds of bare soil."""
    x, y = grid_xy(len(truth_hw))
    crowns = np.maximum(grow_crowns(rng, x, y, 9), grow_crowns(rng, x + y, x - y, 16))
    mounds = 1.5 * make_noise(rng, len(truth_hw), 24, 3)
    height_m = np.where(truth_hw == TREES, 2 + 8 * crowns, np.float32(0))
    height_m = np.where(truth_hw == BARREN, mounds, height_m)
    return np.where(truth_hw == IMPERVIOUS, 6 - 3 * abs(survey.house_u).clip(0, 1), height_m)


def grow_crowns(rng, x, y, spacing_px) -> np.ndarray:
    """Height of a canopy, 0 .. 1: one round crown in each cell of a grid."""
    column, row = np.floor(x / spacing_px), np.floor(y / spacing_px)
    tree = (column * 1009 + row).astype(int)
    dx = x / spacing_px - column - pick(rng, tree, 0.4, 0.6)
    dy = y / spacing_px - row - pick(rng, tree, 0.4, 0.6)
    return (1 - (dx * dx + dy * dy) / pick(rng, tree, 0.12, 0.34)).clip(0, 1)


def light(height_m: np.ndarray, tilt: float, reach_px: int = 12) -> np.ndarray:
    """Light that falls on each pixel, float32 [H, W, 4]; the sun stands in the south at 45 degrees.

    A slope towards the sun is brighter; a pixel is in shadow where something to the south rises
    above the ray to the sun.
    """
    size_px = len(height_m)
    padded = np.pad(height_m, reach_px, mode="edge")
    ray_m = height_m
    for step in range(1, reach_px + 1):
        left = reach_px + round(tilt * step)
        window = padded[reach_px + step :][:size_px, left : left + size_px]
        ray_m = np.maximum(ray_m, window - step)
    down, right = np.gradient(height_m)
    relief = (1 - 0.12 * (down + tilt * right)).clip(0.6, 1.3)
    return mix((1, 1, 1, 1), SHADE, ((ray_m - height_m) / 3).clip(0, 1)) * relief[..., None]


def blur(image_hwc: np.ndarray) -> np.ndarray:
    """Blur by 1/4, 1/2, 1/4 along both axes."""
    for axis in (0, 1):
        pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        wide = np.moveaxis(np.pad(image_hwc, pad, mode="edge"), axis, 0)
        image_hwc = np.moveaxis((wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4, 0, axis)
    return image_hwc


def grid_xy(size_px):
    axis = np.arange(size_px, dtype=np.float32) - size_px / 2
    return axis[None, :], axis[:, None]


def draw(rng, low, high, shape=None):
    """Uniform draws, a float or float32 of a shape."""
    if shape is None:
        return low + (high - low) * rng.random()
    return low + (high - low) * rng.random(shape, np.float32)


def draw_cuts(rng, size_px):
    """Increasing coordinates, 110 to 280 px apart, well beyond the scene on both sides."""
    n = size_px // 50 + 8
    return np.cumsum(draw(rng, 110, 280, (n,))) - (size_px + 300)


def locate(at_px, cuts):
    """The interval in which each coordinate lies, the place in it (0 .. 1), and its length."""
    index = np.searchsorted(cuts, at_px, "right") - 1
    length = np.diff(cuts)[index]
    return index, (at_px - cuts[index]) / length, length


def pick(rng, number_hw, low=0.0, high=1.0):
    """A uniform draw for each number: pixels with the same number share it."""
    return draw(rng, low, high, (4093,))[number_hw % 4093]


def to_edge(part):
    """Distance of a place in an interval, 0 .. 1, to its nearer end, 0 .. 0.5."""
    return np.minimum(part, 1 - part)


def mix(a, b, share_hw):
    a, b = np.float32(a), np.float32(b)
    return a + (b - a) * share_hw[..., None]


def top(score_hw, share):
    """Where the scores are highest, on a share of all pixels."""
    return score_hw > np.quantile(score_hw, 1 - share)


def make_noise(rng, size_px, coarse_px, fine_px):
    """Smooth noise of octaves from coarse to fine, each half as strong, within -2 .. 2."""
    total = np.zeros((size_px, size_px), np.float32)
    strength, cell_px = 1.0, float(coarse_px)
    while cell_px >= fine_px:
        index, part = np.divmod(np.arange(size_px) / cell_px + rng.random(), 1)
        index, part = index.astype(int), part.astype(np.float32)
        part = part * part * (3 - 2 * part)
        grid = draw(rng, -strength, strength, (index[-1] + 2,) * 2)
        rows = grid[index] + part[:, None] * (grid[index + 1] - grid[index])
        total += rows[:, index] + part * (rows[:, index + 1] - rows[:, index])
        strength, cell_px = strength / 2, cell_px / 2
    return total
