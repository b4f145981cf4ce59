"""Masks in the forms that annotation tools exchange: run lengths and polygons.

| module | what it does |
| --- | --- |
| `rle` | COCO's run lengths, Label Studio's brush, CVAT's boxed run lengths; and back |
| `polygons` | outlines along the borders of pixels, holes joined to them; and back |

Everything comes back as it was: masks are (H, W) of bool, points (x, y) where 0 is the left or upper border of the
first pixel, so that a pixel's centre is at + 0.5.
"""
