"""The array type of the engine: float64."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
