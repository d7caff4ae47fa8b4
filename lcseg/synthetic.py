"""Synthetic landscapes: made-up aerial scenes whose land cover is known everywhere.

    scene = make_landscape(Landscape(size_px=768, seed=7))
    label_hw = load_scheme("chesapeake-4").encode(scene.codes_hw)

Cover is decided first and painted second, so that a change can be planted in between:

    survey = survey_ground(config)
    truth_hw = decide_cover(survey, config)
    truth_hw[truth_hw == TREES] = BARREN
    image_hwc = render(truth_hw, survey, config)

Pixels come from uniform draws by + - * / alone: sines, Gaussians and BLAS differ between machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

# Codes of the Chesapeake land cover; grass stands for all low vegetation.
NO_LABEL, WATER, TREES, GRASS, BARREN, IMPERVIOUS, ROAD = range(7)

# Four tones of each cover, (red, green, blue, near infrared), 0 .. 255. They overlap on purpose:
# lush crops look like crowns, dry ones like soil, roofs like both, and shadow like water.
TONES = {
    WATER: ((40, 58, 64, 30), (44, 64, 68, 34), (66, 76, 72, 44), (104, 104, 82, 62)),
    TREES: ((56, 86, 52, 138), (68, 96, 56, 148), (92, 106, 66, 140), (124, 112, 82, 126)),
    GRASS: ((74, 102, 56, 154), (98, 124, 70, 156), (172, 158, 112, 130), (136, 110, 86, 99)),
    BARREN: ((120, 96, 76, 92), (150, 126, 102, 110), (174, 154, 126, 126), (198, 182, 152, 142)),
    IMPERVIOUS: ((76, 76, 82, 66), (116, 90, 74, 88), (158, 98, 78, 112), (206, 204, 198, 170)),
    ROAD: ((100, 100, 104, 86), (112, 112, 112, 94), (126, 124, 122, 104), (170, 164, 154, 138)),
}
SHADOW = np.array((0.58, 0.52, 0.42, 0.64), np.float32)  # Share of light lost in full shadow.


@dataclass(frozen=True)
class Landscape:
    """What a synthetic scene is like."""

    size_px: int = 768  # Side of the square scene, in pixels of 1 m.
    seed: int = 0  # Scenes of different seeds differ in everything.
    unlabelled_share: float = 0.0  # Share of the scene whose label is missing, 0 .. 1, in blobs.
    nodata_share: float = 0.0  # Share of the scene that the image leaves out, 0 .. 1, as a wedge.
    noise: float = 5.0  # Largest error of the sensor, in grey levels; 0 means none.

    def __post_init__(self) -> None:
        limits = ((32, 2**15), (0, 2**63), (0, 1), (0, 1), (0, 255))
        for (name, value), (low, high) in zip(vars(self).items(), limits, strict=True):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} to {high}")


@dataclass(frozen=True)
class Scene:
    """An image, its label, and the truth behind both."""

    image_hwc: np.ndarray  # uint8 [H, W, 4]: red, green, blue, near infrared; all 0 is no data.
    codes_hw: np.ndarray  # uint8: Chesapeake codes, 0 where the label is missing.
    truth_hw: np.ndarray  # uint8: Chesapeake codes everywhere.
    valid_hw: np.ndarray  # bool: whether there is an image.


@dataclass(frozen=True)
class Survey:
    """How roads cut the ground into blocks, and these fall into fields and house plots; [H, W]."""

    road_px: np.ndarray  # Distance to the edge of the nearest road, below 0 on it.
    is_village: np.ndarray  # Whether the block is a village.
    field: np.ndarray  # Number of the field.
    border: np.ndarray  # Distance to the border of the field, in widths of the field.
    rows_px: np.ndarray  # Place across the rows of the field.
    plot: np.ndarray  # Number of the house plot.
    house_u: np.ndarray  # Offset from the middle of the plot's house, in half houses.
    house_v: np.ndarray  # The same at right angles.


def make_landscape(config: Landscape) -> Scene:
    """Make the scene of a configuration: the same bytes on every machine."""
    survey, rng, size_px = survey_ground(config), default_rng([config.seed, 3]), config.size_px
    truth_hw = decide_cover(survey, config)
    y, x = np.mgrid[:size_px, :size_px]
    valid_hw = ~top(draw(rng, -1, 1) * x + draw(rng, -1, 1) * y, config.nodata_share)
    frayed = make_noise(rng, size_px, 160, 20) + draw(rng, -0.1, 0.1, truth_hw.shape)
    codes_hw = np.where(top(frayed, config.unlabelled_share), np.uint8(NO_LABEL), truth_hw)
    image_hwc = render(truth_hw, survey, config) * valid_hw[..., None]
    return Scene(image_hwc, codes_hw, truth_hw, valid_hw)


def survey_ground(config: Landscape) -> Survey:
    """Divide the ground along two families of bent lines, about at right angles."""
    rng, size_px = default_rng([config.seed, 0]), config.size_px
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32)
    slope = draw(rng, -0.9, 0.9)
    u_px = x + slope * y + 50 * make_noise(rng, size_px, 400, 100)
    v_px = y - slope * x + 50 * make_noise(rng, size_px, 400, 100)
    column, part_u, width_px = cut_line(rng, u_px)
    # Minor roads end at the main ones.
    row, part_v, depth_px = cut_line(rng, v_px + pick(rng, column, 0, 150))
    block = 1009 * column + row  # An odd stride, so that neighbours differ in what they pick.
    is_village = pick(rng, block) < 0.25

    main_px = to_edge(part_u) * width_px - pick(rng, column + (part_u > 0.5), 5, 9)
    minor_px = to_edge(part_v) * depth_px - pick(rng, block + (part_v > 0.5), 3, 5)
    street_px = np.where(is_village, to_edge(3 * part_v % 1) * depth_px / 3 - 3.5, main_px)

    is_long = pick(rng, block) < 0.5
    strip = np.where(is_long, part_u, part_v) * pick(rng, block, 1, 5).astype(int)
    plot = 48 * block + 6 * (8 * part_u).astype(int) + (6 * part_v).astype(int)
    house_u = (8 * part_u % 1 - pick(rng, plot, 0.4, 0.6)) / pick(rng, plot, 0.18, 0.32)
    house_v = (6 * part_v % 1 - pick(rng, plot, 0.4, 0.6)) / pick(rng, plot, 0.18, 0.32)
    return Survey(
        road_px=np.minimum(np.minimum(main_px, minor_px), street_px),
        is_village=is_village,
        field=7 * block + strip.astype(int),
        border=to_edge(strip % 1),
        rows_px=np.where(is_long, u_px, v_px),
        plot=plot,
        house_u=house_u,
        house_v=house_v,
    )


def decide_cover(survey: Survey, config: Landscape) -> np.ndarray:
    """Decide the cover, uint8 [H, W] of codes 1 .. 6; later layers lie on earlier ones."""
    rng, size_px = default_rng([config.seed, 1]), config.size_px
    truth_hw = np.full((size_px, size_px), GRASS, np.uint8)
    pits = make_noise(rng, size_px, 130, 4) + pick(rng, survey.field, -0.3, 0.3)
    for code, is_code in (
        (TREES, grow_trees(rng, survey)),
        (BARREN, top(pits, 0.06)),
        (IMPERVIOUS, build_houses(rng, survey)),
        (WATER, run_river(rng, size_px)),
        (ROAD, survey.road_px < 0),
        (WATER, top(make_noise(rng, size_px, 260, 8), 0.1)),
    ):
        truth_hw[is_code] = code
    return truth_hw


def grow_trees(rng: Generator, survey: Survey) -> np.ndarray:
    """Grow woods, which end at field borders in part, hedges along fields, and trees in gardens."""
    woods = make_noise(rng, len(survey.field), 220, 4) + pick(rng, survey.field, -0.3, 0.3)
    hedge = make_noise(rng, len(survey.field), 30, 5) + pick(rng, survey.field, -0.5, 0.5)
    is_hedge = hedge > np.where(survey.is_village, 0.75, 0.2 + 7 * survey.border)
    return top(woods - 0.5 * survey.is_village, 0.3) | is_hedge


def build_houses(rng: Generator, survey: Survey) -> np.ndarray:
    """Build houses on most plots of a village and on few elsewhere."""
    is_built = pick(rng, survey.plot) < np.where(survey.is_village, 0.85, 0.02)
    return is_built & (abs(survey.house_u) < 1) & (abs(survey.house_v) < 1)


def run_river(rng: Generator, size_px: int) -> np.ndarray:
    """Wind a river through the middle part of the scene."""
    y, x = np.mgrid[:size_px, :size_px] - size_px / 2
    middle_px = x + draw(rng, -1, 1) * y + draw(rng, -0.2, 0.2) * size_px
    return abs(middle_px + 110 * make_noise(rng, size_px, 320, 20)) < draw(rng, 8, 20)


def render(truth_hw: np.ndarray, survey: Survey, config: Landscape) -> np.ndarray:
    """Paint cover as an image, uint8 [H, W, 4] in 1 .. 255; the seed gives season and light.

    A change of cover changes its own pixels, and those that it shades or that blur into it.
    """
    rng, size_px = default_rng([config.seed, 2]), config.size_px
    tone = 0.4 + 0.5 * make_noise(rng, size_px, 120, 2) + draw(rng, -0.2, 0.2)
    lawn, crop, roof = np.float32(0.2), pick(rng, survey.field), pick(rng, survey.plot)
    crop = np.where(survey.is_village, lawn, crop) + 0.15 * (tone - 0.4)
    tone = np.choose(truth_hw - 1, [tone, tone, crop, tone, roof, tone])
    light = shine(raise_heights(rng, truth_hw, survey), draw(rng, -1, 1))
    vignette = 1 + 0.12 * make_noise(rng, size_px, 2 * size_px, 2 * size_px)
    image_hwc = mix_tones(truth_hw, tone) * light * vignette[..., None]
    image_hwc = blur(image_hwc) * draw(rng, 0.93, 1.07, (4,)) + draw(rng, 0, 10, (4,))
    image_hwc += draw(rng, -config.noise, config.noise, image_hwc.shape)
    return image_hwc.clip(1, 255).astype(np.uint8)


def mix_tones(truth_hw: np.ndarray, tone_hw: np.ndarray) -> np.ndarray:
    """Colour each pixel by its place, 0 .. 1, between the first and the last tone of its cover."""
    table = np.array([TONES[code] for code in range(WATER, ROAD + 1)], np.float32)
    index, part = np.divmod(tone_hw.clip(0, 0.999) * 3, 1)
    low, high = (table[truth_hw - 1, index.astype(int) + step] for step in (0, 1))
    return low + part[..., None] * (high - low)


def raise_heights(rng: Generator, truth_hw: np.ndarray, survey: Survey) -> np.ndarray:
    """Raise crowns, furrows, mounds of soil and gabled roofs above the ground, in m."""
    size_px, flat = len(truth_hw), np.float32(0)
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32)
    # Two grids across each other hide that crowns stand in rows.
    crowns = 2 + 8 * np.maximum(space_crowns(rng, x, y, 9), space_crowns(rng, x + y, x - y, 16))
    spacing_px, depth_m = pick(rng, survey.field, 3, 7), pick(rng, survey.field, -0.5, 4).clip(0)
    furrows = depth_m * to_edge(survey.rows_px / spacing_px % 1) * ~survey.is_village
    mounds = 2 * make_noise(rng, size_px, 24, 3)
    roofs = 6 - 3 * abs(survey.house_u).clip(0, 1)
    return np.choose(truth_hw - 1, [flat, crowns, furrows, mounds, roofs, flat])


def space_crowns(rng: Generator, x: np.ndarray, y: np.ndarray, spacing_px: float) -> np.ndarray:
    """Set one round crown into each cell of a grid, of random place and width; 0 .. 1."""
    (column, part_x), (row, part_y) = np.divmod(x / spacing_px, 1), np.divmod(y / spacing_px, 1)
    tree = 1009 * column.astype(int) + row.astype(int)
    dx, dy = part_x - pick(rng, tree, 0.3, 0.7), part_y - pick(rng, tree, 0.3, 0.7)
    return (1 - (dx * dx + dy * dy) / pick(rng, tree, 0.08, 0.4)).clip(0)


def shine(height_m: np.ndarray, tilt: np.ndarray, reach_px: int = 12) -> np.ndarray:
    """Light slopes by a sun in the south, 45 degrees high, and cast shadows; float32 [H, W, 4]."""
    size_px, ray_m = len(height_m), height_m
    padded = np.pad(height_m, reach_px, mode="edge")
    for step in range(1, reach_px + 1):
        left = reach_px + round(float(tilt) * step)
        window = padded[reach_px + step :][:size_px, left : left + size_px]
        ray_m = np.maximum(ray_m, window - step)
    down, right = np.gradient(height_m)
    relief = (1 - 0.12 * (down + tilt * right)).clip(0.6, 1.3)
    lost = ((ray_m - height_m) / 3).clip(0, 1)
    return (1 - lost[..., None] * SHADOW) * relief[..., None]


def blur(image_hwc: np.ndarray) -> np.ndarray:
    """Blur by 1/4, 1/2, 1/4 along both axes."""
    wide = np.pad(image_hwc, ((1, 1), (1, 1), (0, 0)), mode="edge")
    wide = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    return (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 16


def cut_line(rng: Generator, at_px: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a line at random: each coordinate's piece, its place there, 0 .. 1, and the length."""
    cuts = np.cumsum(draw(rng, 130, 330, (len(at_px) // 40 + 16,))) + at_px.min() - 500
    piece = np.searchsorted(cuts, at_px, "right") - 1
    length_px = np.diff(cuts)[piece]
    return piece, (at_px - cuts[piece]) / length_px, length_px


def to_edge(part: np.ndarray) -> np.ndarray:
    """Measure from a place, 0 .. 1, to the nearer end."""
    return np.minimum(part, 1 - part)


def top(score_hw: np.ndarray, share: float) -> np.ndarray:
    """Find the highest scores, on a share of all pixels."""
    return score_hw > np.quantile(score_hw, 1 - share)


def draw(rng: Generator, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Draw float32 uniformly."""
    return low + (high - low) * rng.random(shape, np.float32)


def pick(rng: Generator, number: np.ndarray, low: float = 0, high: float = 1) -> np.ndarray:
    """Draw for each number: pixels of one number share one draw."""
    return draw(rng, low, high, (4096,))[number & 4095]


def make_noise(rng: Generator, size_px: int, coarse_px: float, fine_px: float) -> np.ndarray:
    """Sum random grids, each twice as fine and half as strong; float32 within -2 .. 2."""
    noise, strength = np.zeros((size_px, size_px), np.float32), 1.0
    while coarse_px >= fine_px:
        index, part = np.divmod(np.arange(size_px, dtype=np.float32) / coarse_px, 1)
        index, part = index.astype(int), part * part * (3 - 2 * part)
        grid = draw(rng, -strength, strength, (index[-1] + 2, index[-1] + 2))
        wide = grid[:, index] + part * np.diff(grid)[:, index]
        noise += wide[index] + part[:, None] * np.diff(wide, axis=0)[index]
        coarse_px, strength = coarse_px / 2, strength / 2
    return noise
