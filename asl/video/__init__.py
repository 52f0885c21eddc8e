"""Landmarks from video: decoding, the models of MediaPipe's legacy Holistic, and their tracking.

Nothing here imports torch, TensorFlow, MLflow or MediaPipe.
"""

from importlib.util import find_spec

from asl.errors import UserError

if find_spec("cv2") is None:
    raise UserError("videos need OpenCV: pip install 'asl[video]' (opencv-python-headless)")
