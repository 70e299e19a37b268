import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import environment

from slam.errors import InputError
from slam.evaluation import Comparison, compare
from slam.trajectory import Trajectory, read_trajectory, write_trajectory
