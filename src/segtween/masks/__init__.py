"""Masks in the forms that annotation tools exchange: run lengths and polygons.

| module | what it does |
| --- | --- |
| `rle` | COCO's run lengths, Label Studio's brush, CVAT's boxed run lengths; and back |
| `polygons` | outlines along the borders of pixels, holes joined to them; and back |
| `png` | whether a PNG file of masks or pictures is damaged |

Masks come back as they were: they are (H, W) of bool, points (x, y) where 0 is the left or upper border of the
first pixel, so that a pixel's centre is at + 0.5.
"""
