"""The camera of a scene."""

from __future__ import annotations

from render.motion.camera import CameraPath, Move
from render.pipeline.scene import Scene
from render.scene.frame_params import camera_params


def camera_path(scene: Scene) -> CameraPath:
    """Returns the way of the scene's camera."""

    def move(index: int) -> Move:
        return Move(**camera_params(scene.spec.timeline, index)._asdict())

    return CameraPath(move, scene.size, scene.spec.camera.border)
