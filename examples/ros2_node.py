"""A ROS 2 node: an image topic in, labels (mono8, 255 = unknown) and confidence (32FC1, on its grid) out.

python examples/ros2_node.py --ros-args -r image:=/camera/image_raw
"""

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

import segtween


class SegtweenNode(Node):
    def __init__(self) -> None:
        super().__init__("segtween")
        self.seg = segtween.load("swiftnet-lite0.camvid", every=5)
        self.labels = self.create_publisher(Image, "labels", 1)
        self.confidence = self.create_publisher(Image, "confidence", 1)
        self.create_subscription(Image, "image", self.on_image, 1)

    def on_image(self, message: Image) -> None:
        rows = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.step)
        rgb = rows[:, : 3 * message.width].reshape(message.height, message.width, 3)
        rgb = rgb[..., ::-1] if message.encoding == "bgr8" else rgb
        stamp = message.header.stamp
        result = self.seg.step(np.ascontiguousarray(rgb), pts_seconds=stamp.sec + stamp.nanosec * 1e-9)
        self.labels.publish(as_message(result.labels, "mono8", message.header))
        self.confidence.publish(as_message(result.confidence, "32FC1", message.header))


def as_message(values: np.ndarray, encoding: str, header: object) -> Image:
    height, width = values.shape
    step = width * values.itemsize
    return Image(header=header, height=height, width=width, encoding=encoding, step=step, data=values.tobytes())


if __name__ == "__main__":
    rclpy.init()
    rclpy.spin(SegtweenNode())
