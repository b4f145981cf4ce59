"""Outputs for annotation tools and training code. What is written here is read again by `datasets.annotations`.

| module | what it writes |
| --- | --- |
| `text` | a file frame by frame: head, frames, tail |
| `coco` | COCO JSON, with run lengths or polygons |
| `label_studio` | Label Studio: image tasks with brushes, a video task with boxes |
| `cvat_xml` | CVAT for images and CVAT for video, with masks |
| `yolo` | YOLO's polygons |
"""
