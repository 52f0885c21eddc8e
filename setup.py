"""What pyproject.toml cannot say: conf/, experiments/ and web/ are packed inside the package.

In a checkout they stay where they are; `asl/paths.py` finds them in both places.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["asl", "asl.*"]), "asl.conf", "asl.experiments", "asl.web"],
    package_dir={"asl.conf": "conf", "asl.experiments": "experiments", "asl.web": "web"},
    package_data={
        "asl": ["py.typed", "*.html", "clips/*.html", "clips/eda/*.html", "evaluation/*.html"],
        "asl.conf": ["**/*.yaml"],
        "asl.experiments": ["*.yaml"],
        "asl.web": ["*", "licenses/*"],
    },
)
