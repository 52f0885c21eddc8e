"""What pyproject.toml cannot say: conf/ and experiments/ are packed inside the package.

In a checkout they stay where they are; `asl/paths.py` finds them in both places.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["asl", "asl.*"]), "asl.conf", "asl.experiments"],
    package_dir={"asl.conf": "conf", "asl.experiments": "experiments"},
    package_data={
        "asl": ["py.typed", "clips/*.html", "clips/eda/*.html", "evaluation/*.html"],
        "asl.conf": ["**/*.yaml"],
        "asl.experiments": ["*.yaml"],
    },
)
